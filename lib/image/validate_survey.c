/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate_survey.c - the one pass over the map and the version numbers.
 *
 * All of it that needs no second look is counted and marked while a piece of it is in the cache. A
 * sound map is never in memory as a whole: taking 16 MiB and filling them costs more than judging
 * them.
 */
#include "base/bytes.h"
#include "image/validate_parts.h"

enum {
	SURVEY_CHUNK = 8192, /* entries, or version numbers, that are looked at together */
	LANE = 1024 /* ... by a loop of known length, of which any compiler makes vectors */
};

#define always_inline inline __attribute__((always_inline))

/* ---- entries ----------------------------------------------------------------------------- */

/* What entries add up to. */
struct entry_counts {
	uint32_t allocated;
	uint32_t end; /* behind the last physical block that one names */
};

/* Branch-free, so that it keeps pace with memory; who and where only when asked. */
static always_inline void count_some(const uint32_t *entries, uint32_t count,
                                     struct entry_counts *counts)
{
	uint32_t allocated = 0, end = counts->end;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t behind = entries[i] + 1; /* 0: unallocated */

		allocated += behind != 0;
		end = behind > end ? behind : end;
	}
	counts->allocated += allocated;
	counts->end = end;
}

static struct entry_counts count_entries(const uint32_t *entries, uint32_t count)
{
	struct entry_counts counts = { 0 };

	for (; count >= LANE; count -= LANE, entries += LANE)
		count_some(entries, LANE, &counts);
	count_some(entries, count, &counts);
	return counts;
}

/* So many pairs, of which the first begins at entries. */
static always_inline void count_pairs(const uint32_t *entries, uint32_t count,
                                      struct gow_neighbours *sum)
{
	uint32_t pairs = 0, apart = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t both = (uint32_t)(entries[i] != GOW_UNALLOCATED) &
		                (uint32_t)(entries[i + 1] != GOW_UNALLOCATED);

		pairs += both;
		apart += both & (uint32_t)(entries[i + 1] != entries[i] + 1);
	}
	sum->pairs += pairs;
	sum->apart += apart;
}

void gow_count_neighbours(const uint32_t *entries, uint32_t count, struct gow_neighbours *sum)
{
	for (; count > LANE; count -= LANE, entries += LANE)
		count_pairs(entries, LANE, sum);
	if (count)
		count_pairs(entries, count - 1, sum);
}

/* ---- version numbers --------------------------------------------------------------------- */

struct version_range {
	uint32_t most;
	uint32_t zero; /* 1: one is 0 */
};

static always_inline void range_of_some(const uint32_t *versions, uint32_t count,
                                        struct version_range *range)
{
	uint32_t most = range->most, zero = range->zero;

	for (uint32_t i = 0; i < count; i++) {
		most = versions[i] > most ? versions[i] : most;
		zero |= versions[i] == 0;
	}
	*range = (struct version_range){ most, zero };
}

static struct version_range range_of(const uint32_t *versions, uint32_t count)
{
	struct version_range range = { 0, 0 };

	for (; count >= LANE; count -= LANE, versions += LANE)
		range_of_some(versions, LANE, &range);
	range_of_some(versions, count, &range);
	return range;
}

static void survey_versions(struct gow_walk *walk, const uint32_t *entries,
                            const uint32_t *versions, uint32_t count)
{
	const struct version_range range = range_of(versions, count);
	uint32_t wrong = 0;

	if (range.most > walk->tally.highest_version)
		walk->tally.highest_version = range.most;
	if (!range.zero && range.most != GOW_VERSION_MAX)
		return;
	for (uint32_t i = 0; i < count; i++)
		wrong |= (uint32_t)(versions[i] == GOW_VERSION_MAX) |
		         (uint32_t)((versions[i] == 0) & (entries[i] != GOW_UNALLOCATED));
	walk->survey.wrong_versions |= wrong;
}

/* ---- the pass ---------------------------------------------------------------------------- */

/* Where the pass is, with room for a piece of each array. */
struct pass {
	uint32_t entries[1 + SURVEY_CHUNK]; /* the last one of the piece before, and a piece */
	uint32_t last;                      /* one of the piece */
	uint32_t versions[SURVEY_CHUNK];
};

/* So many entries from at on: from memory, or from the file. The one before them, where there is
 * one, is before them there, too. */
static int next_entries(const struct gow_walk *walk, struct pass *pass, uint32_t at, uint32_t count,
                        const uint32_t **entries)
{
	int code;

	if (walk->entries) {
		*entries = walk->entries + at;
		return GOW_OK;
	}
	pass->entries[0] = pass->last;
	*entries = pass->entries + 1;
	code = gow_header_read_entries(walk->unchecked->file, walk->unchecked->header.layout, at,
	                               count, pass->entries + 1, walk->error);
	if (!code)
		pass->last = pass->entries[count];
	return code;
}

static int survey_piece(struct gow_walk *walk, struct pass *pass, uint32_t at, uint32_t count)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t before = at ? 1 : 0;
	struct entry_counts counts;
	const uint32_t *entries;
	int code = next_entries(walk, pass, at, count, &entries);

	if (code)
		return code;
	counts = count_entries(entries, count);
	gow_count_neighbours(entries - before, count + before, &walk->tally.neighbours);
	gow_walk_mark(walk, entries, count);
	walk->tally.allocated += counts.allocated;
	walk->survey.end = (uint32_t)gow_max(walk->survey.end, counts.end);
	if (at >= header->logical_blocks && gow_size_is_valid(header->layout, header->logical_size))
		walk->survey.beyond += counts.allocated;
	if (!gow_layout_has_versions(header->layout))
		return GOW_OK;
	code = gow_header_read_versions(walk->unchecked->file, header->layout, at, count,
	                                pass->versions, walk->error);
	if (!code)
		survey_versions(walk, entries, pass->versions, count);
	return code;
}

/* Pieces are whole ones, but for the last one, and that at the end of the disk. */
static int survey_all(struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const uint32_t count = header->layout->map_entries;
	struct pass pass;
	int code = GOW_OK;

	pass.last = GOW_UNALLOCATED;
	for (uint32_t at = 0, part; at < count && !code; at += part) {
		part = (uint32_t)gow_min(count - at, SURVEY_CHUNK);
		if (at < header->logical_blocks)
			part = (uint32_t)gow_min(part, header->logical_blocks - at);
		code = survey_piece(walk, &pass, at, part);
	}
	return code;
}

static bool needs_map(const struct gow_walk *walk)
{
	const struct gow_header *header = &walk->unchecked->header;
	const struct gow_survey *survey = &walk->survey;

	return survey->end > header->present_blocks || survey->end > header->block_count ||
	       survey->beyond || survey->wrong_versions || gow_walk_asks_owners(walk);
}

int gow_walk_survey(struct gow_walk *walk)
{
	int code = survey_all(walk);

	if (code || walk->entries || !needs_map(walk))
		return code;
	/* All anew: somebody may be writing to the file, and what is reported is to be there. */
	code = gow_walk_load_entries(walk->unchecked, &walk->own_entries, walk->error);
	if (code)
		return code;
	walk->entries = walk->own_entries;
	gow_walk_clear(walk);
	walk->tally = (struct gow_tally){ .walked = 1 };
	walk->survey = (struct gow_survey){ 0 };
	return survey_all(walk);
}
