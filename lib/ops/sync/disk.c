/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/sync/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "journal/open.h"

/* A copy of the first numbers of a table, which may be NULL. */
static int take_table(const uint32_t *table, uint32_t count, uint32_t **taken, gow_error *error)
{
	const size_t size = (size_t)count * sizeof *table;

	*taken = NULL;
	if (!table)
		return GOW_OK;
	*taken = malloc(size);
	if (!*taken)
		return gow_fail_memory(error, size);
	memcpy(*taken, table, size);
	return GOW_OK;
}

static int take_map(const struct gow_map *map, struct gow_sync_disk *disk, gow_error *error)
{
	int code;

	*disk = (struct gow_sync_disk){
		.layout = map->layout,
		.logical_size = map->logical_size,
		.file_size = map->file_size,
		.logical_blocks = map->logical_blocks,
		.block_count = map->block_count,
		.present_blocks = gow_present_blocks(map->layout, map->file_size),
	};
	code = take_table(map->entries, map->logical_blocks, &disk->entries, error);
	if (!code)
		code = take_table(map->versions, map->logical_blocks, &disk->versions, error);
	if (code)
		gow_sync_disk_release(disk);
	return code;
}

int gow_sync_disk_load(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                       struct gow_sync_disk *disk, gow_error *error)
{
	struct gow_map map = { 0 };
	int code = gow_journal_read_map(file, rows, row_count, GOW_NUMBERS_OF_DISK, &map, error);

	if (!code)
		code = take_map(&map, disk, error);
	gow_map_release(&map);
	return code;
}

int gow_sync_disk_empty(const struct gow_layout *layout, uint64_t logical_size,
                        struct gow_sync_disk *disk, gow_error *error)
{
	*disk = (struct gow_sync_disk){ .layout = layout, .logical_size = logical_size };
	return gow_sync_disk_resize(disk, (uint32_t)gow_divide_up(logical_size, GOW_BLOCK_SIZE),
	                            error);
}

int gow_sync_disk_resize(struct gow_sync_disk *disk, uint32_t logical_blocks, gow_error *error)
{
	const size_t size = (size_t)logical_blocks * sizeof *disk->entries;
	const uint32_t old = disk->logical_blocks;
	uint32_t *entries = realloc(disk->entries, size), *versions;

	if (!entries)
		return gow_fail_memory(error, size);
	disk->entries = entries;
	versions = realloc(disk->versions, size);
	if (!versions)
		return gow_fail_memory(error, size);
	disk->versions = versions;
	disk->logical_blocks = logical_blocks;
	for (uint32_t i = old; i < logical_blocks; i++) {
		entries[i] = GOW_UNALLOCATED;
		versions[i] = 0;
	}
	return GOW_OK;
}

void gow_sync_disk_release(struct gow_sync_disk *disk)
{
	free(disk->entries);
	free(disk->versions);
	*disk = (struct gow_sync_disk){ .layout = NULL };
}
