/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/fix_parts.h"

#include <string.h>

#include "io/overlay.h"

/* ---- cross-links ------------------------------------------------------------------------- */

struct cloning {
	struct gow_plan *plan;
	uint32_t next;   /* the number that the next copy gets */
	uint32_t barred; /* the lowest number that must not come into being */
	gow_error *error;
};

/* The lowest block past the end of the file that an entry names: where a copy came to stand
 * there, the entry would get foreign data, and nobody would ever know. */
static uint32_t lowest_absent(const struct gow_unchecked *unchecked)
{
	uint32_t lowest = GOW_UNALLOCATED;

	for (uint32_t i = 0; i < unchecked->header.layout->map_entries; i++)
		if (unchecked->entries[i] >= unchecked->header.present_blocks &&
		    unchecked->entries[i] < lowest)
			lowest = unchecked->entries[i];
	return lowest;
}

static int add_copy(const struct cloning *cloning, const gow_place *place, gow_error *error)
{
	struct gow_plan *plan = cloning->plan;
	const struct gow_layout *layout = plan->layout;
	uint64_t to = gow_layout_block_offset(layout, cloning->next);
	gow_repair_step step = gow_plan_step(GOW_MAP_CROSSLINK, GOW_STEP_COPY,
	                                     "the later block gets a copy of its own", to,
	                                     GOW_BLOCK_SIZE);
	gow_repair_step owner = step;
	int code = gow_overlay_copy(plan->overlay, to, place->offset, GOW_BLOCK_SIZE, error);

	if (code)
		return code;
	step.source = place->offset;
	step.effect = GOW_EFFECT_SUSPECT;
	gow_fix_tell_guest(plan, &owner, place->logical, 1);
	gow_fix_tell_guest(plan, &step, place->other, 1);
	step.other_start = owner.guest_start;
	return gow_plan_add(plan, &step, error);
}

static int clone(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	struct cloning *cloning = context;
	struct gow_plan *plan = cloning->plan;
	uint32_t other = (uint32_t)place->other;
	gow_repair_step step;
	int code;

	(void)run;
	if (id != GOW_MAP_CROSSLINK)
		return 0;
	if (cloning->next >= cloning->barred) {
		gow_plan_leave(plan, id,
		               cloning->barred == GOW_UNALLOCATED
		                       ? "every physical block number is handed out"
		                       : "map.range has to be repaired first: the copies would "
		                         "come to stand where its entries point");
		return 0;
	}
	if (!gow_plan_may(plan, id, place))
		return 0;
	code = add_copy(cloning, place, cloning->error);
	if (!code)
		code = gow_header_write_entries(plan->overlay, plan->layout, other, 1,
		                                &cloning->next, cloning->error);
	if (code)
		return code;
	step = gow_fix_entries_step(plan, id, "and its entry names the copy", other, 1);
	step.value = cloning->next++;
	return gow_plan_add(plan, &step, cloning->error);
}

int gow_fix_crosslink(struct gow_plan *plan, gow_error *error)
{
	const struct gow_header *header = &plan->unchecked.header;
	struct cloning cloning = { plan, header->present_blocks, lowest_absent(&plan->unchecked),
		                   error };
	int code = gow_validate(&plan->unchecked, clone, &cloning, NULL, error);

	/* The next allocation must not get a copy's number. */
	if (!code && cloning.next > header->present_blocks && header->block_count < cloning.next)
		code = gow_fix_put_count(plan, GOW_MAP_CROSSLINK, cloning.next,
		                         "block_count goes up past the copies", error);
	return code;
}

/* ---- version numbers --------------------------------------------------------------------- */

static int gow_fix_highest_version(const struct gow_plan *plan, uint32_t *highest, gow_error *error)
{
	const uint32_t entries = plan->layout->map_entries;
	uint32_t versions[VERSION_PART];

	*highest = 0;
	for (uint32_t at = 0; at < entries; at += VERSION_PART) {
		uint32_t count = (uint32_t)gow_min(entries - at, VERSION_PART);
		int code = gow_header_read_versions(plan->overlay, plan->layout, at, count,
		                                    versions, error);

		if (code)
			return code;
		for (uint32_t i = 0; i < count; i++)
			*highest = versions[i] > *highest ? versions[i] : *highest;
	}
	return GOW_OK;
}

static int set_versions(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
                        gow_error *error)
{
	gow_repair_step step = gow_fix_versions_step(
		plan, GOW_VERSION_ZERO, "the version number becomes the image's highest plus one",
		first, count);
	uint32_t versions[VERSION_PART];
	int code = GOW_OK;

	step.value = value;
	gow_fix_tell_guest(plan, &step, first, count);
	for (uint32_t i = 0; i < VERSION_PART; i++)
		versions[i] = value;
	while (!code && count) {
		uint32_t part = (uint32_t)gow_min(count, VERSION_PART);

		code = gow_header_write_versions(plan->overlay, plan->layout, first, part, versions,
		                                 error);
		first += part;
		count -= part;
	}
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_version_zero(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_VERSION_ZERO, set_versions, 0, 0, 0, error, GOW_OK };
	uint32_t highest;
	int code = gow_fix_highest_version(plan, &highest, error);

	if (code)
		return code;
	/* One more would be exhausted itself. */
	if (highest >= GOW_VERSION_MAX - 1) {
		gow_plan_leave(plan, GOW_VERSION_ZERO,
		               "no higher number is left; --reset-versions starts all anew");
		return GOW_OK;
	}
	run.value = highest + 1;
	return gow_fix_runs(&run);
}

static int reset_part(struct gow_plan *plan, uint32_t first, uint32_t count, gow_error *error)
{
	const uint32_t *entries = plan->unchecked.entries + first;
	gow_repair_step step =
		gow_fix_versions_step(plan, GOW_VERSION_EXHAUSTED,
	                              "all version numbers start anew: 1 where a block is "
	                              "allocated, 0 elsewhere",
	                              first, count);
	uint32_t now[VERSION_PART], versions[VERSION_PART];
	int code = gow_header_read_versions(plan->overlay, plan->layout, first, count, now, error);

	memset(versions, 0, sizeof versions);
	for (uint32_t i = 0; i < count; i++)
		versions[i] = entries[i] != GOW_UNALLOCATED;
	if (code || memcmp(now, versions, count * sizeof *now) == 0)
		return code;
	code = gow_header_write_versions(plan->overlay, plan->layout, first, count, versions,
	                                 error);
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_exhausted(struct gow_plan *plan, gow_error *error)
{
	const uint32_t entries = plan->layout->map_entries;
	int code = GOW_OK;

	if (!(plan->options->flags & GOW_REPAIR_RESET_VERSIONS)) {
		gow_plan_leave(
			plan, GOW_VERSION_EXHAUSTED,
			"only --reset-versions repairs that, and every consumer must then throw "
			"its copy away");
		return GOW_OK;
	}
	if (!gow_fix_may(plan, GOW_VERSION_EXHAUSTED))
		return GOW_OK;
	for (uint32_t at = 0; at < entries && !code; at += VERSION_PART)
		code = reset_part(plan, at, (uint32_t)gow_min(entries - at, VERSION_PART), error);
	return code;
}
