/* SPDX-License-Identifier: BSD-2-Clause */
/* check_data.c - reading an image's data: whether it can be read, and whether it is what a
 * manifest says. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/growing.h"
#include "base/hasher.h"
#include "base/monitor.h"
#include "io/draft.h"
#include "ops/check/check.h"
#include "ops/check/check_parts.h"
#include "disk/manifest.h"
#include "ops/check/manifest_file.h"

/* The digest of what is read, and the manifests. */
struct proof {
	gow_check *check;
	struct gow_hasher *hasher;
	struct gow_digester *digester;
	struct gow_draft *draft; /* of a new manifest; this and the next may be NULL */
	struct gow_file *loose;  /* one that goes to standard output in the end; may be NULL */
	struct gow_manifest_writer *writer;
	struct gow_file *file; /* of the manifest to compare with; may be NULL */
	struct gow_lock lock;
	struct gow_manifest *manifest;
	/* The block of it that comes next; index is GOW_NOWHERE behind the last. */
	uint64_t index;
	struct gow_hash hash;
};

struct data_walk {
	gow_check *check;
	struct proof *proof; /* NULL: the data need only be readable */
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

/* Whether the entry of a block names nothing that the file has. */
static bool is_unmapped(const gow_check *check, uint32_t logical)
{
	uint32_t entry = check->unchecked.entries[logical];

	return entry != GOW_UNALLOCATED && entry >= check->unchecked.header.present_blocks;
}

/* Whether there is a map, and a size that it can be the map of: nothing can be proved without. */
static bool has_disk(const gow_check *check)
{
	const struct gow_header *header = &check->unchecked.header;

	return !header->truncated && gow_size_is_valid(header->layout, header->logical_size);
}

/* Whether all that the guest could read can be read. */
static bool is_whole(const gow_check *check)
{
	const struct gow_header *header = &check->unchecked.header;

	if (header->pending || !has_disk(check))
		return false;
	for (uint32_t i = 0; i < header->logical_blocks; i++)
		if (is_unmapped(check, i) || gow_get_bit(check->unreadable, i))
			return false;
	return true;
}

/* ---- comparing --------------------------------------------------------------------------- */

static void add_mismatch(gow_check *check, uint64_t logical)
{
	gow_place place;

	/* What other findings say cannot be read is not the same, and not known to differ. */
	if (is_unmapped(check, (uint32_t)logical) || gow_get_bit(check->unreadable, logical))
		return;
	place = gow_check_place(check, (uint32_t)logical);
	gow_set_bit(check->mismatched, logical);
	gow_verdict_add(&check->verdict, GOW_DATA_MISMATCH, &place, 1);
}

static int next_of_manifest(struct proof *proof, gow_error *error)
{
	return gow_manifest_next(proof->manifest, &proof->index, &proof->hash, error);
}

/* The image has zeros up to block end; whatever the manifest names before that differs. */
static int compare_zeros(struct proof *proof, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	while (!code && proof->index < end) {
		add_mismatch(proof->check, proof->index);
		code = next_of_manifest(proof, error);
	}
	return code;
}

static int compare_block(struct proof *proof, uint64_t index, const struct gow_hash *hash,
                         gow_error *error)
{
	int code = compare_zeros(proof, index, error);

	if (code)
		return code;
	if (proof->index != index || memcmp(&proof->hash, hash, sizeof *hash) != 0)
		add_mismatch(proof->check, index);
	return proof->index == index ? next_of_manifest(proof, error) : GOW_OK;
}

static int hear_hash(void *context, uint64_t index, const struct gow_hash *hash, gow_error *error)
{
	struct proof *proof = context;
	int code = GOW_OK;

	gow_digester_add(proof->digester, index, hash);
	if (proof->writer)
		code = gow_manifest_add(proof->writer, index, hash, error);
	if (!code && proof->manifest)
		code = compare_block(proof, index, hash, error);
	return code;
}

/* Hands what was read to the hasher, which needs it until the next part has been read. */
static int prove_part(struct data_walk *walk, const struct gow_check_part *part, gow_error *error)
{
	const uint64_t size = walk->check->unchecked.header.logical_size;
	const uint64_t end = walk->check->unchecked.header.logical_blocks;
	const uint32_t logical = part->logical;
	uint8_t *buffer = part->bytes;
	int code;

	if (!walk->proof)
		return GOW_OK;
	/* Also where nothing is added: the part before this one will be read over. */
	code = gow_hasher_settle(walk->proof->hasher, error);
	/* What lies past the end of the disk is none of the guest's. */
	if (logical >= end)
		return code;
	for (uint32_t i = 0; i < part->blocks && logical + i < end; i++, buffer += GOW_BLOCK_SIZE) {
		uint64_t start = ((uint64_t)logical + i) * GOW_BLOCK_SIZE;

		if (size - start < GOW_BLOCK_SIZE) /* what lies past the end of the disk */
			memset(buffer + (size - start), 0,
			       (size_t)(GOW_BLOCK_SIZE - (size - start)));
		if (!gow_get_bit(walk->check->unreadable, logical + i) &&
		    !gow_is_zero(buffer, GOW_BLOCK_SIZE))
			gow_hasher_add(walk->proof->hasher, logical + i, buffer);
	}
	if (!code)
		gow_hasher_start(walk->proof->hasher);
	return code;
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
	*blocks = (uint32_t)gow_min(run, walk->parts.most);
	gow_check_parts_plan(&walk->parts, logical, *blocks);
	return gow_check_parts_are_full(&walk->parts) ? read_part(walk, error) : GOW_OK;
}

static int may_continue(const struct data_walk *walk, gow_error *error)
{
	int code = gow_tick(walk->check->monitor, "data", walk->done, walk->total, error);

	return code ? code : gow_lock_poll(walk->check->lock, error);
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

	while (at < end) {
		uint32_t run = gow_check_present_run(check, at, end);
		int code = walk_run(walk, at, run, error);

		if (code)
			return code;
		at = gow_check_next_present(check, at + run, end);
	}
	while (walk->parts.count) {
		int code = may_continue(walk, error);

		if (!code)
			code = read_part(walk, error);
		if (code)
			return code;
	}
	return gow_tick(check->monitor, "data", walk->done, walk->total, error);
}

/* A new, empty set of blocks in place of *set. */
static int renew_set(const gow_check *check, uint64_t **set, gow_error *error)
{
	size_t words = gow_bit_words(check->unchecked.header.layout->map_entries);

	free(*set);
	*set = calloc(words, sizeof **set);
	return *set ? GOW_OK : gow_fail_memory(error, words * sizeof **set);
}

/* Reads everything. With a proof, all that the guest could read is handed on to it. */
static int walk_data(gow_check *check, struct proof *proof, gow_error *error)
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
	walk.proof = has_disk(check) ? proof : NULL;
	for (uint32_t i = 0; i < end; i++)
		walk.total += check->unchecked.entries[i] < header->present_blocks ? GOW_BLOCK_SIZE
		                                                                   : 0;
	code = renew_set(check, &check->unreadable, error);
	if (!code)
		code = gow_check_parts_begin(&walk.parts, check, error);
	if (!code)
		code = walk_blocks(&walk, end, error);
	/* Also after a failure: the hasher may still be reading a part. */
	if (walk.proof) {
		int settled = gow_hasher_settle(walk.proof->hasher, code ? NULL : error);

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

/* ---- proving ----------------------------------------------------------------------------- */

/* Opens it and reads it once to the end, so that nothing of a damaged one is believed. */
static int open_manifest(struct proof *proof, const char *path, gow_error *error)
{
	const uint64_t size = proof->check->unchecked.header.logical_size;
	struct gow_manifest *whole = NULL;
	gow_digest digest;
	int code = gow_manifest_input(path, &proof->check->common, &proof->file, &proof->lock,
	                              error);

	if (!code)
		code = gow_manifest_open_file(proof->file, &whole, error);
	if (!code)
		code = gow_manifest_read_all(whole, &digest, error);
	if (!code && gow_manifest_size(whole) != size)
		code = gow_fail_in_file(
			error,
			gow_fail(error, GOW_ERR_MISMATCH,
		                 "is the manifest of a disk of %llu bytes, and this one has %llu",
		                 (unsigned long long)gow_manifest_size(whole),
		                 (unsigned long long)size),
			path);
	gow_manifest_close(whole);
	if (!code)
		code = gow_manifest_open_file(proof->file, &proof->manifest, error);
	return code ? code : next_of_manifest(proof, error);
}

static int begin_manifest(struct proof *proof, const char *path, gow_error *error)
{
	const struct gow_draft_options options = { .like = proof->check->file };
	const bool loose = gow_is_standard_output(path);
	int code =
		loose ? gow_file_unnamed(NULL, &proof->loose, error)
		      : gow_draft_hint_stream(gow_draft_begin(path, &options, &proof->draft, error),
	                                      path, error);

	return code ? code
	            : gow_manifest_begin(loose ? proof->loose : gow_draft_file(proof->draft),
	                                 proof->check->unchecked.header.logical_size,
	                                 &proof->writer, error);
}

static int begin_proof(struct proof *proof, const gow_digest_options *options, gow_error *error)
{
	/* A network and its server take the other processors, and more than hashing does. */
	int code = gow_hasher_new(gow_file_is_remote(proof->check->file), hear_hash, proof,
	                          &proof->hasher, error);

	if (!code)
		code = gow_digester_new(&proof->digester, error);
	if (!code && options->manifest)
		code = open_manifest(proof, options->manifest, error);
	if (!code && options->write_manifest)
		code = begin_manifest(proof, options->write_manifest, error);
	return code;
}

/* The manifest appears under its name. */
static int publish_manifest(struct proof *proof, const gow_digest *digest, gow_error *error)
{
	struct gow_draft *draft = proof->draft;
	int code = gow_manifest_end(proof->writer, digest, error);

	if (code)
		return code;
	if (!draft)
		return gow_manifest_output(proof->loose, proof->check->monitor, error);
	proof->draft = NULL;
	return gow_draft_publish(draft, error);
}

/* All has been read. */
static int end_proof(struct proof *proof, gow_digest *digest, gow_error *error)
{
	gow_check *check = proof->check;
	int code = GOW_OK;

	if (proof->manifest && has_disk(check))
		code = compare_zeros(proof, GOW_NOWHERE, error);
	gow_check_list_findings(check);
	if (code)
		return code;
	if (is_whole(check)) {
		gow_digester_finish(proof->digester, check->unchecked.header.logical_size, digest);
		return proof->writer ? publish_manifest(proof, digest, error) : GOW_OK;
	}
	digest->text[0] = '\0';
	if (proof->writer)
		gow_note(check->monitor, GOW_NOTE_WARNING, check->file->name,
		         "the guest's disk cannot be read in full: no manifest was written");
	return GOW_OK;
}

static void free_proof(struct proof *proof)
{
	gow_hasher_free(proof->hasher);
	gow_digester_free(proof->digester);
	gow_manifest_writer_free(proof->writer);
	gow_draft_discard(proof->draft);
	gow_manifest_close(proof->manifest);
	(void)gow_file_close(proof->file, NULL);
	(void)gow_file_close(proof->loose, NULL);
}

int gow_check_digest(gow_check *check, const gow_digest_options *options, gow_digest *digest,
                     gow_error *error)
{
	gow_digest_options use = { .struct_size = sizeof use };
	struct proof proof = { .check = check, .index = GOW_NOWHERE };
	int code = gow_take_struct(options, &use, sizeof use, error);

	if (!code)
		code = renew_set(check, &check->mismatched, error);
	memset(&check->verdict.by_id[GOW_DATA_MISMATCH], 0, sizeof(gow_finding));
	if (!code)
		code = begin_proof(&proof, &use, error);
	if (!code)
		code = walk_data(check, &proof, error);
	if (!code)
		code = end_proof(&proof, digest, error);
	free_proof(&proof);
	return code;
}
