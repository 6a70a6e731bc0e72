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

/* What file systems give space in. */
enum { PAGE = 4096 };

static int reserve(struct gow_pen *pen, uint64_t start, uint64_t end, gow_error *error)
{
	int code = gow_file_allocate(pen->file, start, end - start, error);

	if (code != GOW_ERR_UNSUPPORTED)
		return code;
	pen->cannot_reserve = true;
	return GOW_OK;
}

/*
 * Takes the pages that the range touches, without the one that the range before it ended in: it
 * has been counted there. (And what is reserved twice is no hole any longer on a tmpfs.)
 */
static int take_room(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	const uint64_t end = gow_round_up(offset + size, PAGE);
	uint64_t start = offset - offset % PAGE, holes;
	int code;

	if (pen->counted_end > start && pen->counted_end <= start + PAGE)
		start = pen->counted_end;
	pen->counted_end = end;
	if (start >= end)
		return GOW_OK;
	code = gow_file_holes(pen->file, start, end - start, &holes, error);
	if (code || !holes)
		return code;
	pen->room += holes;
	/* Whole pages come of it, but the file must not grow past what is going to be written. */
	return pen->pass == GOW_PASS_RESERVE ? reserve(pen, start, offset + size, error) : GOW_OK;
}

int gow_pen_mark(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	pen->written += size;
	return pen->pass == GOW_PASS_WRITE || pen->cannot_reserve || !size
	               ? GOW_OK
	               : take_room(pen, offset, size, error);
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
