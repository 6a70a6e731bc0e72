/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/proof.h"

#include <string.h>

#include "base/error.h"
#include "ops/check/check.h"

static int take(const struct gow_proof *proof, struct gow_file *file, gow_digest *digest,
                gow_error *error)
{
	gow_check *check;
	int code = GOW_ERR_NOT_GOW;

	digest->text[0] = '\0';
	if (proof->rows)
		code = gow_check_of_file(file, proof->lock, proof->rows, proof->row_count,
		                         proof->monitor, &check, error);
	if (code == GOW_ERR_NOT_GOW)
		code = gow_check_of_file(file, proof->lock, gow_layouts, gow_layout_count,
		                         proof->monitor, &check, error);
	if (code)
		return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
	code = gow_check_digest(check, NULL, digest, error);
	gow_check_close(check);
	return code;
}

int gow_proof_begin(struct gow_proof *proof, gow_error *error)
{
	return proof->wanted ? take(proof, proof->file, &proof->digests.before, error) : GOW_OK;
}

int gow_proof_end(struct gow_proof *proof, struct gow_file *file, gow_error *error)
{
	if (!proof->wanted)
		return GOW_OK;
	if (!file) {
		proof->digests.after = proof->digests.before;
		return GOW_OK;
	}
	/* It is to come from the disk, not from memory. */
	gow_file_drop_cache(file);
	return take(proof, file, &proof->digests.after, error);
}

int gow_proof_compare(const struct gow_proof *proof, gow_error *error)
{
	const char *before = proof->digests.before.text, *after = proof->digests.after.text;
	int code;

	if (!before[0] || strcmp(before, after) == 0)
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_MISMATCH,
	                "the guest's disk is not what it was (digest %s before, %s after)", before,
	                after[0] ? after : "none");
	return gow_fail_in_file(error, code, proof->file->name);
}

int gow_proof_conclude(struct gow_proof *proof, struct gow_file *file, gow_digests *digests,
                       gow_error *error)
{
	int code = gow_proof_end(proof, file, error);

	if (!code)
		code = gow_proof_compare(proof, error);
	if (!code)
		*digests = proof->digests;
	return code;
}
