/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/check/check_proof.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/monitor.h"
#include "io/remote.h"
#include "ops/check/manifest_file.h"

/* ---- what is there ------------------------------------------------------------------------ */

/* Whether the entry of a block names nothing that the file has. */
static bool is_unmapped(const gow_check *check, uint32_t logical)
{
	uint32_t entry = check->unchecked.entries[logical];

	return entry != GOW_UNALLOCATED && entry >= check->unchecked.header.present_blocks;
}

bool gow_check_has_disk(const gow_check *check)
{
	const struct gow_header *header = &check->unchecked.header;

	return !header->truncated && gow_size_is_valid(header->layout, header->logical_size);
}

/* Whether all that the guest could read can be read. */
static bool is_whole(const gow_check *check)
{
	const struct gow_header *header = &check->unchecked.header;

	if (header->pending || !gow_check_has_disk(check))
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

static int next_of_manifest(struct gow_check_proof *proof, gow_error *error)
{
	return gow_manifest_next(proof->manifest, &proof->index, &proof->hash, error);
}

/* The image has zeros up to block end; whatever the manifest names before that differs. */
static int compare_zeros(struct gow_check_proof *proof, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	while (!code && proof->index < end) {
		add_mismatch(proof->check, proof->index);
		code = next_of_manifest(proof, error);
	}
	return code;
}

static int compare_block(struct gow_check_proof *proof, uint64_t index, const struct gow_hash *hash,
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
	struct gow_check_proof *proof = context;
	int code = GOW_OK;

	gow_digester_add(proof->digester, index, hash);
	if (proof->writer)
		code = gow_manifest_add(proof->writer, index, hash, error);
	if (!code && proof->manifest)
		code = compare_block(proof, index, hash, error);
	return code;
}

int gow_check_proof_settle(struct gow_check_proof *proof, gow_error *error)
{
	return gow_hasher_settle(proof->hasher, error);
}

int gow_check_proof_add(struct gow_check_proof *proof, uint32_t logical, uint32_t blocks,
                        uint8_t *bytes, gow_error *error)
{
	const gow_check *check = proof->check;
	const uint64_t size = check->unchecked.header.logical_size;
	const uint64_t end = check->unchecked.header.logical_blocks;
	/* Also where nothing is added: the bytes before these will be read over. */
	int code = gow_check_proof_settle(proof, error);

	/* What lies past the end of the disk is none of the guest's. */
	if (logical >= end)
		return code;
	for (uint32_t i = 0; i < blocks && logical + i < end; i++, bytes += GOW_BLOCK_SIZE) {
		uint64_t start = ((uint64_t)logical + i) * GOW_BLOCK_SIZE;

		if (size - start < GOW_BLOCK_SIZE) /* what lies past the end of the disk */
			memset(bytes + (size - start), 0,
			       (size_t)(GOW_BLOCK_SIZE - (size - start)));
		if (!gow_get_bit(check->unreadable, logical + i) &&
		    !gow_is_zero(bytes, GOW_BLOCK_SIZE))
			gow_hasher_add(proof->hasher, logical + i, bytes);
	}
	if (!code)
		gow_hasher_start(proof->hasher);
	return code;
}

/* ---- proving ----------------------------------------------------------------------------- */

/* Opens it and reads it once to the end, so that nothing of a damaged one is believed. */
static int open_manifest(struct gow_check_proof *proof, const char *path, gow_error *error)
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

static int begin_manifest(struct gow_check_proof *proof, const char *path, gow_error *error)
{
	const struct gow_draft_options options = { .common.monitor = proof->check->monitor,
		                                   .like = proof->check->file };
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

int gow_check_proof_begin(struct gow_check_proof *proof, const gow_digest_options *options,
                          gow_error *error)
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
static int publish_manifest(struct gow_check_proof *proof, const gow_digest *digest,
                            gow_error *error)
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
int gow_check_proof_end(struct gow_check_proof *proof, gow_digest *digest, gow_error *error)
{
	gow_check *check = proof->check;
	int code = GOW_OK;

	if (proof->manifest && gow_check_has_disk(check))
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

void gow_check_proof_free(struct gow_check_proof *proof)
{
	gow_hasher_free(proof->hasher);
	gow_digester_free(proof->digester);
	gow_manifest_writer_free(proof->writer);
	gow_draft_discard(proof->draft);
	gow_manifest_close(proof->manifest);
	(void)gow_file_close(proof->file, NULL);
	(void)gow_file_close(proof->loose, NULL);
}
