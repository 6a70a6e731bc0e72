/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.c - the one loop that carries a guest's disk from a source to a sink. */
#include "base/error.h"
#include "base/monitor.h"
#include "ops/disk.h"
#include "ops/reader.h"

struct work {
	struct gow_copy *copy;
	uint64_t given; /* up to where the sink has got everything */
	gow_loss loss;  /* a run of unreadable sectors that may go on; length 0: none */
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

/* Neighbours, also those of two chunks, are told as one. */
static void take_losses(struct work *work, const struct gow_chunk *chunk)
{
	for (size_t i = 0; i < chunk->loss_count; i++) {
		const gow_loss *loss = &chunk->losses[i];

		if (work->loss.length && work->loss.start + work->loss.length == loss->start) {
			work->loss.length += loss->length;
			continue;
		}
		tell_loss(work);
		work->loss = *loss;
	}
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

/* Takes the chunk apart into runs of blocks that are all zeros, and runs that are not. */
static int give_chunk(struct work *work, const struct gow_chunk *chunk, gow_error *error)
{
	const uint8_t *bytes = chunk->bytes;
	size_t at = 0;
	int code = GOW_OK;

	while (!code && at < chunk->size) {
		size_t start = at;

		while (at < chunk->size && !gow_is_zero(bytes + at, GOW_BLOCK_SIZE))
			at += GOW_BLOCK_SIZE;
		if (at == start) {
			at += GOW_BLOCK_SIZE; /* zeros: made up for by whatever follows */
			continue;
		}
		work->copy->data_blocks += (at - start) / GOW_BLOCK_SIZE;
		digest_blocks(work->copy, chunk->offset + start, bytes + start, at - start);
		code = give_data(work, chunk->offset + start, bytes + start,
		                 (size_t)gow_min(at, chunk->size) - start, error);
	}
	return code;
}

/* ---- the loop ---------------------------------------------------------------------------- */

static int safe_point(const struct work *work, uint64_t done, gow_error *error)
{
	struct gow_source *source = work->copy->source;
	uint64_t total = source->size == GOW_NOWHERE ? 0 : source->size;
	int code = gow_tick(work->copy->monitor, work->copy->phase, done, total, error);

	if (!code && source->ops->poll)
		code = source->ops->poll(source, error);
	return code || !work->copy->draft ? code : gow_draft_poll(work->copy->draft, error);
}

static int copy_all(struct work *work, struct gow_reader *reader, gow_error *error)
{
	const struct gow_chunk *chunk = NULL;
	uint64_t done = 0;

	do {
		int code = safe_point(work, done, error);

		if (!code)
			code = gow_reader_take(reader, &chunk, error);
		if (code)
			return code;
		if (!chunk)
			continue;
		take_losses(work, chunk);
		code = give_chunk(work, chunk, error);
		if (code)
			return code;
		done = chunk->offset + chunk->size;
	} while (!chunk || chunk->size);
	work->copy->source_size = done;
	work->copy->size = gow_round_up(done, work->copy->size_unit);
	return GOW_OK;
}

int gow_copy_disk(struct gow_copy *copy, gow_error *error)
{
	struct work work = { .copy = copy };
	struct gow_reader *reader;
	int code = gow_reader_new(copy->source, copy->salvage, &reader, error);

	if (code)
		return code;
	code = copy_all(&work, reader, error);
	gow_reader_free(reader);
	tell_loss(&work);
	if (!code)
		code = give_zeros(&work, copy->size, error);
	if (!code && copy->sink)
		code = copy->sink->ops->finish(copy->sink, copy->size, error);
	return code ? code : safe_point(&work, copy->size, error);
}
