/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.c - the one loop that carries a guest's disk from a source to a sink. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "ops/disk.h"

/* What is read at once: large enough to make calls cheap, small enough that what was read is
 * still in the cache when it is written. */
enum { CHUNK = 4 * GOW_BLOCK_SIZE };

/* The smallest piece of a disk that can be unreadable by itself. */
enum { SECTOR = 512 };

struct work {
	struct gow_copy *copy;
	uint8_t *buffer; /* CHUNK bytes */
	uint64_t given;  /* up to where the sink has got everything */
	gow_loss loss;   /* a run of unreadable sectors that may go on; length 0: none */
};

/* ---- salvage ----------------------------------------------------------------------------- */

static void tell_loss(struct work *work)
{
	struct gow_copy *copy = work->copy;

	if (!work->loss.length)
		return;
	copy->losses++;
	if (copy->lost)
		copy->lost(copy->lost_context, &work->loss);
	work->loss.length = 0;
}

/* Neighbours are told as one. */
static void add_loss(struct work *work, uint64_t offset, size_t size)
{
	if (work->loss.length && work->loss.start + work->loss.length == offset) {
		work->loss.length += size;
		return;
	}
	tell_loss(work);
	work->loss = (gow_loss){ GOW_LOSS_UNREADABLE, offset, size };
}

/* Halves what cannot be read until only the sectors are left that really cannot. */
static int read_salvaging(struct work *work, uint64_t offset, uint8_t *buf, size_t size,
                          size_t *got, gow_error *error)
{
	struct gow_source *source = work->copy->source;
	int code = source->ops->read(source, offset, buf, size, got, error);
	size_t half, got_half;

	if (code != GOW_ERR_IO || !work->copy->salvage || source->size == GOW_NOWHERE)
		return code;
	*got = size;
	if (size <= SECTOR) {
		memset(buf, 0, size);
		add_loss(work, offset, size);
		return GOW_OK;
	}
	half = (size_t)gow_round_up(size / 2, SECTOR);
	code = gow_tick(work->copy->monitor, work->copy->phase, offset, source->size, error);
	if (!code)
		code = read_salvaging(work, offset, buf, half, &got_half, error);
	if (!code)
		code = read_salvaging(work, offset + half, buf + half, size - half, &got_half,
		                      error);
	return code;
}

/* ---- giving ------------------------------------------------------------------------------ */

static int give_zeros(struct work *work, uint64_t end, gow_error *error)
{
	struct gow_sink *sink = work->copy->sink;
	int code = GOW_OK;

	if (sink && end > work->given)
		code = sink->ops->zeros(sink, work->given, end - work->given, error);
	work->given = gow_max(work->given, end);
	return code;
}

static int give_data(struct work *work, uint64_t offset, const uint8_t *bytes, size_t size,
                     gow_error *error)
{
	struct gow_sink *sink = work->copy->sink;
	int code = give_zeros(work, offset, error);

	if (!code && sink)
		code = sink->ops->data(sink, offset, bytes, size, error);
	work->given = offset + size;
	return code;
}

static void digest_blocks(const struct gow_copy *copy, uint64_t offset, const uint8_t *bytes,
                          size_t size)
{
	for (size_t at = 0; at < size && copy->digester; at += GOW_BLOCK_SIZE)
		gow_digester_block(copy->digester, (offset + at) / GOW_BLOCK_SIZE, bytes + at);
}

/* Takes the chunk apart into runs of blocks that are all zeros, and runs that are not. The
 * buffer is padded with zeros to a whole block. */
static int give_chunk(struct work *work, uint64_t offset, size_t size, gow_error *error)
{
	const uint8_t *bytes = work->buffer;
	size_t at = 0;
	int code = GOW_OK;

	while (!code && at < size) {
		size_t start = at;

		while (at < size && !gow_is_zero(bytes + at, GOW_BLOCK_SIZE))
			at += GOW_BLOCK_SIZE;
		if (at == start) {
			at += GOW_BLOCK_SIZE; /* zeros: made up for by whatever follows */
			continue;
		}
		work->copy->data_blocks += (at - start) / GOW_BLOCK_SIZE;
		digest_blocks(work->copy, offset + start, bytes + start, at - start);
		code = give_data(work, offset + start, bytes + start, gow_min(at, size) - start,
		                 error);
	}
	return code;
}

/* ---- the loop ---------------------------------------------------------------------------- */

static int safe_point(const struct work *work, uint64_t done, gow_error *error)
{
	struct gow_source *source = work->copy->source;
	uint64_t total = source->size == GOW_NOWHERE ? 0 : source->size;
	int code = gow_tick(work->copy->monitor, work->copy->phase, done, total, error);

	return code || !source->ops->poll ? code : source->ops->poll(source, error);
}

/* One chunk at offset, a block's start, that the source says may hold data up to end. */
static int copy_chunk(struct work *work, uint64_t offset, uint64_t end, size_t *got,
                      gow_error *error)
{
	size_t size = (size_t)gow_min(CHUNK, gow_round_up(end, GOW_BLOCK_SIZE) - offset);
	int code;

	size = (size_t)gow_min(size, work->copy->source->size - offset);
	code = read_salvaging(work, offset, work->buffer, size, got, error);
	if (code)
		return code;
	memset(work->buffer + *got, 0,
	       (size_t)(gow_round_up(*got, GOW_BLOCK_SIZE) - *got));
	return give_chunk(work, offset, *got, error);
}

static int copy_all(struct work *work, gow_error *error)
{
	struct gow_source *source = work->copy->source;
	uint64_t at = 0;

	for (;;) {
		uint64_t start, end;
		size_t got = 0;
		int code = safe_point(work, at, error);

		if (!code)
			code = source->ops->next_data(source, at, &start, &end, error);
		if (code)
			return code;
		if (start == end)
			break;
		/* Whole blocks: their other bytes are zeros, hole or not. */
		start = gow_max(at, start - start % GOW_BLOCK_SIZE);
		code = copy_chunk(work, start, end, &got, error);
		if (code)
			return code;
		at = start + got;
	}
	work->copy->source_size = source->size == GOW_NOWHERE ? at : source->size;
	work->copy->size = gow_round_up(work->copy->source_size, work->copy->size_unit);
	return GOW_OK;
}

int gow_copy_disk(struct gow_copy *copy, gow_error *error)
{
	struct work work = { .copy = copy, .buffer = malloc(CHUNK) };
	int code = work.buffer ? copy_all(&work, error) : gow_fail_memory(error, CHUNK);

	tell_loss(&work);
	if (!code)
		code = give_zeros(&work, copy->size, error);
	if (!code && copy->sink)
		code = copy->sink->ops->finish(copy->sink, copy->size, error);
	if (!code)
		code = safe_point(&work, copy->size, error);
	free(work.buffer);
	return code;
}
