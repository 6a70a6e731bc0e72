/* SPDX-License-Identifier: BSD-2-Clause */
/* block.h - what can be asked of a run of bytes: is it all zeros, and its digest. */
#ifndef GOW_BASE_BLOCK_H
#define GOW_BASE_BLOCK_H

#include "gow.h"

/* Whether size bytes at p are all zero. Stops at the first that is not. */
bool gow_is_zero(const void *p, size_t size);

/*
 * The guest digest (gow-manifest(5)): one number for what a guest sees, whatever holds it.
 * Feed every block that has a byte other than zero, ascending; other blocks may be left out.
 */
struct gow_digester;

int gow_digester_new(struct gow_digester **digester, gow_error *error);
void gow_digester_free(struct gow_digester *digester);

/* Takes logical block number index: GOW_BLOCK_SIZE bytes, those past the disk's end zeros. A
 * block of zeros is passed over. */
void gow_digester_block(struct gow_digester *digester, uint64_t index, const void *block);

/* Ends the digest of a disk of logical_size bytes. */
void gow_digester_finish(struct gow_digester *digester, uint64_t logical_size,
                         gow_digest *digest);

#endif
