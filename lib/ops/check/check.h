/* SPDX-License-Identifier: BSD-2-Clause */
/* check.h - an image opened to be judged, for the files that judge it. The public half is in
 * gow.h. */
#ifndef GOW_OPS_CHECK_H
#define GOW_OPS_CHECK_H

#include "image/layout_table.h"
#include "image/map.h"
#include "io/lock.h"

struct gow_check_contents;

struct gow_check {
	struct gow_file *file;
	bool borrowed; /* the file is another's */
	struct gow_lock own_lock;
	struct gow_lock *lock;         /* that one, or another's with the file */
	struct gow_layouts *layouts;   /* its own; NULL: rows are another's */
	const struct gow_layout *rows; /* that its header is read with */
	size_t row_count;
	struct gow_unchecked unchecked;
	struct gow_verdict verdict;
	const gow_monitor *monitor;
	gow_common common; /* how other files are opened: as this one was */
	/* Bit per logical block, once data has been read, or compared; or NULL. */
	uint64_t *unreadable;
	uint64_t *mismatched;
	struct gow_check_contents *contents; /* of the disk, once it was asked for; or NULL */
	gow_finding findings[GOW_PROBLEM_COUNT];
	size_t finding_count;
};

/* gow_check_open for a file that is open, with its lock (may be NULL), by one of these rows; all
 * stay their owner's, who keeps them until the check is closed. monitor may be NULL. */
int gow_check_of_file(struct gow_file *file, struct gow_lock *lock, const struct gow_layout *rows,
                      size_t row_count, const gow_monitor *monitor, gow_check **check,
                      gow_error *error);

/* The verdict as the list that is given out: to be called when it changed. */
void gow_check_list_findings(gow_check *check);

/* What locates a logical block. */
gow_place gow_check_place(const gow_check *check, uint32_t logical);

/* The first entry from logical on that names a present block; end where there is none. */
uint32_t gow_check_next_present(const gow_check *check, uint32_t logical, uint32_t end);

/* How many entries from logical on name present neighbours; 0 where the first names none. */
uint32_t gow_check_present_run(const gow_check *check, uint32_t logical, uint32_t end);

#endif
