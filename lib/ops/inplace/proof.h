/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proof.h - the guest digest on both sides of a change, of a file that its changer has open and
 * locked.
 */
#ifndef GOW_OPS_PROOF_H
#define GOW_OPS_PROOF_H

#include "image/layout.h"
#include "io/lock.h"

struct gow_proof {
	bool wanted;                   /* false: nothing is done here */
	struct gow_file *file;         /* that is to be changed, not owned */
	struct gow_lock *lock;         /* of it */
	const struct gow_layout *rows; /* the layouts that it may have, not owned; NULL: built-in
	                                * ones, which it may have after the change in any case */
	size_t row_count;
	const gow_monitor *monitor;
	gow_digests digests; /* what came of it */
};

/*
 * The digest before, as gow-check reports it: "" where the guest's disk cannot be read in full, which
 * goes for what is pending or no image at all, too.
 */
int gow_proof_begin(struct gow_proof *proof, gow_error *error);

/* The digest after, of what the change has made of the file or in another one; NULL: it was a dry
 * run of one that leaves the guest's disk alone. What was written has been synced. */
int gow_proof_end(struct gow_proof *proof, struct gow_file *file, gow_error *error);

/* GOW_ERR_MISMATCH where there was a digest, and it is not the same after. */
int gow_proof_compare(const struct gow_proof *proof, gow_error *error);

/* gow_proof_end() and gow_proof_compare(); gives the digests where both succeed. */
int gow_proof_conclude(struct gow_proof *proof, struct gow_file *file, gow_digests *digests,
                       gow_error *error);

#endif
