/* SPDX-License-Identifier: BSD-2-Clause */
/* compact_steps.h - the parts of compacting, for compact*.c. */
#ifndef GOW_OPS_COMPACT_STEPS_H
#define GOW_OPS_COMPACT_STEPS_H

#include "io/readback.h"
#include "ops/inplace/compact.h"
#include "ops/inplace/pen.h"
#include "ops/inplace/zeros.h"

/* What is read and written at once. */
enum { GOW_COMPACT_RUN = 16 };

/* One compaction, under way. */
struct gow_compact {
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
	uint8_t *buffer;         /* GOW_COMPACT_RUN blocks */
	struct gow_meant *meant; /* what a batch was meant to be */
};

static inline bool gow_compact_writes(const struct gow_compact *compact)
{
	return compact->pen.pass == GOW_PASS_WRITE;
}

static inline bool gow_compact_punches(const struct gow_compact *compact)
{
	return compact->job->flags & GOW_COMPACT_PUNCH;
}

static inline uint32_t gow_compact_present(const struct gow_compact *compact)
{
	return gow_present_blocks(compact->map.layout, compact->map.file_size);
}

static inline uint64_t gow_compact_offset(const struct gow_compact *compact, uint64_t physical)
{
	return gow_layout_block_offset(compact->map.layout, physical);
}

static inline bool gow_compact_keeps(const struct gow_compact *compact, uint32_t logical)
{
	return compact->map.entries[logical] != GOW_UNALLOCATED &&
	       !gow_block_set_has(&compact->zeros, logical);
}

/* An image without blocks may end anywhere behind its header. */
static inline uint64_t gow_compact_final_size(const struct gow_compact *compact)
{
	uint64_t end = gow_compact_offset(compact, compact->target);

	return compact->target ? end : gow_min(end, compact->map.file_size);
}

static inline int gow_compact_sync(struct gow_compact *compact, gow_error *error)
{
	return gow_compact_writes(compact) ? gow_file_sync(compact->job->file, error) : GOW_OK;
}

/* Before each write that gives something up: whoever comes must not find that it is written to. */
static inline int gow_compact_poll(struct gow_compact *compact, gow_error *error)
{
	return gow_compact_writes(compact) ? gow_lock_poll(compact->job->lock, error) : GOW_OK;
}

/* ---- compact_map.c ----------------------------------------------------------------------- */

/* A run of entries that have been changed in memory, and are yet to be written. */
struct gow_flips {
	struct gow_compact *compact;
	uint32_t first, end; /* none: both 0 */
};

/* Gives a logical block another entry; ascending. */
int gow_flips_add(struct gow_flips *flips, uint32_t logical, uint32_t entry, gow_error *error);
int gow_flips_write(struct gow_flips *flips, gow_error *error);

/* These are steps. */
int gow_compact_write_map(struct gow_compact *compact, gow_error *error);
int gow_compact_unmap_zeros(struct gow_compact *compact, gow_error *error);
int gow_compact_lower_count(struct gow_compact *compact, gow_error *error);

/* ---- compact_move.c, compact_punch.c ----------------------------------------------------- */

int gow_compact_move_blocks(struct gow_compact *compact, gow_error *error);
int gow_compact_punch_blocks(struct gow_compact *compact, gow_error *error);

#endif
