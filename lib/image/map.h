/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map.h - the validated map: where every logical block of the guest is. Whoever holds one need
 * not check again: every entry is GOW_UNALLOCATED or names a block that begins inside the file,
 * and none past the end of the disk is allocated.
 */
#ifndef GOW_IMAGE_MAP_H
#define GOW_IMAGE_MAP_H

#include "image/validate.h"

struct gow_map {
	const struct gow_layout *layout;
	uint64_t logical_size; /* bytes; valid */
	uint32_t logical_blocks;
	uint32_t block_count;
	uint64_t file_size;
	uint32_t *entries;  /* logical_blocks; there may be more, which mean nothing */
	uint32_t *versions; /* those that were asked for, or NULL where the layout has none */
};

/* Called for a range of guest bytes that a damaged image does not hold, or not for sure. */
typedef void (*gow_loss_visitor)(void *context, const gow_loss *loss);

/* Judges, and makes the map of a sound image, with these version numbers. With a corrupt finding
 * GOW_ERR_CORRUPT, with its place and what to do. */
int gow_map_judge(const struct gow_unchecked *unchecked, enum gow_numbers numbers,
                  struct gow_map *map, gow_error *error);

/*
 * Makes the best map that can be had of a damaged image (a sound one is served, too), with all version
 * numbers; takes over unchecked->entries. Entries
 * that name no present block are dropped, the logical size is corrected as gow-repair would.
 * Blocks may be shared here, so such a map is for reading only. Every loss is reported to visit
 * (may be NULL), by kind and ascending within.
 */
int gow_map_salvage(struct gow_unchecked *unchecked, const struct gow_verdict *verdict,
                    gow_loss_visitor visit, void *context, struct gow_map *map, gow_error *error);

void gow_map_release(struct gow_map *map);

/*
 * How many blocks from logical on, at most `most`, are alike: not allocated (*physical is
 * GOW_UNALLOCATED), or physical neighbours from *physical on. At least 1.
 */
uint32_t gow_map_run(const struct gow_map *map, uint32_t logical, uint32_t most,
                     uint32_t *physical);

/* The same on bare entries, of which count follow. */
uint32_t gow_entries_run(const uint32_t *entries, uint32_t count);

/* The smallest valid logical size that covers every entry that names a present block; 0 where
 * there is none, or where it is past the layout's limit. */
uint64_t gow_smallest_size(const struct gow_unchecked *unchecked);

#endif
