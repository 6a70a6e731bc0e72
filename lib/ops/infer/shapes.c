/* SPDX-License-Identifier: BSD-2-Clause */
/* shapes.c - every place where a map could be, reduced to those whose block 0 begins a disk. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ops/infer/infer.h"

enum {
	START_MAX = 65536, /* tables begin at most so far from the start */
	HEAD_SIZE = 4096,  /* of a disk: all that tells that it is one, but for UFS */
	ALIGN_MAX = 4096,
	SIZES_MAX = 48,
	ENTRIES_MIN = 16, /* of a map whose length a number tells: smaller disks there are none */
	CACHE = 4096,
	SAMPLE = 1024, /* of the entries, looked at before all of them are */
	READS_MAX = 200000,
	WEIGH_COST = 65536,    /* of a map of no length, in entries */
	WEIGHED_MAX = 40 << 22 /* entries */
};

/* Where version numbers stand. */
enum arrangement { ALONE, BEHIND, BEFORE, MAP_FIRST, NUMBER_FIRST, WIDE, ARRANGEMENTS };

struct search {
	struct gow_infer_work *work;
	uint32_t entries[SIZES_MAX + 2];
	size_t entry_count;
	bool any_end; /* the last block may be cut short */
	/* What is left of the time that any file may take: hostile ones would take for ever. */
	uint32_t reads_left, weighs_left; /* the latter in entries */
	uint64_t seen[GOW_SEEN_MAX / 64]; /* scratch of gow_infer_may_be_map */
	struct {
		uint64_t offset;
		bool known, begins;
	} cache[CACHE];
};

/* ---- what a disk begins with ------------------------------------------------------------- */

static bool begins_disk(const uint8_t head[HEAD_SIZE])
{
	if (head[510] == 0x55 && head[511] == 0xaa)
		return true;
	if (head[1080] == 0x53 && head[1081] == 0xef)
		return true;
	return memcmp(head + HEAD_SIZE - 10, "SWAPSPACE2", 10) == 0;
}

static bool disk_begins_at(struct search *search, uint64_t offset)
{
	size_t slot = (size_t)(offset / 4 * UINT64_C(0x9e3779b97f4a7c15) >> 52) % CACHE;
	uint8_t head[HEAD_SIZE];

	if (search->cache[slot].known && search->cache[slot].offset == offset)
		return search->cache[slot].begins;
	if (!search->reads_left)
		return false;
	search->reads_left--;
	search->cache[slot].known = true;
	search->cache[slot].offset = offset;
	search->cache[slot].begins = gow_file_read_padded(search->work->file, offset, head,
	                                                  HEAD_SIZE, NULL) == GOW_OK &&
	                             begins_disk(head);
	return search->cache[slot].begins;
}

/* ---- rows -------------------------------------------------------------------------------- */

/* Where the parts stand for tables that begin at start. */
static void arrange(struct gow_layout *row, enum arrangement how, uint64_t start)
{
	uint64_t array = UINT64_C(4) * row->map_entries;

	row->map_offset = how == BEFORE ? start + array : how == NUMBER_FIRST ? start + 4 : start;
	row->map_stride = how >= MAP_FIRST ? 8 : 4;
	row->versions_stride = how == ALONE || how == WIDE ? 0 : row->map_stride;
	row->versions_offset = how == BEHIND ? start + array : how == MAP_FIRST ? start + 4 : start;
	if (!row->versions_stride)
		row->versions_offset = 0;
}

/* The smallest alignment that has block 0 begin at data_start; 0: none. */
static uint32_t alignment(uint64_t header_end, uint64_t data_start)
{
	for (uint32_t align = 1; align <= ALIGN_MAX; align *= 2)
		if (gow_round_up(header_end, align) == data_start)
			return align;
	return 0;
}

static int try_row(struct search *search, struct gow_layout *row, uint64_t data_start,
                   gow_error *error)
{
	struct gow_infer_work *work = search->work;
	uint32_t word;

	row->data_align = alignment(gow_layout_header_end(row), data_start);
	if (!row->data_align || data_start >= work->file_size ||
	    row->map_offset + 4 > work->head_size)
		return GOW_OK;
	word = gow_load32(work->head + row->map_offset, row->order);
	for (row->first_block = 0; row->first_block < 2; row->first_block++) {
		uint64_t block = (uint64_t)word - row->first_block;
		int code;

		if (word < row->first_block ||
		    block * GOW_BLOCK_SIZE >= work->file_size - data_start ||
		    !gow_infer_first_is_alone(work, row, word) ||
		    !disk_begins_at(search, data_start + block * GOW_BLOCK_SIZE))
			continue;
		if (!gow_infer_may_be_map(work, search->seen, row,
		                          (uint32_t)gow_min(row->map_entries, SAMPLE), SAMPLE / 32))
			continue;
		if (search->weighs_left < row->map_entries)
			return GOW_OK;
		search->weighs_left -= (uint32_t)gow_min(search->weighs_left,
		                                         row->map_entries + WEIGH_COST);
		if (!gow_infer_may_be_map(work, search->seen, row, row->map_entries, 2))
			continue;
		code = gow_infer_weigh(work, row, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

/* The places where block 0 could begin behind such a header. */
static int try_shape(struct search *search, struct gow_layout *row, gow_error *error)
{
	static const uint32_t usual[] = { 1, 512, 4096 };
	uint64_t header_end = gow_layout_header_end(row);
	uint64_t gap = (search->work->rest - header_end) % GOW_BLOCK_SIZE;
	int code = GOW_OK;

	if (header_end > search->work->file_size)
		return GOW_OK;
	if (!search->any_end)
		return gap < ALIGN_MAX ? try_row(search, row, header_end + gap, error) : GOW_OK;
	for (size_t i = 0; i < sizeof usual / sizeof *usual && !code; i++)
		code = try_row(search, row, gow_round_up(header_end, usual[i]), error);
	return code;
}

/* Every start. */
static int try_starts(struct search *search, struct gow_layout *row, enum arrangement how,
                      uint64_t step, gow_error *error)
{
	int code = GOW_OK;

	for (uint64_t start = 0; start <= START_MAX && !code; start += step) {
		arrange(row, how, start);
		code = try_shape(search, row, error);
	}
	return code;
}

static int try_all(struct search *search, uint64_t step, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < search->entry_count && !code; i++)
		for (int order = GOW_LITTLE_ENDIAN; order <= GOW_BIG_ENDIAN; order++)
			for (int how = 0; how < ARRANGEMENTS && !code; how++) {
				struct gow_layout row = { .name = "inferred",
					                  .order = (enum gow_order)order,
					                  .map_entries = search->entries[i] };

				row.logical_limit = (uint64_t)row.map_entries * GOW_BLOCK_SIZE;
				row.fixed_size = row.logical_limit;
				code = try_starts(search, &row, (enum arrangement)how, step, error);
			}
	return code;
}

/* ---- how many entries -------------------------------------------------------------------- */

static void add_entries(struct search *search, uint64_t entries)
{
	if (entries < ENTRIES_MIN || entries > 1 << 22 || search->entry_count == SIZES_MAX + 2 ||
	    entries * 4 > search->work->file_size)
		return;
	for (size_t i = 0; i < search->entry_count; i++)
		if (search->entries[i] == entries)
			return;
	search->entries[search->entry_count++] = (uint32_t)entries;
}

/* A number of the preamble may be the disk's size, and with it that of the map. */
static void add_sizes(struct search *search, size_t at, enum gow_order order)
{
	static const uint64_t units[] = { 1, 512, GOW_BLOCK_SIZE };

	for (unsigned width = 4; width <= 8; width += 4) {
		uint64_t value;

		if (at + width > search->work->head_size)
			return;
		value = gow_load(search->work->head + at, width, order);
		for (size_t i = 0; i < sizeof units / sizeof *units; i++)
			if (value && value <= (UINT64_C(1) << 38) / units[i] &&
			    value * units[i] % 512 == 0)
				add_entries(search,
				            gow_divide_up(value * units[i], GOW_BLOCK_SIZE));
	}
}

static void find_entries(struct search *search, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += 4) {
		add_sizes(search, at, GOW_LITTLE_ENDIAN);
		add_sizes(search, at, GOW_BIG_ENDIAN);
	}
}

/* A map that fills what the header has: without anybody who tells its length. */
static int try_filling(struct search *search, gow_error *error)
{
	const struct gow_infer_work *work = search->work;
	int code = GOW_OK;

	for (uint64_t end = work->rest; end <= work->head_size && end <= (1 << 20) && !code;
	     end += GOW_BLOCK_SIZE) {
		for (int how = 0; how < ARRANGEMENTS && !code; how++) {
			unsigned unit = how == ALONE ? 4 : 8;

			for (uint64_t start = 0; start + unit <= end && start <= START_MAX && !code;
			     start += 4) {
				struct gow_layout row = { .name = "inferred" };

				row.map_entries = (uint32_t)((end - start) / unit);
				row.logical_limit = (uint64_t)row.map_entries * GOW_BLOCK_SIZE;
				row.fixed_size = row.logical_limit;
				arrange(&row, (enum arrangement)how, start);
				for (int order = 0; order < 2 && !code; order++) {
					row.order = (enum gow_order)order;
					code = try_row(search, &row, end, error);
				}
			}
		}
	}
	return code;
}

static bool found_something(const struct gow_infer *result)
{
	return result->count && result->candidates[0].guest.agreed;
}

static void allow(struct search *search)
{
	search->reads_left = READS_MAX;
	search->weighs_left = WEIGHED_MAX;
}

/* The guest says how large its disk is: the map may be as long as that. */
static int try_told_sizes(struct search *search, gow_error *error)
{
	const struct gow_infer *result = search->work->result;

	search->entry_count = 0;
	for (size_t i = 0; i < result->count; i++) {
		const struct gow_candidate *candidate = &result->candidates[i];

		if (candidate->guest.agreed && gow_infer_length_is_usual(candidate))
			continue;
		add_entries(search, gow_divide_up(candidate->guest.disk_size, GOW_BLOCK_SIZE));
		add_entries(search, gow_divide_up(candidate->guest.end, GOW_BLOCK_SIZE));
	}
	allow(search);
	search->any_end = false;
	return search->entry_count ? try_all(search, 4, error) : GOW_OK;
}

int gow_infer_shapes(struct gow_infer_work *work, gow_error *error)
{
	struct search *search = calloc(1, sizeof *search);
	int code;

	if (!search)
		return gow_fail_memory(error, sizeof *search);
	search->work = work;
	add_entries(search, 1 << 22);
	add_entries(search, 1 << 20);
	find_entries(search, 0, 64);
	allow(search);
	code = try_all(search, 4, error);
	if (!code && !found_something(work->result)) {
		allow(search);
		find_entries(search, 64, 4096);
		code = try_all(search, 4, error);
	}
	search->entry_count = (size_t)gow_min(search->entry_count, 6);
	if (!code && !found_something(work->result)) {
		allow(search);
		search->any_end = true;
		code = try_all(search, 4, error);
	}
	if (!code && !found_something(work->result)) {
		allow(search);
		code = try_filling(search, error);
	}
	if (!code)
		code = try_told_sizes(search, error);
	free(search);
	return code;
}
