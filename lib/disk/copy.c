/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.c - the one loop that carries a guest's disk from a source to a sink. */
#include <stdlib.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/disk.h"
#include "disk/reader.h"

struct work {
	struct gow_copy *copy;
	uint64_t given; /* up to where the sink has got everything, where all comes in order */
	uint64_t done;  /* bytes, for progress */
	gow_loss loss;  /* a run of unreadable sectors that may continue; length 0: none */
	struct gow_digester *digester; /* NULL: no digest is wanted */
	struct gow_hash *hashes;       /* where blocks are in any order: by logical block */
	uint8_t *hashed;               /* which of them there are, a byte each */
};

/* Whether blocks come in another order than the disk's. */
static bool is_shuffled(const struct work *work)
{
	return work->copy->source->ops->pull != NULL;
}

/* ---- digest ------------------------------------------------------------------------------ */

static int begin_digest(struct work *work, gow_error *error)
{
	size_t blocks;
	int code;

	if (!work->copy->wants_digest)
		return GOW_OK;
	code = gow_digester_new(&work->digester, error);
	if (code || !is_shuffled(work))
		return code;
	/* Memory for these is used only where a block comes. */
	blocks = (size_t)gow_divide_up(work->copy->source->size, GOW_BLOCK_SIZE);
	work->hashes = calloc(blocks, sizeof *work->hashes);
	work->hashed = calloc(blocks, sizeof *work->hashed);
	return work->hashes && work->hashed ? GOW_OK
	                                    : gow_fail_memory(error, blocks * sizeof *work->hashes);
}

static int take_hash(struct work *work, uint64_t index, const struct gow_hash *hash,
                     gow_error *error)
{
	struct gow_sink *sink = work->copy->sink;

	gow_digester_add(work->digester, index, hash);
	return sink && sink->ops->hashed ? sink->ops->hashed(sink, index, hash, error) : GOW_OK;
}

static int hash_blocks(struct work *work, uint64_t offset, const uint8_t *bytes, size_t size,
                       gow_error *error)
{
	int code = GOW_OK;

	for (size_t at = 0; at < size && !code && work->digester; at += GOW_BLOCK_SIZE) {
		uint64_t index = (offset + at) / GOW_BLOCK_SIZE;
		struct gow_hash hash;

		gow_hash_block(bytes + at, &hash);
		if (work->hashes) {
			work->hashes[index] = hash;
			work->hashed[index] = 1;
		} else {
			code = take_hash(work, index, &hash, error);
		}
	}
	return code;
}

static int end_digest(struct work *work, gow_error *error)
{
	struct gow_copy *copy = work->copy;
	uint64_t blocks = work->hashes ? gow_divide_up(copy->source->size, GOW_BLOCK_SIZE) : 0;
	int code = GOW_OK;

	if (!work->digester)
		return GOW_OK;
	for (uint64_t i = 0; i < blocks && !code; i++)
		if (work->hashed[i])
			code = take_hash(work, i, &work->hashes[i], error);
	if (!code)
		gow_digester_finish(work->digester, gow_round_up(copy->size, GOW_SECTOR),
		                    &copy->digest);
	return code;
}

/* ---- salvage ----------------------------------------------------------------------------- */

static void report_loss(struct work *work)
{
	struct gow_copy *copy = work->copy;

	if (!work->loss.length)
		return;
	copy->losses++;
	if (copy->lost)
		copy->lost(copy->lost_context, &work->loss);
	work->loss.length = 0;
}

/* Neighbours, also those of two chunks, are reported as one. */
static void take_losses(struct work *work, const struct gow_chunk *chunk)
{
	for (size_t i = 0; i < chunk->loss_count; i++) {
		const gow_loss *loss = &chunk->losses[i];

		if (work->loss.length && work->loss.start + work->loss.length == loss->start) {
			work->loss.length += loss->length;
			continue;
		}
		report_loss(work);
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
	int code = is_shuffled(work) ? GOW_OK : give_zeros(work, offset, error);

	if (!code && sink)
		code = sink->ops->data(sink, offset, bytes, size, error);
	work->given = offset + size;
	return code;
}

/* Zeros inside a chunk: where all comes in order, they are given before what follows. */
static int pass_zeros(struct work *work, uint64_t offset, size_t size, gow_error *error)
{
	struct gow_sink *sink = work->copy->sink;

	return sink && is_shuffled(work) ? sink->ops->zeros(sink, offset, size, error) : GOW_OK;
}

/* Bytes from `at` on that are, in whole blocks, all zeros (or all not). */
static size_t alike(const struct gow_chunk *chunk, size_t at, bool zero)
{
	size_t start = at;

	while (at < chunk->size && gow_is_zero(chunk->bytes + at, GOW_BLOCK_SIZE) == zero)
		at += GOW_BLOCK_SIZE;
	return (size_t)gow_min(at, chunk->size) - start;
}

/* Takes the chunk apart into runs of blocks that are all zeros, and runs that are not. */
static int give_chunk(struct work *work, const struct gow_chunk *chunk, gow_error *error)
{
	size_t at = 0;
	int code = GOW_OK;

	while (!code && at < chunk->size) {
		const uint8_t *bytes = chunk->bytes + at;
		uint64_t offset = chunk->offset + at;
		size_t size = alike(chunk, at, false);

		if (!size) {
			size = alike(chunk, at, true);
			code = pass_zeros(work, offset, size, error);
		} else {
			work->copy->data_blocks += gow_divide_up(size, GOW_BLOCK_SIZE);
			if (work->copy->sample)
				gow_sample_note(work->copy->sample, offset, bytes, size);
			code = hash_blocks(work, offset, bytes, size, error);
			if (!code)
				code = give_data(work, offset, bytes, size, error);
		}
		at += size;
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

/* Where blocks come in any order, the sink first gets zeros for all that will not come. */
static int give_gaps(struct work *work, gow_error *error)
{
	struct gow_source *source = work->copy->source;
	uint64_t start = 0, end = 0;
	int code = GOW_OK;

	while (!code && work->given < source->size) {
		code = source->ops->next_data(source, work->given, &start, &end, error);
		if (!code)
			code = give_zeros(work, start == end ? source->size : start, error);
		work->given = gow_max(work->given, end);
	}
	return code;
}

/* For a disk whose size is not known beforehand: one that unpacks without end, for instance. */
static int check_limit(const struct work *work, const struct gow_chunk *chunk, gow_error *error)
{
	uint64_t limit = work->copy->limit;

	if (!limit || chunk->offset + chunk->size <= limit)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_LIMIT, "the disk is larger than %llu bytes",
	                (unsigned long long)limit);
}

static int copy_chunks(struct work *work, struct gow_reader *reader, gow_error *error)
{
	const struct gow_chunk *chunk = NULL;

	do {
		int code = safe_point(work, work->done, error);

		if (!code)
			code = gow_reader_take(reader, &chunk, error);
		if (code)
			return code;
		if (!chunk)
			continue;
		take_losses(work, chunk);
		code = check_limit(work, chunk, error);
		if (!code)
			code = give_chunk(work, chunk, error);
		if (code)
			return code;
		work->done = is_shuffled(work) ? work->done + chunk->size
		                               : chunk->offset + chunk->size;
	} while (!chunk || chunk->size);
	work->copy->source_size = chunk->offset;
	work->copy->size = gow_round_up(chunk->offset, work->copy->size_unit);
	return GOW_OK;
}

static int copy_data(struct work *work, gow_error *error)
{
	const struct gow_copy *copy = work->copy;
	struct gow_reader *reader;
	int code = is_shuffled(work) ? give_gaps(work, error) : GOW_OK;

	if (!code)
		code = gow_reader_new(copy->source, copy->salvage, &reader, error);
	if (code)
		return code;
	code = copy_chunks(work, reader, error);
	gow_reader_free(reader);
	report_loss(work);
	return code;
}

static int copy_all(struct work *work, gow_error *error)
{
	struct gow_copy *copy = work->copy;
	struct gow_source *source = copy->source;
	int code;

	if (copy->sink && is_shuffled(work) && !copy->sink->any_order)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "the blocks are not in the disk's order");
	/* A source that judges the whole at the end needs the digest. */
	copy->wants_digest = copy->wants_digest || source->ops->finish ||
	                     (copy->sink && copy->sink->ops->hashed);
	code = begin_digest(work, error);
	if (!code)
		code = copy_data(work, error);
	if (!code && !is_shuffled(work))
		code = give_zeros(work, copy->size, error);
	if (!code)
		code = end_digest(work, error);
	if (!code && source->ops->finish)
		code = source->ops->finish(source, copy->source_size, &copy->digest, error);
	if (!code && copy->sink)
		code = copy->sink->ops->finish(copy->sink, copy->size, &copy->digest, error);
	return code ? code : safe_point(work, copy->size, error);
}

int gow_copy_disk(struct gow_copy *copy, gow_error *error)
{
	struct work work = { .copy = copy };
	int code = copy_all(&work, error);

	gow_digester_free(work.digester);
	free(work.hashes);
	free(work.hashed);
	return code;
}
