/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.c - standard input or a FIFO as a source: a raw disk, or what an archive or an image is
 * read from. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "disk/names.h"
#include "disk/probe.h"
#include "disk/source/kinds.h"
#include "image/header.h"
#include "io/remote.h"
#include "io/stream.h"

struct stream_source {
	struct gow_source base;
	struct gow_stream stream;
	int owned_fd; /* 0 or less: it is not owned */
	bool ended;
	/* What was read to learn what it is, and is still to be handed on. */
	uint8_t head[GOW_ARCHIVE_HEAD];
	size_t head_size;
	struct gow_last last; /* the last bytes, where they are to be judged */
	bool judged;
};

static int stream_next_data(struct gow_source *source, uint64_t offset, uint64_t *start,
                            uint64_t *end, gow_error *error)
{
	const struct stream_source *stream = (struct stream_source *)source;

	(void)error;
	*start = offset;
	*end = stream->ended ? offset : INT64_MAX;
	return GOW_OK;
}

static int stream_read(struct gow_source *source, uint64_t offset, void *buf, size_t size,
                       size_t *got, gow_error *error)
{
	struct stream_source *stream = (struct stream_source *)source;
	size_t head = offset < stream->head_size ? stream->head_size : 0;
	int code;

	memcpy(buf, stream->head, head);
	code = gow_stream_read(&stream->stream, (uint8_t *)buf + head, size - head, got, error);
	if (code)
		return code;
	*got += head;
	stream->ended = *got < size;
	if (!stream->judged)
		return GOW_OK;
	gow_last_note(&stream->last, buf, *got);
	if (!stream->ended)
		return GOW_OK;
	code = gow_probe_end(&stream->last, offset + *got, error);
	return code ? gow_fail_in_file(error, code, stream->stream.name) : GOW_OK;
}

static void stream_close(struct gow_source *source)
{
	struct stream_source *stream = (struct stream_source *)source;

	if (stream->owned_fd > 0)
		(void)close(stream->owned_fd);
	free(stream);
}

static const struct gow_source_ops stream_ops = {
	.next_data = stream_next_data,
	.read = stream_read,
	.close = stream_close,
};

/* What -f and --layout ask for, of a stream that is no image. */
static int check_stream(const struct stream_source *stream,
                        const struct gow_source_options *options, gow_error *error)
{
	int code = GOW_OK;

	if (gow_source_wants_layout(options))
		code = gow_fail(error, GOW_ERR_NOT_GOW,
		                "its layout is not known, and cannot be inferred from a stream: "
		                "keep it in a file and name that, or give a layout file (gow-probe "
		                "makes one of the file)");
	else if (gow_source_wants_image(options))
		code = gow_fail(error, GOW_ERR_NOT_GOW, "does not begin like a GOW image");
	else if (options->format == GOW_FORMAT_PROBE)
		code = gow_probe_head(stream->head, stream->head_size, NULL, error);
	return code ? gow_fail_in_file(error, code, stream->stream.name) : GOW_OK;
}

/* An archive, or an image, whose bytes are read in order. */
static int open_packed(struct stream_source *stream, bool image,
                       const struct gow_source_options *options, struct gow_layouts **layouts,
                       struct gow_source **source, gow_error *error)
{
	const struct gow_layout *wanted = gow_layout_of_format(options->format);
	const struct gow_archive_input input = {
		.stream = stream->stream,
		.head = stream->head,
		.head_size = stream->head_size,
		.owned_fd = stream->owned_fd,
		.bare = image,
	};
	int code = gow_source_open_packed(&input, options, layouts, source, error);

	if (code || !wanted || (*source)->format == options->format)
		return code;
	gow_source_close(*source);
	*source = NULL;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_ARGUMENT,
	                                 "is not of version %u, as -f says", wanted->version),
	                        "standard input");
}

/* Whether it is an image that is not packed: by a magic, or because the layout is given. */
static bool is_bare_image(const struct stream_source *stream,
                          const struct gow_source_options *options,
                          const struct gow_layouts *layouts, bool packed)
{
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(layouts, &count);

	if (options->format != GOW_FORMAT_PROBE && !gow_source_wants_image(options))
		return false;
	return gow_rows_have_magic(rows, count, stream->head, stream->head_size) ||
	       (layouts->given && !packed);
}

/* Decides what it is by how it begins. */
static int begin_stream(struct stream_source *made, const struct gow_source_options *options,
                        struct gow_layouts **layouts, struct gow_source **source, gow_error *error)
{
	bool image, packed;
	int code = gow_layouts_load_for(&options->common, NULL, gow_layouts_find_known, layouts,
	                                error);

	if (!code)
		code = gow_stream_read(&made->stream, made->head, sizeof made->head,
		                       &made->head_size, error);
	if (code)
		return code;
	packed = gow_source_is_packed(options, made->head, made->head_size);
	image = is_bare_image(made, options, *layouts, packed);
	if (image || packed) {
		code = open_packed(made, image, options, layouts, source, error);
		made->owned_fd = -1;
		return code;
	}
	code = check_stream(made, options, error);
	if (code)
		return code;
	made->judged = options->format == GOW_FORMAT_PROBE;
	*source = &made->base;
	return GOW_OK;
}

/* Owns fd, where it is not standard input, also when it fails. */
int gow_source_open_stream(int fd, const char *name, const struct gow_source_options *options,
                           struct gow_source **source, gow_error *error)
{
	struct stream_source *made = calloc(1, sizeof *made);
	struct gow_layouts *layouts = NULL;
	int code;

	*source = NULL;
	if (!made) {
		if (fd != STDIN_FILENO)
			(void)close(fd);
		return gow_fail_memory(error, sizeof *made);
	}
	made->base.ops = &stream_ops;
	made->base.format = GOW_FORMAT_RAW;
	made->base.size = GOW_NOWHERE;
	made->owned_fd = fd == STDIN_FILENO ? -1 : fd;
	made->stream =
		(struct gow_stream){ .fd = fd, .name = name, .monitor = options->common.monitor };
	code = begin_stream(made, options, &layouts, source, error);
	gow_layouts_free(layouts);
	if (code || *source != &made->base)
		stream_close(&made->base);
	return code;
}

/* A file on standard input that can be opened like any other: then it can be locked, and read in
 * any order. NULL: it is read as a stream. */
static const char *file_on_standard_input(void)
{
	static const char path[] = "/proc/self/fd/0";
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
	                       lseek(STDIN_FILENO, 0, SEEK_CUR) == 0 && access(path, R_OK) == 0
	               ? path
	               : NULL;
}

/* Where a name leads that is read as a stream: standard input, or a FIFO. -1: it is a file, whose
 * name may become another; -2: error is filled. */
int gow_source_stream_of(const char **path, gow_error *error)
{
	struct stat st;
	int fd;

	if (gow_is_standard_input(*path)) {
		const char *file = file_on_standard_input();

		*path = file ? file : "standard input";
		return file ? -1 : STDIN_FILENO;
	}
	if (gow_name_is_uri(*path) || stat(*path, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -1;
	/* Waiting for the other end is left to the reader, who can be stopped meanwhile. */
	fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	(void)gow_fail_in_file(error, gow_fail_errno(error, errno, "cannot open"), *path);
	return -2;
}
