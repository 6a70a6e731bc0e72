/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/validate.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "image/validate_parts.h"
#include "io/remote.h"

/* ---- loading ----------------------------------------------------------------------------- */

static void drop(uint32_t **table)
{
	free(*table);
	*table = NULL;
}

int gow_walk_load_entries(const struct gow_unchecked *unchecked, uint32_t **entries,
                          gow_error *error)
{
	const struct gow_layout *layout = unchecked->header.layout;
	/* The number of entries is the layout's, not the file's. */
	int code = gow_alloc_table(layout->map_entries, entries, error);

	if (code)
		return code;
	code = gow_header_read_entries(unchecked->file, layout, 0, layout->map_entries, *entries,
	                               error);
	if (code)
		drop(entries);
	return code;
}

int gow_unchecked_need_entries(struct gow_unchecked *unchecked, gow_error *error)
{
	if (unchecked->entries || unchecked->header.truncated)
		return GOW_OK;
	return gow_walk_load_entries(unchecked, &unchecked->entries, error);
}

/* From a server the map comes at once, in large requests: judging needs all of it, and what comes
 * after that would fetch it again. */
static int begin_map(struct gow_unchecked *unchecked, gow_error *error)
{
	if (!gow_file_is_remote(unchecked->file))
		return GOW_OK;
	gow_file_expect(unchecked->file, gow_layout_header_end(unchecked->header.layout));
	return gow_unchecked_need_entries(unchecked, error);
}

int gow_unchecked_begin(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        struct gow_unchecked *unchecked, gow_error *error)
{
	int code;

	*unchecked = (struct gow_unchecked){ .file = file };
	code = gow_header_read(file, rows, row_count, &unchecked->header, error);
	return code ? code : begin_map(unchecked, error);
}

int gow_unchecked_begin_as(struct gow_file *file, const struct gow_layout *layout,
                           struct gow_unchecked *unchecked, gow_error *error)
{
	int code;

	*unchecked = (struct gow_unchecked){ .file = file };
	code = gow_header_read_as(file, layout, &unchecked->header, error);
	return code ? code : begin_map(unchecked, error);
}

int gow_unchecked_load(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                       struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_unchecked_begin(file, rows, row_count, unchecked, error);

	return code ? code : gow_unchecked_need_entries(unchecked, error);
}

int gow_unchecked_load_as(struct gow_file *file, const struct gow_layout *layout,
                          struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_unchecked_begin_as(file, layout, unchecked, error);

	return code ? code : gow_unchecked_need_entries(unchecked, error);
}

void gow_unchecked_release(struct gow_unchecked *unchecked)
{
	drop(&unchecked->entries);
}

/* ---- the walk ---------------------------------------------------------------------------- */

static int report_at(struct gow_walk *walk, gow_problem_id id, uint64_t offset)
{
	gow_place place = gow_walk_nowhere;

	place.offset = offset;
	return gow_walk_report(walk, id, place, 1);
}

/* Something about the entry of a logical block. */
static int report_entry(struct gow_walk *walk, gow_problem_id id, uint32_t logical)
{
	gow_place place = gow_walk_nowhere;

	place.logical = logical;
	place.physical = walk->entries[logical];
	place.offset = gow_layout_entry_offset(walk->unchecked->header.layout, logical);
	return gow_walk_report(walk, id, place, 1);
}

/* ---- the preamble and the padding -------------------------------------------------------- */

static int walk_preamble(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	int result = 0;

	if (header->pending)
		result = report_at(walk, GOW_JOURNAL_MISSING, header->layout->magic_offset);
	if (!result && !gow_size_is_valid(header->layout, header->logical_size))
		result = report_at(walk, GOW_HEADER_SIZE, header->layout->logical_size.offset);
	if (!result && header->block_count > header->present_blocks) {
		uint32_t excess = header->block_count - header->present_blocks;

		result = report_at(walk,
		                   excess > header->layout->map_entries ? GOW_HEADER_COUNT_WILD
		                                                        : GOW_HEADER_COUNT_HIGH,
		                   header->layout->block_count.offset);
	}
	return result;
}

static int walk_padding(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	uint64_t at = gow_layout_header_end(header->layout);
	uint64_t end = gow_min(gow_layout_data_start(header->layout), header->file_size);

	while (at < end) {
		uint8_t bytes[4096];
		size_t part = (size_t)gow_min(end - at, sizeof bytes);
		int code = gow_file_read_all(walk->unchecked->file, at, bytes, part, walk->error);

		if (code)
			return code;
		for (size_t i = 0; i < part; i++)
			if (bytes[i])
				return report_at(walk, GOW_HEADER_PADDING, at + i);
		at += part;
	}
	return 0;
}

/* ---- the map ----------------------------------------------------------------------------- */

/* Each entry by itself: is there such a block, and does the next allocation stay off it. */
static int walk_entries(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t *entries = walk->entries;
	const uint32_t count = header->layout->map_entries;
	const uint32_t present = header->present_blocks;
	const bool absent = walk->survey.end > present;
	const bool low = walk->survey.end > header->block_count;
	int result = 0;

	for (uint32_t i = 0; i < count && absent && !result; i++)
		if (entries[i] != GOW_UNALLOCATED && entries[i] >= present)
			result = report_entry(walk, GOW_MAP_RANGE, i);
	for (uint32_t i = 0; i < count && low && !result; i++)
		if (entries[i] < present && entries[i] >= header->block_count) {
			gow_place place = gow_walk_nowhere;

			place.logical = i;
			place.physical = entries[i];
			place.offset = header->layout->block_count.offset;
			return gow_walk_report(walk, GOW_HEADER_COUNT_LOW, place, 1);
		}
	return result;
}

static int walk_beyond_size(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	uint32_t beyond = walk->survey.beyond;
	int result = 0;

	for (uint64_t i = header->logical_blocks; beyond && !result; i++)
		if (walk->entries[i] != GOW_UNALLOCATED) {
			result = report_entry(walk, GOW_MAP_BEYOND_SIZE, (uint32_t)i);
			beyond--;
		}
	return result;
}

/* ---- version numbers --------------------------------------------------------------------- */

static int report_version(struct gow_walk *walk, gow_problem_id id, uint32_t logical)
{
	uint32_t entry = walk->entries[logical];
	gow_place place = gow_walk_nowhere;

	place.logical = logical;
	if (entry != GOW_UNALLOCATED)
		place.physical = entry;
	place.offset = gow_layout_version_offset(walk->unchecked->header.layout, logical);
	return gow_walk_report(walk, id, place, 1);
}

enum { VERSION_CHUNK = 16384 };

static int walk_version_chunk(struct gow_walk *walk, uint32_t first, uint32_t count,
                              const uint32_t *versions)
{
	const uint32_t *entries = walk->entries + first;
	int result = 0;

	for (uint32_t i = 0; i < count && !result; i++) {
		if (versions[i] == 0 && entries[i] != GOW_UNALLOCATED)
			result = report_version(walk, GOW_VERSION_ZERO, first + i);
		else if (versions[i] == GOW_VERSION_MAX)
			result = report_version(walk, GOW_VERSION_EXHAUSTED, first + i);
	}
	return result;
}

static int walk_versions(struct gow_walk *walk)
{
	const struct gow_layout *layout = walk->unchecked->header.layout;
	uint32_t versions[VERSION_CHUNK];
	int result = 0;

	if (!walk->survey.wrong_versions)
		return 0;
	for (uint32_t at = 0; at < layout->map_entries && !result; at += VERSION_CHUNK) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, VERSION_CHUNK);

		result = gow_header_read_versions(walk->unchecked->file, layout, at, count,
		                                  versions, walk->error);
		if (!result)
			result = walk_version_chunk(walk, at, count, versions);
	}
	return result;
}

static int walk_all(struct gow_walk *walk)
{
	static int (*const parts[])(struct gow_walk *) = {
		walk_preamble,    walk_padding,    gow_walk_survey, walk_entries,
		walk_beyond_size, gow_walk_blocks, walk_versions,
	};
	const struct gow_unchecked *unchecked = walk->unchecked;
	int result;

	if (unchecked->pending.kind != GOW_PENDING_NONE)
		return report_at(walk, GOW_JOURNAL_PENDING, unchecked->header.layout->magic_offset);
	if (unchecked->header.truncated)
		return report_at(walk, GOW_HEADER_TRUNCATED, unchecked->header.file_size);
	walk->tally.walked = 1;
	result = gow_walk_begin(walk);
	for (size_t i = 0; i < sizeof parts / sizeof *parts && !result; i++)
		result = parts[i](walk);
	gow_walk_end(walk);
	return result;
}

static struct gow_walk new_walk(const struct gow_unchecked *unchecked, gow_problem_visitor visit,
                                void *context, gow_error *error)
{
	return (struct gow_walk){
		.unchecked = unchecked,
		.entries = unchecked->entries,
		.visit = visit,
		.context = context,
		.error = error,
	};
}

int gow_validate(const struct gow_unchecked *unchecked, gow_problem_visitor visit, void *context,
                 struct gow_tally *tally, gow_error *error)
{
	struct gow_walk walk = new_walk(unchecked, visit, context, error);
	const int result = walk_all(&walk);

	if (tally)
		*tally = walk.tally;
	return result;
}

/* ---- verdicts ---------------------------------------------------------------------------- */

void gow_verdict_add(struct gow_verdict *verdict, gow_problem_id id, const gow_place *place,
                     uint64_t run)
{
	gow_finding *finding = &verdict->by_id[id];

	if (!finding->problem) {
		finding->problem = gow_problem_get(id);
		finding->first = *place;
	}
	finding->count += run;
}

static int count_problem(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	gow_verdict_add(context, id, place, run);
	return 0;
}

int gow_judge(const struct gow_unchecked *unchecked, struct gow_verdict *verdict, gow_error *error)
{
	memset(verdict, 0, sizeof *verdict);
	return gow_validate(unchecked, count_problem, verdict, &verdict->tally, error);
}

/* Takes the tables that the walk is to fill. */
static int take_tables(struct gow_walk *walk, enum gow_numbers numbers, gow_error *error)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t all = header->layout->map_entries;
	const uint32_t blocks = (uint32_t)gow_min(header->logical_blocks, all);
	struct gow_wanted *entries = &walk->entries_wanted, *versions = &walk->versions_wanted;
	int code;

	entries->count = blocks;
	if (gow_layout_has_versions(header->layout) && numbers != GOW_NUMBERS_NONE)
		versions->count = numbers == GOW_NUMBERS_ALL ? all : blocks;
	code = gow_alloc_table(entries->count, &entries->table, error);
	if (!code && versions->count)
		code = gow_alloc_table(versions->count, &versions->table, error);
	return code;
}

int gow_judge_filling(const struct gow_unchecked *unchecked, enum gow_numbers numbers,
                      struct gow_tables *tables, struct gow_verdict *verdict, gow_error *error)
{
	struct gow_walk walk = new_walk(unchecked, count_problem, verdict, error);
	int code;

	*tables = (struct gow_tables){ .entries = NULL };
	if (unchecked->pending.kind != GOW_PENDING_NONE || unchecked->header.truncated)
		return gow_judge(unchecked, verdict, error);
	memset(verdict, 0, sizeof *verdict);
	code = take_tables(&walk, numbers, error);
	if (!code)
		code = walk_all(&walk);
	if (code) {
		free(walk.entries_wanted.table);
		free(walk.versions_wanted.table);
		return code;
	}
	verdict->tally = walk.tally;
	tables->entries = walk.entries_wanted.table;
	tables->versions = walk.versions_wanted.table;
	return GOW_OK;
}

const gow_finding *gow_verdict_first(const struct gow_verdict *verdict, gow_severity severity)
{
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (verdict->by_id[i].problem && verdict->by_id[i].problem->severity == severity)
			return &verdict->by_id[i];
	return NULL;
}
