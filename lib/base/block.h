/* SPDX-License-Identifier: BSD-2-Clause */
/* block.h - what can be asked of a run of bytes: is it all zeros, and its digest. */
#ifndef GOW_BASE_BLOCK_H
#define GOW_BASE_BLOCK_H

#include "gow.h"

/* Whether size bytes at p are all zero. Stops at the first that is not. */
bool gow_is_zero(const void *p, size_t size);

/* XXH3-128 in its canonical form: what a manifest and the guest digest are made of. */
struct gow_hash {
	uint8_t bytes[16];
};

/* Of size bytes. */
void gow_hash_bytes(const void *bytes, size_t size, struct gow_hash *hash);

/* Of GOW_BLOCK_SIZE bytes. */
void gow_hash_block(const void *block, struct gow_hash *hash);

/* As 32 lower-case hexadecimal digits and a NUL. */
enum { GOW_HASH_TEXT = 33 };
void gow_hash_text(const struct gow_hash *hash, char text[GOW_HASH_TEXT]);

/*
 * The guest digest (gow-manifest(5)): one number for what a guest sees, whatever holds it.
 * Feed every block that has a byte other than zero, ascending.
 */
struct gow_digester;

int gow_digester_new(struct gow_digester **digester, gow_error *error);
void gow_digester_free(struct gow_digester *digester);

/* Takes the hash of logical block number index: of all GOW_BLOCK_SIZE bytes, those past the
 * disk's end zeros, and not all zeros. */
void gow_digester_add(struct gow_digester *digester, uint64_t index, const struct gow_hash *hash);

/* Ends the digest of a disk of logical_size bytes. */
void gow_digester_finish(struct gow_digester *digester, uint64_t logical_size, gow_digest *digest);

#endif
