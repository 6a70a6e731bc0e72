/* SPDX-License-Identifier: BSD-2-Clause */
/* zeros.h - which blocks of an image hold nothing but zeros. */
#ifndef GOW_OPS_ZEROS_H
#define GOW_OPS_ZEROS_H

#include "image/map.h"
#include "io/lock.h"

/* A bit for every logical block. */
struct gow_block_set {
	uint64_t *bits;
	uint32_t count; /* how many are set */
};

int gow_block_set_new(uint32_t blocks, struct gow_block_set *set, gow_error *error);
void gow_block_set_release(struct gow_block_set *set);

static inline bool gow_block_set_has(const struct gow_block_set *set, uint32_t block)
{
	return set->bits[block / 64] >> (block % 64) & 1;
}

static inline void gow_block_set_add(struct gow_block_set *set, uint32_t block)
{
	set->bits[block / 64] |= UINT64_C(1) << (block % 64);
	set->count++;
}

/*
 * Reads the allocated blocks and adds to zeros those whose bytes inside the disk are all zero.
 * What a file calls a hole is read as well: only bytes are proof.
 */
int gow_find_zeros(struct gow_file *file, const struct gow_map *map, struct gow_lock *lock,
                   const gow_monitor *monitor, struct gow_block_set *zeros, gow_error *error);

/* Reads those that were found once more, past the cache: what they are is given up. Fails with
 * GOW_ERR_IO where one is none. */
int gow_check_zeros(struct gow_file *file, const struct gow_map *map, struct gow_lock *lock,
                    const gow_monitor *monitor, const struct gow_block_set *zeros,
                    gow_error *error);

#endif
