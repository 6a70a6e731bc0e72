/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c - judging an image: the public face of the validator. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "ops/check.h"

/* ---- opening ----------------------------------------------------------------------------- */

void gow_check_list_findings(gow_check *check)
{
	check->finding_count = 0;
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (check->verdict.by_id[i].problem)
			check->findings[check->finding_count++] = check->verdict.by_id[i];
}

/* NULL: no memory. */
static gow_check *new_check(const gow_monitor *monitor, gow_error *error)
{
	gow_check *made = calloc(1, sizeof *made);

	if (!made) {
		(void)gow_fail_memory(error, sizeof *made);
		return NULL;
	}
	made->monitor = monitor;
	made->lock = &made->own_lock;
	return made;
}

/* Judges what has been opened; closes the check where that fails. */
static int judge(gow_check *made, gow_check **check, gow_error *error)
{
	int code = gow_raw_load(made->file, gow_layouts, gow_layout_count, &made->raw, error);

	if (!code)
		code = gow_judge(&made->raw, &made->verdict, error);
	if (code) {
		gow_check_close(made);
		return code;
	}
	gow_check_list_findings(made);
	*check = made;
	return GOW_OK;
}

int gow_check_open(const char *path, const gow_open_options *options, gow_check **check,
                   gow_error *error)
{
	gow_check *made;
	int code;

	if (options && options->flags & (GOW_OPEN_WRITE | GOW_OPEN_SALVAGE))
		return gow_fail(error, GOW_ERR_ARGUMENT, "checking changes nothing");
	made = new_check(options ? options->monitor : NULL, error);
	if (!made)
		return GOW_ERR_MEMORY;
	code = gow_open_locked(path, 0, options, &made->file, made->lock, error);
	if (code) {
		gow_check_close(made);
		return code;
	}
	return judge(made, check, error);
}

int gow_check_of_file(struct gow_file *file, struct gow_lock *lock, const gow_monitor *monitor,
                      gow_check **check, gow_error *error)
{
	gow_check *made = new_check(monitor, error);

	if (!made)
		return GOW_ERR_MEMORY;
	made->file = file;
	made->borrowed = true;
	if (lock)
		made->lock = lock;
	return judge(made, check, error);
}

void gow_check_close(gow_check *check)
{
	if (!check)
		return;
	gow_raw_release(&check->raw);
	if (!check->borrowed)
		(void)gow_file_close(check->file, NULL);
	free(check->unreadable);
	free(check->mismatched);
	free(check);
}

/* ---- findings ---------------------------------------------------------------------------- */

size_t gow_check_findings(const gow_check *check, const gow_finding **findings)
{
	*findings = check->findings;
	return check->finding_count;
}

unsigned gow_check_count(const gow_check *check, gow_severity severity)
{
	unsigned count = 0;

	for (size_t i = 0; i < check->finding_count; i++)
		count += check->findings[i].problem->severity == severity;
	return count;
}

struct place_walk {
	gow_problem_id id;
	gow_place_visitor visit;
	void *context;
	bool refused;
};

static int visit_place(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	struct place_walk *walk = context;
	gow_place each = *place;

	if (id != walk->id)
		return 0;
	/* A cross-link's further owners come with run 0: places all the same. */
	for (uint64_t i = 0; i < (run ? run : 1) && !walk->refused; i++) {
		walk->refused = walk->visit(walk->context, &each) != 0;
		each.physical++;
		each.offset += GOW_BLOCK_SIZE;
	}
	return walk->refused;
}

gow_place gow_check_place(const gow_check *check, uint32_t logical)
{
	uint32_t physical = check->raw.entries[logical];
	gow_place place = { logical, GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE };

	if (physical != GOW_UNALLOCATED) {
		place.physical = physical;
		place.offset = gow_layout_block_offset(check->raw.header.layout, physical);
	}
	return place;
}

/* The blocks of a bitmap, which is NULL where nobody looked for any. */
static void visit_blocks(const gow_check *check, const uint64_t *blocks, struct place_walk *walk)
{
	const uint32_t count = blocks ? check->raw.header.layout->map_entries : 0;

	for (uint32_t i = 0; i < count && !walk->refused; i++)
		if (gow_get_bit(blocks, i)) {
			gow_place place = gow_check_place(check, i);

			(void)visit_place(walk, walk->id, &place, 1);
		}
}

int gow_check_each_place(gow_check *check, gow_problem_id id, gow_place_visitor visit,
                         void *context, gow_error *error)
{
	struct place_walk walk = { .id = id, .visit = visit, .context = context };
	int code = GOW_OK;

	if (id == GOW_DATA_UNREADABLE)
		visit_blocks(check, check->unreadable, &walk);
	else if (id == GOW_DATA_MISMATCH)
		visit_blocks(check, check->mismatched, &walk);
	else
		code = gow_validate(&check->raw, visit_place, &walk, NULL, error);
	if (walk.refused)
		return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	return code;
}

/* ---- information ------------------------------------------------------------------------- */

/* The share of neighbours, both allocated, that are not neighbours in the file. */
static double fragmentation(const uint32_t *entries, uint32_t count)
{
	uint32_t pairs = 0, apart = 0;

	for (uint32_t i = 1; i < count; i++) {
		uint32_t both = (entries[i - 1] != GOW_UNALLOCATED) &
		                (entries[i] != GOW_UNALLOCATED);

		pairs += both;
		apart += both & (uint32_t)(entries[i] != entries[i - 1] + 1);
	}
	return pairs ? (double)apart / pairs : 0;
}

enum { VERSION_CHUNK = 16384 };

static int highest_version(const gow_check *check, uint32_t *highest, gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;
	uint32_t versions[VERSION_CHUNK];

	*highest = 0;
	for (uint32_t at = 0; at < layout->map_entries; at += VERSION_CHUNK) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, VERSION_CHUNK);
		int code = gow_header_read_versions(check->file, layout, at, count, versions,
		                                    error);

		if (code)
			return code;
		for (uint32_t i = 0; i < count; i++)
			*highest = versions[i] > *highest ? versions[i] : *highest;
	}
	return GOW_OK;
}

int gow_check_info(gow_check *check, gow_info *info, gow_error *error)
{
	const struct gow_header *header = &check->raw.header;
	gow_info found = {
		.version = header->layout->version,
		.logical_size = header->logical_size,
		.logical_blocks = header->logical_blocks,
		.map_entries = header->layout->map_entries,
		.block_count = header->block_count,
		.present_blocks = header->present_blocks,
		.allocated_blocks = check->verdict.tally.allocated,
		.leaked_blocks = check->verdict.tally.leaked,
		.file_size = header->file_size,
		.data_start = gow_layout_data_start(header->layout),
		.has_versions = gow_layout_has_versions(header->layout),
		.preamble_readable = header->file_size >= gow_layout_preamble_end(header->layout),
		.map_readable = check->raw.entries != NULL,
		.pending = check->raw.pending.kind == GOW_PENDING_NONE ? NULL
		                                                       : check->raw.pending.what,
		.in_use = check->lock->in_use,
	};

	if (found.map_readable) {
		int code = GOW_OK;

		found.fragmentation = fragmentation(check->raw.entries, found.map_entries);
		if (found.has_versions)
			code = highest_version(check, &found.highest_version, error);
		if (code)
			return code;
	}
	*info = found;
	return GOW_OK;
}

/* ---- extents ----------------------------------------------------------------------------- */

uint32_t gow_check_next_present(const gow_check *check, uint32_t logical, uint32_t end)
{
	const uint32_t *entries = check->raw.entries;
	const uint32_t present = check->raw.header.present_blocks;

	while (logical < end && entries[logical] >= present)
		logical++;
	return logical;
}

uint32_t gow_check_present_run(const gow_check *check, uint32_t logical, uint32_t end)
{
	const uint32_t *entries = check->raw.entries;
	uint32_t present = check->raw.header.present_blocks;

	if (entries[logical] >= present)
		return 0;
	return (uint32_t)gow_min(gow_entries_run(entries + logical, end - logical),
	                         present - entries[logical]);
}

/* Version numbers as they are come by in a walk upwards. */
struct version_window {
	uint32_t first, count; /* which are in it */
	uint32_t numbers[VERSION_CHUNK];
};

/* Makes sure that the number of a logical block is in the window. */
static int move_window(gow_check *check, struct version_window *window, uint32_t logical,
                       gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;

	if (logical - window->first < window->count)
		return GOW_OK;
	window->first = logical;
	window->count = (uint32_t)gow_min(layout->map_entries - logical, VERSION_CHUNK);
	return gow_header_read_versions(check->file, layout, logical, window->count,
	                                window->numbers, error);
}

/* Cuts a run where the version number changes. */
static int cut_at_version(gow_check *check, struct version_window *window, gow_extent *extent,
                          gow_error *error)
{
	uint32_t first = (uint32_t)extent->logical;
	uint32_t run = (uint32_t)extent->blocks;

	for (uint32_t i = 0; i < run; i++) {
		int code = move_window(check, window, first + i, error);
		uint32_t number;

		if (code)
			return code;
		number = window->numbers[first + i - window->first];
		if (i == 0)
			extent->version = number;
		if (number != extent->version) {
			extent->blocks = i;
			break;
		}
	}
	extent->has_version = true;
	return GOW_OK;
}

int gow_check_each_extent(gow_check *check, gow_extent_visitor visit, void *context,
                          gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;
	const uint32_t end = check->raw.entries ? layout->map_entries : 0;
	struct version_window window = { .count = 0 };
	uint32_t at = 0, run_end = 0;

	while ((at = gow_check_next_present(check, at, end)) < end) {
		gow_extent extent = { .logical = at };
		int code = GOW_OK;

		/* Found out once, also where version numbers cut the run into many. */
		if (at >= run_end)
			run_end = at + gow_check_present_run(check, at, end);
		extent.blocks = run_end - at;

		extent.physical = check->raw.entries[at];
		extent.offset = gow_layout_block_offset(layout, extent.physical);
		if (gow_layout_has_versions(layout))
			code = cut_at_version(check, &window, &extent, error);
		if (code)
			return code;
		if (visit(context, &extent))
			return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
		at += (uint32_t)extent.blocks;
	}
	return GOW_OK;
}
