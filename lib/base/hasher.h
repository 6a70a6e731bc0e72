/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hasher.h - the hashes of blocks, made at once or on another processor (where there is one) while
 * the caller reads or writes on.
 *
 * Blocks are added to a batch; the batch is started; the next one is begun when the last one is
 * settled, which is when its hashes are reported, on the caller's thread and in the order of adding.
 */
#ifndef GOW_BASE_HASHER_H
#define GOW_BASE_HASHER_H

#include "base/block.h"

/* Blocks in a batch at most. */
enum { GOW_HASHER_BATCH = 64 };

/* Told of every block's hash. A result other than 0 is what gow_hasher_settle returns. */
typedef int (*gow_hash_visitor)(void *context, uint64_t index, const struct gow_hash *hash,
                                gow_error *error);

struct gow_hasher;

/* at_once: by the caller's thread, which has the blocks in its processor's cache. */
int gow_hasher_new(bool at_once, gow_hash_visitor visit, void *context, struct gow_hasher **hasher,
                   gow_error *error);

/* Accepts NULL. What was not settled is not reported. */
void gow_hasher_free(struct gow_hasher *hasher);

/* Adds a block of GOW_BLOCK_SIZE bytes, which must stay as they are until the batch is settled. */
void gow_hasher_add(struct gow_hasher *hasher, uint64_t index, const void *block);

/* Begins to hash what was added. */
void gow_hasher_start(struct gow_hasher *hasher);

/* Waits for the batch, if one was started, and reports its hashes. */
int gow_hasher_settle(struct gow_hasher *hasher, gow_error *error);

#endif
