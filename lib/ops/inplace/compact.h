/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compact.h - giving space back, in place. What is public of it is in gow.h.
 *
 * There is no journal; the order of writes is all. A block is copied to a slot that no durable
 * entry names, and synced; then its entry is written (four aligned bytes: the old or the new
 * number, and the block is whole under either), and synced; slots are left, never taken again,
 * until the file is cut.
 */
#ifndef GOW_OPS_COMPACT_H
#define GOW_OPS_COMPACT_H

#include "image/map.h"
#include "io/lock.h"

struct gow_compact_job {
	struct gow_file *file;         /* not owned */
	struct gow_lock *lock;         /* of it */
	const struct gow_layout *rows; /* the layouts that there are */
	size_t row_count;
	unsigned flags; /* GOW_COMPACT_... */
	bool dry_run;
	uint32_t batch_blocks; /* how many are moved between two syncs; 0: the default */
	const gow_monitor *monitor;
};

/* gow_compact in place, for a file that is open. */
int gow_compact_file(const struct gow_compact_job *job, gow_compact_result *result,
                     gow_error *error);

#endif
