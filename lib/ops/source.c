/* SPDX-License-Identifier: BSD-2-Clause */
/* source.c - guest disks to read from: raw files and devices, standard input, GOW images. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"
#include "io/stream.h"
#include "ops/archive.h"

static int out_of_memory(gow_error *error)
{
	return gow_fail_memory(error, sizeof(struct gow_source));
}

/* What is gone from a file's end reads as a hole: at the end of the disk it is found out. */
static int check_length(struct gow_source *source, gow_error *error)
{
	uint64_t length;
	int code = gow_file_size(source->file, &length, error);

	if (code || length >= source->file_length)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED, "the file became shorter while it was read");
	return gow_fail_in_file(error, gow_fail_at_offset(error, code, length),
	                        source->file->name);
}

/* ---- a raw file or device ---------------------------------------------------------------- */

struct raw_source {
	struct gow_source base;
	struct gow_lock lock;
};

static int raw_next_data(struct gow_source *source, uint64_t offset, uint64_t *start,
                         uint64_t *end, gow_error *error)
{
	int code = gow_file_next_data(source->file, offset, start, end, error);

	/* The file may have grown since: the disk is what it was when it was opened. */
	*start = gow_min(*start, source->size);
	*end = gow_min(*end, source->size);
	return code || *start < *end ? code : check_length(source, error);
}

static int raw_read(struct gow_source *source, uint64_t offset, void *buf, size_t size,
                    size_t *got, gow_error *error)
{
	*got = size;
	return gow_file_read_all(source->file, offset, buf, size, error);
}

static int raw_poll(struct gow_source *source, gow_error *error)
{
	return gow_lock_poll(&((struct raw_source *)source)->lock, error);
}

static void raw_close(struct gow_source *source)
{
	(void)gow_file_close(source->file, NULL);
	free(source);
}

static const struct gow_source_ops raw_ops = {
	.next_data = raw_next_data,
	.read = raw_read,
	.poll = raw_poll,
	.close = raw_close,
};

/* Owns file, also when it fails. */
static int open_raw(struct gow_file *file, uint64_t size, const struct gow_lock *lock,
                    struct gow_source **source, gow_error *error)
{
	struct raw_source *raw = calloc(1, sizeof *raw);

	if (!raw) {
		(void)gow_file_close(file, NULL);
		return out_of_memory(error);
	}
	raw->base.size = size;
	raw->base.ops = &raw_ops;
	raw->base.format = GOW_FORMAT_RAW;
	raw->base.file = file;
	raw->base.file_length = raw->base.size;
	raw->lock = *lock;
	*source = &raw->base;
	return GOW_OK;
}

int gow_source_of_file(struct gow_file *file, struct gow_source **source, gow_error *error)
{
	const struct gow_lock none = { .file = NULL };
	uint64_t size;
	int code = gow_file_size(file, &size, error);

	if (code) {
		(void)gow_file_close(file, NULL);
		return code;
	}
	return open_raw(file, size, &none, source, error);
}

/* ---- standard input ---------------------------------------------------------------------- */

struct stream_source {
	struct gow_source base;
	struct gow_stream stream;
	bool ended;
	/* What was read to learn what it is, and is still to be handed on. */
	uint8_t head[GOW_ARCHIVE_HEAD];
	size_t head_size;
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
	return GOW_OK;
}

static void stream_close(struct gow_source *source)
{
	free(source);
}

static const struct gow_source_ops stream_ops = {
	.next_data = stream_next_data,
	.read = stream_read,
	.close = stream_close,
};

/* ---- an archive -------------------------------------------------------------------------- */

static bool is_archive(const struct gow_source_options *options, const uint8_t *head, size_t size)
{
	return options->format == GOW_FORMAT_TAR ||
	       (options->format == GOW_FORMAT_PROBE && gow_archive_has_magic(head, size));
}

static int open_archive(const struct gow_archive_input *input,
                        const struct gow_source_options *options, struct gow_source **source,
                        gow_error *error)
{
	const char *name = input->file ? input->file->name : "standard input";

	if (options->salvage) {
		int code = gow_fail(error, GOW_ERR_ARGUMENT,
		                    "is an archive, from which nothing can be salvaged; unpack it");

		code = gow_fail_in_file(error, code, name);
		(void)gow_file_close(input->file, NULL);
		return code;
	}
	gow_note(options->monitor, GOW_NOTE_DETAIL, name,
	         "is read as an archive (say -f raw if it is a raw disk all the same)");
	return gow_source_archive(input, options, source, error);
}

static int refuse_gow_stream(gow_error *error)
{
	return gow_fail_in_file(
		error,
		gow_fail(error, GOW_ERR_UNSUPPORTED,
	                 "holds a GOW image, which cannot be read from a pipe; name the file (or say "
	                 "-f raw if it is a raw disk all the same)"),
		"standard input");
}

static int open_stream(const struct gow_source_options *options, struct gow_source **source,
                       gow_error *error)
{
	struct stream_source *made;
	int code;

	if (options->format != GOW_FORMAT_PROBE && options->format != GOW_FORMAT_RAW &&
	    options->format != GOW_FORMAT_TAR)
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "a GOW image cannot be read from standard input; name the file");
	made = calloc(1, sizeof *made);
	if (!made)
		return out_of_memory(error);
	made->base.ops = &stream_ops;
	made->base.format = GOW_FORMAT_RAW;
	made->base.size = GOW_NOWHERE;
	made->stream = (struct gow_stream){ .fd = STDIN_FILENO,
	                                    .name = "standard input",
	                                    .monitor = options->monitor };
	code = gow_stream_read(&made->stream, made->head, sizeof made->head, &made->head_size,
	                       error);
	if (!code && options->format == GOW_FORMAT_PROBE &&
	    made->head_size >= GOW_MAGIC_SIZE &&
	    (!memcmp(made->head, gow_layouts[0].magic, GOW_MAGIC_SIZE) ||
	     !memcmp(made->head, gow_layouts[0].magic_pending, GOW_MAGIC_SIZE)))
		code = refuse_gow_stream(error);
	else if (!code && is_archive(options, made->head, made->head_size)) {
		const struct gow_archive_input input = { .head = made->head,
			                                 .head_size = made->head_size };

		code = open_archive(&input, options, source, error);
		free(made);
		return code;
	}
	if (code) {
		free(made);
		return code;
	}
	*source = &made->base;
	return GOW_OK;
}

/* ---- a GOW image ------------------------------------------------------------------------- */

struct image_source {
	struct gow_source base;
	gow_image *image;
	bool borrowed;
};

static gow_image *image_of(struct gow_source *source)
{
	return ((struct image_source *)source)->image;
}

static int image_next_data(struct gow_source *source, uint64_t offset, uint64_t *start,
                           uint64_t *end, gow_error *error)
{
	int code = gow_image_next_data(image_of(source), offset, start, end, error);

	return code || *start < *end ? code : check_length(source, error);
}

static int image_read(struct gow_source *source, uint64_t offset, void *buf, size_t size,
                      size_t *got, gow_error *error)
{
	*got = size;
	return gow_image_read(image_of(source), offset, buf, size, error);
}

static int image_poll(struct gow_source *source, gow_error *error)
{
	return gow_lock_poll(gow_image_lock(image_of(source)), error);
}

static void image_close(struct gow_source *source)
{
	if (!((struct image_source *)source)->borrowed)
		gow_image_close(image_of(source));
	free(source);
}

static const struct gow_source_ops image_ops = {
	.next_data = image_next_data,
	.read = image_read,
	.poll = image_poll,
	.close = image_close,
};

/* The row that a format names; NULL for those that name none. */
static const struct gow_layout *layout_of_format(gow_format format)
{
	switch (format) {
	case GOW_FORMAT_GOW1:
		return gow_layout_of(1);
	case GOW_FORMAT_GOW2:
		return gow_layout_of(2);
	case GOW_FORMAT_GOW3:
		return gow_layout_of(3);
	default:
		return NULL;
	}
}

static gow_format format_of_version(unsigned version)
{
	return (gow_format)(GOW_FORMAT_GOW1 + (version - 1));
}

static int check_version(const gow_image *image, const struct gow_layout *wanted,
                         gow_error *error)
{
	if (!wanted || wanted->version == gow_image_version(image))
		return GOW_OK;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_ARGUMENT,
	                                 "is of version %u, not %u as -f says",
	                                 gow_image_version(image), wanted->version),
	                        gow_image_file(image)->name);
}

static void describe_image(struct image_source *source)
{
	gow_image *image = source->image;

	source->base.ops = &image_ops;
	source->base.format = format_of_version(gow_image_version(image));
	source->base.size = gow_image_size(image);
	source->base.damaged = gow_image_is_damaged(image);
	source->base.versions = gow_image_map(image)->versions;
	source->base.entries = gow_image_map(image)->entries;
	source->base.file = gow_image_file(image);
}

/* Owns file, also when it fails. */
static int open_image(struct gow_file *file, const struct gow_lock *lock, bool has_magic,
                      const struct gow_source_options *options, struct gow_source **source,
                      gow_error *error)
{
	const struct gow_layout *wanted = layout_of_format(options->format);
	const struct gow_image_policy policy = {
		.salvage = options->salvage,
		/* A preamble that is gone can only be salvaged by somebody who knows. */
		.assume = options->salvage && !has_magic ? wanted : NULL,
		.lost = options->lost,
		.lost_context = options->lost_context,
	};
	struct image_source *made = calloc(1, sizeof *made);
	int code = made ? gow_file_size(file, &made->base.file_length, error)
	                : out_of_memory(error);

	if (code) {
		(void)gow_file_close(file, NULL);
		free(made);
		return code;
	}
	code = gow_image_from_file(file, gow_layouts, gow_layout_count, &policy, &made->image,
	                           error);
	if (!code)
		code = check_version(made->image, wanted, error);
	if (code) {
		gow_image_close(made->image);
		free(made);
		return code;
	}
	*gow_image_lock(made->image) = *lock;
	describe_image(made);
	*source = &made->base;
	return GOW_OK;
}

int gow_source_of_image(gow_image *image, struct gow_source **source, gow_error *error)
{
	struct image_source *made = calloc(1, sizeof *made);

	if (!made)
		return out_of_memory(error);
	made->image = image;
	made->borrowed = true;
	describe_image(made);
	*source = &made->base;
	return GOW_OK;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Anything can be a raw disk, also what is left of an archive when its first bytes are damaged. */
static bool is_called_archive(const char *path)
{
	static const char *const suffixes[] = {
		".tar", ".tgz", ".tzst", ".txz", ".tbz", ".tbz2", ".gz", ".xz",
		".zst", ".lz4", ".bz2",  ".lz",  ".Z",   ".zip",  ".7z", ".cpio",
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
		if (strcasecmp(dot, suffixes[i]) == 0)
			return true;
	return false;
}

static bool is_called_image(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && strncasecmp(dot, ".gow", 4) == 0 &&
	       (!dot[4] || (dot[4] >= '1' && dot[4] <= '3' && !dot[5]));
}

static int refuse_archive(struct gow_file *file, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_DAMAGED,
	                    "is called like an archive, and does not begin like one: it is damaged, "
	                    "or say -f raw if it is a raw disk all the same");

	code = gow_fail_in_file(error, code, file->name);
	(void)gow_file_close(file, NULL);
	return code;
}

static int refuse_device_image(const struct gow_file *file, gow_error *error)
{
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_UNSUPPORTED,
	                                 "is a block device that begins like a GOW image; those "
	                                 "are files (say -f raw if it is a raw disk all the same)"),
	                        file->name);
}

int gow_source_open(const char *path, const struct gow_source_options *options,
                    struct gow_source **source, gow_error *error)
{
	const gow_open_options open_options = {
		.flags = options->no_lock ? GOW_OPEN_NO_LOCK : 0,
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
	struct gow_file *file;
	struct gow_lock lock;
	bool magic = false;
	uint64_t length;
	int code;

	if (strcmp(path, "-") == 0)
		return open_stream(options, source, error);
	code = gow_open_locked(path, GOW_FILE_DEVICE, &open_options, &file, &lock, error);
	if (code)
		return code;
	/* Measured before anything is read, so that a file which shrinks is caught at it. */
	code = gow_file_size(file, &length, error);
	if (!code && options->format != GOW_FORMAT_RAW && options->format != GOW_FORMAT_TAR)
		code = gow_header_has_magic(file, gow_layouts, gow_layout_count, &magic, error);
	if (!code && gow_file_is_device(file) && (magic || layout_of_format(options->format)))
		code = refuse_device_image(file, error);
	if (code) {
		(void)gow_file_close(file, NULL);
		return code;
	}
	/* What looks like an archive on a device is what the guest has there. */
	if (options->format == GOW_FORMAT_TAR ||
	    (!magic && options->format == GOW_FORMAT_PROBE && !gow_file_is_device(file))) {
		uint8_t head[GOW_ARCHIVE_HEAD];
		const struct gow_archive_input input = { .file = file, .lock = lock };
		size_t size;

		code = gow_file_read(file, 0, head, sizeof head, &size, error);
		if (code) {
			(void)gow_file_close(file, NULL);
			return code;
		}
		if (is_archive(options, head, size))
			return open_archive(&input, options, source, error);
		if (is_called_archive(path))
			return refuse_archive(file, error);
		if (is_called_image(path))
			gow_note(options->monitor, GOW_NOTE_WARNING, path,
			         "is called like a GOW image, and does not begin like one: it is "
			         "taken for a raw disk");
	}
	if (magic || (options->format != GOW_FORMAT_RAW && options->format != GOW_FORMAT_PROBE))
		return open_image(file, &lock, magic, options, source, error);
	return open_raw(file, length, &lock, source, error);
}

void gow_source_close(struct gow_source *source)
{
	if (source)
		source->ops->close(source);
}
