/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/plan.h"

#include "base/monitor.h"
#include "io/overlay.h"

/* A fix that is tried so often does not help. */
enum { ATTEMPTS = 3 };

/* ---- names ------------------------------------------------------------------------------- */

const char *gow_step_name(gow_step_kind kind)
{
	switch (kind) {
	case GOW_STEP_WRITE:
		return "write";
	case GOW_STEP_COPY:
		return "copy";
	case GOW_STEP_EXTEND:
		return "extend";
	case GOW_STEP_ROLL_BACK:
		return "roll-back";
	case GOW_STEP_FINISH:
		return "finish";
	}
	return "unknown";
}

const char *gow_effect_name(gow_effect effect)
{
	switch (effect) {
	case GOW_EFFECT_NONE:
		return "none";
	case GOW_EFFECT_SUSPECT:
		return "suspect";
	case GOW_EFFECT_LOST:
		return "lost";
	case GOW_EFFECT_RESIZED:
		return "resized";
	}
	return "unknown";
}

/* ---- for the fixes ----------------------------------------------------------------------- */

gow_repair_step gow_plan_step(gow_problem_id id, gow_step_kind kind, const char *text,
                              uint64_t offset, uint64_t length)
{
	return (gow_repair_step){
		.problem = gow_problem_get(id),
		.kind = kind,
		.text = text,
		.offset = offset,
		.length = length,
		.source = GOW_NOWHERE,
		.value = GOW_NOWHERE,
		.guest_start = GOW_NOWHERE,
		.guest_length = GOW_NOWHERE,
		.other_start = GOW_NOWHERE,
	};
}

int gow_plan_add(struct gow_plan *plan, const gow_repair_step *step, gow_error *error)
{
	gow_repair_step added = *step;

	added.preen = step->problem && plan->fixes->by_id[step->problem->id].preen;
	if (step->problem)
		plan->has_steps[step->problem->id] = true;
	return gow_steps_add(&plan->steps, &added, error);
}

static gow_answer ask(struct gow_plan *plan, gow_problem_id id, const gow_place *place)
{
	const gow_repair_options *options = plan->options;

	if (options->level == GOW_REPAIR_ALL || plan->agreed[id])
		return GOW_ANSWER_YES;
	if (options->level == GOW_REPAIR_PREEN)
		return plan->fixes->by_id[id].preen ? GOW_ANSWER_YES : GOW_ANSWER_NO;
	return plan->quit ? GOW_ANSWER_NO
	                  : options->ask(options->context, gow_problem_get(id), place);
}

bool gow_plan_may(struct gow_plan *plan, gow_problem_id id, const gow_place *place)
{
	gow_answer answer = ask(plan, id, place);

	plan->agreed[id] = plan->agreed[id] || answer == GOW_ANSWER_ALL;
	plan->quit = plan->quit || answer == GOW_ANSWER_QUIT;
	if (answer == GOW_ANSWER_YES || answer == GOW_ANSWER_ALL)
		return true;
	plan->settled[id] = true;
	plan->why_left[id] = plan->options->level == GOW_REPAIR_PREEN
	                             ? "that needs somebody's judgement"
	                             : "not agreed to";
	return false;
}

void gow_plan_leave(struct gow_plan *plan, gow_problem_id id, const char *why)
{
	plan->why_left[id] = why;
}

/* ---- rounds ------------------------------------------------------------------------------ */

/* Judges the overlay as it is now. */
static int judge(struct gow_plan *plan, gow_error *error)
{
	int code;

	gow_unchecked_release(&plan->unchecked);
	code = gow_unchecked_load_as(plan->overlay, plan->layout, &plan->unchecked, error);
	return code ? code : gow_judge(&plan->unchecked, &plan->verdict, error);
}

/* Tries to fix one problem; *progress says whether there were steps. */
static int try_fix(struct gow_plan *plan, gow_problem_id id, bool *progress, gow_error *error)
{
	const struct gow_fix *fix = &plan->fixes->by_id[id];
	size_t before = plan->steps.count;
	int code;

	if (!fix->plan) {
		plan->why_left[id] = fix->why_none;
		plan->settled[id] = true;
		return GOW_OK;
	}
	if (plan->attempts[id] == ATTEMPTS) {
		plan->why_left[id] = "repairing it did not help";
		return GOW_OK;
	}
	plan->why_left[id] = NULL;
	code = fix->plan(plan, error);
	*progress = plan->steps.count > before;
	plan->attempts[id] += *progress;
	return code;
}

static int fix_next(struct gow_plan *plan, bool *progress, gow_error *error)
{
	int code = GOW_OK;

	*progress = false;
	for (size_t i = 0; i < GOW_PROBLEM_COUNT && !*progress && !code && !plan->quit; i++) {
		gow_problem_id id = plan->fixes->order[i];

		if (plan->verdict.by_id[id].problem && !plan->settled[id])
			code = try_fix(plan, id, progress, error);
	}
	return code;
}

int gow_plan_begin(struct gow_plan *plan, struct gow_file *base, const struct gow_layout *layout,
                   const struct gow_fix_table *fixes, const gow_repair_options *options,
                   gow_error *error)
{
	*plan = (struct gow_plan){ .fixes = fixes, .options = options, .layout = layout };
	return gow_overlay_new(base, &plan->overlay, error);
}

int gow_plan_work_out(struct gow_plan *plan, gow_error *error)
{
	bool progress = true;
	int code = judge(plan, error);

	plan->found = plan->verdict;
	while (!code && progress) {
		code = gow_tick(plan->options->common.monitor, "plan", 0, 0, error);
		if (!code)
			code = fix_next(plan, &progress, error);
		if (!code && progress)
			code = judge(plan, error);
	}
	plan->foreseen = plan->verdict;
	return code;
}

int gow_plan_make(struct gow_plan *plan, struct gow_file *base, const struct gow_layout *layout,
                  const struct gow_fix_table *fixes, const gow_repair_options *options,
                  gow_error *error)
{
	int code = gow_plan_begin(plan, base, layout, fixes, options, error);

	return code ? code : gow_plan_work_out(plan, error);
}

void gow_plan_release(struct gow_plan *plan)
{
	gow_unchecked_release(&plan->unchecked);
	(void)gow_file_close(plan->overlay, NULL);
	gow_steps_release(&plan->steps);
	*plan = (struct gow_plan){ .overlay = NULL };
}

bool gow_plan_is_empty(const struct gow_plan *plan)
{
	return plan->steps.count == 0 || plan->quit;
}
