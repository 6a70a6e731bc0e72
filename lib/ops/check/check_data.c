/* SPDX-License-Identifier: BSD-2-Clause */
/* check_data.c - reading an image's data: whether it can be read, and whether it is what a
 * manifest says. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/growing.h"
#include "base/monitor.h"
#include "ops/check/check_parts.h"
#include "ops/check/check_proof.h"

struct data_walk {
	gow_check *check;
	struct gow_check_proof *proof; /* NULL: the data need only be readable */
	struct gow_check_parts parts;
	uint64_t done; /* bytes */
	uint64_t total;
};

/* ---- what cannot be read ----------------------------------------------------------------- */

static void add_unreadable(gow_check *check, uint32_t logical)
{
	gow_place place = gow_check_place(check, logical);

	gow_set_bit(check->unreadable, logical);
	gow_verdict_add(&check->verdict, GOW_DATA_UNREADABLE, &place, 1);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* A part that could not be read, block by block, to learn which it is. */
static int read_each(struct data_walk *walk, struct gow_check_part *part, gow_error *error)
{
	for (uint32_t i = 0; i < part->blocks; i++) {
		int code = gow_check_part_read_block(&walk->parts, part, i, error);

		if (code == GOW_ERR_IO)
			add_unreadable(walk->check, part->logical + i);
		else if (code)
			return code;
	}
	return GOW_OK;
}

/* A gow_check_part_visitor: hands what was read to the proof, if there is one. */
static int prove_part(void *context, struct gow_check_part *part, gow_error *error)
{
	const struct data_walk *walk = context;

	return walk->proof ? gow_check_proof_add(walk->proof, part->logical, part->blocks,
	                                         part->bytes, error)
	                   : GOW_OK;
}

/* The part that was planned first. */
static int read_part(struct data_walk *walk, gow_error *error)
{
	struct gow_check_part *part;
	int code = gow_check_parts_take(&walk->parts, &part, error);

	if (code == GOW_ERR_IO)
		code = read_each(walk, part, error);
	walk->done += (uint64_t)part->blocks * GOW_BLOCK_SIZE;
	return code ? code : prove_part(walk, part, error);
}

static int may_continue(const struct data_walk *walk, gow_error *error)
{
	return gow_safe_point(walk->check->monitor, "data", walk->done, walk->total,
	                      walk->check->lock, error);
}

/* All parts that were planned. */
static int read_planned(struct data_walk *walk, gow_error *error)
{
	int code = GOW_OK;

	while (walk->parts.count && !code) {
		code = may_continue(walk, error);
		if (!code)
			code = read_part(walk, error);
	}
	return code;
}

/* Reads what it can of a long run; *blocks: how many of them. */
static int pour_run(struct data_walk *walk, uint32_t logical, uint32_t run, uint32_t *blocks,
                    gow_error *error)
{
	int code = read_planned(walk, error);

	if (code)
		return code;
	code = gow_check_parts_pour(&walk->parts, logical, run, prove_part, walk, blocks, error);
	walk->done += (uint64_t)*blocks * GOW_BLOCK_SIZE;
	return code;
}

/* How many blocks of the run at offset lie wholly in a hole of the file. */
static int hole_blocks(const struct data_walk *walk, uint64_t offset, uint32_t run,
                       uint32_t *blocks, gow_error *error)
{
	uint64_t end = offset + (uint64_t)run * GOW_BLOCK_SIZE;
	uint64_t data, data_end;
	int code = gow_file_next_data(walk->check->file, offset, &data, &data_end, error);

	if (code)
		return code;
	if (data == data_end || data >= end)
		*blocks = run;
	else
		*blocks = (uint32_t)((data - offset) / GOW_BLOCK_SIZE);
	return GOW_OK;
}

/* Plans to read up to run blocks from logical on; *blocks says how many have been dealt with. */
static int check_run(struct data_walk *walk, uint32_t logical, uint32_t run, uint32_t *blocks,
                     gow_error *error)
{
	const gow_check *check = walk->check;
	uint64_t offset = gow_layout_block_offset(check->unchecked.header.layout,
	                                          check->unchecked.entries[logical]);
	int code = hole_blocks(walk, offset, run, blocks, error);

	walk->done += code ? 0 : (uint64_t)*blocks * GOW_BLOCK_SIZE;
	if (code || *blocks)
		return code;
	if (gow_check_parts_may_pour(&walk->parts, run))
		return pour_run(walk, logical, run, blocks, error);
	*blocks = (uint32_t)gow_min(run, GOW_CHECK_PART_MOST);
	gow_check_parts_plan(&walk->parts, logical, *blocks);
	return gow_check_parts_are_full(&walk->parts) ? read_part(walk, error) : GOW_OK;
}

/* All of a run. How long it is is found out once, and not anew for every part that is read. */
static int walk_run(struct data_walk *walk, uint32_t at, uint32_t run, gow_error *error)
{
	while (run) {
		uint32_t blocks = 1;
		int code = may_continue(walk, error);

		if (!code)
			code = check_run(walk, at, run, &blocks, error);
		if (code)
			return code;
		at += blocks;
		run -= blocks;
	}
	return GOW_OK;
}

static int walk_blocks(struct data_walk *walk, uint32_t end, gow_error *error)
{
	gow_check *check = walk->check;
	uint32_t at = gow_check_next_present(check, 0, end);
	int code;

	while (at < end) {
		uint32_t run = gow_check_present_run(check, at, end);

		code = walk_run(walk, at, run, error);
		if (code)
			return code;
		at = gow_check_next_present(check, at + run, end);
	}
	code = read_planned(walk, error);
	return code ? code : gow_tick(check->monitor, "data", walk->done, walk->total, error);
}

/* A new, empty set of blocks in place of *set. */
static int renew_set(const gow_check *check, uint64_t **set, gow_error *error)
{
	size_t words = gow_bit_words(check->unchecked.header.layout->map_entries);

	free(*set);
	*set = calloc(words, sizeof **set);
	return *set ? GOW_OK : gow_fail_memory(error, words * sizeof **set);
}

/* What there is of all blocks that entries name, each as often as it is named. */
static uint64_t bytes_to_read(const gow_check *check)
{
	const struct gow_tally *tally = &check->verdict.tally;
	const struct gow_unchecked *unchecked = &check->unchecked;
	uint64_t blocks = 0;

	if (tally->walked)
		blocks = tally->allocated - check->verdict.by_id[GOW_MAP_RANGE].count;
	for (uint32_t i = 0; i < unchecked->header.layout->map_entries && !tally->walked; i++)
		blocks += unchecked->entries[i] < unchecked->header.present_blocks;
	return blocks * GOW_BLOCK_SIZE;
}

/* Reads everything. With a proof, all that the guest could read is handed on to it. */
static int walk_data(gow_check *check, struct gow_check_proof *proof, gow_error *error)
{
	const struct gow_header *header = &check->unchecked.header;
	struct data_walk walk = { .check = check };
	/* Also those past the end of the disk: somebody may want them back. */
	const uint32_t end = header->layout->map_entries;
	int code;

	memset(&check->verdict.by_id[GOW_DATA_UNREADABLE], 0, sizeof(gow_finding));
	code = gow_unchecked_need_entries(&check->unchecked, error);
	if (code || header->truncated)
		return code;
	walk.proof = gow_check_has_disk(check) ? proof : NULL;
	walk.total = bytes_to_read(check);
	code = renew_set(check, &check->unreadable, error);
	if (!code)
		code = gow_check_parts_begin(&walk.parts, check, error);
	if (!code)
		code = walk_blocks(&walk, end, error);
	/* Also after a failure: the hasher may still be reading a part. */
	if (walk.proof) {
		int settled = gow_check_proof_settle(walk.proof, code ? NULL : error);

		code = code ? code : settled;
	}
	gow_check_parts_end(&walk.parts);
	gow_check_list_findings(check);
	return code;
}

int gow_check_data(gow_check *check, gow_error *error)
{
	return walk_data(check, NULL, error);
}

int gow_check_digest(gow_check *check, const gow_digest_options *options, gow_digest *digest,
                     gow_error *error)
{
	gow_digest_options use = { .struct_size = sizeof use };
	struct gow_check_proof proof = { .check = check, .index = GOW_NOWHERE };
	int code = gow_take_struct(options, &use, sizeof use, error);

	if (!code)
		code = renew_set(check, &check->mismatched, error);
	memset(&check->verdict.by_id[GOW_DATA_MISMATCH], 0, sizeof(gow_finding));
	if (!code)
		code = gow_check_proof_begin(&proof, &use, error);
	if (!code)
		code = walk_data(check, &proof, error);
	if (!code)
		code = gow_check_proof_end(&proof, digest, error);
	gow_check_proof_free(&proof);
	return code;
}
