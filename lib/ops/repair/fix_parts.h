/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fix_parts.h - the fixes, and what they share. For the fix*.c only.
 */
#ifndef GOW_OPS_REPAIR_FIX_PARTS_H
#define GOW_OPS_REPAIR_FIX_PARTS_H

#include "ops/repair/fix.h"

/* Takes the places of one problem from the validator, and runs of neighbours among them. */
struct run {
	struct gow_plan *plan;
	gow_problem_id id;
	int (*fix)(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
	           gow_error *error);
	uint32_t value;
	uint32_t first, count;
	gow_error *error;
	int code;
};

enum { VERSION_PART = 8192 };

/* The guest bytes of a run of logical blocks, cut at the end of the disk where that is known. */
void gow_fix_tell_guest(const struct gow_plan *plan, gow_repair_step *step, uint64_t logical,
                        uint64_t blocks);

/* The field may count sectors or blocks, or the layout may have none. */
int gow_fix_put_size(struct gow_plan *plan, gow_problem_id id, uint64_t size, const char *text,
                     gow_error *error);

/* Where there is no such field the number of present blocks is the count. */
int gow_fix_put_count(struct gow_plan *plan, gow_problem_id id, uint32_t count, const char *text,
                      gow_error *error);
bool gow_fix_may(struct gow_plan *plan, gow_problem_id id);
int gow_fix_size(struct gow_plan *plan, gow_error *error);
int gow_fix_count_low(struct gow_plan *plan, gow_error *error);
int gow_fix_count_high(struct gow_plan *plan, gow_error *error);
int gow_fix_count_wild(struct gow_plan *plan, gow_error *error);
int gow_fix_extend(struct gow_plan *plan, gow_problem_id id, uint64_t end, const char *text,
                   gow_error *error);
int gow_fix_tail(struct gow_plan *plan, gow_error *error);
int gow_fix_padding(struct gow_plan *plan, gow_error *error);
gow_repair_step gow_fix_entries_step(const struct gow_plan *plan, gow_problem_id id,
                                     const char *text, uint32_t first, uint32_t count);
gow_repair_step gow_fix_versions_step(const struct gow_plan *plan, gow_problem_id id,
                                      const char *text, uint32_t first, uint32_t count);
int gow_fix_truncated(struct gow_plan *plan, gow_error *error);
int gow_fix_runs(struct run *run);
int gow_fix_range(struct gow_plan *plan, gow_error *error);
int gow_fix_beyond(struct gow_plan *plan, gow_error *error);
int gow_fix_crosslink(struct gow_plan *plan, gow_error *error);
int gow_fix_version_zero(struct gow_plan *plan, gow_error *error);
int gow_fix_exhausted(struct gow_plan *plan, gow_error *error);

#endif
