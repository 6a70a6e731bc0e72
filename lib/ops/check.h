/* SPDX-License-Identifier: BSD-2-Clause */
/* check.h - an image opened to be judged, for the files that judge it. The public half is in
 * gow.h. */
#ifndef GOW_OPS_CHECK_H
#define GOW_OPS_CHECK_H

#include "image/map.h"
#include "io/lock.h"

struct gow_check {
	struct gow_file *file;
	struct gow_lock lock;
	struct gow_raw raw;
	struct gow_verdict verdict;
	const gow_monitor *monitor;
	/* Bit per logical block, once data has been read, or compared; or NULL. */
	uint64_t *unreadable;
	uint64_t *mismatched;
	gow_finding findings[GOW_PROBLEM_COUNT];
	size_t finding_count;
};

/* The verdict as the list that is given out: to be called when it changed. */
void gow_check_list_findings(gow_check *check);

/* What locates a logical block. */
gow_place gow_check_place(const gow_check *check, uint32_t logical);

/* How many entries from logical on name present neighbours; 0 where the first names none. */
uint32_t gow_check_present_run(const gow_check *check, uint32_t logical, uint32_t end);

#endif
