/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mend.c - what is done about every problem of the catalogue. A mend adds steps to a plan and lays
 * what they write over the image; that it helped is judged by the validator, not here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "image/map.h"
#include "io/overlay.h"
#include "ops/plan.h"

/* ---- the guest's view -------------------------------------------------------------------- */

/* The guest bytes of a run of logical blocks, cut at the end of the disk where that is known. */
static void tell_guest(const struct gow_plan *plan, gow_repair_step *step, uint64_t logical,
                       uint64_t blocks)
{
	const struct gow_header *header = &plan->raw.header;
	uint64_t end = gow_size_is_lawful(header->layout, header->logical_size)
	                       ? header->logical_size
	                       : header->layout->logical_limit;
	uint64_t start = logical * GOW_BLOCK_SIZE;

	if (start >= end)
		return;
	step->guest_start = start;
	step->guest_length = gow_min(blocks * GOW_BLOCK_SIZE, end - start);
}

/* ---- fields of the preamble -------------------------------------------------------------- */

static int put_field(struct gow_plan *plan, gow_problem_id id, struct gow_field field,
                     uint64_t value, gow_effect effect, const char *text, gow_error *error)
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
	step.effect = effect;
	if (effect == GOW_EFFECT_RESIZED) {
		step.guest_start = 0;
		step.guest_length = value;
	}
	gow_store(bytes, field.width, plan->layout->order, value);
	code = gow_file_write(plan->overlay, field.offset, bytes, field.width, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

static int put_size(struct gow_plan *plan, gow_problem_id id, uint64_t size, const char *text,
                    gow_error *error)
{
	return put_field(plan, id, plan->layout->logical_size, size, GOW_EFFECT_RESIZED, text,
	                 error);
}

static int put_count(struct gow_plan *plan, gow_problem_id id, uint32_t count, const char *text,
                     gow_error *error)
{
	return put_field(plan, id, plan->layout->block_count, count, GOW_EFFECT_NONE, text, error);
}

static bool may(struct gow_plan *plan, gow_problem_id id)
{
	return gow_plan_may(plan, id, &plan->verdict.by_id[id].first);
}

static int mend_size(struct gow_plan *plan, gow_error *error)
{
	uint64_t size = plan->options->size ? plan->options->size : gow_smallest_size(&plan->raw);

	if (!size) {
		gow_plan_leave(plan, GOW_HEADER_SIZE,
		               "no mapped block is left to tell the size by; say it with --size");
		return GOW_OK;
	}
	if (!may(plan, GOW_HEADER_SIZE))
		return GOW_OK;
	return put_size(plan, GOW_HEADER_SIZE, size,
	                plan->options->size ? "the logical size becomes what --size says"
	                                    : "the logical size becomes the smallest that covers "
	                                      "every allocated block",
	                error);
}

static int mend_count(struct gow_plan *plan, gow_problem_id id, gow_error *error)
{
	return may(plan, id) ? put_count(plan, id, plan->raw.header.present_blocks,
	                                 "block_count becomes the number of present blocks", error)
	                     : GOW_OK;
}

static int mend_count_low(struct gow_plan *plan, gow_error *error)
{
	return mend_count(plan, GOW_HEADER_COUNT_LOW, error);
}

static int mend_count_high(struct gow_plan *plan, gow_error *error)
{
	return mend_count(plan, GOW_HEADER_COUNT_HIGH, error);
}

static int mend_count_wild(struct gow_plan *plan, gow_error *error)
{
	return mend_count(plan, GOW_HEADER_COUNT_WILD, error);
}

/* ---- the ends of the file, and the padding ----------------------------------------------- */

static int extend(struct gow_plan *plan, gow_problem_id id, uint64_t end, const char *text,
                  gow_error *error)
{
	uint64_t start = plan->raw.header.file_size;
	gow_repair_step step;
	int code;

	if (end <= start)
		return GOW_OK;
	step = gow_plan_step(id, GOW_STEP_EXTEND, text, start, end - start);
	code = gow_file_truncate(plan->overlay, end, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

static int mend_tail(struct gow_plan *plan, gow_error *error)
{
	const struct gow_finding *finding = &plan->verdict.by_id[GOW_SPACE_TAIL];

	if (!may(plan, GOW_SPACE_TAIL))
		return GOW_OK;
	return extend(plan, GOW_SPACE_TAIL, finding->first.offset + GOW_BLOCK_SIZE,
	              "the last block's missing bytes become zeros", error);
}

static int mend_padding(struct gow_plan *plan, gow_error *error)
{
	uint64_t start = gow_layout_header_end(plan->layout);
	uint64_t end = gow_min(gow_layout_data_start(plan->layout), plan->raw.header.file_size);
	gow_repair_step step = gow_plan_step(GOW_HEADER_PADDING, GOW_STEP_WRITE,
	                                     "the padding becomes zeros", start, end - start);
	int code;

	if (!may(plan, GOW_HEADER_PADDING))
		return GOW_OK;
	code = gow_file_zero(plan->overlay, start, end - start, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

/* ---- entries ----------------------------------------------------------------------------- */

/* Writes count entries, from first on, as not allocated. */
static int unmap(struct gow_plan *plan, uint32_t first, uint32_t count, gow_error *error)
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
static uint64_t span(uint32_t stride, uint32_t count)
{
	return (uint64_t)(count - 1) * stride + sizeof(uint32_t);
}

static gow_repair_step entries_step(const struct gow_plan *plan, gow_problem_id id,
                                    const char *text, uint32_t first, uint32_t count)
{
	return gow_plan_step(id, GOW_STEP_WRITE, text, gow_layout_entry_offset(plan->layout, first),
	                     span(plan->layout->map_stride, count));
}

static gow_repair_step versions_step(const struct gow_plan *plan, gow_problem_id id,
                                     const char *text, uint32_t first, uint32_t count)
{
	return gow_plan_step(id, GOW_STEP_WRITE, text,
	                     gow_layout_version_offset(plan->layout, first),
	                     span(plan->layout->versions_stride, count));
}

/* The missing part of the map, and how much of the guest's disk hung on it. */
static int lose_entries(struct gow_plan *plan, uint32_t known, gow_error *error)
{
	const struct gow_layout *layout = plan->layout;
	gow_repair_step step;
	int code;

	if (known == layout->map_entries)
		return GOW_OK;
	step = entries_step(plan, GOW_HEADER_TRUNCATED,
	                    "the entries that are missing become unallocated", known,
	                    layout->map_entries - known);
	tell_guest(plan, &step, known, layout->map_entries - known);
	if (step.guest_length != GOW_NOWHERE) {
		step.effect = GOW_EFFECT_LOST;
		plan->damaged_entries = gow_divide_up(step.guest_length, GOW_BLOCK_SIZE);
	}
	code = unmap(plan, known, layout->map_entries - known, error);
	return code ? code : gow_plan_add(plan, &step, error);
}

static int mend_truncated(struct gow_plan *plan, gow_error *error)
{
	uint32_t known = gow_present_entries(plan->layout, plan->raw.header.file_size);
	int code;

	if (!may(plan, GOW_HEADER_TRUNCATED))
		return GOW_OK;
	code = extend(plan, GOW_HEADER_TRUNCATED, gow_layout_header_end(plan->layout),
	              "the file grows to hold its header", error);
	return code ? code : lose_entries(plan, known, error);
}

/* Takes the places of one problem from the validator, and runs of neighbours among them. */
struct run {
	struct gow_plan *plan;
	gow_problem_id id;
	int (*mend)(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
	            gow_error *error);
	uint32_t value;
	uint32_t first, count;
	gow_error *error;
	int code;
};

static int flush_run(struct run *run)
{
	if (run->count && !run->code)
		run->code = run->mend(run->plan, run->first, run->count, run->value, run->error);
	run->count = 0;
	return run->code;
}

static int add_to_run(void *context, gow_problem_id id, const gow_place *place, uint64_t length)
{
	struct run *run = context;

	(void)length;
	if (id != run->id || !gow_plan_may(run->plan, id, place))
		return 0;
	if (run->count && place->logical == (uint64_t)run->first + run->count) {
		run->count++;
		return 0;
	}
	(void)flush_run(run);
	run->first = (uint32_t)place->logical;
	run->count = 1;
	return run->code;
}

static int mend_runs(struct run *run)
{
	int code = gow_validate(&run->plan->raw, add_to_run, run, NULL, run->error);

	return code ? code : flush_run(run);
}

enum { VERSION_PART = 8192 };

/* What the guest reads there changes, so consumers must hear of it, as of any discard. */
static int raise_versions(struct gow_plan *plan, gow_problem_id id, uint32_t first,
                          uint32_t count, gow_error *error)
{
	gow_repair_step step = versions_step(plan, id, "and its version number goes up", first,
	                                     count);
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
	gow_repair_step step = entries_step(
		plan, GOW_MAP_RANGE, "unmapped, to read as zeros: the data is not in the file", first,
		count);
	int code = unmap(plan, first, count, error);

	(void)value;
	tell_guest(plan, &step, first, count);
	if (step.guest_length != GOW_NOWHERE)
		step.effect = GOW_EFFECT_LOST;
	if (!code)
		code = gow_plan_add(plan, &step, error);
	if (!code && gow_layout_has_versions(plan->layout) && step.effect == GOW_EFFECT_LOST)
		code = raise_versions(plan, GOW_MAP_RANGE, first,
		                      (uint32_t)gow_divide_up(step.guest_length, GOW_BLOCK_SIZE),
		                      error);
	return code;
}

static int mend_range(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_MAP_RANGE, unmap_absent, 0, 0, 0, error, GOW_OK };

	return mend_runs(&run);
}

/* ---- past the end of the disk ------------------------------------------------------------ */

static int unmap_beyond(struct gow_plan *plan, uint32_t first, uint32_t count, uint32_t value,
                        gow_error *error)
{
	gow_repair_step step = entries_step(
		plan, GOW_MAP_BEYOND_SIZE,
		"unmapped: past the end of the disk; the data stays in the file", first,
		count);
	int code = unmap(plan, first, count, error);

	(void)value;
	return code ? code : gow_plan_add(plan, &step, error);
}

/* What lies in the last block past the old end of the disk was nobody's, and is now the guest's:
 * it has to be zeros. */
static int clear_old_end(struct gow_plan *plan, gow_error *error)
{
	const struct gow_header *header = &plan->raw.header;
	uint64_t inside = header->logical_size % GOW_BLOCK_SIZE;
	uint32_t entry = plan->raw.entries[header->logical_blocks - 1];
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

static int mend_beyond(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_MAP_BEYOND_SIZE, unmap_beyond, 0, 0, 0, error, GOW_OK };
	uint64_t size = plan->options->size;
	int code;

	if (size <= plan->raw.header.logical_size)
		return mend_runs(&run);
	if (plan->verdict.by_id[GOW_MAP_CROSSLINK].problem) {
		/* What is cleared for one owner would be cleared for the other. */
		gow_plan_leave(plan, GOW_MAP_BEYOND_SIZE,
		               "map.crosslink has to be mended before the disk can grow");
		return GOW_OK;
	}
	if (!may(plan, GOW_MAP_BEYOND_SIZE))
		return GOW_OK;
	code = clear_old_end(plan, error);
	return code ? code
	            : put_size(plan, GOW_MAP_BEYOND_SIZE, size,
	                       "the disk grows over the blocks past its end", error);
}

/* ---- cross-links ------------------------------------------------------------------------- */

struct cloning {
	struct gow_plan *plan;
	uint32_t next;   /* the number that the next copy gets */
	uint32_t barred; /* the lowest number that must not come into being */
	gow_error *error;
};

/* The lowest block past the end of the file that an entry names: where a copy came to stand
 * there, the entry would get foreign data, and nobody would ever know. */
static uint32_t lowest_absent(const struct gow_raw *raw)
{
	uint32_t lowest = GOW_UNALLOCATED;

	for (uint32_t i = 0; i < raw->header.layout->map_entries; i++)
		if (raw->entries[i] >= raw->header.present_blocks && raw->entries[i] < lowest)
			lowest = raw->entries[i];
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
	tell_guest(plan, &owner, place->logical, 1);
	tell_guest(plan, &step, place->other, 1);
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
		gow_plan_leave(plan, id, cloning->barred == GOW_UNALLOCATED
		                                 ? "every physical block number is handed out"
		                                 : "map.range has to be mended first: the copies would "
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
	step = entries_step(plan, id, "and its entry names the copy", other, 1);
	step.value = cloning->next++;
	return gow_plan_add(plan, &step, cloning->error);
}

static int mend_crosslink(struct gow_plan *plan, gow_error *error)
{
	const struct gow_header *header = &plan->raw.header;
	struct cloning cloning = { plan, header->present_blocks, lowest_absent(&plan->raw),
		                   error };
	int code = gow_validate(&plan->raw, clone, &cloning, NULL, error);

	/* The next allocation must not get a copy's number. */
	if (!code && cloning.next > header->present_blocks && header->block_count < cloning.next)
		code = put_count(plan, GOW_MAP_CROSSLINK, cloning.next,
		                 "block_count goes up past the copies", error);
	return code;
}

/* ---- version numbers --------------------------------------------------------------------- */

static int highest_version(const struct gow_plan *plan, uint32_t *highest, gow_error *error)
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
	gow_repair_step step = versions_step(
		plan, GOW_VERSION_ZERO, "the version number becomes the image's highest plus one",
		first, count);
	uint32_t versions[VERSION_PART];
	int code = GOW_OK;

	step.value = value;
	tell_guest(plan, &step, first, count);
	for (uint32_t i = 0; i < VERSION_PART; i++)
		versions[i] = value;
	while (!code && count) {
		uint32_t part = (uint32_t)gow_min(count, VERSION_PART);

		code = gow_header_write_versions(plan->overlay, plan->layout, first, part,
		                                 versions, error);
		first += part;
		count -= part;
	}
	return code ? code : gow_plan_add(plan, &step, error);
}

static int mend_version_zero(struct gow_plan *plan, gow_error *error)
{
	struct run run = { plan, GOW_VERSION_ZERO, set_versions, 0, 0, 0, error, GOW_OK };
	uint32_t highest;
	int code = highest_version(plan, &highest, error);

	if (code)
		return code;
	/* One more would be exhausted itself. */
	if (highest >= GOW_VERSION_MAX - 1) {
		gow_plan_leave(plan, GOW_VERSION_ZERO,
		               "no higher number is left; --reset-versions starts all anew");
		return GOW_OK;
	}
	run.value = highest + 1;
	return mend_runs(&run);
}

static int reset_part(struct gow_plan *plan, uint32_t first, uint32_t count, gow_error *error)
{
	const uint32_t *entries = plan->raw.entries + first;
	gow_repair_step step = versions_step(plan, GOW_VERSION_EXHAUSTED,
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

static int mend_exhausted(struct gow_plan *plan, gow_error *error)
{
	const uint32_t entries = plan->layout->map_entries;
	int code = GOW_OK;

	if (!plan->options->reset_versions) {
		gow_plan_leave(plan, GOW_VERSION_EXHAUSTED,
		               "only --reset-versions mends that, and every consumer must then throw "
		               "its copy away");
		return GOW_OK;
	}
	if (!may(plan, GOW_VERSION_EXHAUSTED))
		return GOW_OK;
	for (uint32_t at = 0; at < entries && !code; at += VERSION_PART)
		code = reset_part(plan, at, (uint32_t)gow_min(entries - at, VERSION_PART), error);
	return code;
}

/* ---- the magic --------------------------------------------------------------------------- */

/* Nobody knows what was under way; what the validator can tell is all there is to go by. */
static int mend_missing(struct gow_plan *plan, gow_error *error)
{
	const struct gow_layout *layout = plan->layout;
	gow_repair_step step = gow_plan_step(GOW_JOURNAL_MISSING, GOW_STEP_WRITE,
	                                     "the magic is set back: nothing else is corrupt",
	                                     layout->magic_offset, GOW_MAGIC_SIZE);
	int code;

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		const gow_problem *problem = plan->verdict.by_id[i].problem;

		if (problem && problem->severity == GOW_CORRUPT && i != GOW_JOURNAL_MISSING) {
			gow_plan_leave(plan, GOW_JOURNAL_MISSING,
			               "the magic stays while anything else is corrupt");
			return GOW_OK;
		}
	}
	if (!may(plan, GOW_JOURNAL_MISSING))
		return GOW_OK;
	code = gow_file_write(plan->overlay, layout->magic_offset, layout->magic, GOW_MAGIC_SIZE,
	                      error);
	return code ? code : gow_plan_add(plan, &step, error);
}

/* ---- the table --------------------------------------------------------------------------- */

const struct gow_mend gow_mends[GOW_PROBLEM_COUNT] = {
	[GOW_HEADER_SIZE] = { .id = GOW_HEADER_SIZE, .plan = mend_size },
	[GOW_HEADER_TRUNCATED] = { .id = GOW_HEADER_TRUNCATED, .plan = mend_truncated },
	[GOW_HEADER_COUNT_LOW] = { GOW_HEADER_COUNT_LOW, true, mend_count_low, NULL },
	[GOW_HEADER_COUNT_HIGH] = { GOW_HEADER_COUNT_HIGH, true, mend_count_high, NULL },
	[GOW_HEADER_COUNT_WILD] = { GOW_HEADER_COUNT_WILD, true, mend_count_wild, NULL },
	[GOW_HEADER_PADDING] = { GOW_HEADER_PADDING, true, mend_padding, NULL },
	[GOW_MAP_RANGE] = { .id = GOW_MAP_RANGE, .plan = mend_range },
	[GOW_MAP_CROSSLINK] = { .id = GOW_MAP_CROSSLINK, .plan = mend_crosslink },
	[GOW_MAP_BEYOND_SIZE] = { .id = GOW_MAP_BEYOND_SIZE, .plan = mend_beyond },
	[GOW_SPACE_LEAK] = { .id = GOW_SPACE_LEAK,
	                     .why_none = "gow-compact gives the space back" },
	[GOW_SPACE_TAIL] = { GOW_SPACE_TAIL, true, mend_tail, NULL },
	[GOW_VERSION_ZERO] = { GOW_VERSION_ZERO, true, mend_version_zero, NULL },
	[GOW_VERSION_EXHAUSTED] = { .id = GOW_VERSION_EXHAUSTED, .plan = mend_exhausted },
	/* Dealt with before there can be a plan: repair.c. */
	[GOW_JOURNAL_PENDING] = { .id = GOW_JOURNAL_PENDING,
	                          .preen = true,
	                          .why_none = "it is rolled back, or finished, first of all" },
	[GOW_JOURNAL_MISSING] = { .id = GOW_JOURNAL_MISSING, .plan = mend_missing },
	[GOW_DATA_UNREADABLE] = { .id = GOW_DATA_UNREADABLE,
	                          .why_none = "only a backup has the data" },
	[GOW_DATA_MISMATCH] = { .id = GOW_DATA_MISMATCH,
	                        .why_none = "only a backup has the data" },
};

/*
 * The size decides which entries are past the end, so it comes early; entries that are dropped
 * anyway are dropped before what they name is copied; numbers that start anew do so before one is
 * sought for those that have none; and the magic comes last of all.
 */
const gow_problem_id gow_mend_order[GOW_PROBLEM_COUNT] = {
	GOW_JOURNAL_PENDING,   GOW_HEADER_TRUNCATED,  GOW_HEADER_SIZE,       GOW_HEADER_COUNT_WILD,
	GOW_HEADER_COUNT_HIGH, GOW_SPACE_TAIL,        GOW_MAP_RANGE,         GOW_MAP_BEYOND_SIZE,
	GOW_MAP_CROSSLINK,     GOW_HEADER_COUNT_LOW,  GOW_HEADER_PADDING,    GOW_VERSION_EXHAUSTED,
	GOW_VERSION_ZERO,      GOW_SPACE_LEAK,        GOW_DATA_UNREADABLE,   GOW_DATA_MISMATCH,
	GOW_JOURNAL_MISSING,
};
