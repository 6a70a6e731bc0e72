/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/compact.h"

#include <stdlib.h>

#include "base/error.h"
#include "journal/open.h"
#include "ops/inplace/compact_steps.h"

/* One past the highest physical block that stays. */
static uint32_t end_of_kept(const struct gow_compact *compact)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < compact->map.logical_blocks; i++)
		if (gow_compact_keeps(compact, i) && compact->map.entries[i] >= end)
			end = compact->map.entries[i] + 1;
	return end;
}

/* Blocks of zeros that are kept, and are holes in the file, may be holes where they go as well.
 * Others have data. Asked once and for all, since what is written makes asking dear. */
static int find_holes(struct gow_compact *compact, gow_error *error)
{
	const struct gow_map *map = &compact->map;
	int code = gow_block_set_new(map->logical_blocks, &compact->holes, error);

	if (!(compact->job->flags & GOW_COMPACT_KEEP_ZEROS))
		return code;
	for (uint32_t i = 0; i < map->logical_blocks && !code; i++) {
		uint64_t start, end;

		if (!gow_compact_keeps(compact, i))
			continue;
		code = gow_file_next_data(compact->job->file,
		                          gow_compact_offset(compact, map->entries[i]), &start,
		                          &end, error);
		if (!code && (start == end ||
		              start >= gow_compact_offset(compact, map->entries[i] + UINT64_C(1))))
			gow_block_set_add(&compact->holes, i);
	}
	return code;
}

/* Where the image ends, and which blocks below that need not move: the others that are kept fill
 * exactly the gaps, so no way moves fewer. */
static int plan(struct gow_compact *compact, gow_error *error)
{
	const struct gow_map *map = &compact->map;
	int code;

	for (uint32_t i = 0; i < map->logical_blocks; i++)
		compact->kept += gow_compact_keeps(compact, i);
	compact->target = gow_compact_punches(compact) ? end_of_kept(compact) : compact->kept;
	if (gow_compact_punches(compact))
		return GOW_OK;
	code = find_holes(compact, error);
	if (!code)
		code = gow_block_set_new(compact->target, &compact->used, error);
	for (uint32_t i = 0; i < map->logical_blocks && !code; i++)
		if (gow_compact_keeps(compact, i) && map->entries[i] < compact->target)
			gow_block_set_add(&compact->used, map->entries[i]);
	return code;
}

static int cut(struct gow_compact *compact, gow_error *error)
{
	int code;

	if (!gow_compact_writes(compact) ||
	    gow_compact_final_size(compact) == compact->map.file_size)
		return GOW_OK;
	code = gow_compact_poll(compact, error);
	if (!code)
		code = gow_file_truncate(compact->job->file, gow_compact_final_size(compact),
		                         error);
	return code ? code : gow_compact_sync(compact, error);
}

/* ---- the whole --------------------------------------------------------------------------- */

/* What no entry names is given back as holes, or filled with the last blocks. */
static int free_gaps(struct gow_compact *compact, gow_error *error)
{
	return gow_compact_punches(compact) ? gow_compact_punch_blocks(compact, error)
	                                    : gow_compact_move_blocks(compact, error);
}

static int take_steps(struct gow_compact *compact, enum gow_pass pass, gow_error *error)
{
	static int (*const steps[])(struct gow_compact *, gow_error *) = {
		gow_compact_write_map,
		gow_compact_unmap_zeros,
		free_gaps,
		gow_compact_lower_count,
		cut,
	};
	int code = GOW_OK;

	compact->pen = (struct gow_pen){
		.file = compact->job->file,
		.pass = pass,
		.cannot_reserve = compact->pen.cannot_reserve,
		.reserved = &compact->reserved,
	};
	compact->moved = compact->punched = 0;
	for (size_t i = 0; i < sizeof steps / sizeof *steps && !code; i++)
		code = steps[i](compact, error);
	return code;
}

/* No entry may lie in two sectors. */
static int check_entries(const struct gow_compact *compact, gow_error *error)
{
	const struct gow_layout *layout = compact->map.layout;

	if (layout->map_offset % sizeof(uint32_t) || layout->map_stride % sizeof(uint32_t))
		return gow_fail(
			error, GOW_ERR_UNSUPPORTED,
			"has entries that a torn write could damage; write a new image with -o");
	return GOW_OK;
}

/* Before anything is changed. */
static int check_means(struct gow_compact *compact, gow_error *error)
{
	const uint64_t need = compact->pen.room;
	int code;

	if (gow_compact_punches(
		    compact)) /* past the end: changes nothing, and shows whether it can be done */
		return gow_file_punch(compact->job->file,
		                      gow_round_up(compact->map.file_size, GOW_FILE_GRAIN),
		                      GOW_FILE_GRAIN, error);
	/* A full disk is to be met now, and not when the map has been changed. */
	code = gow_check_room(compact->job->file, need, error);
	if (!code && need)
		code = gow_reserved_short(take_steps(compact, GOW_PASS_RESERVE, error), need,
		                          error);
	if (code)
		gow_reserved_give_back(&compact->reserved, compact->job->file);
	return code;
}

static void fill_result(const struct gow_compact *compact, gow_compact_result *result)
{
	const struct gow_map *map = &compact->map;
	const uint32_t present = gow_compact_present(compact);
	const uint32_t allocated = compact->kept + compact->zeros.count;

	result->leaked_blocks = present - allocated;
	result->zero_blocks = compact->zeros.count;
	result->moved_blocks = compact->moved;
	result->written_bytes = compact->pen.written;
	result->punched_bytes = compact->punched;
	result->extra_bytes = compact->pen.room;
	result->old_file_size = map->file_size;
	result->new_file_size = gow_compact_final_size(compact);
	result->changed = compact->zeros.count || compact->moved || compact->punched ||
	                  map->block_count != compact->target ||
	                  map->file_size != gow_compact_final_size(compact);
	/* What is written again serves what follows. */
	if (!result->changed)
		result->written_bytes = result->extra_bytes = 0;
}

static int run(struct gow_compact *compact, gow_compact_result *result, gow_error *error)
{
	int code = plan(compact, error);

	if (!code)
		code = take_steps(compact, GOW_PASS_MEASURE, error);
	if (code)
		return code;
	fill_result(compact, result);
	if (!result->changed)
		return GOW_OK;
	code = check_entries(compact, error);
	if (code)
		return code;
	if (compact->job->dry_run) /* which says, too, that there is no room for it */
		return gow_compact_punches(compact)
		               ? GOW_OK
		               : gow_check_room(compact->job->file, compact->pen.room, error);
	code = check_means(compact, error);
	if (!code)
		code = take_steps(compact, GOW_PASS_WRITE, error);
	result->written_bytes = compact->pen.written;
	return code;
}

/* Takes the map of a sound image, with room for what is learnt of its blocks. */
static int load(struct gow_compact *compact, gow_error *error)
{
	const struct gow_compact_job *job = compact->job;
	bool doubted = gow_file_doubt(job->file, !job->dry_run); /* it is written again */
	int code = gow_journal_read_map(job->file, job->rows, job->row_count, GOW_NUMBERS_NONE,
	                                &compact->map, error);

	(void)gow_file_doubt(job->file, doubted);
	if (!code)
		code = gow_block_set_new(compact->map.logical_blocks, &compact->zeros, error);
	if (!code && !(job->flags & GOW_COMPACT_KEEP_ZEROS))
		code = gow_find_zeros(job->file, &compact->map, job->lock, job->monitor,
		                      &compact->zeros, error);
	return code;
}

static void release(struct gow_compact *compact)
{
	gow_map_release(&compact->map);
	gow_block_set_release(&compact->zeros);
	gow_block_set_release(&compact->holes);
	gow_block_set_release(&compact->used);
	gow_reserved_release(&compact->reserved);
	free(compact->buffer);
	gow_meant_free(compact->meant);
}

int gow_compact_file(const struct gow_compact_job *job, gow_compact_result *result,
                     gow_error *error)
{
	const size_t room = GOW_COMPACT_RUN * (size_t)GOW_BLOCK_SIZE;
	struct gow_compact compact = { .job = job, .buffer = malloc(room) };
	gow_compact_result outcome = { .changed = false };
	int code = compact.buffer ? gow_meant_new(&compact.meant, error)
	                          : gow_fail_memory(error, room);

	/* What a run that was killed, or whose sync failed, has left in the cache comes first. */
	if (!code && !job->dry_run)
		code = gow_file_settle(job->file, error);
	if (!code)
		code = load(&compact, error);
	if (!code)
		code = run(&compact, &outcome, error);
	release(&compact);
	if (!code)
		*result = outcome;
	return code;
}
