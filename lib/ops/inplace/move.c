/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/move.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* What is read and written at once. */
enum { PIECE = 1 << 20 };

/* ---- one chunk --------------------------------------------------------------------------- */

struct chunk {
	uint64_t from, to, size; /* places in the file; bytes */
};

/* Does something with the data of a chunk, from one hole to the next. */
typedef int (*data_taker)(struct gow_move *move, uint64_t from, uint64_t to, uint64_t size,
                          gow_error *error);

static int carry_data(struct gow_move *move, uint64_t from, uint64_t to, uint64_t size,
                      gow_error *error)
{
	int code = GOW_OK;

	move->carried += size;
	if (move->pen->pass != GOW_PASS_WRITE)
		return gow_pen_mark(move->pen, to, size, error);
	for (uint64_t at = 0; at < size && !code; at += PIECE) {
		size_t part = (size_t)gow_min(PIECE, size - at);

		code = gow_file_read_padded(move->pen->file, from + at, move->buffer, part, error);
		if (code)
			break;
		gow_meant_add(move->meant, move->buffer, part);
		code = gow_pen_write(move->pen, to + at, move->buffer, part, error);
	}
	return code;
}

static int add_range(struct gow_move *move, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = GOW_OK;

	for (uint64_t at = 0; at < size && !code; at += PIECE) {
		size_t part = (size_t)gow_min(PIECE, size - at);

		code = gow_file_read_padded(move->pen->file, offset + at, move->buffer, part,
		                            error);
		gow_meant_add(move->meant, move->buffer, part);
	}
	return code;
}

/* Reads what carry_data has read. */
static int add_source(struct gow_move *move, uint64_t from, uint64_t to, uint64_t size,
                      gow_error *error)
{
	(void)to;
	return add_range(move, from, size, error);
}

/* Reads what carry_data has written. */
static int add_written(struct gow_move *move, uint64_t from, uint64_t to, uint64_t size,
                       gow_error *error)
{
	(void)from;
	return add_range(move, to, size, error);
}

/* Where the source has a hole there is to be one, except in what is the source itself. */
static int carry_hole(struct gow_move *move, const struct chunk *chunk, uint64_t at, uint64_t size,
                      gow_error *error)
{
	uint64_t start = chunk->to + at;
	uint64_t end = start + size;

	if (chunk->to > chunk->from)
		start = gow_max(start, gow_min(end, chunk->from + chunk->size));
	else
		end = gow_min(end, gow_max(start, chunk->from));
	return gow_pen_clear(move->pen, start, end - start, error);
}

/* clear: make holes where the source has some. */
static int each_run(struct gow_move *move, const struct chunk *chunk, data_taker take, bool clear,
                    gow_error *error)
{
	const uint64_t stop = chunk->from + chunk->size;
	uint64_t at = 0;
	int code = GOW_OK;

	while (at < chunk->size && !code) {
		uint64_t start, end, hole;

		gow_hole_map_next_data(move->holes, chunk->from + at, &start, &end);
		if (start == end || start >= stop)
			start = end = stop;
		end = gow_min(end, stop);
		hole = start - (chunk->from + at);
		if (hole && clear)
			code = carry_hole(move, chunk, at, hole, error);
		at += hole;
		if (!code && end > start)
			code = take(move, start, chunk->to + at, end - start, error);
		at += end - start;
	}
	return code;
}

struct carried {
	struct gow_move *move;
	const struct chunk *chunk;
};

static int add_carried(void *context, bool copy, gow_error *error)
{
	const struct carried *carried = context;

	return each_run(carried->move, carried->chunk, copy ? add_written : add_source, false,
	                error);
}

/* Copies a chunk, and makes sure that the copy is on the disk, and is one: its source, which no copy
 * lies over, is overwritten soon. */
static int carry(struct gow_move *move, const struct chunk *chunk, gow_error *error)
{
	struct carried carried = { move, chunk };
	const struct gow_copied copied = {
		.file = move->pen->file,
		.meant = move->meant,
		.from = chunk->from,
		.to = chunk->to,
		.add = add_carried,
		.context = &carried,
	};
	int code;

	gow_meant_reset(move->meant);
	code = each_run(move, chunk, carry_data, true, error);
	if (code || move->pen->pass != GOW_PASS_WRITE)
		return code;
	return gow_check_copied(&copied, error);
}

/* ---- which chunk ------------------------------------------------------------------------- */

/* How much may be moved at once: whole blocks where that can be, so that holes stay holes. */
static uint64_t chunk_limit(const struct gow_trailer *trailer)
{
	uint64_t distance = trailer->move_to - trailer->move_from, half = distance / 2;

	if (distance >= trailer->move_length + GOW_BLOCK_SIZE)
		return trailer->move_length; /* well apart */
	return half > GOW_BLOCK_SIZE ? half / GOW_BLOCK_SIZE * GOW_BLOCK_SIZE : half;
}

static bool is_hole(const struct gow_move *move, uint64_t start, uint64_t end)
{
	uint64_t found, found_end;

	gow_hole_map_next_data(move->holes, start, &found, &found_end);
	return found == found_end || found >= end;
}

/*
 * The next chunk, from the end down, or going back from the beginning up. One that is nothing but
 * a hole may be longer than the limit: only what lies outside of it is written.
 */
static struct chunk next_chunk(const struct gow_move *move)
{
	const struct gow_trailer *trailer = move->trailer;
	const uint64_t distance = trailer->move_to - trailer->move_from;
	const uint64_t most = move->back ? trailer->move_length - trailer->unmoved
	                                 : trailer->unmoved;
	const uint64_t base = move->back ? trailer->move_to + trailer->unmoved
	                                 : trailer->move_from + trailer->unmoved;
	struct chunk chunk = { .size = gow_min(chunk_limit(trailer), most) };

	for (uint64_t longer = chunk.size;
	     is_hole(move, move->back ? base : base - longer, move->back ? base + longer : base);
	     longer = gow_min(2 * longer, most)) {
		chunk.size = longer;
		if (longer == most)
			break;
	}
	chunk.from = move->back ? base : base - chunk.size;
	chunk.to = move->back ? chunk.from - distance : chunk.from + distance;
	return chunk;
}

/* ---- the loop ---------------------------------------------------------------------------- */

int gow_move_save_cursor(struct gow_move *move, gow_error *error)
{
	move->pen->written += GOW_TRAILER_SECTOR;
	return move->pen->pass == GOW_PASS_WRITE
	               ? gow_trailer_write_cursor(move->pen->file, move->trailer, error)
	               : GOW_OK;
}

static int safe_point(struct gow_move *move, gow_error *error)
{
	const struct gow_trailer *trailer = move->trailer;
	uint64_t done = move->back ? trailer->unmoved : trailer->move_length - trailer->unmoved;

	return move->pen->pass == GOW_PASS_WRITE
	               ? gow_safe_point(move->monitor, "move", done, trailer->move_length,
	                                move->lock, error)
	               : gow_safe_point(move->monitor, "measure", 0, 0, move->lock, error);
}

/*
 * Only when the copy is durable may the cursor say so, and only when that is durable may the next
 * copy be made. A chunk beyond the limit may overwrite what the chunk before it was read from, and
 * the next one what it was read from itself: so the older cursor must not say either then.
 */
static int move_chunk(struct gow_move *move, gow_error *error)
{
	struct gow_trailer *trailer = move->trailer;
	const struct chunk chunk = next_chunk(move);
	const bool beyond = chunk.size > chunk_limit(trailer);
	int code = beyond ? gow_move_save_cursor(move, error) : GOW_OK;

	if (!code)
		code = carry(move, &chunk, error);
	if (code)
		return code;
	trailer->unmoved = move->back ? trailer->unmoved + chunk.size
	                              : trailer->unmoved - chunk.size;
	code = gow_move_save_cursor(move, error);
	return code || !beyond ? code : gow_move_save_cursor(move, error);
}

/* How much is looked at between two safe points. */
enum { LOOK = 1 << 30 };

/* Past the end of the old file there are zeros that nobody wrote, and the record. */
int gow_move_look(struct gow_move *move, gow_error *error)
{
	const struct gow_trailer *trailer = move->trailer;
	uint64_t at = move->back ? trailer->move_to + trailer->unmoved : trailer->move_from;
	const uint64_t end = move->back ? trailer->move_to + trailer->move_length
	                                : gow_min(trailer->move_from + trailer->unmoved,
	                                          trailer->original_size);
	int code = GOW_OK;

	for (; at < end && !code; at += gow_min(LOOK, end - at)) {
		code = safe_point(move, error);
		if (!code)
			code = gow_hole_map_add(move->holes, move->pen->file, at,
			                        at + gow_min(LOOK, end - at), error);
	}
	return code;
}

static int run(struct gow_move *move, gow_error *error)
{
	const struct gow_trailer *trailer = move->trailer;
	int code = GOW_OK;

	while (!code && trailer->unmoved != (move->back ? trailer->move_length : 0)) {
		code = safe_point(move, error);
		if (!code)
			code = move_chunk(move, error);
	}
	return code;
}

int gow_move_run(struct gow_move *move, gow_error *error)
{
	int code = gow_meant_new(&move->meant, error);

	if (code)
		return code;
	move->buffer = malloc(PIECE);
	code = move->buffer ? run(move, error) : gow_fail_memory(error, PIECE);
	free(move->buffer);
	gow_meant_free(move->meant);
	return code;
}

/* ---- records of the old format ----------------------------------------------------------- */

/* Whether the same bytes stand in both places. */
static int are_same(struct gow_file *file, uint64_t a, uint64_t b, uint64_t size, bool *same,
                    gow_error *error)
{
	uint8_t bytes[2][4096];
	int code = GOW_OK;

	*same = true;
	for (uint64_t at = 0; at < size && *same && !code; at += sizeof *bytes) {
		size_t part = (size_t)gow_min(sizeof *bytes, size - at);

		code = gow_file_read_padded(file, a + at, bytes[0], part, error);
		if (!code)
			code = gow_file_read_padded(file, b + at, bytes[1], part, error);
		*same = !code && memcmp(bytes[0], bytes[1], part) == 0;
	}
	return code;
}

/* The chunks that programs made which wrote that format. */
static uint64_t old_chunk_limit(const struct gow_trailer *trailer)
{
	uint64_t distance = trailer->move_to - trailer->move_from;

	if (distance >= trailer->move_length + GOW_BLOCK_SIZE)
		return trailer->move_length;
	return distance > UINT64_C(2) * GOW_BLOCK_SIZE
	               ? (distance / GOW_BLOCK_SIZE - 1) * GOW_BLOCK_SIZE
	               : distance;
}

int gow_move_check_old_cursor(struct gow_file *file, const struct gow_trailer *trailer,
                              gow_error *error)
{
	const uint64_t most = old_chunk_limit(trailer), unmoved = trailer->unmoved;
	const uint64_t up = gow_min(most, unmoved);
	const uint64_t down = gow_min(most, trailer->move_length - unmoved);
	bool same = false;
	int code = GOW_OK;

	if (!unmoved) /* the header was being written, and is written again */
		return GOW_OK;
	/* Which way it went is not known. */
	if (up)
		code = are_same(file, trailer->move_from + unmoved - up,
		                trailer->move_to + unmoved - up, up, &same, error);
	if (!code && !same && down)
		code = are_same(file, trailer->move_from + unmoved, trailer->move_to + unmoved,
		                down, &same, error);
	if (code || same)
		return code;
	return gow_fail(error, GOW_ERR_CORRUPT,
	                "one of the two cursors in the record of its upgrade is damaged, and the "
	                "other is too old to resume from; restore the image from a copy");
}
