/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/error.h"
#include "ops/inplace/compact_steps.h"

/* 64 MiB: what a kill loses of the work, and what pays for two syncs. */
enum { BATCH_BLOCKS = 1024 };

struct mover {
	uint32_t logical, from, to;
};

/* Goes through what is to be moved, in logical order, so that a page of the map is written once;
 * the gaps are filled from the first on. */
struct movers {
	struct mover *list; /* one batch */
	uint32_t room;
	uint32_t count;
	uint32_t logical; /* the next to look at */
	uint32_t gap;     /* likewise, physical */
};

static void next_batch(const struct gow_compact *compact, struct movers *movers)
{
	const struct gow_map *map = &compact->map;

	for (movers->count = 0;
	     movers->logical < map->logical_blocks && movers->count < movers->room;
	     movers->logical++) {
		const uint32_t i = movers->logical;

		if (!gow_compact_keeps(compact, i) || map->entries[i] < compact->target)
			continue;
		while (gow_block_set_has(&compact->used, movers->gap))
			movers->gap++;
		movers->list[movers->count++] = (struct mover){ i, map->entries[i], movers->gap++ };
	}
}

static int copy_run(struct gow_compact *compact, const struct mover *first, uint32_t blocks,
                    gow_error *error)
{
	const uint64_t to = gow_compact_offset(compact, first->to);
	const size_t size = (size_t)blocks * GOW_BLOCK_SIZE;
	int code;

	if (!gow_compact_writes(compact))
		return gow_pen_mark(&compact->pen, to, size, error);
	code = gow_file_read_padded(compact->job->file, gow_compact_offset(compact, first->from),
	                            compact->buffer, size, error);
	if (!code) {
		gow_meant_add(compact->meant, compact->buffer, size);
		code = gow_pen_write(&compact->pen, to, compact->buffer, size, error);
	}
	return code ? gow_fail_at_block(error, code, first->logical) : GOW_OK;
}

static int add_blocks(struct gow_compact *compact, const struct mover *first, uint32_t physical,
                      uint32_t blocks, gow_error *error)
{
	const size_t size = (size_t)blocks * GOW_BLOCK_SIZE;
	int code = gow_file_read_padded(compact->job->file, gow_compact_offset(compact, physical),
	                                compact->buffer, size, error);

	if (code)
		return gow_fail_at_block(error, code, first->logical);
	gow_meant_add(compact->meant, compact->buffer, size);
	return GOW_OK;
}

/* Reads what copy_run has read. */
static int add_source(struct gow_compact *compact, const struct mover *first, uint32_t blocks,
                      gow_error *error)
{
	return add_blocks(compact, first, first->from, blocks, error);
}

/* Reads what copy_run has written. */
static int add_copied(struct gow_compact *compact, const struct mover *first, uint32_t blocks,
                      gow_error *error)
{
	return add_blocks(compact, first, first->to, blocks, error);
}

/* How many movers, from the first one on, are neighbours where they are and where they go, and
 * have data. */
static uint32_t mover_run(const struct gow_compact *compact, const struct mover *list,
                          uint32_t count)
{
	uint32_t run = 1;

	while (run < GOW_COMPACT_RUN && run < count && list[run].from == list[0].from + run &&
	       list[run].to == list[0].to + run &&
	       !gow_block_set_has(&compact->holes, list[run].logical))
		run++;
	return run;
}

static int clear_block(struct gow_compact *compact, const struct mover *mover, gow_error *error)
{
	return gow_pen_clear(&compact->pen, gow_compact_offset(compact, mover->to), GOW_BLOCK_SIZE,
	                     error);
}

typedef int (*run_taker)(struct gow_compact *compact, const struct mover *first, uint32_t blocks,
                         gow_error *error);

/* Neighbours together; holes are made where clear says so. */
static int each_run(struct gow_compact *compact, const struct movers *movers, run_taker take,
                    bool clear, gow_error *error)
{
	uint32_t at = 0;
	int code = GOW_OK;

	while (at < movers->count && !code) {
		const struct mover *list = movers->list + at;
		uint32_t run = 1;

		if (!gow_block_set_has(&compact->holes, list[0].logical)) {
			run = mover_run(compact, list, movers->count - at);
			code = take(compact, list, run, error);
		} else if (clear) {
			code = clear_block(compact, list, error);
		}
		at += run;
	}
	return code;
}

struct copied_batch {
	struct gow_compact *compact;
	const struct movers *movers;
};

static int add_batch(void *context, bool copy, gow_error *error)
{
	const struct copied_batch *batch = context;

	return each_run(batch->compact, batch->movers, copy ? add_copied : add_source, false,
	                error);
}

/* Copies one batch; nothing names the copies until they are known to be on the disk, and to be
 * copies. */
static int copy_batch(struct gow_compact *compact, const struct movers *movers, gow_error *error)
{
	struct copied_batch batch = { compact, movers };
	const struct gow_copied copied = {
		.file = compact->job->file,
		.meant = compact->meant,
		.from = gow_compact_offset(compact, movers->list[0].from),
		.to = gow_compact_offset(compact, movers->list[0].to),
		.add = add_batch,
		.context = &batch,
	};
	int code;

	gow_meant_reset(compact->meant);
	code = each_run(compact, movers, copy_run, true, error);
	compact->moved += movers->count;
	if (code || !gow_compact_writes(compact))
		return code;
	return gow_check_copied(&copied, error);
}

/* Durable with the next batch's copies: what they overwrite no entry has ever named. */
static int flip_batch(struct gow_compact *compact, const struct movers *movers, gow_error *error)
{
	struct gow_flips flips = { .compact = compact };
	int code = gow_compact_poll(compact, error);

	for (uint32_t i = 0; i < movers->count && !code; i++)
		code = gow_flips_add(&flips, movers->list[i].logical, movers->list[i].to, error);
	return code ? code : gow_flips_write(&flips, error);
}

static int safe_point(struct gow_compact *compact, gow_error *error)
{
	const uint64_t total = (uint64_t)(compact->target - compact->used.count) * GOW_BLOCK_SIZE;

	return gow_safe_point(compact->job->monitor,
	                      gow_compact_writes(compact) ? "move" : "measure",
	                      compact->moved * GOW_BLOCK_SIZE, total, compact->job->lock, error);
}

int gow_compact_move_blocks(struct gow_compact *compact, gow_error *error)
{
	const uint32_t wanted = compact->job->batch_blocks;
	struct movers movers = { .room = wanted ? wanted : BATCH_BLOCKS };
	int code;

	movers.list = malloc(movers.room * sizeof *movers.list);
	code = movers.list ? GOW_OK : gow_fail_memory(error, movers.room * sizeof *movers.list);
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
	return code || !compact->moved ? code : gow_compact_sync(compact, error);
}
