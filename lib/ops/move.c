/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/move.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/monitor.h"

/* What is read and written at once. */
enum { PIECE = 1 << 20 };

/* ---- one chunk --------------------------------------------------------------------------- */

struct chunk {
	uint64_t from, to, size; /* places in the file; bytes */
};

static int carry_data(struct gow_move *move, uint64_t from, uint64_t to, uint64_t size,
                      uint8_t *buffer, gow_error *error)
{
	int code = GOW_OK;

	move->carried += size;
	if (move->pen->pass != GOW_PASS_WRITE)
		return gow_pen_mark(move->pen, to, size, error);
	for (uint64_t at = 0; at < size && !code; at += PIECE) {
		size_t part = (size_t)gow_min(PIECE, size - at);

		code = gow_file_read_padded(move->pen->file, from + at, buffer, part, error);
		if (!code)
			code = gow_pen_write(move->pen, to + at, buffer, part, error);
	}
	return code;
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

static int carry(struct gow_move *move, const struct chunk *chunk, uint8_t *buffer,
                 gow_error *error)
{
	const uint64_t stop = chunk->from + chunk->size;
	uint64_t at = 0;
	int code = GOW_OK;

	while (at < chunk->size && !code) {
		uint64_t start, end, hole;

		gow_survey_next_data(move->survey, chunk->from + at, &start, &end);
		if (start == end || start >= stop)
			start = end = stop;
		end = gow_min(end, stop);
		hole = start - (chunk->from + at);
		if (hole)
			code = carry_hole(move, chunk, at, hole, error);
		at += hole;
		if (!code && end > start)
			code = carry_data(move, start, chunk->to + at, end - start, buffer, error);
		at += end - start;
	}
	return code;
}

/* ---- which chunk ------------------------------------------------------------------------- */

/*
 * How much may be moved at once. With a block to spare, so that what is written shares no page
 * with what is still to be read: that would fill what is to become a hole.
 */
static uint64_t chunk_limit(const struct gow_trailer *trailer)
{
	uint64_t distance = trailer->move_to - trailer->move_from;

	if (distance >= trailer->move_length + GOW_BLOCK_SIZE)
		return trailer->move_length; /* well apart */
	return distance > UINT64_C(2) * GOW_BLOCK_SIZE
	               ? (distance / GOW_BLOCK_SIZE - 1) * GOW_BLOCK_SIZE
	               : distance;
}

static bool is_hole(const struct gow_move *move, uint64_t start, uint64_t end)
{
	uint64_t found, found_end;

	gow_survey_next_data(move->survey, start, &found, &found_end);
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
	int code = GOW_OK;

	if (move->pen->pass == GOW_PASS_WRITE)
		code = gow_tick(move->monitor, "move", done, trailer->move_length, error);
	else
		code = gow_tick(move->monitor, "measure", 0, 0, error);
	return code ? code : gow_lock_poll(move->lock, error);
}

static int move_chunk(struct gow_move *move, uint8_t *buffer, gow_error *error)
{
	struct gow_trailer *trailer = move->trailer;
	const struct chunk chunk = next_chunk(move);
	int code = carry(move, &chunk, buffer, error);

	/* Only when the copy is durable may the cursor say so, and only when that is durable may
	 * the next copy overwrite this one's source. */
	if (!code && move->pen->pass == GOW_PASS_WRITE)
		code = gow_file_sync(move->pen->file, error);
	if (code)
		return code;
	trailer->unmoved = move->back ? trailer->unmoved + chunk.size
	                              : trailer->unmoved - chunk.size;
	return gow_move_save_cursor(move, error);
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
			code = gow_survey_add(move->survey, move->pen->file, at,
			                      at + gow_min(LOOK, end - at), error);
	}
	return code;
}

int gow_move_run(struct gow_move *move, gow_error *error)
{
	const struct gow_trailer *trailer = move->trailer;
	uint8_t *buffer = malloc(PIECE);
	int code = buffer ? GOW_OK : gow_fail_memory(error, PIECE);

	while (!code && trailer->unmoved != (move->back ? trailer->move_length : 0)) {
		code = safe_point(move, error);
		if (!code)
			code = move_chunk(move, buffer, error);
	}
	free(buffer);
	return code;
}
