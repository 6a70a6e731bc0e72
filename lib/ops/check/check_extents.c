/* SPDX-License-Identifier: BSD-2-Clause */
/* check_extents.c - where the blocks of a judged image are: runs of neighbours. */
#include "base/error.h"
#include "ops/check/check.h"

/* ---- runs -------------------------------------------------------------------------------- */

enum { STRIDE = 64 /* entries that are looked at without a branch */ };

static bool one_is_present(const uint32_t entries[STRIDE], uint32_t present)
{
	uint32_t found = 0;

	for (size_t i = 0; i < STRIDE; i++)
		found |= (uint32_t)(entries[i] < present);
	return found;
}

uint32_t gow_check_next_present(const gow_check *check, uint32_t logical, uint32_t end)
{
	const uint32_t *entries = check->unchecked.entries;
	const uint32_t present = check->unchecked.header.present_blocks;

	if (logical < end && entries[logical] < present)
		return logical;
	/* Most of the map of most images. */
	while (end - logical >= STRIDE && !one_is_present(entries + logical, present))
		logical += STRIDE;
	while (logical < end && entries[logical] >= present)
		logical++;
	return logical;
}

uint32_t gow_check_present_run(const gow_check *check, uint32_t logical, uint32_t end)
{
	const uint32_t *entries = check->unchecked.entries;
	uint32_t present = check->unchecked.header.present_blocks;

	if (entries[logical] >= present)
		return 0;
	return (uint32_t)gow_min(gow_entries_run(entries + logical, end - logical),
	                         present - entries[logical]);
}

enum { VERSION_CHUNK = 16384 };

/* Version numbers as they are come by in a walk upwards. */
struct version_window {
	uint32_t first, count; /* which are in it */
	uint32_t numbers[VERSION_CHUNK];
};

/* Makes sure that the number of a logical block is in the window. */
static int move_window(gow_check *check, struct version_window *window, uint32_t logical,
                       gow_error *error)
{
	const struct gow_layout *layout = check->unchecked.header.layout;

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
	const struct gow_layout *layout = check->unchecked.header.layout;
	const uint32_t end = check->unchecked.header.truncated ? 0 : layout->map_entries;
	struct version_window window = { .count = 0 };
	uint32_t at = 0, run_end = 0;
	int code = gow_unchecked_need_entries(&check->unchecked, error);

	if (code)
		return code;
	while ((at = gow_check_next_present(check, at, end)) < end) {
		gow_extent extent = { .logical = at };

		/* Found out once, also where version numbers cut the run into many. */
		if (at >= run_end)
			run_end = at + gow_check_present_run(check, at, end);
		extent.blocks = run_end - at;

		extent.physical = check->unchecked.entries[at];
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

/* ---- what is newer ----------------------------------------------------------------------- */

/* Where the entry of a logical block leads to; GOW_NOWHERE for one that names no present block. */
static uint64_t present_place(const gow_check *check, uint32_t logical)
{
	uint32_t physical = check->unchecked.entries[logical];

	return physical < check->unchecked.header.present_blocks ? physical : GOW_NOWHERE;
}

/* Whether a block continues an extent. */
static bool continues(const gow_extent *extent, uint64_t physical, uint32_t version)
{
	uint64_t next = extent->physical == GOW_NOWHERE ? GOW_NOWHERE
	                                                : extent->physical + extent->blocks;

	return extent->blocks && version == extent->version && physical == next;
}

static int hand_on(const gow_extent *extent, gow_extent_visitor visit, void *context,
                   gow_error *error)
{
	if (extent->blocks && visit(context, extent))
		return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	return GOW_OK;
}

static gow_extent begin_extent(const gow_check *check, uint32_t logical, uint64_t physical,
                               uint32_t version)
{
	const struct gow_layout *layout = check->unchecked.header.layout;

	return (gow_extent){
		.logical = logical,
		.physical = physical,
		.blocks = 1,
		.offset = physical == GOW_NOWHERE ? GOW_NOWHERE
		                                  : gow_layout_block_offset(layout, physical),
		.has_version = true,
		.version = version,
	};
}

/* As many numbers as the guest has blocks; all, where nobody knows how many these are. */
static uint32_t numbered_blocks(const gow_check *check)
{
	const struct gow_header *header = &check->unchecked.header;

	if (header->truncated)
		return 0;
	return check->verdict.by_id[GOW_HEADER_SIZE].problem
	               ? header->layout->map_entries
	               : (uint32_t)gow_min(header->logical_blocks, header->layout->map_entries);
}

int gow_check_each_newer(gow_check *check, uint32_t since, gow_extent_visitor visit, void *context,
                         gow_error *error)
{
	const uint32_t end = numbered_blocks(check);
	struct version_window window = { .count = 0 };
	gow_extent extent = { .blocks = 0 };
	int code;

	if (!gow_layout_has_versions(check->unchecked.header.layout))
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "has no version numbers (its layout is %s)",
		                check->unchecked.header.layout->name);
	code = gow_unchecked_need_entries(&check->unchecked, error);
	for (uint32_t i = 0; i < end && !code; i++) {
		uint64_t physical;
		uint32_t version;

		code = move_window(check, &window, i, error);
		if (code)
			return code;
		version = window.numbers[i - window.first];
		if (version <= since)
			continue;
		physical = present_place(check, i);
		if (extent.logical + extent.blocks == i && continues(&extent, physical, version)) {
			extent.blocks++;
			continue;
		}
		code = hand_on(&extent, visit, context, error);
		extent = begin_extent(check, i, physical, version);
	}
	return code ? code : hand_on(&extent, visit, context, error);
}
