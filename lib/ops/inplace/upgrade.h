/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * upgrade.h - from one layout to another, in place. What is public of it is in gow.h.
 *
 * The state of an upgrade is its trailer (journal/trailer.h). Everything that is done is a step
 * that may be done again, whatever was done before; so resuming, rolling back, and turning round
 * in the middle are the same list of steps, begun anew.
 */
#ifndef GOW_OPS_UPGRADE_H
#define GOW_OPS_UPGRADE_H

#include "image/validate.h"
#include "io/lock.h"

struct gow_upgrade_job {
	struct gow_file *file;         /* not owned */
	struct gow_lock *lock;         /* of it */
	const struct gow_layout *rows; /* the layouts that there are */
	size_t row_count;
	const struct gow_layout *to; /* the one wanted; NULL: whatever the record says */
	bool rollback;               /* take an interrupted upgrade back */
	bool dry_run;
	bool looks; /* a dry run that the real one follows: nothing is noted */
	const gow_monitor *monitor;
};

/* gow_upgrade for a file that is open. */
int gow_upgrade_file(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                     gow_error *error);

#endif
