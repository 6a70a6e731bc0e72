/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/fix_parts.h"

#include "image/map.h"

/* ---- the guest's view -------------------------------------------------------------------- */

void gow_fix_tell_guest(const struct gow_plan *plan, gow_repair_step *step, uint64_t logical,
                        uint64_t blocks)
{
	const struct gow_header *header = &plan->unchecked.header;
	uint64_t end = gow_size_is_valid(header->layout, header->logical_size)
	                       ? header->logical_size
	                       : header->layout->logical_limit;
	uint64_t start = logical * GOW_BLOCK_SIZE;

	if (start >= end)
		return;
	step->guest_start = start;
	step->guest_length = gow_min(blocks * GOW_BLOCK_SIZE, end - start);
}

/* ---- fields of the preamble -------------------------------------------------------------- */

/* resized: what the disk has from then on; 0: what it had. */
static int gow_fix_put_field(struct gow_plan *plan, gow_problem_id id, struct gow_field field,
                             uint64_t value, uint64_t resized, const char *text, gow_error *error)
{
	gow_repair_step step = gow_plan_step(id, GOW_STEP_WRITE, text, field.offset, field.width);
	uint8_t bytes[8];
	int code;

	if (!gow_fits(value, field.width)) {
		plan->settled[id] = true;
		gow_plan_leave(plan, id, "the number does not fit its field");
		return GOW_OK;
	}
	step.value = value;
	if (resized) {
		step.effect = GOW_EFFECT_RESIZED;
		step.guest_start = 0;
		step.guest_length = resized;
	}
	gow_store(bytes, field.width, plan->layout->order, value);
	code = gow_file_write(plan->overlay, field.offset, bytes, field.width, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_put_size(struct gow_plan *plan, gow_problem_id id, uint64_t size, const char *text,
                     gow_error *error)
{
	const struct gow_field field = plan->layout->logical_size;
	const uint32_t unit = gow_layout_size_unit(plan->layout);

	if (field.width && size % unit == 0)
		return gow_fix_put_field(plan, id, field, size / unit, size, text, error);
	plan->settled[id] = true;
	gow_plan_leave(plan, id,
	               field.width ? "the size is no whole number of what its field counts"
	                           : "the layout says the size; another one needs another layout");
	return GOW_OK;
}

int gow_fix_put_count(struct gow_plan *plan, gow_problem_id id, uint32_t count, const char *text,
                      gow_error *error)
{
	const struct gow_field field = plan->layout->block_count;

	return field.width ? gow_fix_put_field(plan, id, field, count, 0, text, error) : GOW_OK;
}

bool gow_fix_may(struct gow_plan *plan, gow_problem_id id)
{
	return gow_plan_may(plan, id, &plan->verdict.by_id[id].first);
}

int gow_fix_size(struct gow_plan *plan, gow_error *error)
{
	uint64_t size = plan->options->size ? plan->options->size
	                                    : gow_smallest_size(&plan->unchecked);

	if (!size) {
		gow_plan_leave(plan, GOW_HEADER_SIZE,
		               "no mapped block is left to tell the size by; say it with --size");
		return GOW_OK;
	}
	if (!gow_fix_may(plan, GOW_HEADER_SIZE))
		return GOW_OK;
	return gow_fix_put_size(plan, GOW_HEADER_SIZE, size,
	                        plan->options->size
	                                ? "the logical size becomes what --size says"
	                                : "the logical size becomes the smallest that covers "
	                                  "every allocated block",
	                        error);
}

static int gow_fix_count(struct gow_plan *plan, gow_problem_id id, gow_error *error)
{
	return gow_fix_may(plan, id)
	               ? gow_fix_put_count(plan, id, plan->unchecked.header.present_blocks,
	                                   "block_count becomes the number of present blocks",
	                                   error)
	               : GOW_OK;
}

int gow_fix_count_low(struct gow_plan *plan, gow_error *error)
{
	return gow_fix_count(plan, GOW_HEADER_COUNT_LOW, error);
}

int gow_fix_count_high(struct gow_plan *plan, gow_error *error)
{
	return gow_fix_count(plan, GOW_HEADER_COUNT_HIGH, error);
}

int gow_fix_count_wild(struct gow_plan *plan, gow_error *error)
{
	return gow_fix_count(plan, GOW_HEADER_COUNT_WILD, error);
}

/* ---- the ends of the file, and the padding ----------------------------------------------- */

int gow_fix_extend(struct gow_plan *plan, gow_problem_id id, uint64_t end, const char *text,
                   gow_error *error)
{
	uint64_t start = plan->unchecked.header.file_size;
	gow_repair_step step;
	int code;

	if (end <= start)
		return GOW_OK;
	step = gow_plan_step(id, GOW_STEP_EXTEND, text, start, end - start);
	code = gow_file_truncate(plan->overlay, end, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

int gow_fix_tail(struct gow_plan *plan, gow_error *error)
{
	const struct gow_finding *finding = &plan->verdict.by_id[GOW_SPACE_TAIL];

	if (!gow_fix_may(plan, GOW_SPACE_TAIL))
		return GOW_OK;
	return gow_fix_extend(plan, GOW_SPACE_TAIL, finding->first.offset + GOW_BLOCK_SIZE,
	                      "the last block's missing bytes become zeros", error);
}

int gow_fix_padding(struct gow_plan *plan, gow_error *error)
{
	uint64_t start = gow_layout_header_end(plan->layout);
	uint64_t end = gow_min(gow_layout_data_start(plan->layout),
	                       plan->unchecked.header.file_size);
	gow_repair_step step = gow_plan_step(GOW_HEADER_PADDING, GOW_STEP_WRITE,
	                                     "the padding becomes zeros", start, end - start);
	int code;

	if (!gow_fix_may(plan, GOW_HEADER_PADDING))
		return GOW_OK;
	code = gow_file_zero(plan->overlay, start, end - start, error);
	return code ? code : gow_plan_add(plan, &step, error);
}
