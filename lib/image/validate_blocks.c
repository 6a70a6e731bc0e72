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

enum { WINDOW_BLOCKS = 1 << 25, WORD_BITS = GOW_WORD_BITS, OWNERS_LISTED = 1 << 19 };

/* ---- what is named ----------------------------------------------------------------------- */

/* How many words of a bitmap so many blocks take, at most WINDOW_BLOCKS. */
static size_t window_words(uint32_t width)
{
	return (width + WORD_BITS - 1) / WORD_BITS;
}

bool gow_marks_like(const struct gow_marks *marks, struct gow_marks *made)
{
	*made = *marks;
	made->inside = 0;
	made->named = calloc(window_words(marks->width) + 1, sizeof *made->named);
	return made->named;
}

void gow_marks_add(struct gow_marks *marks, const uint32_t *entries, uint32_t count)
{
	const uint32_t window = marks->window, width = marks->width;
	uint64_t *named = marks->named;
	uint32_t inside = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t index = entries[i] - window;

		if (index >= width)
			continue;
		gow_set_bit(named, index);
		inside++;
	}
	marks->inside += inside;
}

void gow_marks_merge(struct gow_marks *marks, const struct gow_marks *other)
{
	const size_t words = other->named == marks->named ? 0 : window_words(marks->width);

	for (size_t i = 0; i < words; i++)
		marks->named[i] |= other->named[i];
	marks->inside += other->inside;
}

/* Which of them are named more than once, for a window where some are. */
static void mark_shared(struct gow_walk *walk)
{
	const uint32_t *entries = walk->entries;
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	const size_t bytes = window_words(walk->marks.width) * sizeof(uint64_t);

	memset(walk->marks.named, 0, bytes);
	memset(walk->shared, 0, bytes);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t index = entries[i] - walk->marks.window;
		const uint64_t bit = UINT64_C(1) << (index % WORD_BITS);

		if (index >= walk->marks.width)
			continue;
		if (walk->marks.named[index / WORD_BITS] & bit)
			walk->shared[index / WORD_BITS] |= bit;
		walk->marks.named[index / WORD_BITS] |= bit;
	}
}

/* A window where as many blocks are named as entries name one shares none, which is the common
 * case: the second bitmap is neither cleared nor read then. */
static bool any_shared(const struct gow_walk *walk)
{
	const size_t words = window_words(walk->marks.width);
	uint32_t blocks = 0;

	for (size_t i = 0; i < words; i++)
		blocks += (uint32_t)__builtin_popcountll(walk->marks.named[i]);
	return blocks != walk->marks.inside;
}

static int report_leak(struct gow_walk *walk, uint32_t start, uint32_t end)
{
	gow_place place = gow_walk_nowhere;

	walk->tally.leaked += end - start;
	place.physical = (uint64_t)walk->marks.window + start;
	place.offset = gow_layout_block_offset(walk->unchecked->header.layout, place.physical);
	return gow_walk_report(walk, GOW_SPACE_LEAK, place, end - start);
}

/* Runs of blocks in the window that no entry names. */
static int walk_leaks(struct gow_walk *walk)
{
	uint32_t at = 0;
	int result = 0;

	while (at < walk->marks.width && !result) {
		uint64_t word = walk->marks.named[at / WORD_BITS] >> (at % WORD_BITS);
		uint32_t start;

		if (word == UINT64_MAX >> (at % WORD_BITS)) { /* all named up to the word's end */
			at += WORD_BITS - at % WORD_BITS;
			continue;
		}
		at += (uint32_t)__builtin_ctzll(~word);
		for (start = at; at < walk->marks.width;) {
			word = walk->marks.named[at / WORD_BITS] >> (at % WORD_BITS);
			if (word) {
				at += (uint32_t)__builtin_ctzll(word);
				break;
			}
			at += WORD_BITS - at % WORD_BITS;
		}
		if (start < walk->marks.width)
			result = report_leak(walk, start, (uint32_t)gow_min(at, walk->marks.width));
	}
	return result;
}

/* ---- cross-links ------------------------------------------------------------------------- */

/*
 * The owners of shared blocks, grouped by block in ascending order and ascending within: a
 * counting sort. There may be as many as the map has entries, so the list is of some blocks at a
 * time. rank[w] is the number of shared blocks before word w of the bitmap.
 */
struct owners {
	uint32_t *rank;
	uint32_t *first; /* by shared block: where its owners begin; two more at the end */
	uint32_t *list;  /* logical blocks; of the blocks from `from` to `to`, not included */
	uint32_t blocks;
	uint32_t from, to;
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

/* The rank of the block that an entry names; false: nobody else names it. */
static bool shared_rank(const struct gow_walk *walk, const struct owners *owners, uint32_t logical,
                        uint32_t *rank)
{
	const uint32_t index = walk->entries[logical] - walk->marks.window;

	if (index >= walk->marks.width || !gow_get_bit(walk->shared, index))
		return false;
	*rank = rank_of(walk, owners, index);
	return true;
}

static int owners_count(const struct gow_walk *walk, struct owners *owners)
{
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	const uint32_t words = (uint32_t)gow_divide_up(walk->marks.width, WORD_BITS);
	uint32_t rank;

	owners->rank = malloc(words * sizeof *owners->rank);
	owners->list = malloc(OWNERS_LISTED * sizeof *owners->list);
	if (!owners->rank || !owners->list)
		return gow_fail_memory(walk->error, OWNERS_LISTED * sizeof *owners->list);
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
		if (shared_rank(walk, owners, i, &rank))
			owners->first[rank + 2]++;
	for (uint32_t b = 2; b <= owners->blocks + 1; b++)
		owners->first[b] += owners->first[b - 1];
	return GOW_OK;
}

/* Lists the owners of the next blocks: of as many as there is room for, and of none where one alone
 * has more. */
static void owners_list(const struct gow_walk *walk, struct owners *owners)
{
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	uint32_t rank, begin;

	owners->from = owners->to;
	begin = owners->first[owners->from + 1];
	while (owners->to < owners->blocks &&
	       owners->first[owners->to + 2] - begin <= OWNERS_LISTED)
		owners->to++;
	if (owners->from == owners->to)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (shared_rank(walk, owners, i, &rank) && rank >= owners->from &&
		    rank < owners->to)
			owners->list[owners->first[rank + 1]++ - begin] = i;
}

static int report_owner(struct gow_walk *walk, uint32_t first, uint32_t other, bool counts)
{
	gow_place place = gow_walk_nowhere;

	place.logical = first;
	place.other = other;
	place.physical = walk->entries[first];
	place.offset = gow_layout_block_offset(walk->unchecked->header.layout, place.physical);
	/* Counted once, however many owners there are. */
	return gow_walk_report(walk, GOW_MAP_CROSSLINK, place, counts);
}

/* One shared block: the first owner against each of the others. */
static int report_owners(struct gow_walk *walk, const struct owners *owners, uint32_t block)
{
	const uint32_t begin = owners->first[block];
	const uint32_t *list = owners->list + (begin - owners->first[owners->from]);
	const uint32_t count = owners->first[block + 1] - begin;
	int result = 0;

	for (uint32_t i = 1; i < count && !result; i++)
		result = report_owner(walk, list[0], list[i], i == 1);
	return result;
}

/* The same of the next block, which has too many of them for the list. */
static int report_unlisted(struct gow_walk *walk, struct owners *owners)
{
	const uint32_t count = walk->unchecked->header.layout->map_entries;
	const uint32_t block = owners->to++;
	uint32_t first = 0, found = 0, rank;
	int result = 0;

	for (uint32_t i = 0; i < count && !result; i++) {
		if (!shared_rank(walk, owners, i, &rank) || rank != block)
			continue;
		if (found)
			result = report_owner(walk, first, i, found == 1);
		else
			first = i;
		found++;
	}
	owners->first[block + 1] += found;
	return result;
}

static int walk_crosslinks(struct gow_walk *walk)
{
	struct owners owners = { 0 };
	int result;

	if (!any_shared(walk))
		return 0;
	mark_shared(walk);
	result = owners_count(walk, &owners);
	while (owners.to < owners.blocks && !result) {
		owners_list(walk, &owners);
		for (uint32_t b = owners.from; b < owners.to && !result; b++)
			result = report_owners(walk, &owners, b);
		if (owners.from == owners.to)
			result = report_unlisted(walk, &owners);
	}
	owners_release(&owners);
	return result;
}

/* ---- the tail ---------------------------------------------------------------------------- */

/* Whether the last present block is one of the window that is named, but not whole. */
static bool tail_is_cut(const struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t last = header->present_blocks - 1;

	return header->present_blocks && last - walk->marks.window < walk->marks.width &&
	       gow_get_bit(walk->marks.named, last - walk->marks.window) &&
	       gow_layout_block_offset(header->layout, last) + GOW_BLOCK_SIZE > header->file_size;
}

static int walk_tail(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t last = header->present_blocks - 1;
	gow_place place = gow_walk_nowhere;
	uint32_t i;

	if (!tail_is_cut(walk))
		return 0;
	for (i = 0; walk->entries[i] != last; i++)
		; /* somebody names it: its bit is set */
	place.logical = i;
	place.physical = last;
	place.offset = gow_layout_block_offset(header->layout, last);
	return gow_walk_report(walk, GOW_SPACE_TAIL, place, 1);
}

/* ---- the windows ------------------------------------------------------------------------- */

int gow_walk_begin(struct gow_walk *walk)
{
	const uint32_t present = walk->unchecked->header.present_blocks;
	size_t words;

	walk->marks.width = (uint32_t)gow_min(present, WINDOW_BLOCKS);
	words = window_words(walk->marks.width);
	walk->marks.named = calloc(words + 1, sizeof *walk->marks.named);
	walk->shared = malloc((words + 1) * sizeof *walk->shared);
	return walk->marks.named && walk->shared
	               ? GOW_OK
	               : gow_fail_memory(walk->error, words * sizeof *walk->marks.named);
}

void gow_walk_end(struct gow_walk *walk)
{
	free(walk->own_entries);
	free(walk->marks.named);
	free(walk->shared);
}

void gow_walk_clear(struct gow_walk *walk)
{
	walk->marks.inside = 0;
	memset(walk->marks.named, 0, window_words(walk->marks.width) * sizeof *walk->marks.named);
}

bool gow_walk_asks_owners(const struct gow_walk *walk)
{
	return walk->marks.width < walk->unchecked->header.present_blocks || any_shared(walk) ||
	       tail_is_cut(walk);
}

/* On to another window; the marks of the first one were made with the pass over the map. */
static void mark_window(struct gow_walk *walk, uint32_t window)
{
	walk->marks.window = window;
	walk->marks.width = (uint32_t)gow_min(walk->unchecked->header.present_blocks - window,
	                                      WINDOW_BLOCKS);
	gow_walk_clear(walk);
	gow_marks_add(&walk->marks, walk->entries, walk->unchecked->header.layout->map_entries);
}

int gow_walk_blocks(struct gow_walk *walk)
{
	const uint32_t present = walk->unchecked->header.present_blocks;
	int result = 0;

	for (uint64_t at = 0; at < present && !result; at += WINDOW_BLOCKS) {
		if (at)
			mark_window(walk, (uint32_t)at);
		result = walk_crosslinks(walk);
		if (!result)
			result = walk_leaks(walk);
		if (!result)
			result = walk_tail(walk);
	}
	return result;
}
