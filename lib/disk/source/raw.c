/* SPDX-License-Identifier: BSD-2-Clause */
/* raw.c - a raw file or device as a source. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "disk/source/kinds.h"

int gow_source_check_length(const struct gow_source *source, gow_error *error)
{
	uint64_t length;
	int code = gow_file_size(source->file, &length, error);

	if (code || length >= source->file_length)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED, "the file became shorter while it was read");
	return gow_fail_in_file(error, gow_fail_at_offset(error, code, length), source->file->name);
}

struct raw_source {
	struct gow_source base;
	struct gow_lock lock;
};

static int raw_next_data(struct gow_source *source, uint64_t offset, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	int code = gow_file_next_data(source->file, offset, start, end, error);

	/* The file may have grown since: the disk is what it was when it was opened. */
	*start = gow_min(*start, source->size);
	*end = gow_min(*end, source->size);
	return code || *start < *end ? code : gow_source_check_length(source, error);
}

static int raw_read(struct gow_source *source, uint64_t offset, void *buf, size_t size, size_t *got,
                    gow_error *error)
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
int gow_source_open_raw(struct gow_file *file, uint64_t size, const struct gow_lock *lock,
                        struct gow_source **source, gow_error *error)
{
	struct raw_source *raw = calloc(1, sizeof *raw);

	if (!raw) {
		(void)gow_file_close(file, NULL);
		return gow_fail_memory(error, sizeof *raw);
	}
	raw->base.size = size;
	raw->base.ops = &raw_ops;
	raw->base.format = GOW_FORMAT_RAW;
	raw->base.file = file;
	raw->base.file_length = raw->base.size;
	raw->lock = *lock;
	raw->base.lock = &raw->lock;
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
	return gow_source_open_raw(file, size, &none, source, error);
}
