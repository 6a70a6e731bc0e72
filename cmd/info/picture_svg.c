/* SPDX-License-Identifier: BSD-2-Clause */
/* picture_svg.c - a picture as an SVG file: the guest's disk above, the file below, and lines from
 * where the guest has its blocks to where the file has them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/size.h"
#include "common/streams.h"
#include "info/picture.h"

/* In pixels. A band is as wide as it has cells at most. */
enum {
	LEFT = 20,
	WIDTH = 720,
	HEIGHT = 330,
	GUEST_TOP = 76,
	FILE_TOP = 224,
	BAND = 40,
	LEGEND_TOP = 292,
	CELLS = 240
};

static const char *const colours[PICTURE_STATES] = {
	[PICTURE_FREE] = "#eceff1", [PICTURE_ORDERED] = "#2e7d32", [PICTURE_APART] = "#f9a825",
	[PICTURE_ZERO] = "#80cbc4", [PICTURE_LEAKED] = "#8e6bbf",  [PICTURE_SHARED] = "#c62828",
};

static double left_of(const struct picture_band *band, unsigned cell)
{
	return band->count ? LEFT + (double)WIDTH * cell / band->count : LEFT;
}

/* Names may hold anything; what XML cannot is a question mark. */
static void put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			(void)fputs("&lt;", file);
		else if (*text == '>')
			(void)fputs("&gt;", file);
		else if (*text == '&')
			(void)fputs("&amp;", file);
		else
			(void)fputc((unsigned char)*text < ' ' || (unsigned char)*text > '~'
			                    ? '?'
			                    : *text,
			            file);
	}
}

static void put_title(FILE *file, int y, const char *what, const struct picture_band *band)
{
	char size[SIZE_TEXT];

	(void)fprintf(file, "<text x=\"%d\" y=\"%d\">%s: %" PRIu64 " block%s (%s)</text>\n", LEFT,
	              y, what, band->blocks, band->blocks == 1 ? "" : "s",
	              size_short(size, sizeof size, band->blocks * GOW_BLOCK_SIZE));
}

/* Neighbours that are alike are one rectangle. */
static void put_band(FILE *file, int top, const struct picture_band *band)
{
	unsigned start = 0;

	(void)fprintf(file, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
	              LEFT, top, WIDTH, BAND, colours[PICTURE_FREE]);
	while (start < band->count) {
		enum picture_state state = picture_state_of(&band->cells[start]);
		unsigned end = start + 1;

		while (end < band->count && picture_state_of(&band->cells[end]) == state)
			end++;
		if (state != PICTURE_FREE)
			(void)fprintf(file,
			              "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" "
			              "fill=\"%s\"/>\n",
			              left_of(band, start), top,
			              left_of(band, end) - left_of(band, start), BAND,
			              colours[state]);
		start = end;
	}
}

static void put_links(FILE *file, const struct picture *picture)
{
	const struct picture_band *guest = &picture->guest, *blocks = &picture->file;

	(void)fprintf(file,
	              "<g stroke=\"#607d8b\" stroke-width=\"0.6\" stroke-opacity=\"0.45\">\n");
	for (unsigned i = 0; i < guest->count; i++)
		for (unsigned j = 0; j < blocks->count; j++)
			if (picture->links[(size_t)i * blocks->count + j])
				(void)fprintf(file, "<path d=\"M%.1f %dL%.1f %d\"/>\n",
				              (left_of(guest, i) + left_of(guest, i + 1)) / 2,
				              GUEST_TOP + BAND,
				              (left_of(blocks, j) + left_of(blocks, j + 1)) / 2,
				              FILE_TOP);
	(void)fprintf(file, "</g>\n");
}

static void put_legend(FILE *file)
{
	int x = LEFT;

	for (enum picture_state state = PICTURE_FREE; state < PICTURE_STATES; state++) {
		(void)fprintf(file,
		              "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/>"
		              "<text x=\"%d\" y=\"%d\">%s</text>\n",
		              x, LEGEND_TOP, colours[state], x + 20, LEGEND_TOP + 12,
		              picture_state_name(state));
		x += 36 + 8 * (int)strlen(picture_state_name(state));
	}
}

static void put_picture(FILE *file, const char *image, const gow_info *info,
                        const struct picture *picture)
{
	char *shown = gow_shown_name(image);
	const char *slash = shown ? strrchr(shown, '/') : NULL;
	char layout[PICTURE_LAYOUT];

	(void)fprintf(
		file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"14\" "
		"fill=\"#263238\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		WIDTH + 2 * LEFT, HEIGHT, WIDTH + 2 * LEFT, HEIGHT);
	(void)fprintf(file, "<text x=\"%d\" y=\"30\" font-size=\"18\" font-weight=\"bold\">", LEFT);
	put_text(file, slash && slash[1] ? slash + 1 : shown ? shown : "");
	free(shown);
	(void)fprintf(file,
	              "</text>\n<text x=\"%d\" y=\"30\" text-anchor=\"end\">%s, "
	              "fragmentation %.1f %%, %" PRIu64 " leaked, %" PRIu64 " zeros</text>\n",
	              LEFT + WIDTH, picture_layout(info, layout), info->fragmentation * 100,
	              picture->totals[PICTURE_LEAKED], picture->totals[PICTURE_ZERO]);
	put_title(file, GUEST_TOP - 8, "guest's disk", &picture->guest);
	put_links(file, picture);
	put_band(file, GUEST_TOP, &picture->guest);
	put_band(file, FILE_TOP, &picture->file);
	(void)fprintf(file, "<g transform=\"translate(0 %d)\">\n", BAND + 16);
	put_title(file, FILE_TOP, "file", &picture->file);
	(void)fprintf(file, "</g>\n");
	put_legend(file);
	(void)fprintf(file, "</svg>\n");
}

/* ---- the file ---------------------------------------------------------------------------- */

static int fail(gow_error *error, const char *path, const char *what)
{
	*error = (gow_error){ .code = errno == EEXIST ? GOW_ERR_EXISTS : GOW_ERR_IO,
		              .sys_errno = errno == EEXIST ? 0 : errno,
		              .offset = GOW_NOWHERE,
		              .block = GOW_NOWHERE };
	(void)snprintf(error->file, sizeof error->file, "%s", path);
	(void)snprintf(error->what, sizeof error->what, "%s",
	               errno == EEXIST ? "exists already; give another name" : what);
	return (int)error->code;
}

/* Under another name until it is whole; a name that is taken is never replaced. */
static int publish(FILE *file, const char *temporary, const char *path)
{
	bool failed = fflush(file) || ferror(file) || fsync(fileno(file));

	if (fclose(file) || failed)
		return -1;
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	return errno == EEXIST ? -1 : link(temporary, path);
}

/* The rights of a file that tells of the image: its own as far as the mask has them. Whom its group, or
 * an access list, lets in there is not asked for here: only whom everybody's rights let in. */
static mode_t rights_of(const struct stat *image, gid_t group, bool has_list)
{
	const mode_t mask = umask(0), mode = image->st_mode & 0666 & ~mask;

	(void)umask(mask);
	return has_list || group != image->st_gid ? mode & (0607 | (mode & 07) << 3) : mode;
}

/* Opens a new file that lets nobody in who may not read the image, whatever the directory's default
 * access list says. */
static int open_new(const char *path, const char *image)
{
	static const char list[] = "system.posix_acl_access";
	struct stat of_image, own;
	const bool is_file = stat(image, &of_image) == 0;
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_file ? 0600 : 0666);

	if (fd < 0 || !is_file)
		return fd;
	(void)fremovexattr(fd, list); /* there mostly is none */
	if (fstat(fd, &own) == 0)
		(void)fchmod(fd,
		             rights_of(&of_image, own.st_gid, getxattr(image, list, NULL, 0) > 0));
	return fd;
}

int picture_write_svg(const char *path, const char *image, gow_check *check, const gow_info *info,
                      gow_error *error)
{
	struct picture picture;
	char *temporary = NULL;
	FILE *file = NULL;
	int fd = -1, code = picture_make(check, info, CELLS, true, &picture, error);

	if (!code && asprintf(&temporary, "%s.gow-tmp-%ld", path, (long)getpid()) < 0)
		temporary = NULL;
	if (!code && (access(path, F_OK) == 0 || !temporary || streams_is_device_name(path))) {
		errno = !temporary ? ENOMEM : access(path, F_OK) == 0 ? EEXIST : ENODEV;
		code = fail(error, path, "cannot be written");
	}
	if (!code && temporary) {
		fd = open_new(temporary, image);
		file = fd < 0 ? NULL : fdopen(fd, "w");
		if (!file)
			code = fail(error, path, "cannot be made");
	}
	if (file && temporary) {
		put_picture(file, image, info, &picture);
		if (publish(file, temporary, path) < 0)
			code = fail(error, path, "cannot be written");
	}
	if (fd >= 0)
		(void)unlink(temporary);
	free(temporary);
	picture_free(&picture);
	return code;
}
