/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/fix_parts.h"

#include <string.h>

#include "base/block.h"

/* ---- entries ----------------------------------------------------------------------------- */

/* Writes count entries, from first on, as not allocated. */
static int gow_fix_unmap(struct gow_plan *plan, uint32_t first, uint32_t count, gow_error *error)
{
	enum { PART = 4096 };
	uint32_t none[PART];
	int code = GOW_OK;

	memset(none, 0xff, sizeof none); /* GOW_UNALLOCATED */
	while (!code && count) {
		uint32_t part = (uint32_t)gow_min(count, PART);

		code = gow_header_write_entries(plan->overlay, plan->layout, first, part, none,
		                                error);
		first += part;
		count -= part;
	}
	return code;
}

/* Bytes from the first of count entries (or numbers) to the end of the last. */
static uint64_t gow_fix_span(uint32_t stride, uint32_t count)
{
	return (uint64_t)(count - 1) * stride + sizeof(uint32_t);
}

gow_repair_step gow_fix_entries_step(const struct gow_plan *plan, gow_problem_id id,
                                     const char *text, uint32_t first, uint32_t count)
{
	return gow_plan_step(id, GOW_STEP_WRITE, text, gow_layout_entry_offset(plan->layout, first),
	                     gow_fix_span(plan->layout->map_stride, count));
}

gow_repair_step gow_fix_versions_step(const struct gow_plan *plan, gow_problem_id id,
                                      const char *text, uint32_t first, uint32_t count)
{
	return gow_plan_step(id, GOW_STEP_WRITE, text,
	                     gow_layout_version_offset(plan->layout, first),
	                     gow_fix_span(plan->layout->versions_stride, count));
}

/* The missing part of the map, and how much of the guest's disk hung on it. */
static int gow_fix_lose_entries(struct gow_plan *plan, uint32_t known, gow_error *error)
{
	const struct gow_layout *layout = plan->layout;
	gow_repair_step step;
	int code;

	if (known == layout->map_entries)
		return GOW_OK;
	step = gow_fix_entries_step(plan, GOW_HEADER_TRUNCATED,
	                            "the entries that are missing become unallocated", known,
	                            layout->map_entries - known);
	gow_fix_tell_guest(plan, &step, known, layout->map_entries - known);
	if (step.guest_length != GOW_NOWHERE) {
		step.effect = GOW_EFFECT_LOST;
		plan->damaged_entries = gow_divide_up(step.guest_length, GOW_BLOCK_SIZE);
	}
	code = gow_fix_unmap(plan, known, layout->map_entries - known, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_truncated(struct gow_plan *plan, gow_error *error)
{
	uint32_t known = gow_present_entries(plan->layout, plan->unchecked.header.file_size);
	int code;

	if (!gow_fix_may(plan, GOW_HEADER_TRUNCATED))
		return GOW_OK;
	code = gow_fix_extend(plan, GOW_HEADER_TRUNCATED, gow_layout_header_end(plan->layout),
	                      "the file grows to hold its header", error);
	return code ? code : gow_fix_lose_entries(plan, known, error);
}

static int gow_fix_flush_run(struct run *run)
{
	if (run->count && !run->code)
		run->code = run->fix(run->plan, run->first, run->count, run->value, run->error);
	run->count = 0;
	return run->code;
}

static int gow_fix_add_to_run(void *context, gow_problem_id id, const gow_place *place,
                              uint64_t length)
{
	struct run *run = context;

	(void)length;
	if (id != run->id || !gow_plan_may(run->plan, id, place))
		return 0;
	if (run->count && place->logical == (uint64_t)run->first + run->count) {
		run->count++;
		return 0;
	}
	(void)gow_fix_flush_run(run);
	run->first = (uint32_t)place->logical;
	run->count = 1;
	return run->code;
}

int gow_fix_runs(struct run *run)
{
	int code = gow_validate(&run->plan->unchecked, gow_fix_add_to_run, run, NULL, run->error);

	return code ? code : gow_fix_flush_run(run);
}

/* What the guest reads there changes, so consumers must notice it, as of any discard. */
static int gow_fix_raise_versions(struct gow_plan *plan, gow_problem_id id, uint32_t first,
                                  uint32_t count, gow_error *error)
{
	gow_repair_step step = gow_fix_versions_step(plan, id, "and its version number goes up",
	                                             first, count);
	int code = GOW_OK;

	for (uint32_t at = 0; at < count && !code; at += VERSION_PART) {
		uint32_t part = (uint32_t)gow_min(count - at, VERSION_PART);
		uint32_t versions[VERSION_PART];

		code = gow_header_read_versions(plan->overlay, plan->layout, first + at, part,
		                                versions, error);
		for (uint32_t i = 0; i < part && !code; i++)
			versions[i] += versions[i] != GOW_VERSION_MAX;
		if (!code)
			code = gow_header_write_versions(plan->overlay, plan->layout, first + at,
			                                 part, versions, error);
	}
	return code ? code : gow_plan_add(plan, &step, error);
}

static int unmap_absent(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
                        gow_error *error)
{
	gow_repair_step step = gow_fix_entries_step(
		plan, GOW_MAP_RANGE, "unmapped, to read as zeros: the data is not in the file",
		first, count);
	int code = gow_fix_unmap(plan, first, count, error);

	(void)value;
	gow_fix_tell_guest(plan, &step, first, count);
	if (step.guest_length != GOW_NOWHERE)
		step.effect = GOW_EFFECT_LOST;
	if (!code)
		code = gow_plan_add(plan, &step, error);
	if (!code && gow_layout_has_versions(plan->layout) && step.effect == GOW_EFFECT_LOST)
		code = gow_fix_raise_versions(
			plan, GOW_MAP_RANGE, first,
			(uint32_t)gow_divide_up(step.guest_length, GOW_BLOCK_SIZE), error);
	return code;
}

int gow_fix_range(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_MAP_RANGE, unmap_absent, 0, 0, 0, error, GOW_OK };

	return gow_fix_runs(&run);
}

/* ---- past the end of the disk ------------------------------------------------------------ */

static int unmap_beyond(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
                        gow_error *error)
{
	gow_repair_step step = gow_fix_entries_step(
		plan, GOW_MAP_BEYOND_SIZE,
		"unmapped: past the end of the disk; the data stays in the file", first, count);
	int code = gow_fix_unmap(plan, first, count, error);

	(void)value;
	return code ? code : gow_plan_add(plan, &step, error);
}

/* What lies in the last block past the old end of the disk was nobody's, and is now the guest's:
 * it has to be zeros. */
static int clear_old_end(struct gow_plan *plan, gow_error *error)
{
	const struct gow_header *header = &plan->unchecked.header;
	uint64_t inside = header->logical_size % GOW_BLOCK_SIZE;
	uint32_t entry = plan->unchecked.entries[header->logical_blocks - 1];
	uint8_t bytes[GOW_BLOCK_SIZE];
	gow_repair_step step;
	uint64_t offset;
	size_t size;
	int code;

	if (!inside || entry >= header->present_blocks)
		return GOW_OK;
	offset = gow_layout_block_offset(header->layout, entry) + inside;
	if (offset >= header->file_size)
		return GOW_OK;
	size = (size_t)gow_min(GOW_BLOCK_SIZE - inside, header->file_size - offset);
	code = gow_file_read_all(plan->overlay, offset, bytes, size, error);
	if (code || gow_is_zero(bytes, size))
		return code;
	step = gow_plan_step(GOW_MAP_BEYOND_SIZE, GOW_STEP_WRITE,
	                     "the old last block's bytes past the old end become zeros", offset,
	                     size);
	step.guest_start = header->logical_size;
	step.guest_length = size;
	code = gow_file_zero(plan->overlay, offset, size, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_beyond(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_MAP_BEYOND_SIZE, unmap_beyond, 0, 0, 0, error, GOW_OK };
	uint64_t size = plan->options->size;
	int code;

	if (size <= plan->unchecked.header.logical_size)
		return gow_fix_runs(&run);
	if (plan->verdict.by_id[GOW_MAP_CROSSLINK].problem) {
		/* What is cleared for one owner would be cleared for the other. */
		gow_plan_leave(plan, GOW_MAP_BEYOND_SIZE,
		               "map.crosslink has to be repaired before the disk can grow");
		return GOW_OK;
	}
	if (!gow_fix_may(plan, GOW_MAP_BEYOND_SIZE))
		return GOW_OK;
	code = clear_old_end(plan, error);
	return code ? code
	            : gow_fix_put_size(plan, GOW_MAP_BEYOND_SIZE, size,
	                               "the disk grows over the blocks past its end", error);
}
