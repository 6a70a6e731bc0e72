/* SPDX-License-Identifier: BSD-2-Clause */
/* picture_text.c - a picture in characters. */
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/size.h"
#include "info/picture.h"

enum { WIDTH_USUAL = 80, WIDTH_LEAST = 16, WIDTH_MOST = 512, ROWS_MOST = 12 };

static const struct glyph {
	const char *plain, *unicode, *colour;
} glyphs[PICTURE_STATES] = {
	[PICTURE_FREE] = { ".", "·", "2" },    [PICTURE_ORDERED] = { "#", "█", "32" },
	[PICTURE_APART] = { "%", "▒", "33" },  [PICTURE_ZERO] = { "0", "░", "36" },
	[PICTURE_LEAKED] = { "-", "╌", "35" }, [PICTURE_SHARED] = { "X", "╳", "1;31" },
};

struct canvas {
	struct out *out;
	unsigned width;
	bool unicode;
};

/* COLUMNS, or what the terminal says. */
static unsigned find_width(const struct out *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (columns && !number_parse(columns, 1, WIDTH_MOST, &width))
		return (unsigned)width < WIDTH_LEAST ? WIDTH_LEAST : (unsigned)width;
	if (ioctl(out->fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_LEAST)
		return size.ws_col < WIDTH_MOST ? size.ws_col : WIDTH_MOST;
	return WIDTH_USUAL;
}

/* Whether the characters that the user's locale has are all there are. */
static bool has_unicode(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool has = locale && strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;

	if (locale)
		freelocale(locale);
	return has;
}

static void put_glyph(const struct canvas *canvas, enum picture_state state)
{
	const struct glyph *glyph = &glyphs[state];

	if (canvas->out->colour)
		out_print(canvas->out, "\033[%sm", glyph->colour);
	out_print(canvas->out, "%s", canvas->unicode ? glyph->unicode : glyph->plain);
	if (canvas->out->colour)
		out_print(canvas->out, "\033[0m");
}

static void put_band(const struct canvas *canvas, const struct picture_band *band)
{
	for (unsigned i = 0; i < band->count; i++) {
		bool last = i % canvas->width == canvas->width - 1 || i + 1 == band->count;

		put_glyph(canvas, picture_state_of(&band->cells[i]));
		if (last)
			out_print(canvas->out, "\n");
	}
}

/* Text in ASCII, in as many lines as it takes. */
static void put_line(const struct canvas *canvas, const char *text)
{
	while (*text) {
		size_t length = strlen(text), at = length;

		if (length > canvas->width)
			for (at = canvas->width; at && text[at] != ' ';)
				at--;
		if (!at)
			at = length < canvas->width ? length : canvas->width;
		out_print(canvas->out, "%.*s\n", (int)at, text);
		text += at;
		text += *text == ' ';
	}
}

static void put_title(const struct canvas *canvas, const char *what,
                      const struct picture_band *band)
{
	char text[160], size[SIZE_TEXT];
	uint64_t share = band->count ? (band->blocks + band->count - 1) / band->count : 0;

	(void)snprintf(text, sizeof text, "%s: %" PRIu64 " block%s, %" PRIu64 " a cell (%s)", what,
	               band->blocks, band->blocks == 1 ? "" : "s", share,
	               size_short(size, sizeof size, share * GOW_BLOCK_SIZE));
	put_line(canvas, text);
}

/* The image's name: its end, where it is too long. (A cut UTF-8 character is passed over.) */
static void put_name(const struct canvas *canvas, const char *image, const gow_info *info)
{
	char *shown = gow_shown_name(image);
	const char *at = shown ? shown : "";
	char layout[PICTURE_LAYOUT];
	size_t tail = strlen(picture_layout(info, layout));
	bool has_room = canvas->width > tail + 15;
	size_t room = has_room ? canvas->width - tail - 3 : canvas->width;
	size_t length = strlen(at);

	if (!shown)
		out_fail(canvas->out, ENOMEM);
	if (length > room) {
		at += length - room + 3;
		while ((*at & 0xC0) == 0x80)
			at++;
		out_print(canvas->out, "...");
	}
	out_name(canvas->out, at);
	if (has_room)
		out_print(canvas->out, ": %s", layout);
	out_print(canvas->out, "\n");
	free(shown);
}

/* The states that are in the picture, as many in a line as it has room for. */
static void put_legend(const struct canvas *canvas, const struct picture *picture)
{
	bool seen[PICTURE_STATES] = { false };
	size_t column = 0;

	for (unsigned i = 0; i < picture->file.count; i++)
		seen[picture_state_of(&picture->file.cells[i])] = true;
	for (unsigned i = 0; i < picture->guest.count; i++)
		seen[picture_state_of(&picture->guest.cells[i])] = true;
	for (enum picture_state state = PICTURE_FREE; state < PICTURE_STATES; state++) {
		size_t length = strlen(picture_state_name(state)) + 2;

		if (!seen[state])
			continue;
		if (column && column + 3 + length > canvas->width) {
			out_print(canvas->out, "\n");
			column = 0;
		}
		out_print(canvas->out, "%s", column ? "   " : "");
		put_glyph(canvas, state);
		out_print(canvas->out, " %s", picture_state_name(state));
		column += length + (column ? 3 : 0);
	}
	if (column)
		out_print(canvas->out, "\n");
}

int picture_print(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                  gow_error *error)
{
	const struct canvas canvas = {
		.out = &cli->out,
		.width = find_width(&cli->out),
		.unicode = has_unicode(),
	};
	struct picture picture;
	char text[160];
	int code = picture_make(check, info, canvas.width * ROWS_MOST, false, &picture, error);

	if (!code) {
		put_name(&canvas, image, info);
		if (!info->map_readable || info->pending)
			put_line(&canvas, info->pending ? "a change was interrupted: no map to draw"
			                                : "the map cannot be read");
		put_title(&canvas, "file", &picture.file);
		put_band(&canvas, &picture.file);
		put_title(&canvas, "guest's disk", &picture.guest);
		put_band(&canvas, &picture.guest);
		put_legend(&canvas, &picture);
		(void)snprintf(text, sizeof text,
		               "fragmentation %.1f %%, %" PRIu64 " leaked, %" PRIu64
		               " zeros, %" PRIu64 " shared",
		               info->fragmentation * 100, picture.totals[PICTURE_LEAKED],
		               picture.totals[PICTURE_ZERO], picture.totals[PICTURE_SHARED]);
		put_line(&canvas, text);
		if (gow_check_count(check, GOW_CORRUPT))
			put_line(&canvas, "corrupt: do not boot; see gow-check");
		if (info->in_use)
			put_line(&canvas, "in use: what is shown here may be changing");
	}
	picture_free(&picture);
	return code;
}
