/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate_blocks.c - what entries of the map have in common: blocks that several name, or none.
 *
 * Which physical blocks are named, and which more than once, is kept in two bitmaps. A file may
 * claim 2^32 blocks by being sparse, so they cover a window at a time: 2 TiB of file, which is
 * all of it in every image that is not contrived.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"
#include "image/validate_parts.h"

enum { WINDOW_BLOCKS = 1 << 25, WORD_BITS = GOW_WORD_BITS };

/* ---- what is named ----------------------------------------------------------------------- */

/* How many words of a bitmap so many blocks take, at most WINDOW_BLOCKS. */
static size_t window_words(uint32_t width)
{
	return (width + WORD_BITS - 1) / WORD_BITS;
}

void gow_walk_mark(struct gow_walk *walk, const uint32_t *entries, uint32_t count)
{
	const uint32_t window = walk->window, width = walk->width;
	uint64_t *named = walk->named;
	uint32_t inside = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t index = entries[i] - window;

		if (index >= width)
			continue;
		gow_set_bit(named, index);
		inside++;
	}
	walk->inside += inside;
}

/* Which of them are named more than once, for a window where some are. */
static void mark_shared(struct gow_walk *walk)
{
	const uint32_t *entries = walk->unchecked->entries;
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	const size_t bytes = window_words(walk->width) * sizeof(uint64_t);

	memset(walk->named, 0, bytes);
	memset(walk->shared, 0, bytes);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t index = entries[i] - walk->window;
		const uint64_t bit = UINT64_C(1) << (index % WORD_BITS);

		if (index >= walk->width)
			continue;
		if (walk->named[index / WORD_BITS] & bit)
			walk->shared[index / WORD_BITS] |= bit;
		walk->named[index / WORD_BITS] |= bit;
	}
}

/* A window where as many blocks are named as entries name one shares none, which is the common
 * case: the second bitmap is neither cleared nor read then. */
static void find_shared(struct gow_walk *walk)
{
	const size_t words = window_words(walk->width);
	uint32_t blocks = 0;

	for (size_t i = 0; i < words; i++)
		blocks += (uint32_t)__builtin_popcountll(walk->named[i]);
	walk->any_shared = blocks != walk->inside;
	if (walk->any_shared)
		mark_shared(walk);
}

static int report_leak(struct gow_walk *walk, uint32_t start, uint32_t end)
{
	gow_place place = gow_walk_nowhere;

	walk->tally.leaked += end - start;
	place.physical = (uint64_t)walk->window + start;
	place.offset = gow_layout_block_offset(walk->unchecked->header.layout, place.physical);
	return gow_walk_report(walk, GOW_SPACE_LEAK, place, end - start);
}

/* Runs of blocks in the window that no entry names. */
static int walk_leaks(struct gow_walk *walk)
{
	uint32_t at = 0;
	int result = 0;

	while (at < walk->width && !result) {
		uint64_t word = walk->named[at / WORD_BITS] >> (at % WORD_BITS);
		uint32_t start;

		if (word == UINT64_MAX >> (at % WORD_BITS)) { /* all named up to the word's end */
			at += WORD_BITS - at % WORD_BITS;
			continue;
		}
		at += (uint32_t)__builtin_ctzll(~word);
		for (start = at; at < walk->width;) {
			word = walk->named[at / WORD_BITS] >> (at % WORD_BITS);
			if (word) {
				at += (uint32_t)__builtin_ctzll(word);
				break;
			}
			at += WORD_BITS - at % WORD_BITS;
		}
		if (start < walk->width)
			result = report_leak(walk, start, (uint32_t)gow_min(at, walk->width));
	}
	return result;
}

/* ---- cross-links ------------------------------------------------------------------------- */

/*
 * The owners of shared blocks, grouped by block in ascending order and ascending within: a
 * counting sort, since there may be as many as the map has entries. rank[w] is the number of
 * shared blocks before word w of the bitmap.
 */
struct owners {
	uint32_t *rank;
	uint32_t *first; /* by shared block: where its owners begin in list; one more at the end */
	uint32_t *list;  /* logical blocks */
	uint32_t blocks;
};

static void owners_release(struct owners *owners)
{
	free(owners->rank);
	free(owners->first);
	free(owners->list);
}

static uint32_t rank_of(const struct gow_walk *walk, const struct owners *owners, uint32_t index)
{
	uint64_t before = walk->shared[index / WORD_BITS] &
	                  ((UINT64_C(1) << (index % WORD_BITS)) - 1);

	return owners->rank[index / WORD_BITS] + (uint32_t)__builtin_popcountll(before);
}

static bool entry_is_shared(const struct gow_walk *walk, uint32_t logical)
{
	uint32_t index = walk->unchecked->entries[logical] - walk->window;

	return index < walk->width && gow_get_bit(walk->shared, index);
}

static int owners_find(const struct gow_walk *walk, struct owners *owners)
{
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	const uint32_t words = (uint32_t)gow_divide_up(walk->width, WORD_BITS);
	uint32_t total = 0;

	owners->rank = malloc(words * sizeof *owners->rank);
	if (!owners->rank)
		return gow_fail_memory(walk->error, words * sizeof *owners->rank);
	for (uint32_t w = 0; w < words; w++) {
		owners->rank[w] = owners->blocks;
		owners->blocks += (uint32_t)__builtin_popcountll(walk->shared[w]);
	}
	owners->first = calloc((size_t)owners->blocks + 2, sizeof *owners->first);
	if (!owners->first)
		return gow_fail_memory(walk->error, owners->blocks * sizeof *owners->first);
	/* Counted two places up, so that after the sums, and after filling the list, the
	 * beginnings have moved down to where they belong. */
	for (uint32_t i = 0; i < count; i++)
		if (entry_is_shared(walk, i)) {
			uint32_t index = walk->unchecked->entries[i] - walk->window;

			owners->first[rank_of(walk, owners, index) + 2]++;
			total++;
		}
	for (uint32_t b = 2; b <= owners->blocks + 1; b++)
		owners->first[b] += owners->first[b - 1];
	if (!total) /* what is shared has owners, so this cannot be */
		return 0;
	owners->list = malloc((size_t)total * sizeof *owners->list);
	if (!owners->list)
		return gow_fail_memory(walk->error, (size_t)total * sizeof *owners->list);
	for (uint32_t i = 0; i < count; i++)
		if (entry_is_shared(walk, i)) {
			uint32_t index = walk->unchecked->entries[i] - walk->window;

			owners->list[owners->first[rank_of(walk, owners, index) + 1]++] = i;
		}
	return GOW_OK;
}

/* One shared block: the first owner against each of the others. */
static int report_owners(struct gow_walk *walk, const struct owners *owners, uint32_t block)
{
	uint32_t begin = owners->first[block];
	int result = 0;

	for (uint32_t i = begin + 1; i < owners->first[block + 1] && !result; i++) {
		gow_place place = gow_walk_nowhere;

		place.logical = owners->list[begin];
		place.other = owners->list[i];
		place.physical = walk->unchecked->entries[owners->list[begin]];
		place.offset = gow_layout_block_offset(walk->unchecked->header.layout,
		                                       place.physical);
		/* Counted once, however many owners there are. */
		result = gow_walk_report(walk, GOW_MAP_CROSSLINK, place, i == begin + 1);
	}
	return result;
}

static int walk_crosslinks(struct gow_walk *walk)
{
	struct owners owners = { 0 };
	int result;

	if (!walk->any_shared)
		return 0;
	result = owners_find(walk, &owners);
	for (uint32_t b = 0; b < owners.blocks && !result; b++)
		result = report_owners(walk, &owners, b);
	owners_release(&owners);
	return result;
}

/* ---- the tail ---------------------------------------------------------------------------- */

static int walk_tail(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t last = header->present_blocks - 1;
	gow_place place = gow_walk_nowhere;
	uint32_t i;

	if (!header->present_blocks || last - walk->window >= walk->width ||
	    !gow_get_bit(walk->named, last - walk->window) ||
	    gow_layout_block_offset(header->layout, last) + GOW_BLOCK_SIZE <= header->file_size)
		return 0;
	for (i = 0; walk->unchecked->entries[i] != last; i++)
		; /* somebody names it: its bit is set */
	place.logical = i;
	place.physical = last;
	place.offset = gow_layout_block_offset(header->layout, last);
	return gow_walk_report(walk, GOW_SPACE_TAIL, place, 1);
}

int gow_walk_begin(struct gow_walk *walk)
{
	const uint32_t present = walk->unchecked->header.present_blocks;
	const size_t words = window_words((uint32_t)gow_min(present, WINDOW_BLOCKS));

	walk->width = (uint32_t)gow_min(present, WINDOW_BLOCKS);
	walk->named = calloc(words + 1, sizeof *walk->named);
	walk->shared = malloc((words + 1) * sizeof *walk->shared);
	return walk->named && walk->shared
	               ? GOW_OK
	               : gow_fail_memory(walk->error, words * sizeof *walk->named);
}

void gow_walk_end(struct gow_walk *walk)
{
	free(walk->named);
	free(walk->shared);
}

/* On to another window; the marks of the first one were made with the pass over the map. */
static void mark_window(struct gow_walk *walk, uint32_t window)
{
	walk->window = window;
	walk->width = (uint32_t)gow_min(walk->unchecked->header.present_blocks - window,
	                                WINDOW_BLOCKS);
	walk->inside = 0;
	memset(walk->named, 0, window_words(walk->width) * sizeof *walk->named);
	gow_walk_mark(walk, walk->unchecked->entries, walk->unchecked->header.layout->map_entries);
}

int gow_walk_blocks(struct gow_walk *walk)
{
	const uint32_t present = walk->unchecked->header.present_blocks;
	int result = 0;

	for (uint64_t at = 0; at < present && !result; at += WINDOW_BLOCKS) {
		if (at)
			mark_window(walk, (uint32_t)at);
		find_shared(walk);
		result = walk_crosslinks(walk);
		if (!result)
			result = walk_leaks(walk);
		if (!result)
			result = walk_tail(walk);
	}
	return result;
}
