/* SPDX-License-Identifier: BSD-2-Clause */
/* sink.c - guest disks to write to: raw files, devices and pipes, GOW images. */
#include <stdlib.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/monitor.h"
#include "image/builder.h"
#include "io/stream.h"
#include "disk/disk.h"

static int out_of_memory(gow_error *error)
{
	return gow_fail_memory(error, sizeof(struct gow_sink));
}

static void free_sink(struct gow_sink *sink)
{
	free(sink);
}

void gow_sink_release(struct gow_sink *sink)
{
	if (sink)
		sink->ops->release(sink);
}

/* ---- a raw file -------------------------------------------------------------------------- */

struct file_sink {
	struct gow_sink base;
	struct gow_file *file;
};

static struct gow_file *file_of(struct gow_sink *sink)
{
	return ((struct file_sink *)sink)->file;
}

/* Bytes from the start that are, in whole grains, all zeros (or all not). */
static size_t alike(const uint8_t *bytes, size_t size, bool zero)
{
	size_t at = 0;

	while (at < size) {
		size_t part = (size_t)gow_min(GOW_FILE_GRAIN, size - at);

		if (gow_is_zero(bytes + at, part) != zero)
			break;
		at += part;
	}
	return at;
}

static int file_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                     gow_error *error)
{
	const uint8_t *bytes = buf;
	size_t at = 0;
	int code = GOW_OK;

	while (!code && at < size) {
		size_t part;

		at += alike(bytes + at, size - at, true);
		part = alike(bytes + at, size - at, false);
		if (part)
			code = gow_file_write(file_of(sink), offset + at, bytes + at, part, error);
		at += part;
	}
	return code;
}

/* A new file reads as zeros where nothing was written. */
static int file_zeros(struct gow_sink *sink, uint64_t offset, uint64_t size, gow_error *error)
{
	(void)sink;
	(void)offset;
	(void)size;
	(void)error;
	return GOW_OK;
}

static int file_finish(struct gow_sink *sink, uint64_t size, const gow_digest *digest,
                       gow_error *error)
{
	(void)digest;
	return gow_file_truncate(file_of(sink), size, error);
}

static const struct gow_sink_ops file_ops = {
	.data = file_data,
	.zeros = file_zeros,
	.finish = file_finish,
	.release = free_sink,
};

static int make_file_sink(const struct gow_sink_ops *ops, struct gow_file *file,
                          const gow_monitor *monitor, struct gow_sink **sink, gow_error *error)
{
	struct file_sink *made = calloc(1, sizeof *made);

	if (!made)
		return out_of_memory(error);
	made->base.ops = ops;
	made->base.monitor = monitor;
	made->base.any_order = true;
	made->file = file;
	*sink = &made->base;
	return GOW_OK;
}

int gow_sink_raw_file(struct gow_file *file, struct gow_sink **sink, gow_error *error)
{
	return make_file_sink(&file_ops, file, NULL, sink, error);
}

/* ---- a block device ---------------------------------------------------------------------- */

static int device_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                       gow_error *error)
{
	return gow_file_write(file_of(sink), offset, buf, size, error);
}

/* Written, never assumed: what the device held before must not remain. */
static int device_zeros(struct gow_sink *sink, uint64_t offset, uint64_t size, gow_error *error)
{
	enum { PART = 64 << 20 };
	int code = GOW_OK;

	while (!code && size) {
		uint64_t part = gow_min(size, PART);

		code = gow_tick(sink->monitor, "zero", offset, 0, error);
		if (!code)
			code = gow_file_zero(file_of(sink), offset, part, error);
		offset += part;
		size -= part;
	}
	return code;
}

static int device_finish(struct gow_sink *sink, uint64_t size, const gow_digest *digest,
                         gow_error *error)
{
	(void)sink;
	(void)size;
	(void)digest;
	(void)error;
	return GOW_OK;
}

static const struct gow_sink_ops device_ops = {
	.data = device_data,
	.zeros = device_zeros,
	.finish = device_finish,
	.release = free_sink,
};

int gow_sink_raw_device(struct gow_file *file, const gow_monitor *monitor, struct gow_sink **sink,
                        gow_error *error)
{
	return make_file_sink(&device_ops, file, monitor, sink, error);
}

/* ---- a pipe ------------------------------------------------------------------------------ */

struct stream_sink {
	struct gow_sink base;
	struct gow_stream stream;
};

static int stream_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                       gow_error *error)
{
	(void)offset;
	return gow_stream_write(&((struct stream_sink *)sink)->stream, buf, size, error);
}

static int stream_zeros(struct gow_sink *sink, uint64_t offset, uint64_t size, gow_error *error)
{
	static const uint8_t zeros[GOW_BLOCK_SIZE];
	int code = GOW_OK;

	(void)offset;
	while (!code && size) {
		size_t part = (size_t)gow_min(size, sizeof zeros);

		code = gow_stream_write(&((struct stream_sink *)sink)->stream, zeros, part, error);
		size -= part;
	}
	return code;
}

static const struct gow_sink_ops stream_ops = {
	.data = stream_data,
	.zeros = stream_zeros,
	.finish = device_finish, /* nothing to do there either */
	.release = free_sink,
};

int gow_sink_raw_stream(int fd, const char *name, const gow_monitor *monitor,
                        struct gow_sink **sink, gow_error *error)
{
	struct stream_sink *made = calloc(1, sizeof *made);

	if (!made)
		return out_of_memory(error);
	made->base.ops = &stream_ops;
	made->base.monitor = monitor;
	made->stream = (struct gow_stream){ .fd = fd, .name = name, .monitor = monitor };
	*sink = &made->base;
	return GOW_OK;
}

/* ---- counting ---------------------------------------------------------------------------- */

static int count_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                      gow_error *error)
{
	const uint8_t *bytes = buf;

	(void)offset;
	(void)error;
	for (size_t at = 0; at < size;) {
		size_t part;

		at += alike(bytes + at, size - at, true);
		part = alike(bytes + at, size - at, false);
		sink->written += part;
		at += part;
	}
	return GOW_OK;
}

static const struct gow_sink_ops count_ops = {
	.data = count_data,
	.zeros = file_zeros,
	.finish = device_finish,
	.release = free_sink,
};

int gow_sink_count(struct gow_sink **sink, gow_error *error)
{
	struct gow_sink *made = calloc(1, sizeof *made);

	if (!made)
		return out_of_memory(error);
	made->ops = &count_ops;
	made->any_order = true;
	*sink = made;
	return GOW_OK;
}

/* ---- a set of blocks --------------------------------------------------------------------- */

struct marks_sink {
	struct gow_sink base;
	uint64_t *set;
};

static int mark_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                     gow_error *error)
{
	(void)buf;
	(void)error;
	for (size_t at = 0; at < size; at += GOW_BLOCK_SIZE)
		gow_set_bit(((struct marks_sink *)sink)->set, (offset + at) / GOW_BLOCK_SIZE);
	return GOW_OK;
}

static const struct gow_sink_ops marks_ops = {
	.data = mark_data,
	.zeros = file_zeros,
	.finish = device_finish,
	.release = free_sink,
};

int gow_sink_marks(uint64_t *set, struct gow_sink **sink, gow_error *error)
{
	struct marks_sink *made = calloc(1, sizeof *made);

	if (!made)
		return out_of_memory(error);
	made->base.ops = &marks_ops;
	made->base.any_order = true;
	made->set = set;
	*sink = &made->base;
	return GOW_OK;
}

/* ---- a GOW image ------------------------------------------------------------------------- */

struct image_sink {
	struct gow_sink base;
	struct gow_builder *builder;
	const uint32_t *versions;
};

static int image_data(struct gow_sink *sink, uint64_t offset, const void *buf, size_t size,
                      gow_error *error)
{
	return gow_builder_append(((struct image_sink *)sink)->builder, offset / GOW_BLOCK_SIZE,
	                          buf, size, error);
}

static int image_finish(struct gow_sink *sink, uint64_t size, const gow_digest *digest,
                        gow_error *error)
{
	struct image_sink *image = (struct image_sink *)sink;

	(void)digest;
	return gow_builder_finish(image->builder, size, image->versions, error);
}

static void image_release(struct gow_sink *sink)
{
	gow_builder_free(((struct image_sink *)sink)->builder);
	free(sink);
}

static const struct gow_sink_ops image_ops = {
	.data = image_data,
	.zeros = file_zeros, /* what is not allocated reads as zeros */
	.finish = image_finish,
	.release = image_release,
};

int gow_sink_image(struct gow_file *file, const struct gow_layout *layout, const uint32_t *versions,
                   struct gow_sink **sink, gow_error *error)
{
	struct image_sink *made = calloc(1, sizeof *made);
	int code = made ? gow_builder_new(file, layout, &made->builder, error)
	                : out_of_memory(error);

	if (code) {
		free(made);
		return code;
	}
	made->base.ops = &image_ops;
	made->base.any_order = true; /* blocks are stored in the order in which they come */
	made->versions = versions;
	*sink = &made->base;
	return GOW_OK;
}
