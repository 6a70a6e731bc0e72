/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h - what a sound image says of its guest's disk: where each block is, under which number. */
#ifndef GOW_OPS_SYNC_DISK_H
#define GOW_OPS_SYNC_DISK_H

#include "image/validate.h"

/* Tables of logical_blocks numbers each: what an image says past its disk's end is of no concern. */
struct gow_sync_disk {
	const struct gow_layout *layout;
	uint64_t logical_size, file_size; /* bytes */
	uint32_t logical_blocks;
	uint32_t block_count, present_blocks;
	uint32_t *entries;
	uint32_t *versions; /* NULL where the layout has none */
};

/* Of an image that the validator passes; GOW_ERR_CORRUPT of any other. */
int gow_sync_disk_load(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                       struct gow_sync_disk *disk, gow_error *error);

/* Of an image of that layout and size in which nothing is allocated. */
int gow_sync_disk_empty(const struct gow_layout *layout, uint64_t logical_size,
                        struct gow_sync_disk *disk, gow_error *error);

/* Gives it that many logical blocks: new ones are not allocated, and have the number 0. */
int gow_sync_disk_resize(struct gow_sync_disk *disk, uint32_t logical_blocks, gow_error *error);

void gow_sync_disk_release(struct gow_sync_disk *disk);

/* The number of a block; 0 where there are none. */
static inline uint32_t gow_sync_number(const struct gow_sync_disk *disk, uint32_t logical)
{
	return disk->versions ? disk->versions[logical] : 0;
}

#endif
