/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "ops/inplace/compact_steps.h"

/* Changed entries so near to each other are written as one; between them stand true entries. */
enum { NEAR_ENTRIES = 512 };

int gow_flips_write(struct gow_flips *flips, gow_error *error)
{
	struct gow_compact *compact = flips->compact;
	const struct gow_map *map = &compact->map;
	const uint32_t first = flips->first, count = flips->end - first;
	int code;

	if (!count)
		return GOW_OK;
	flips->first = flips->end = 0;
	code = gow_pen_mark(&compact->pen, gow_layout_entry_offset(map->layout, first),
	                    (uint64_t)(count - 1) * map->layout->map_stride + sizeof(uint32_t),
	                    error);
	return code || !gow_compact_writes(compact)
	               ? code
	               : gow_header_write_entries(compact->job->file, map->layout, first, count,
	                                          map->entries + first, error);
}

int gow_flips_add(struct gow_flips *flips, uint32_t logical, uint32_t entry, gow_error *error)
{
	int code = GOW_OK;

	if (flips->end && logical - flips->end >= NEAR_ENTRIES)
		code = gow_flips_write(flips, error);
	if (code)
		return code;
	if (!flips->end)
		flips->first = logical;
	flips->end = logical + 1;
	if (gow_compact_writes(flips->compact))
		flips->compact->map.entries[logical] = entry;
	return GOW_OK;
}

static int write_magic(struct gow_compact *compact, gow_error *error)
{
	const struct gow_layout *layout = compact->map.layout;
	int code;

	if (!gow_layout_has_mark(layout))
		return GOW_OK;
	code = gow_pen_mark(&compact->pen, layout->magic_offset, GOW_MAGIC_SIZE, error);
	return code || !gow_compact_writes(compact)
	               ? code
	               : gow_header_write_magic(compact->job->file, layout, false, error);
}

/*
 * A run before this one may have been killed, or its sync may have failed: then the map that was
 * loaded may be in the cache only. Dropping that is no more than an attempt, so what all that
 * follows is built on is written again: the entries of the disk, and that the image is at rest (an
 * upgrade may have failed to make that durable, and its record is cut off here).
 */
int gow_compact_write_map(struct gow_compact *compact, gow_error *error)
{
	struct gow_flips flips = { .compact = compact, .end = compact->map.logical_blocks };
	int code = write_magic(compact, error);

	if (!code)
		code = gow_flips_write(&flips, error);
	return code ? code : gow_compact_sync(compact, error);
}

/* Whether the entries are on the disk as they were meant to be. */
static int check_map(struct gow_compact *compact, gow_error *error)
{
	const struct gow_map *map = &compact->map;
	uint32_t found[NEAR_ENTRIES];
	int code = GOW_OK;

	if (!gow_compact_writes(compact))
		return GOW_OK;
	gow_file_drop_cache(compact->job->file);
	for (uint32_t at = 0; at < map->logical_blocks && !code; at += NEAR_ENTRIES) {
		uint32_t count = (uint32_t)gow_min(NEAR_ENTRIES, map->logical_blocks - at);

		code = gow_header_read_entries(compact->job->file, map->layout, at, count, found,
		                               error);
		if (!code && memcmp(found, map->entries + at, count * sizeof *found) != 0)
			code = gow_fail_read_back(compact->job->file,
			                          gow_layout_entry_offset(map->layout, at), error);
	}
	return code;
}

/* The same, and what was garbled on its way to the disk is written once more: all that the map names
 * is still there, and there is no record by which anybody else could find out where. */
static int settle_map(struct gow_compact *compact, gow_error *error)
{
	int code = check_map(compact, error);

	if (code != GOW_ERR_MISMATCH)
		return code;
	code = gow_compact_write_map(compact, error);
	return code ? code : check_map(compact, error);
}

/* Durable before anything is moved: what is freed here is moved into. */
int gow_compact_unmap_zeros(struct gow_compact *compact, gow_error *error)
{
	struct gow_flips flips = { .compact = compact };
	int code = GOW_OK;

	if (!compact->zeros.count)
		return GOW_OK;
	if (gow_compact_writes(compact))
		code = gow_check_zeros(compact->job->file, &compact->map, compact->job->lock,
		                       compact->job->monitor, &compact->zeros, error);
	if (!code)
		code = gow_compact_poll(compact, error);
	for (uint32_t i = 0; i < compact->map.logical_blocks && !code; i++)
		if (gow_block_set_has(&compact->zeros, i))
			code = gow_flips_add(&flips, i, GOW_UNALLOCATED, error);
	if (!code)
		code = gow_flips_write(&flips, error);
	if (!code)
		code = gow_compact_sync(compact, error);
	return code ? code : settle_map(compact, error);
}

/* The map is durable; now the count, and only then the cut. The count that was read may be in the
 * cache only, so it is written in any case. */
int gow_compact_lower_count(struct gow_compact *compact, gow_error *error)
{
	const struct gow_layout *layout = compact->map.layout;
	const struct gow_header header = { .layout = layout, .block_count = compact->target };
	int code = settle_map(compact, error);

	if (!code)
		code = gow_compact_poll(compact, error);
	if (code || !layout->block_count.width)
		return code;
	code = gow_pen_mark(&compact->pen, layout->block_count.offset, layout->block_count.width,
	                    error);
	if (code || !gow_compact_writes(compact))
		return code;
	code = gow_header_write_block_count(compact->job->file, &header, error);
	return code ? code : gow_compact_sync(compact, error);
}
