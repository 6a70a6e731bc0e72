/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/pen.h"

#include "base/bytes.h"

int gow_file_holes(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *holes,
                   gow_error *error)
{
	const uint64_t stop = offset + size;

	*holes = 0;
	while (offset < stop) {
		uint64_t start, end;
		int code = gow_file_next_data(file, offset, &start, &end, error);

		if (code)
			return code;
		if (start == end)
			start = end = stop; /* nothing but holes to the end */
		*holes += gow_min(start, stop) - offset;
		offset = gow_max(offset, gow_min(end, stop));
	}
	return GOW_OK;
}

static int reserve(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_file_allocate(pen->file, offset, size, error);

	if (code != GOW_ERR_UNSUPPORTED)
		return code;
	pen->cannot_reserve = true;
	return GOW_OK;
}

int gow_pen_mark(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	uint64_t holes;
	int code;

	pen->written += size;
	if (pen->pass == GOW_PASS_WRITE || pen->cannot_reserve)
		return GOW_OK;
	code = gow_file_holes(pen->file, offset, size, &holes, error);
	if (code || !holes)
		return code;
	pen->room += holes;
	return pen->pass == GOW_PASS_RESERVE ? reserve(pen, offset, size, error) : GOW_OK;
}

int gow_pen_write(struct gow_pen *pen, uint64_t offset, const void *bytes, size_t size,
                  gow_error *error)
{
	int code = gow_pen_mark(pen, offset, size, error);

	if (!code && pen->pass == GOW_PASS_WRITE)
		code = gow_file_write(pen->file, offset, bytes, size, error);
	return code;
}

int gow_pen_clear(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	return pen->pass == GOW_PASS_WRITE ? gow_file_clear(pen->file, offset, size, error)
	                                   : GOW_OK;
}
