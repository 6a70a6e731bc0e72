/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check_proof.h - what an image's data add up to: the digest of the guest's disk, and how it compares
 * with a manifest. check_data.c reads the blocks and hands them on in the guest's order.
 */
#ifndef GOW_OPS_CHECK_PROOF_H
#define GOW_OPS_CHECK_PROOF_H

#include "base/hasher.h"
#include "disk/manifest.h"
#include "io/draft.h"
#include "ops/check/check.h"

/* The digest of what is read, and the manifests. */
struct gow_check_proof {
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

/* Whether there is a map, and a size that it can be the map of: nothing can be proved without. */
bool gow_check_has_disk(const gow_check *check);

/* Of *proof, which names its check and is all zeros otherwise. */
int gow_check_proof_begin(struct gow_check_proof *proof, const gow_digest_options *options,
                          gow_error *error);

/*
 * The bytes of so many blocks, which follow what was handed on before, but for those marked as
 * unreadable. They stay as they are until the next ones are handed on, or the proof is settled. Of a
 * disk's last block, what lies past its end is made zeros.
 */
int gow_check_proof_add(struct gow_check_proof *proof, uint32_t logical, uint32_t blocks,
                        uint8_t *bytes, gow_error *error);

/* Nothing that was handed on is read any more. */
int gow_check_proof_settle(struct gow_check_proof *proof, gow_error *error);

/* All has been handed on: the digest, "" where something is missing, and the manifest. */
int gow_check_proof_end(struct gow_check_proof *proof, gow_digest *digest, gow_error *error);

void gow_check_proof_free(struct gow_check_proof *proof);

#endif
