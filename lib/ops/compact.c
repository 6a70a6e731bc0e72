/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/compact.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/monitor.h"
#include "io/draft.h"
#include "ops/pen.h"
#include "ops/proof.h"
#include "ops/rewrite.h"
#include "ops/zeros.h"

/* 64 MiB: what a kill loses of the work, and what pays for two syncs. */
enum { BATCH_BLOCKS = 1024 };

/* What is read and written at once. */
enum { RUN_BLOCKS = 16 };

/* Changed entries so near to each other are written as one; between them stand true entries. */
enum { NEAR_ENTRIES = 512 };

struct compact {
	const struct gow_compact_job *job;
	struct gow_map map;
	struct gow_block_set zeros; /* logical blocks that are to be given back */
	struct gow_block_set holes; /* of the others, those that are holes in the file */
	struct gow_block_set used;  /* physical blocks below target that stay where they are */
	uint32_t kept;              /* logical blocks that stay allocated */
	uint32_t target;            /* block_count in the end */
	struct gow_pen pen;
	struct gow_reserved reserved;
	uint64_t moved, punched;
	uint8_t *buffer;            /* RUN_BLOCKS blocks */
};

static bool writes(const struct compact *compact)
{
	return compact->pen.pass == GOW_PASS_WRITE;
}

static bool punches(const struct compact *compact)
{
	return compact->job->flags & GOW_COMPACT_PUNCH;
}

static uint32_t present_blocks(const struct compact *compact)
{
	return gow_present_blocks(compact->map.layout, compact->map.file_size);
}

static uint64_t offset_of(const struct compact *compact, uint64_t physical)
{
	return gow_layout_block_offset(compact->map.layout, physical);
}

static bool is_kept(const struct compact *compact, uint32_t logical)
{
	return compact->map.entries[logical] != GOW_UNALLOCATED &&
	       !gow_block_set_has(&compact->zeros, logical);
}

/* ---- planning ---------------------------------------------------------------------------- */

/* One past the highest physical block that stays. */
static uint32_t end_of_kept(const struct compact *compact)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < compact->map.logical_blocks; i++)
		if (is_kept(compact, i) && compact->map.entries[i] >= end)
			end = compact->map.entries[i] + 1;
	return end;
}

/* Blocks of zeros that are kept, and are holes in the file, may be holes where they go as well.
 * Others have data. Asked once and for all, since what is written makes asking dear. */
static int find_holes(struct compact *compact, gow_error *error)
{
	const struct gow_map *map = &compact->map;
	int code = gow_block_set_new(map->logical_blocks, &compact->holes, error);

	if (!(compact->job->flags & GOW_COMPACT_KEEP_ZEROS))
		return code;
	for (uint32_t i = 0; i < map->logical_blocks && !code; i++) {
		uint64_t start, end;

		if (!is_kept(compact, i))
			continue;
		code = gow_file_next_data(compact->job->file, offset_of(compact, map->entries[i]),
		                          &start, &end, error);
		if (!code && (start == end ||
		              start >= offset_of(compact, map->entries[i] + UINT64_C(1))))
			gow_block_set_add(&compact->holes, i);
	}
	return code;
}

/* Where the image ends, and which blocks below that need not move: the others that are kept fill
 * exactly the gaps, so no way moves fewer. */
static int plan(struct compact *compact, gow_error *error)
{
	const struct gow_map *map = &compact->map;
	int code;

	for (uint32_t i = 0; i < map->logical_blocks; i++)
		compact->kept += is_kept(compact, i);
	compact->target = punches(compact) ? end_of_kept(compact) : compact->kept;
	if (punches(compact))
		return GOW_OK;
	code = find_holes(compact, error);
	if (!code)
		code = gow_block_set_new(compact->target, &compact->used, error);
	for (uint32_t i = 0; i < map->logical_blocks && !code; i++)
		if (is_kept(compact, i) && map->entries[i] < compact->target)
			gow_block_set_add(&compact->used, map->entries[i]);
	return code;
}

/* An image without blocks may end anywhere behind its header. */
static uint64_t final_size(const struct compact *compact)
{
	uint64_t end = offset_of(compact, compact->target);

	return compact->target ? end : gow_min(end, compact->map.file_size);
}

/* ---- entries ----------------------------------------------------------------------------- */

/* A run of entries that have been changed in memory, and are yet to be written. */
struct flips {
	struct compact *compact;
	uint32_t first, end; /* none: both 0 */
};

static int write_flips(struct flips *flips, gow_error *error)
{
	struct compact *compact = flips->compact;
	const struct gow_map *map = &compact->map;
	const uint32_t first = flips->first, count = flips->end - first;
	int code;

	if (!count)
		return GOW_OK;
	flips->first = flips->end = 0;
	code = gow_pen_mark(&compact->pen, gow_layout_entry_offset(map->layout, first),
	                    (uint64_t)(count - 1) * map->layout->map_stride + sizeof(uint32_t),
	                    error);
	return code || !writes(compact)
	               ? code
	               : gow_header_write_entries(compact->job->file, map->layout, first, count,
	                                          map->entries + first, error);
}

/* Gives a logical block another entry; ascending. */
static int flip(struct flips *flips, uint32_t logical, uint32_t entry, gow_error *error)
{
	int code = GOW_OK;

	if (flips->end && logical - flips->end >= NEAR_ENTRIES)
		code = write_flips(flips, error);
	if (code)
		return code;
	if (!flips->end)
		flips->first = logical;
	flips->end = logical + 1;
	if (writes(flips->compact))
		flips->compact->map.entries[logical] = entry;
	return GOW_OK;
}

static int sync(struct compact *compact, gow_error *error)
{
	return writes(compact) ? gow_file_sync(compact->job->file, error) : GOW_OK;
}

/* What a run that was killed had not synced is in the file for us to see, and may still be lost:
 * an entry that gave a slot up, for one. */
static int settle(struct compact *compact, gow_error *error)
{
	return sync(compact, error);
}

/* ---- giving zeros back ------------------------------------------------------------------- */

/* Durable before anything is moved: what is freed here is moved into. */
static int unmap_zeros(struct compact *compact, gow_error *error)
{
	struct flips flips = { .compact = compact };
	int code = GOW_OK;

	if (!compact->zeros.count)
		return GOW_OK;
	for (uint32_t i = 0; i < compact->map.logical_blocks && !code; i++)
		if (gow_block_set_has(&compact->zeros, i))
			code = flip(&flips, i, GOW_UNALLOCATED, error);
	if (!code)
		code = write_flips(&flips, error);
	return code ? code : sync(compact, error);
}

/* ---- moving ------------------------------------------------------------------------------ */

struct mover {
	uint32_t logical, from, to;
};

/* Goes through what is to be moved, in logical order, so that a page of the map is written once;
 * the gaps are filled from the first on. */
struct movers {
	struct mover *list; /* one batch */
	uint32_t room;
	uint32_t count;
	uint32_t logical;   /* the next to look at */
	uint32_t gap;       /* likewise, physical */
};

static void next_batch(const struct compact *compact, struct movers *movers)
{
	const struct gow_map *map = &compact->map;

	for (movers->count = 0;
	     movers->logical < map->logical_blocks && movers->count < movers->room;
	     movers->logical++) {
		const uint32_t i = movers->logical;

		if (!is_kept(compact, i) || map->entries[i] < compact->target)
			continue;
		while (gow_block_set_has(&compact->used, movers->gap))
			movers->gap++;
		movers->list[movers->count++] = (struct mover){ i, map->entries[i], movers->gap++ };
	}
}

static int copy_run(struct compact *compact, const struct mover *first, uint32_t blocks,
                    gow_error *error)
{
	const uint64_t to = offset_of(compact, first->to);
	const size_t size = (size_t)blocks * GOW_BLOCK_SIZE;
	int code;

	if (!writes(compact))
		return gow_pen_mark(&compact->pen, to, size, error);
	code = gow_file_read_padded(compact->job->file, offset_of(compact, first->from),
	                            compact->buffer, size, error);
	if (!code)
		code = gow_pen_write(&compact->pen, to, compact->buffer, size, error);
	return code ? gow_fail_at_block(error, code, first->logical) : GOW_OK;
}

/* How many movers, from the first one on, are neighbours where they are and where they go, and
 * have data. */
static uint32_t mover_run(const struct compact *compact, const struct mover *list, uint32_t count)
{
	uint32_t run = 1;

	while (run < RUN_BLOCKS && run < count && list[run].from == list[0].from + run &&
	       list[run].to == list[0].to + run &&
	       !gow_block_set_has(&compact->holes, list[run].logical))
		run++;
	return run;
}

/* Copies one batch, neighbours together; nothing names the copies yet. */
static int copy_batch(struct compact *compact, const struct movers *movers, gow_error *error)
{
	uint32_t at = 0;

	while (at < movers->count) {
		const struct mover *list = movers->list + at;
		uint32_t run = 1;
		int code;

		if (gow_block_set_has(&compact->holes, list[0].logical)) {
			code = gow_pen_clear(&compact->pen, offset_of(compact, list[0].to),
			                     GOW_BLOCK_SIZE, error);
		} else {
			run = mover_run(compact, list, movers->count - at);
			code = copy_run(compact, list, run, error);
		}
		if (code)
			return code;
		at += run;
	}
	compact->moved += movers->count;
	return sync(compact, error);
}

/* Durable with the next batch's copies: what they overwrite no entry has ever named. */
static int flip_batch(struct compact *compact, const struct movers *movers, gow_error *error)
{
	struct flips flips = { .compact = compact };
	int code = GOW_OK;

	for (uint32_t i = 0; i < movers->count && !code; i++)
		code = flip(&flips, movers->list[i].logical, movers->list[i].to, error);
	return code ? code : write_flips(&flips, error);
}

static int safe_point(struct compact *compact, gow_error *error)
{
	const uint64_t total = (uint64_t)(compact->target - compact->used.count) * GOW_BLOCK_SIZE;
	int code = gow_tick(compact->job->monitor, writes(compact) ? "move" : "measure",
	                    compact->moved * GOW_BLOCK_SIZE, total, error);

	return code ? code : gow_lock_poll(compact->job->lock, error);
}

static int move_blocks(struct compact *compact, gow_error *error)
{
	const uint32_t wanted = compact->job->batch_blocks;
	struct movers movers = { .room = wanted ? wanted : BATCH_BLOCKS };
	int code;

	movers.list = malloc(movers.room * sizeof *movers.list);
	code = movers.list ? GOW_OK
	                   : gow_fail_memory(error, movers.room * sizeof *movers.list);
	while (!code) {
		code = safe_point(compact, error);
		if (code)
			break;
		next_batch(compact, &movers);
		if (!movers.count)
			break;
		code = copy_batch(compact, &movers, error);
		if (!code)
			code = flip_batch(compact, &movers, error);
	}
	free(movers.list);
	return code || !compact->moved ? code : sync(compact, error);
}

/* ---- making holes ------------------------------------------------------------------------ */

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Counts the data in the range and makes it a hole. Pages that a kept block has a part in stay:
 * no file system gives them back. */
static int punch_range(struct compact *compact, uint64_t offset, uint64_t size, gow_error *error)
{
	const uint64_t end = (offset + size) / GOW_FILE_GRAIN * GOW_FILE_GRAIN;
	uint64_t holes;
	int code;

	offset = gow_round_up(offset, GOW_FILE_GRAIN);
	size = end - offset;
	code = gow_file_holes(compact->job->file, offset, size, &holes, error);
	if (code || holes == size)
		return code;
	compact->punched += size - holes;
	return writes(compact) ? gow_file_punch(compact->job->file, offset, size, error) : GOW_OK;
}

/* Between the blocks that are kept. */
static int punch_gaps(struct compact *compact, const uint32_t *kept, gow_error *error)
{
	uint64_t at = 0;
	int code = GOW_OK;

	for (uint32_t i = 0; i < compact->kept && !code; i++) {
		if (kept[i] > at)
			code = punch_range(compact, offset_of(compact, at),
			                   (kept[i] - at) * GOW_BLOCK_SIZE, error);
		at = kept[i] + UINT64_C(1);
	}
	return code;
}

static int punch_blocks(struct compact *compact, gow_error *error)
{
	uint32_t *kept, count = 0;
	int code = gow_alloc_table(compact->kept + (size_t)1, &kept, error);

	if (code)
		return code;
	for (uint32_t i = 0; i < compact->map.logical_blocks; i++)
		if (is_kept(compact, i))
			kept[count++] = compact->map.entries[i];
	qsort(kept, count, sizeof *kept, compare_numbers);
	code = punch_gaps(compact, kept, error);
	free(kept);
	return code || !compact->punched ? code : sync(compact, error);
}

/* ---- the end ----------------------------------------------------------------------------- */

/* The map is durable; now the count, and only then the cut. */
static int lower_count(struct compact *compact, gow_error *error)
{
	const struct gow_layout *layout = compact->map.layout;
	const struct gow_header header = { .layout = layout, .block_count = compact->target };
	int code;

	if (compact->map.block_count == compact->target)
		return GOW_OK;
	code = gow_pen_mark(&compact->pen, layout->block_count.offset, layout->block_count.width,
	                    error);
	if (code || !writes(compact))
		return code;
	code = gow_header_write_block_count(compact->job->file, &header, error);
	return code ? code : sync(compact, error);
}

static int cut(struct compact *compact, gow_error *error)
{
	int code;

	if (!writes(compact) || final_size(compact) == compact->map.file_size)
		return GOW_OK;
	code = gow_file_truncate(compact->job->file, final_size(compact), error);
	return code ? code : sync(compact, error);
}

/* ---- the whole --------------------------------------------------------------------------- */

/* What no entry names is given back as holes, or filled with the last blocks. */
static int free_gaps(struct compact *compact, gow_error *error)
{
	return punches(compact) ? punch_blocks(compact, error) : move_blocks(compact, error);
}

static int take_steps(struct compact *compact, enum gow_pass pass, gow_error *error)
{
	static int (*const steps[])(struct compact *, gow_error *) = {
		settle,
		unmap_zeros,
		free_gaps,
		lower_count,
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

/* Before anything is changed. */
static int check_means(struct compact *compact, gow_error *error)
{
	const struct gow_layout *layout = compact->map.layout;
	int code;

	if (layout->map_offset % sizeof(uint32_t) || layout->map_stride % sizeof(uint32_t))
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "has entries that a torn write could damage; write a new image with -o");
	if (punches(compact)) /* past the end: changes nothing, and tells whether it can be done */
		return gow_file_punch(compact->job->file,
		                      gow_round_up(compact->map.file_size, GOW_FILE_GRAIN),
		                      GOW_FILE_GRAIN, error);
	/* A full disk is to be met now, and not when the map has been changed. */
	code = gow_check_room(compact->job->file, compact->pen.room, error);
	if (!code && compact->pen.room)
		code = take_steps(compact, GOW_PASS_RESERVE, error);
	if (code)
		gow_reserved_give_back(&compact->reserved, compact->job->file);
	return code;
}

static void tell(const struct compact *compact, gow_compact_result *result)
{
	const struct gow_map *map = &compact->map;
	const uint32_t present = present_blocks(compact);
	const uint32_t allocated = compact->kept + compact->zeros.count;

	result->leaked_blocks = present - allocated;
	result->zero_blocks = compact->zeros.count;
	result->moved_blocks = compact->moved;
	result->written_bytes = compact->pen.written;
	result->punched_bytes = compact->punched;
	result->extra_bytes = compact->pen.room;
	result->old_file_size = map->file_size;
	result->new_file_size = final_size(compact);
	result->changed = compact->zeros.count || compact->moved || compact->punched ||
	                  map->block_count != compact->target ||
	                  map->file_size != final_size(compact);
}

static int run(struct compact *compact, gow_compact_result *result, gow_error *error)
{
	int code = plan(compact, error);

	if (!code)
		code = take_steps(compact, GOW_PASS_MEASURE, error);
	if (code)
		return code;
	tell(compact, result);
	if (!result->changed || compact->job->flags & GOW_COMPACT_DRY_RUN)
		return GOW_OK;
	code = check_means(compact, error);
	if (!code)
		code = take_steps(compact, GOW_PASS_WRITE, error);
	result->written_bytes = compact->pen.written;
	return code;
}

/* Takes the map of a sound image, with room for what is learnt of its blocks. */
static int load(struct compact *compact, gow_error *error)
{
	const struct gow_compact_job *job = compact->job;
	struct gow_verdict verdict;
	struct gow_raw raw;
	int code = gow_raw_load(job->file, job->rows, job->row_count, &raw, error);

	if (code)
		return code;
	code = gow_judge(&raw, &verdict, error);
	if (!code)
		code = gow_map_make(&raw, &verdict, &compact->map, error);
	gow_raw_release(&raw);
	if (!code)
		code = gow_block_set_new(compact->map.logical_blocks, &compact->zeros, error);
	if (!code && !(job->flags & GOW_COMPACT_KEEP_ZEROS))
		code = gow_find_zeros(job->file, &compact->map, job->lock, job->monitor,
		                      &compact->zeros, error);
	return code;
}

static void release(struct compact *compact)
{
	gow_map_release(&compact->map);
	gow_block_set_release(&compact->zeros);
	gow_block_set_release(&compact->holes);
	gow_block_set_release(&compact->used);
	gow_reserved_release(&compact->reserved);
	free(compact->buffer);
}

int gow_compact_file(const struct gow_compact_job *job, gow_compact_result *result,
                     gow_error *error)
{
	const size_t room = RUN_BLOCKS * (size_t)GOW_BLOCK_SIZE;
	struct compact compact = { .job = job, .buffer = malloc(room) };
	gow_compact_result told = { .changed = false };
	int code = compact.buffer ? load(&compact, error) : gow_fail_memory(error, room);

	if (!code)
		code = run(&compact, &told, error);
	release(&compact);
	if (!code)
		*result = told;
	return code;
}

/* ---- the public call --------------------------------------------------------------------- */

static int compact_in_place(const char *path, const gow_compact_options *options,
                            gow_compact_result *result, gow_error *error)
{
	const gow_open_options open_options = {
		.flags = options->flags & GOW_COMPACT_NO_LOCK ? GOW_OPEN_NO_LOCK : 0,
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
	const bool dry_run = options->flags & GOW_COMPACT_DRY_RUN;
	struct gow_lock lock;
	struct gow_compact_job job = {
		.lock = &lock,
		.rows = gow_layouts,
		.row_count = gow_layout_count,
		.flags = options->flags,
		.monitor = options->monitor,
	};
	struct gow_proof proof = {
		.wanted = options->flags & GOW_COMPACT_DIGEST,
		.lock = &lock,
		.monitor = options->monitor,
	};
	int closed, code;

	code = gow_open_locked(path, dry_run ? 0 : GOW_FILE_WRITE, &open_options, &job.file, &lock,
	                       error);
	if (code)
		return code;
	proof.file = job.file;
	code = gow_proof_begin(&proof, error);
	if (!code)
		code = gow_compact_file(&job, result, error);
	if (!code)
		code = gow_proof_end(&proof, dry_run ? NULL : job.file, error);
	if (!code)
		code = gow_proof_compare(&proof, error);
	if (!code)
		result->digests = proof.digests;
	closed = gow_file_close(job.file, code ? NULL : error);
	return code ? code : closed;
}

int gow_compact(const char *path, const gow_compact_options *options,
                gow_compact_result *result, gow_error *error)
{
	if (options->output && options->flags & GOW_COMPACT_PUNCH)
		return gow_fail(error, GOW_ERR_ARGUMENT, "holes are made in place only");
	return options->output ? gow_rewrite(path, options, result, error)
	                       : compact_in_place(path, options, result, error);
}
