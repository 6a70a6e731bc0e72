/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/pen.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"

/* The next hole at or after from and before stop; none: *start and *end are stop. */
static int next_hole(struct gow_file *file, uint64_t from, uint64_t stop, uint64_t *start,
                     uint64_t *end, gow_error *error)
{
	while (from < stop) {
		uint64_t data, data_end;
		int code = gow_file_next_data(file, from, &data, &data_end, error);

		if (code)
			return code;
		if (data == data_end)
			data = data_end = stop; /* nothing but holes to the end */
		if (data > from) {
			*start = from;
			*end = gow_min(data, stop);
			return GOW_OK;
		}
		from = data_end;
	}
	*start = *end = stop;
	return GOW_OK;
}

int gow_file_holes(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *holes,
                   gow_error *error)
{
	const uint64_t stop = offset + size;

	*holes = 0;
	while (offset < stop) {
		uint64_t start;
		int code = next_hole(file, offset, stop, &start, &offset, error);

		if (code)
			return code;
		*holes += offset - start;
	}
	return GOW_OK;
}

/* ---- what was reserved ------------------------------------------------------------------- */

/* More are not remembered: 16 MiB. */
enum { RESERVED_MOST = 1 << 20 };

void gow_reserved_release(struct gow_reserved *reserved)
{
	free(reserved->holes);
	*reserved = (struct gow_reserved){ .holes = NULL };
}

void gow_reserved_give_back(const struct gow_reserved *reserved, struct gow_file *file)
{
	for (size_t i = 0; i < reserved->count; i++)
		(void)gow_file_punch(file, reserved->holes[i].start,
		                     reserved->holes[i].end - reserved->holes[i].start, NULL);
}

static int remember_hole(struct gow_reserved *reserved, uint64_t start, uint64_t end,
                         gow_error *error)
{
	if (reserved->count && reserved->holes[reserved->count - 1].end == start) {
		reserved->holes[reserved->count - 1].end = end;
		return GOW_OK;
	}
	if (reserved->count == RESERVED_MOST)
		return GOW_OK;
	if (reserved->count == reserved->room) {
		size_t room = reserved->room ? 2 * reserved->room : 64;
		struct gow_hole_map_run *grown = realloc(reserved->holes, room * sizeof *grown);

		if (!grown)
			return gow_fail_memory(error, room * sizeof *grown);
		reserved->holes = grown;
		reserved->room = room;
	}
	reserved->holes[reserved->count++] = (struct gow_hole_map_run){ start, end };
	return GOW_OK;
}

static int remember_holes(struct gow_pen *pen, uint64_t at, uint64_t stop, gow_error *error)
{
	int code = GOW_OK;

	while (at < stop && !code) {
		uint64_t start;

		code = next_hole(pen->file, at, stop, &start, &at, error);
		if (!code && start < at)
			code = remember_hole(pen->reserved, start, at, error);
	}
	return code;
}

int gow_reserved_short(int code, uint64_t need, gow_error *error)
{
	if (code == GOW_ERR_NO_SPACE && error)
		(void)snprintf(error->what, sizeof error->what,
		               "cannot reserve space, of which it takes %llu bytes; nothing was "
		               "written",
		               (unsigned long long)need);
	return code;
}

/* ---- the pen ----------------------------------------------------------------------------- */

/* Whole pages come of it, and are given back as such. */
static int reserve(struct gow_pen *pen, uint64_t start, uint64_t end, gow_error *error)
{
	int code = remember_holes(pen, start, gow_round_up(end, GOW_FILE_GRAIN), error);

	if (!code)
		code = gow_file_allocate(pen->file, start, end - start, error);
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
	const uint64_t end = gow_round_up(offset + size, GOW_FILE_GRAIN);
	uint64_t start = offset - offset % GOW_FILE_GRAIN, holes, shared = 0;
	int code;

	if (pen->counted_end > start && pen->counted_end <= start + GOW_FILE_GRAIN)
		start = pen->counted_end;
	pen->counted_end = end;
	if (start >= end)
		return GOW_OK;
	code = gow_file_holes(pen->file, start, end - start, &holes, error);
	if (!code)
		code = gow_file_shared(pen->file, start, end - start, &shared, error);
	if (code || !(holes + shared))
		return code;
	pen->room += holes + shared;
	/* The file must not grow past what is going to be written. */
	return pen->pass == GOW_PASS_RESERVE ? reserve(pen, start, offset + size, error) : GOW_OK;
}

int gow_pen_mark(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	pen->written += size;
	return pen->pass == GOW_PASS_WRITE || pen->cannot_reserve || !size
	               ? GOW_OK
	               : take_room(pen, offset, size, error);
}

/* So that the disk works while more is read and written, and a sync waits for the last of it only. */
enum { WRITE_OUT = 4 << 20 };

static void write_out(struct gow_pen *pen, uint64_t offset, uint64_t size)
{
	bool goes_on = pen->fresh_bytes && offset >= pen->fresh_end;

	if (pen->fresh_bytes && (!goes_on || pen->fresh_bytes >= WRITE_OUT)) {
		gow_file_write_out(pen->file, pen->fresh_start, pen->fresh_end - pen->fresh_start);
		goes_on = false;
	}
	pen->fresh_start = goes_on ? pen->fresh_start : offset;
	pen->fresh_bytes = (goes_on ? pen->fresh_bytes : 0) + size;
	pen->fresh_end = offset + size;
}

int gow_pen_write(struct gow_pen *pen, uint64_t offset, const void *bytes, size_t size,
                  gow_error *error)
{
	int code = gow_pen_mark(pen, offset, size, error);

	if (!code && pen->pass == GOW_PASS_WRITE)
		code = gow_file_write(pen->file, offset, bytes, size, error);
	if (!code && pen->pass == GOW_PASS_WRITE)
		write_out(pen, offset, size);
	return code;
}

/* The page at an end of a hole that takes a part of it: where it is shared, it gets a place of its own
 * for the zeros. */
static int mark_edge(struct gow_pen *pen, uint64_t at, gow_error *error)
{
	const uint64_t page = at - at % GOW_FILE_GRAIN;
	uint64_t shared;
	int code;

	if (page == at)
		return GOW_OK;
	code = gow_file_shared(pen->file, page, GOW_FILE_GRAIN, &shared, error);
	return code || !shared ? code : take_room(pen, page, GOW_FILE_GRAIN, error);
}

int gow_pen_clear(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error)
{
	int code;

	if (pen->pass == GOW_PASS_WRITE)
		return gow_file_clear(pen->file, offset, size, error);
	if (pen->cannot_reserve || !size)
		return GOW_OK;
	code = mark_edge(pen, offset, error);
	return code ? code : mark_edge(pen, offset + size, error);
}
