/* SPDX-License-Identifier: BSD-2-Clause */
/* entries.c - whether the numbers of a shape can be the entries of a map. */
#include <string.h>

#include "base/bits.h"
#include "ops/infer/infer.h"

/* Entry i as it is stored; false where it is past what was read. */
static bool word_at(const struct gow_infer_work *work, const struct gow_layout *row, uint64_t i,
                    uint32_t *word)
{
	uint64_t at = row->map_offset + i * row->map_stride;

	if (at + 4 > work->head_size)
		return false;
	*word = gow_load32(work->head + at, row->order);
	return true;
}

static uint64_t blocks_of(const struct gow_infer_work *work, const struct gow_layout *row)
{
	return gow_divide_up(work->file_size - gow_layout_data_start(row), GOW_BLOCK_SIZE);
}

/* Of the first count entries: the most frequent value of those that name no block; by Boyer and
 * Moore. */
static void find_unallocated(const struct gow_infer_work *work, struct gow_layout *row,
                             uint32_t count)
{
	const uint64_t blocks = blocks_of(work, row);
	uint32_t value = row->first_block ? 0 : UINT32_MAX, votes = 0, word;

	for (uint64_t i = 0; i < count && word_at(work, row, i, &word); i++) {
		if (word - row->first_block < blocks && word >= row->first_block)
			continue;
		if (!votes)
			value = word;
		votes += word == value ? 1 : UINT32_MAX;
	}
	row->unallocated = value;
}

bool gow_infer_may_be_map(const struct gow_infer_work *work, uint64_t *seen, struct gow_layout *row,
                          uint32_t count, uint32_t slack)
{
	const uint64_t blocks = blocks_of(work, row);
	const uint64_t kept = gow_min(blocks, GOW_SEEN_MAX);
	uint64_t named = 0, wrong = 0;
	uint32_t word;

	find_unallocated(work, row, count);
	memset(seen, 0, gow_bit_words(kept) * sizeof *seen);
	for (uint64_t i = 0; i < count && word_at(work, row, i, &word); i++) {
		uint32_t block = word - row->first_block;

		if (block >= blocks || word < row->first_block) {
			wrong += word != row->unallocated;
			continue;
		}
		named++;
		if (block >= kept)
			continue;
		wrong += gow_get_bit(seen, block);
		gow_set_bit(seen, block);
	}
	return named && wrong <= (named + wrong) / 10 + slack;
}

bool gow_infer_first_is_alone(const struct gow_infer_work *work, const struct gow_layout *row,
                              uint32_t word)
{
	for (uint64_t i = 1; i < gow_min(row->map_entries, 256); i++) {
		uint64_t at = row->map_offset + i * row->map_stride;

		if (at + 4 <= work->head_size && gow_load32(work->head + at, row->order) == word)
			return false;
	}
	return true;
}
