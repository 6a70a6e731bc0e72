/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

void gow_map_release(struct gow_map *map)
{
	free(map->entries);
	free(map->versions);
	map->entries = NULL;
	map->versions = NULL;
}

uint32_t gow_entries_run(const uint32_t *entries, uint32_t count)
{
	uint32_t run = 1;

	if (entries[0] == GOW_UNALLOCATED)
		while (run < count && entries[run] == GOW_UNALLOCATED)
			run++;
	else
		while (run < count && entries[run] == entries[0] + run &&
		       entries[run] != GOW_UNALLOCATED)
			run++;
	return run;
}

uint32_t gow_map_run(const struct gow_map *map, uint32_t logical, uint32_t most, uint32_t *physical)
{
	*physical = map->entries[logical];
	return gow_entries_run(map->entries + logical, most);
}

/* ---- of a sound image -------------------------------------------------------------------- */

static struct gow_map map_of(const struct gow_header *header)
{
	return (struct gow_map){
		.layout = header->layout,
		.logical_size = header->logical_size,
		.logical_blocks = (uint32_t)header->logical_blocks,
		.block_count = header->block_count,
		.file_size = header->file_size,
	};
}

static int refuse(const struct gow_unchecked *unchecked, const gow_finding *finding,
                  gow_error *error)
{
	bool journal = finding->problem->id == GOW_JOURNAL_PENDING ||
	               finding->problem->id == GOW_JOURNAL_MISSING;
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "is corrupt: %s: %s; see gow-check, and %s with gow-repair",
	                    finding->problem->name, finding->problem->title,
	                    journal ? "finish the change" : "repair it");

	code = gow_fail_at_offset(error, code, finding->first.offset);
	if (finding->first.logical != GOW_NOWHERE)
		code = gow_fail_at_block(error, code, finding->first.logical);
	return gow_fail_in_file(error, code, unchecked->file->name);
}

int gow_map_judge(const struct gow_unchecked *unchecked, enum gow_numbers numbers,
                  struct gow_map *map, gow_error *error)
{
	struct gow_tables tables;
	struct gow_verdict verdict;
	const gow_finding *corrupt;
	struct gow_map made;
	int code = gow_judge_filling(unchecked, numbers, &tables, &verdict, error);

	if (code)
		return code;
	made = map_of(&unchecked->header);
	made.entries = tables.entries;
	made.versions = tables.versions;
	corrupt = gow_verdict_first(&verdict, GOW_CORRUPT);
	if (corrupt) {
		gow_map_release(&made);
		return refuse(unchecked, corrupt, error);
	}
	*map = made;
	return GOW_OK;
}

/* ---- of a damaged one -------------------------------------------------------------------- */

uint64_t gow_smallest_size(const struct gow_unchecked *unchecked)
{
	const struct gow_layout *layout = unchecked->header.layout;
	uint64_t size;

	for (uint32_t i = layout->map_entries; i > 0; i--) {
		if (unchecked->entries[i - 1] >= unchecked->header.present_blocks)
			continue;
		size = (uint64_t)i * GOW_BLOCK_SIZE;
		return size <= layout->logical_limit ? size : 0;
	}
	return 0;
}

struct salvage {
	struct gow_map *map;
	gow_loss_visitor visit;
	void *context;
};

/* Guest bytes of a run of blocks, cut at the end of the disk. */
static void report_loss(const struct salvage *salvage, gow_loss_kind kind, uint64_t block,
                        uint64_t blocks)
{
	gow_loss loss = { kind, block * GOW_BLOCK_SIZE, blocks * GOW_BLOCK_SIZE };

	if (kind != GOW_LOSS_BEYOND_SIZE) {
		if (loss.start >= salvage->map->logical_size)
			return;
		loss.length = gow_min(loss.length, salvage->map->logical_size - loss.start);
	}
	if (salvage->visit)
		salvage->visit(salvage->context, &loss);
}

/* Drops the entries of [first, end) for which no block of the file can stand. */
static void drop_entries(const struct salvage *salvage, uint32_t first, uint32_t end,
                         uint32_t limit, gow_loss_kind kind)
{
	uint32_t *entries = salvage->map->entries;
	uint32_t start = first;

	for (uint32_t i = first; i <= end; i++) {
		bool dropped = i < end && entries[i] != GOW_UNALLOCATED && entries[i] >= limit;

		if (dropped) {
			entries[i] = GOW_UNALLOCATED;
			continue;
		}
		if (i > start)
			report_loss(salvage, kind, start, i - start);
		start = i + 1;
	}
}

static int mark_shared(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	uint8_t *shared = context;

	(void)run;
	if (id == GOW_MAP_CROSSLINK)
		shared[place->logical] = shared[place->other] = 1;
	return 0;
}

/* The validator goes by physical blocks; the losses are the guest's. */
static int report_shared(const struct salvage *salvage, const struct gow_unchecked *unchecked,
                         gow_error *error)
{
	const uint32_t count = unchecked->header.layout->map_entries;
	uint8_t *shared = calloc(count, 1);
	int code;

	if (!shared)
		return gow_fail_memory(error, count);
	code = gow_validate(unchecked, mark_shared, shared, NULL, error);
	for (uint32_t i = 0, start = 0; !code && i < count; start = ++i) {
		while (i < count && shared[i])
			i++;
		if (i > start)
			report_loss(salvage, GOW_LOSS_SHARED, start, i - start);
	}
	free(shared);
	return code;
}

static int load_versions(const struct gow_unchecked *unchecked, struct gow_map *map,
                         gow_error *error)
{
	const struct gow_layout *layout = unchecked->header.layout;
	int code;

	/* Numbers that are cut short are none: whoever copies the image starts anew at 1. */
	if (!gow_layout_has_versions(layout) || unchecked->header.truncated)
		return GOW_OK;
	code = gow_alloc_table(layout->map_entries, &map->versions, error);
	if (code)
		return code;
	return gow_header_read_versions(unchecked->file, layout, 0, layout->map_entries,
	                                map->versions, error);
}

/* The map of a header that is cut short: what there is of it. */
static int load_rest(struct gow_unchecked *unchecked, uint32_t *known, gow_error *error)
{
	const struct gow_layout *layout = unchecked->header.layout;
	int code = gow_alloc_table(layout->map_entries, &unchecked->entries, error);

	if (code)
		return code;
	*known = gow_present_entries(layout, unchecked->header.file_size);
	memset(unchecked->entries, 0xff,
	       layout->map_entries * sizeof *unchecked->entries); /* unallocated */
	return *known ? gow_header_read_entries(unchecked->file, layout, 0, *known,
	                                        unchecked->entries, error)
	              : GOW_OK;
}

static int no_size(const struct gow_unchecked *unchecked, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "cannot be salvaged: its logical size is invalid, and no mapped block "
	                    "is left to tell a better one by");

	return gow_fail_in_file(
		error,
		gow_fail_at_offset(error, code, unchecked->header.layout->logical_size.offset),
		unchecked->file->name);
}

int gow_map_salvage(struct gow_unchecked *unchecked, const struct gow_verdict *verdict,
                    gow_loss_visitor visit, void *context, struct gow_map *map, gow_error *error)
{
	const struct gow_layout *layout = unchecked->header.layout;
	struct gow_map made;
	struct salvage salvage = { &made, visit, context };
	uint32_t known = layout->map_entries;
	uint64_t size = unchecked->header.logical_size;
	int code = unchecked->header.truncated ? load_rest(unchecked, &known, error)
	                                       : gow_unchecked_need_entries(unchecked, error);

	if (code)
		return code;
	if (!gow_size_is_valid(layout, size))
		size = gow_smallest_size(unchecked);
	if (!size)
		return no_size(unchecked, error);
	made = (struct gow_map){ .layout = layout, .logical_size = size };
	made.logical_blocks = (uint32_t)gow_divide_up(size, GOW_BLOCK_SIZE);
	/* Reported while the entries are still there: the walk needs them. */
	if (verdict->by_id[GOW_MAP_CROSSLINK].problem)
		code = report_shared(&salvage, unchecked, error);
	if (code)
		return code;
	made = map_of(&unchecked->header);
	made.entries = unchecked->entries;
	unchecked->entries = NULL;
	made.logical_size = size;
	made.logical_blocks = (uint32_t)gow_divide_up(size, GOW_BLOCK_SIZE);
	drop_entries(&salvage, 0, made.logical_blocks, unchecked->header.present_blocks,
	             GOW_LOSS_UNMAPPED);
	drop_entries(&salvage, made.logical_blocks, layout->map_entries, 0, GOW_LOSS_BEYOND_SIZE);
	if (known < made.logical_blocks)
		report_loss(&salvage, GOW_LOSS_UNMAPPED, known, made.logical_blocks - known);
	code = load_versions(unchecked, &made, error);
	if (code) {
		gow_map_release(&made);
		return code;
	}
	*map = made;
	return GOW_OK;
}
