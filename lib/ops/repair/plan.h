/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h - a plan: what has to be written to an image so that less is wrong with it, worked out
 * over an overlay and judged there by the validator, before anything is touched.
 */
#ifndef GOW_OPS_PLAN_H
#define GOW_OPS_PLAN_H

#include "image/validate.h"
#include "ops/repair/steps.h"

struct gow_plan;

/* One row for every problem: how it is fixed, or why it is not. */
struct gow_fix {
	gow_problem_id id;
	bool preen;                                           /* needs no judgement */
	int (*plan)(struct gow_plan *plan, gow_error *error); /* NULL: there is no fix */
	const char *why_none;
};

/* What a plan is made with: fix.h has the table that there is. */
struct gow_fix_table {
	const struct gow_fix *by_id;
	const gow_problem_id *order; /* what decides how the rest is to be read comes first */
};

struct gow_plan {
	const struct gow_fix_table *fixes;
	const gow_repair_options *options;
	const struct gow_layout *layout;
	struct gow_file *overlay;    /* owned */
	struct gow_verdict found;    /* before the first step */
	struct gow_verdict foreseen; /* after the last */
	struct gow_steps steps;
	bool has_steps[GOW_PROBLEM_COUNT]; /* by the problem that they repair */
	const char *why_left[GOW_PROBLEM_COUNT];
	uint64_t damaged_entries; /* gow_repair_result says what */
	bool quit;

	/* While it is made: the overlay as the steps so far have left it. */
	struct gow_unchecked unchecked;
	struct gow_verdict verdict;
	unsigned attempts[GOW_PROBLEM_COUNT];
	bool settled[GOW_PROBLEM_COUNT]; /* there is no point in trying again */
	bool agreed[GOW_PROBLEM_COUNT];  /* to all of the kind */
};

/* Makes the plan for an image that is read by layout, in the middle of a change or not. base must
 * not change as long as the plan is used. options are kept. Free with gow_plan_release, also
 * after a failure. */
int gow_plan_make(struct gow_plan *plan, struct gow_file *base, const struct gow_layout *layout,
                  const struct gow_fix_table *fixes, const gow_repair_options *options,
                  gow_error *error);
void gow_plan_release(struct gow_plan *plan);

/* The first part of gow_plan_make alone, for whoever has steps of his own to put first. */
int gow_plan_begin(struct gow_plan *plan, struct gow_file *base, const struct gow_layout *layout,
                   const struct gow_fix_table *fixes, const gow_repair_options *options,
                   gow_error *error);
int gow_plan_work_out(struct gow_plan *plan, gow_error *error);

/* Whether there is anything to be written. */
bool gow_plan_is_empty(const struct gow_plan *plan);

/* ---- for the fixes ----------------------------------------------------------------------- */

/* A step with no numbers, for a fix to fill in. */
gow_repair_step gow_plan_step(gow_problem_id id, gow_step_kind kind, const char *text,
                              uint64_t offset, uint64_t length);
int gow_plan_add(struct gow_plan *plan, const gow_repair_step *step, gow_error *error);

/* Whether what is wrong at place may be fixed: as the level says, or whoever is asked. */
bool gow_plan_may(struct gow_plan *plan, gow_problem_id id, const gow_place *place);

/* The problem stays, and why; not for good: when something else has been fixed, it may go. */
void gow_plan_leave(struct gow_plan *plan, gow_problem_id id, const char *why);

#endif
