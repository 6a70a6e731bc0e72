/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fix.c - what is done about every problem of the catalogue. A fix adds steps to a plan and lays
 * what they write over the image; that it helped is judged by the validator, not here.
 */
#include "ops/repair/fix_parts.h"

#include "ops/repair/fix.h"

/* ---- the magic --------------------------------------------------------------------------- */

static bool is_corrupt_otherwise(const struct gow_plan *plan)
{
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		const gow_problem *problem = plan->verdict.by_id[i].problem;

		if (problem && problem->severity == GOW_CORRUPT && i != GOW_JOURNAL_MISSING)
			return true;
	}
	return false;
}

/* Why the mark must stay; NULL: it need not. */
static const char *why_mark_stays(const struct gow_plan *plan)
{
	if (is_corrupt_otherwise(plan))
		return "the magic stays while anything else is corrupt";
	/* Nobody knows what was under way. In the middle of an upgrade the map may be valid and
	 * half of the guest's data in another place. */
	if (!(plan->options->flags & GOW_REPAIR_CLEAR_PENDING))
		return "a change was interrupted and its record is not there: bring the record back; "
		       "or restore a backup; or --clear-pending removes the mark, at your own risk";
	return NULL;
}

static int fix_missing(struct gow_plan *plan, gow_error *error)
{
	const struct gow_layout *layout = plan->layout;
	gow_repair_step step = gow_plan_step(GOW_JOURNAL_MISSING, GOW_STEP_WRITE,
	                                     "the magic is set back: nothing else is corrupt",
	                                     layout->magic_offset, GOW_MAGIC_SIZE);
	const char *why = why_mark_stays(plan);
	int code;

	if (why) {
		gow_plan_leave(plan, GOW_JOURNAL_MISSING, why);
		return GOW_OK;
	}
	if (!gow_fix_may(plan, GOW_JOURNAL_MISSING))
		return GOW_OK;
	code = gow_file_write(plan->overlay, layout->magic_offset, layout->magic, GOW_MAGIC_SIZE,
	                      error);
	return code ? code : gow_plan_add(plan, &step, error);
}

/* ---- the table --------------------------------------------------------------------------- */

const struct gow_fix gow_fixes[GOW_PROBLEM_COUNT] = {
	[GOW_HEADER_SIZE] = { .id = GOW_HEADER_SIZE, .plan = gow_fix_size },
	[GOW_HEADER_TRUNCATED] = { .id = GOW_HEADER_TRUNCATED, .plan = gow_fix_truncated },
	[GOW_HEADER_COUNT_LOW] = { GOW_HEADER_COUNT_LOW, true, gow_fix_count_low, NULL },
	[GOW_HEADER_COUNT_HIGH] = { GOW_HEADER_COUNT_HIGH, true, gow_fix_count_high, NULL },
	[GOW_HEADER_COUNT_WILD] = { GOW_HEADER_COUNT_WILD, true, gow_fix_count_wild, NULL },
	[GOW_HEADER_PADDING] = { GOW_HEADER_PADDING, true, gow_fix_padding, NULL },
	[GOW_MAP_RANGE] = { .id = GOW_MAP_RANGE, .plan = gow_fix_range },
	[GOW_MAP_CROSSLINK] = { .id = GOW_MAP_CROSSLINK, .plan = gow_fix_crosslink },
	[GOW_MAP_BEYOND_SIZE] = { .id = GOW_MAP_BEYOND_SIZE, .plan = gow_fix_beyond },
	[GOW_SPACE_LEAK] = { .id = GOW_SPACE_LEAK, .why_none = "gow-compact gives the space back" },
	[GOW_SPACE_TAIL] = { GOW_SPACE_TAIL, true, gow_fix_tail, NULL },
	[GOW_VERSION_ZERO] = { GOW_VERSION_ZERO, true, gow_fix_version_zero, NULL },
	[GOW_VERSION_EXHAUSTED] = { .id = GOW_VERSION_EXHAUSTED, .plan = gow_fix_exhausted },
	/* Dealt with before there can be a plan: repair.c. */
	[GOW_JOURNAL_PENDING] = { .id = GOW_JOURNAL_PENDING,
	                          .preen = true,
	                          .why_none = "it is rolled back, or finished, first of all" },
	[GOW_JOURNAL_MISSING] = { .id = GOW_JOURNAL_MISSING, .plan = fix_missing },
	[GOW_DATA_UNREADABLE] = { .id = GOW_DATA_UNREADABLE,
	                          .why_none = "only a backup has the data" },
	[GOW_DATA_MISMATCH] = { .id = GOW_DATA_MISMATCH, .why_none = "only a backup has the data" },
};

/*
 * The size decides which entries are past the end, so it comes early; entries that are dropped
 * anyway are dropped before what they name is copied; numbers that start anew do so before one is
 * sought for those that have none; and the magic comes last of all.
 */
const gow_problem_id gow_fix_order[GOW_PROBLEM_COUNT] = {
	GOW_JOURNAL_PENDING,   GOW_HEADER_TRUNCATED, GOW_HEADER_SIZE,     GOW_HEADER_COUNT_WILD,
	GOW_HEADER_COUNT_HIGH, GOW_SPACE_TAIL,       GOW_MAP_RANGE,       GOW_MAP_BEYOND_SIZE,
	GOW_MAP_CROSSLINK,     GOW_HEADER_COUNT_LOW, GOW_HEADER_PADDING,  GOW_VERSION_EXHAUSTED,
	GOW_VERSION_ZERO,      GOW_SPACE_LEAK,       GOW_DATA_UNREADABLE, GOW_DATA_MISMATCH,
	GOW_JOURNAL_MISSING,
};

const struct gow_fix_table gow_fix_table = { gow_fixes, gow_fix_order };
