/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/file.h"

#include <inttypes.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "io/file_parts.h"

/* Zeros for files whose backend has no better way. */
static const uint8_t zeros[GOW_BLOCK_SIZE];

/* ---- what a backend can ------------------------------------------------------------------ */

bool gow_file_can(const struct gow_file *file, enum gow_file_ability ability)
{
	const struct gow_file_ops *ops = file->ops;

	switch (ability) {
	case GOW_FILE_CAN_WRITE:
		return ops->write && !file->read_only;
	case GOW_FILE_CAN_RESIZE:
		return ops->truncate && !file->read_only && !file->is_device;
	case GOW_FILE_CAN_SYNC:
		return ops->sync;
	case GOW_FILE_CAN_MAP_HOLES:
		return ops->next_data;
	case GOW_FILE_CAN_PUNCH:
		return ops->punch && !file->read_only;
	case GOW_FILE_CAN_LOCK:
		return file->can_lock;
	case GOW_FILE_CAN_IDENTIFY:
		return ops->identity;
	case GOW_FILE_CAN_DRESS:
		return ops->attributes;
	}
	return false;
}

size_t gow_file_preferred_request(const struct gow_file *file)
{
	return file->preferred_request ? file->preferred_request : GOW_BLOCK_SIZE;
}

bool gow_file_is_device(const struct gow_file *file)
{
	return file->is_device;
}

int gow_file_cannot(const struct gow_file *file, const char *what, gow_error *error)
{
	return gow_fail_in_file(error, gow_fail(error, GOW_ERR_UNSUPPORTED, "%s", what),
	                        file->name);
}

/* ---- reading and writing ----------------------------------------------------------------- */

int gow_file_check_range(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	if (offset <= INT64_MAX && size <= INT64_MAX - offset)
		return GOW_OK;
	return gow_fail_in_file(
		error,
		gow_fail_at_offset(error, gow_fail_errno(error, EFBIG, "no file can be that large"),
	                           offset),
		file->name);
}

/* What was a hole may be one no longer. */
void gow_file_forget_run(struct gow_file *file)
{
	file->run.asked = file->run.start = file->run.end = 0;
}

bool gow_file_doubt(struct gow_file *file, bool doubt)
{
	bool before = file->doubted;

	file->doubted = doubt;
	return before;
}

int gow_fail_read_again(const struct gow_file *file, uint64_t offset, gow_error *error)
{
	int code = gow_fail_errno(error, EIO, "reads as something else the second time");

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), file->name);
}

static int read_once(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                     gow_error *error)
{
	size_t there = 0;
	int code = gow_file_check_range(file, offset, size, error);

	if (!code)
		code = file->ops->read(file, offset, buf, size, &there, error);
	if (!code)
		*got = there;
	return code;
}

/* What is read again at once. */
enum { READ_AGAIN = 1 << 20 };

/* Whether the file still has these bytes. */
static int read_again(struct gow_file *file, uint64_t offset, const uint8_t *bytes, size_t size,
                      gow_error *error)
{
	const size_t room = (size_t)gow_min(size, READ_AGAIN);
	uint8_t *again = room ? malloc(room) : NULL;
	int code = again || !room ? GOW_OK : gow_fail_memory(error, room);

	/* Not gow_file_drop_cache, which changes the file: several threads may be reading it. */
	if (file->ops->drop_cache)
		file->ops->drop_cache(file);
	for (size_t at = 0, got; at < size && !code; at += room) {
		size_t part = (size_t)gow_min(room, size - at);

		code = read_once(file, offset + at, again, part, &got, error);
		if (!code && (got != part || memcmp(again, bytes + at, part) != 0))
			code = gow_fail_read_again(file, offset + at, error);
	}
	free(again);
	return code;
}

int gow_file_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                  gow_error *error)
{
	int code = read_once(file, offset, buf, size, got, error);

	return code || !file->doubted ? code : read_again(file, offset, buf, *got, error);
}

int gow_file_read_all(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                      gow_error *error)
{
	size_t got;
	int code = gow_file_read(file, offset, buf, size, &got, error);

	if (code || got == size)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED, "the file became shorter while it was read");
	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset + got), file->name);
}

int gow_file_read_padded(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                         gow_error *error)
{
	size_t got;
	int code = gow_file_read(file, offset, buf, size, &got, error);

	if (!code)
		memset((uint8_t *)buf + got, 0, size - got);
	return code;
}

int gow_file_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                   gow_error *error)
{
	int code = gow_file_check_range(file, offset, size, error);

	gow_file_forget_run(file);
	if (!code && !file->ops->write)
		code = gow_file_cannot(file, "cannot be written to", error);
	return code ? code : file->ops->write(file, offset, buf, size, error);
}

int gow_file_size(struct gow_file *file, uint64_t *size, gow_error *error)
{
	uint64_t seen;
	int code = file->ops->size(file, size, error);

	if (code || !file->read_only)
		return code;
	seen = __atomic_load_n(&file->size_seen, __ATOMIC_RELAXED);
	if (*size < seen)
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_CHANGED,
		                                 "the file became shorter while it was read "
		                                 "(%" PRIu64 " bytes, and %" PRIu64 " before)",
		                                 *size, seen),
		                        file->name);
	__atomic_store_n(&file->size_seen, *size, __ATOMIC_RELAXED);
	return GOW_OK;
}

int gow_file_truncate(struct gow_file *file, uint64_t size, gow_error *error)
{
	int code = gow_file_check_range(file, size, 0, error);

	gow_file_forget_run(file);
	if (!code && !file->ops->truncate)
		code = gow_file_cannot(file, "cannot get another length", error);
	return code ? code : file->ops->truncate(file, size, error);
}

int gow_file_sync(struct gow_file *file, gow_error *error)
{
	int code;

	if (file->sync_failed)
		return gow_fail_in_file(
			error,
			gow_fail_errno(error, EIO,
		                       "an earlier sync failed, so nothing more is written"),
			file->name);
	if (!file->ops->sync)
		return gow_file_cannot(file, "cannot be brought to stable storage", error);
	code = file->ops->sync(file, error);
	file->sync_failed = code != GOW_OK;
	/* Linux marks pages clean that it failed to write, and still shows them: the next
	 * reader, and the next sync, would take them for what is on the disk (gow(5)). */
	if (code)
		gow_file_drop_cache(file);
	return code;
}

void gow_file_drop_cache(struct gow_file *file)
{
	gow_file_forget_run(file);
	if (file->ops->drop_cache)
		file->ops->drop_cache(file);
}

int gow_file_settle(struct gow_file *file, gow_error *error)
{
	int code = gow_file_sync(file, error);

	if (!code)
		gow_file_drop_cache(file);
	return code;
}

/* Where holes and data cannot be distinguished: everything from offset to the end. */
static int rest_is_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                        gow_error *error)
{
	uint64_t size;
	int code = gow_file_size(file, &size, error);

	if (code)
		return code;
	*start = gow_min(offset, size);
	*end = size;
	return GOW_OK;
}

/* Where zeros must be made by writing them. */
static int write_zeros(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, sizeof zeros);

		code = gow_file_write(file, offset, zeros, part, error);
		offset += part;
		size -= part;
	}
	return code;
}

int gow_file_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                       gow_error *error)
{
	if (offset < file->run.asked || offset >= file->run.end) {
		uint64_t found_start, found_end;
		int code = GOW_ERR_UNSUPPORTED;

		if (file->ops->next_data)
			code = file->ops->next_data(file, offset, &found_start, &found_end, error);
		if (code == GOW_ERR_UNSUPPORTED)
			code = rest_is_data(file, offset, &found_start, &found_end, error);
		if (code)
			return code;
		file->run.asked = offset;
		file->run.start = found_start;
		file->run.end = found_end;
	}
	*start = gow_max(offset, file->run.start);
	*end = gow_max(*start, file->run.end);
	return GOW_OK;
}

int gow_file_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_file_check_range(file, offset, size, error);

	gow_file_forget_run(file);
	if (code || !size)
		return code;
	code = file->ops->zero ? file->ops->zero(file, offset, size, error) : GOW_ERR_UNSUPPORTED;
	return code == GOW_ERR_UNSUPPORTED ? write_zeros(file, offset, size, error) : code;
}

typedef int (*reserver)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

static int call_reserver(reserver reserve, struct gow_file *file, uint64_t offset, uint64_t size,
                         gow_error *error)
{
	int code = gow_file_check_range(file, offset, size, error);

	/* What was a hole is still zeros: the run that was found last stays true. */
	if (code || !size)
		return code;
	if (!reserve)
		return gow_file_cannot(file, "space cannot be reserved here", error);
	return reserve(file, offset, size, error);
}

int gow_file_allocate(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return call_reserver(file->ops->allocate, file, offset, size, error);
}

int gow_file_reserve(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return call_reserver(file->ops->reserve, file, offset, size, error);
}

int gow_file_punch(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_file_check_range(file, offset, size, error);

	gow_file_forget_run(file);
	if (code || !size)
		return code;
	if (!file->ops->punch)
		return gow_file_cannot(file, "holes cannot be made here", error);
	return file->ops->punch(file, offset, size, error);
}

int gow_file_clear(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_file_punch(file, offset, size, error);

	return code == GOW_ERR_UNSUPPORTED ? gow_file_zero(file, offset, size, error) : code;
}

int gow_file_close(struct gow_file *file, gow_error *error)
{
	return file ? file->ops->close(file, error) : GOW_OK;
}

void gow_file_write_out(struct gow_file *file, uint64_t offset, uint64_t size)
{
	if (file->ops->write_out)
		file->ops->write_out(file, offset, size);
}

int gow_file_shared(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *bytes,
                    gow_error *error)
{
	*bytes = 0;
	return file->ops->shared ? file->ops->shared(file, offset, size, bytes, error) : GOW_OK;
}

bool gow_file_would_share(struct gow_file *file, struct gow_file *from, uint64_t from_offset)
{
	return file->ops->would_share && file->ops->would_share(file, from, from_offset);
}
