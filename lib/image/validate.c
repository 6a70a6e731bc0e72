/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/validate.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* ---- loading ----------------------------------------------------------------------------- */

/* What is needed beyond the preamble. */
static int load_map(struct gow_raw *raw, gow_error *error)
{
	const struct gow_layout *layout = raw->header.layout;
	int code;

	if (raw->header.truncated)
		return GOW_OK;
	/* The number of entries is the layout's, not the file's. */
	code = gow_alloc_table(layout->map_entries, &raw->entries, error);
	if (code)
		return code;
	code = gow_header_read_entries(raw->file, layout, 0, layout->map_entries, raw->entries,
	                               error);
	if (code)
		gow_raw_release(raw);
	return code;
}

static int load_rest(struct gow_raw *raw, gow_error *error)
{
	int code = GOW_OK;

	if (raw->header.pending)
		code = gow_pending_find(raw->file, &raw->header, &raw->pending, error);
	return code ? code : load_map(raw, error);
}

int gow_raw_load(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                 struct gow_raw *raw, gow_error *error)
{
	int code;

	*raw = (struct gow_raw){ .file = file };
	code = gow_header_read(file, rows, row_count, &raw->header, error);
	return code ? code : load_rest(raw, error);
}

int gow_raw_load_as(struct gow_file *file, const struct gow_layout *layout, struct gow_raw *raw,
                    gow_error *error)
{
	int code;

	*raw = (struct gow_raw){ .file = file };
	code = gow_header_read_as(file, layout, &raw->header, error);
	return code ? code : load_rest(raw, error);
}

int gow_raw_load_plain(struct gow_file *file, const struct gow_layout *layout,
                       struct gow_raw *raw, gow_error *error)
{
	int code;

	*raw = (struct gow_raw){ .file = file };
	code = gow_header_read_as(file, layout, &raw->header, error);
	return code ? code : load_map(raw, error);
}

void gow_raw_release(struct gow_raw *raw)
{
	free(raw->entries);
	raw->entries = NULL;
}

/* ---- the walk ---------------------------------------------------------------------------- */

/*
 * Which physical blocks are named, and which more than once, is kept in two bitmaps. A file may
 * claim 2^32 blocks by being sparse, so they cover a window at a time: 2 TiB of file, which is
 * all of it in every image that is not contrived.
 */
enum { WINDOW_BLOCKS = 1 << 25, WORD_BITS = 64 };

struct walk {
	const struct gow_raw *raw;
	gow_problem_visitor visit;
	void *context;
	struct gow_tally tally;
	gow_error *error;
	uint64_t *named;    /* a bit per physical block of the window */
	uint64_t *shared;   /* named more than once */
	uint32_t window;    /* the first block of the window */
	uint32_t width;     /* how many blocks it has */
	bool any_shared;
};

static const gow_place nowhere = { GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE };

static int report(struct walk *walk, gow_problem_id id, gow_place place, uint64_t run)
{
	return walk->visit(walk->context, id, &place, run);
}

static int report_at(struct walk *walk, gow_problem_id id, uint64_t offset)
{
	gow_place place = nowhere;

	place.offset = offset;
	return report(walk, id, place, 1);
}

/* Something about the entry of a logical block. */
static int report_entry(struct walk *walk, gow_problem_id id, uint32_t logical)
{
	gow_place place = nowhere;

	place.logical = logical;
	place.physical = walk->raw->entries[logical];
	place.offset = gow_layout_entry_offset(walk->raw->header.layout, logical);
	return report(walk, id, place, 1);
}

/* ---- the preamble and the padding -------------------------------------------------------- */

static int walk_preamble(struct walk *walk)
{
	const struct gow_header *header = &walk->raw->header;
	int result = 0;

	if (header->pending)
		result = report_at(walk, GOW_JOURNAL_MISSING, header->layout->magic_offset);
	if (!result && !gow_size_is_lawful(header->layout, header->logical_size))
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

static int walk_padding(struct walk *walk)
{
	const struct gow_header *header = &walk->raw->header;
	uint64_t at = gow_layout_header_end(header->layout);
	uint64_t end = gow_min(gow_layout_data_start(header->layout), header->file_size);

	while (at < end) {
		uint8_t bytes[4096];
		size_t part = (size_t)gow_min(end - at, sizeof bytes);
		int code = gow_file_read_all(walk->raw->file, at, bytes, part, walk->error);

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

static bool get_bit(const uint64_t *bits, uint32_t index)
{
	return bits[index / WORD_BITS] >> (index % WORD_BITS) & 1;
}

/* Each entry by itself: is there such a block, and does the next allocation stay off it. */
static int walk_entries(struct walk *walk)
{
	const struct gow_header *header = &walk->raw->header;
	const uint32_t *entries = walk->raw->entries;
	const uint32_t count = header->layout->map_entries;
	const uint32_t present = header->present_blocks;
	uint32_t allocated = 0, absent = 0, low = 0;
	int result = 0;

	/* Branch-free, so that it keeps pace with memory; who and where only when asked. */
	for (uint32_t i = 0; i < count; i++) {
		uint32_t entry = entries[i];

		allocated += entry != GOW_UNALLOCATED;
		absent += entry >= present;
		low += entry >= header->block_count;
	}
	walk->tally.allocated = allocated;
	/* Unallocated entries were counted, too: they are larger than any limit. */
	absent -= count - allocated;
	low -= count - allocated;
	for (uint32_t i = 0; i < count && absent && !result; i++)
		if (entries[i] != GOW_UNALLOCATED && entries[i] >= present) {
			result = report_entry(walk, GOW_MAP_RANGE, i);
			absent--;
		}
	for (uint32_t i = 0; i < count && low && !result; i++)
		if (entries[i] < present && entries[i] >= header->block_count) {
			gow_place place = nowhere;

			place.logical = i;
			place.physical = entries[i];
			place.offset = header->layout->block_count.offset;
			return report(walk, GOW_HEADER_COUNT_LOW, place, 1);
		}
	return result;
}

static int walk_beyond_size(struct walk *walk)
{
	const struct gow_header *header = &walk->raw->header;
	int result = 0;

	if (!gow_size_is_lawful(header->layout, header->logical_size))
		return 0;
	for (uint64_t i = header->logical_blocks; i < header->layout->map_entries && !result; i++)
		if (walk->raw->entries[i] != GOW_UNALLOCATED)
			result = report_entry(walk, GOW_MAP_BEYOND_SIZE, (uint32_t)i);
	return result;
}

/* Marks what the entries name inside the window. */
static void mark_window(struct walk *walk)
{
	const uint32_t *entries = walk->raw->entries;
	const uint32_t count = walk->raw->header.layout->map_entries;
	const size_t bytes = gow_divide_up(walk->width, WORD_BITS) * sizeof(uint64_t);
	uint64_t *named = walk->named;
	uint64_t *shared = walk->shared;
	uint64_t any = 0;

	memset(named, 0, bytes);
	memset(shared, 0, bytes);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = entries[i] - walk->window;
		uint64_t bit = UINT64_C(1) << (index % WORD_BITS);

		if (index >= walk->width)
			continue;
		any |= named[index / WORD_BITS] & bit;
		if (named[index / WORD_BITS] & bit)
			shared[index / WORD_BITS] |= bit;
		named[index / WORD_BITS] |= bit;
	}
	walk->any_shared = any != 0;
}

static int report_leak(struct walk *walk, uint32_t start, uint32_t end)
{
	gow_place place = nowhere;

	walk->tally.leaked += end - start;
	place.physical = (uint64_t)walk->window + start;
	place.offset = gow_layout_block_offset(walk->raw->header.layout, place.physical);
	return report(walk, GOW_SPACE_LEAK, place, end - start);
}

/* Runs of blocks in the window that no entry names. */
static int walk_leaks(struct walk *walk)
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

static uint32_t rank_of(const struct walk *walk, const struct owners *owners, uint32_t index)
{
	uint64_t before = walk->shared[index / WORD_BITS] &
	                  ((UINT64_C(1) << (index % WORD_BITS)) - 1);

	return owners->rank[index / WORD_BITS] + (uint32_t)__builtin_popcountll(before);
}

static bool entry_is_shared(const struct walk *walk, uint32_t logical)
{
	uint32_t index = walk->raw->entries[logical] - walk->window;

	return index < walk->width && get_bit(walk->shared, index);
}

static int owners_find(const struct walk *walk, struct owners *owners)
{
	const uint32_t count = walk->raw->header.layout->map_entries;
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
			uint32_t index = walk->raw->entries[i] - walk->window;

			owners->first[rank_of(walk, owners, index) + 2]++;
			total++;
		}
	for (uint32_t b = 2; b <= owners->blocks + 1; b++)
		owners->first[b] += owners->first[b - 1];
	owners->list = malloc((size_t)total * sizeof *owners->list);
	if (!owners->list)
		return gow_fail_memory(walk->error, (size_t)total * sizeof *owners->list);
	for (uint32_t i = 0; i < count; i++)
		if (entry_is_shared(walk, i)) {
			uint32_t index = walk->raw->entries[i] - walk->window;

			owners->list[owners->first[rank_of(walk, owners, index) + 1]++] = i;
		}
	return GOW_OK;
}

/* One shared block: the first owner against each of the others. */
static int report_owners(struct walk *walk, const struct owners *owners, uint32_t block)
{
	uint32_t begin = owners->first[block];
	int result = 0;

	for (uint32_t i = begin + 1; i < owners->first[block + 1] && !result; i++) {
		gow_place place = nowhere;

		place.logical = owners->list[begin];
		place.other = owners->list[i];
		place.physical = walk->raw->entries[owners->list[begin]];
		place.offset = gow_layout_block_offset(walk->raw->header.layout, place.physical);
		/* Counted once, however many owners there are. */
		result = report(walk, GOW_MAP_CROSSLINK, place, i == begin + 1);
	}
	return result;
}

static int walk_crosslinks(struct walk *walk)
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

static int walk_tail(struct walk *walk)
{
	const struct gow_header *header = &walk->raw->header;
	const uint32_t last = header->present_blocks - 1;
	gow_place place = nowhere;
	uint32_t i;

	if (!header->present_blocks || last - walk->window >= walk->width ||
	    !get_bit(walk->named, last - walk->window) ||
	    gow_layout_block_offset(header->layout, last) + GOW_BLOCK_SIZE <= header->file_size)
		return 0;
	for (i = 0; walk->raw->entries[i] != last; i++)
		; /* somebody names it: its bit is set */
	place.logical = i;
	place.physical = last;
	place.offset = gow_layout_block_offset(header->layout, last);
	return report(walk, GOW_SPACE_TAIL, place, 1);
}

static int walk_blocks(struct walk *walk)
{
	const uint32_t present = walk->raw->header.present_blocks;
	const uint32_t width = (uint32_t)gow_min(present, WINDOW_BLOCKS);
	const size_t words = gow_divide_up(width, WORD_BITS);
	int result = 0;

	walk->named = malloc((words + 1) * sizeof *walk->named);
	walk->shared = malloc((words + 1) * sizeof *walk->shared);
	if (!walk->named || !walk->shared) {
		free(walk->named);
		free(walk->shared);
		return gow_fail_memory(walk->error, words * sizeof *walk->named);
	}
	for (uint64_t at = 0; at < present && !result; at += WINDOW_BLOCKS) {
		walk->window = (uint32_t)at;
		walk->width = (uint32_t)gow_min(present - at, WINDOW_BLOCKS);
		mark_window(walk);
		result = walk_crosslinks(walk);
		if (!result)
			result = walk_leaks(walk);
		if (!result)
			result = walk_tail(walk);
	}
	free(walk->named);
	free(walk->shared);
	return result;
}

/* ---- version numbers --------------------------------------------------------------------- */

static int report_version(struct walk *walk, gow_problem_id id, uint32_t logical)
{
	uint32_t entry = walk->raw->entries[logical];
	gow_place place = nowhere;

	place.logical = logical;
	if (entry != GOW_UNALLOCATED)
		place.physical = entry;
	place.offset = gow_layout_version_offset(walk->raw->header.layout, logical);
	return report(walk, id, place, 1);
}

enum { VERSION_CHUNK = 16384 };

static int walk_version_chunk(struct walk *walk, uint32_t first, uint32_t count,
                              const uint32_t *versions)
{
	const uint32_t *entries = walk->raw->entries + first;
	uint32_t wrong = 0;
	int result = 0;

	for (uint32_t i = 0; i < count; i++)
		wrong |= (uint32_t)(versions[i] == GOW_VERSION_MAX) |
		         (uint32_t)((versions[i] == 0) & (entries[i] != GOW_UNALLOCATED));
	for (uint32_t i = 0; i < count && wrong && !result; i++) {
		if (versions[i] == 0 && entries[i] != GOW_UNALLOCATED)
			result = report_version(walk, GOW_VERSION_ZERO, first + i);
		else if (versions[i] == GOW_VERSION_MAX)
			result = report_version(walk, GOW_VERSION_EXHAUSTED, first + i);
	}
	return result;
}

static int walk_versions(struct walk *walk)
{
	const struct gow_layout *layout = walk->raw->header.layout;
	uint32_t versions[VERSION_CHUNK];
	int result = 0;

	if (!gow_layout_has_versions(layout))
		return 0;
	for (uint32_t at = 0; at < layout->map_entries && !result; at += VERSION_CHUNK) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, VERSION_CHUNK);

		result = gow_header_read_versions(walk->raw->file, layout, at, count, versions,
		                                  walk->error);
		if (!result)
			result = walk_version_chunk(walk, at, count, versions);
	}
	return result;
}

int gow_validate(const struct gow_raw *raw, gow_problem_visitor visit, void *context,
                 struct gow_tally *tally, gow_error *error)
{
	static int (*const parts[])(struct walk *) = {
		walk_preamble, walk_padding,  walk_entries, walk_beyond_size,
		walk_blocks,   walk_versions,
	};
	struct walk walk = { .raw = raw, .visit = visit, .context = context, .error = error };
	int result = 0;

	if (raw->pending.kind != GOW_PENDING_NONE)
		result = report_at(&walk, GOW_JOURNAL_PENDING, raw->header.layout->magic_offset);
	else if (raw->header.truncated)
		result = report_at(&walk, GOW_HEADER_TRUNCATED, raw->header.file_size);
	else
		for (size_t i = 0; i < sizeof parts / sizeof *parts && !result; i++)
			result = parts[i](&walk);
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

int gow_judge(const struct gow_raw *raw, struct gow_verdict *verdict, gow_error *error)
{
	memset(verdict, 0, sizeof *verdict);
	return gow_validate(raw, count_problem, verdict, &verdict->tally, error);
}

const gow_finding *gow_verdict_first(const struct gow_verdict *verdict, gow_severity severity)
{
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (verdict->by_id[i].problem && verdict->by_id[i].problem->severity == severity)
			return &verdict->by_id[i];
	return NULL;
}
