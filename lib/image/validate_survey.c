/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate_survey.c - the one pass over the map and the version numbers.
 *
 * All of it that needs no second look is counted and marked while a piece of it is in the cache. A
 * sound map is never in memory as a whole, unless somebody wants to have it: taking 16 MiB and
 * filling them costs more than judging them. Threads take a share of the map each, and what they
 * found is put together at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/thread.h"
#include "image/validate_parts.h"

enum {
	SURVEY_CHUNK = 8192,     /* entries, or version numbers, that are looked at together */
	DOUBTED_CHUNK = 1 << 18, /* the same where each read is made twice, past the cache */
	SHARES_MOST = 4,         /* reading from the cache gains nothing from more threads */
	SHARE_LEAST = 1 << 18    /* entries; for fewer a thread costs more than it saves */
};

/* ---- a piece ----------------------------------------------------------------------------- */

/* What one thread looks at, and what it found. */
struct share {
	const struct gow_walk
		*walk; /* what was found is added to it, and nothing else, meanwhile */
	uint32_t first, end;
	uint32_t opens; /* its first entry */
	uint32_t last;  /* the entry before the next piece of the share */
	uint32_t *room; /* for a piece of each array, where it is not wanted elsewhere */
	uint32_t chunk; /* numbers of a piece at most */
	struct gow_marks marks;
	struct gow_tally tally;
	struct gow_survey survey;
	pthread_t thread;
	bool started;
	int code;
	gow_error error;
};

typedef int (*array_reader)(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                            uint32_t count, uint32_t *numbers, gow_error *error);

/* So many numbers of an array from at on: from memory (loaded), or from the file. They are kept where
 * they are wanted, and otherwise in room for no longer than this piece. */
static int next_numbers(struct share *share, array_reader read, const uint32_t *loaded,
                        const struct gow_wanted *wanted, uint32_t *room, uint32_t at,
                        uint32_t count, const uint32_t **numbers)
{
	const struct gow_unchecked *unchecked = share->walk->unchecked;
	const bool keep = at < wanted->count; /* no piece lies on both sides */
	uint32_t *to = keep ? wanted->table + at : room;

	*numbers = loaded ? loaded + at : to;
	if (loaded && keep)
		memcpy(to, loaded + at, count * sizeof *to);
	return loaded ? GOW_OK
	              : read(unchecked->file, unchecked->header.layout, at, count, to,
	                     &share->error);
}

/* The pair at the seam of two pieces. */
static void count_seam(uint32_t last, uint32_t first, struct gow_neighbours *sum)
{
	const uint32_t seam[] = { last, first };

	gow_count_neighbours(seam, 2, sum);
}

static void survey_entries(struct share *share, const uint32_t *entries, uint32_t at,
                           uint32_t count)
{
	const struct gow_header *header = &share->walk->unchecked->header;
	const struct gow_entry_counts counts = gow_count_entries(entries, count);

	if (at == share->first)
		share->opens = entries[0];
	else
		count_seam(share->last, entries[0], &share->tally.neighbours);
	share->last = entries[count - 1];
	/* Most of the map of most images is empty. */
	if (!counts.allocated)
		return;
	gow_count_neighbours(entries, count, &share->tally.neighbours);
	gow_marks_add(&share->marks, entries, count);
	share->tally.allocated += counts.allocated;
	share->survey.end = (uint32_t)gow_max(share->survey.end, counts.end);
	if (at >= header->logical_blocks && gow_size_is_valid(header->layout, header->logical_size))
		share->survey.beyond += counts.allocated;
}

static void survey_versions(struct share *share, const uint32_t *entries, const uint32_t *versions,
                            uint32_t count)
{
	const struct gow_version_range range = gow_range_of_versions(versions, count);
	uint32_t wrong = 0;

	if (range.most > share->tally.highest_version)
		share->tally.highest_version = range.most;
	if (!range.zero && range.most != GOW_VERSION_MAX)
		return;
	for (uint32_t i = 0; i < count; i++)
		wrong |= (uint32_t)(versions[i] == GOW_VERSION_MAX) |
		         (uint32_t)((versions[i] == 0) & (entries[i] != GOW_UNALLOCATED));
	share->survey.wrong_versions |= wrong;
}

static int survey_piece(struct share *share, uint32_t at, uint32_t count)
{
	const struct gow_walk *walk = share->walk;
	const uint32_t *entries, *versions;
	int code = next_numbers(share, gow_header_read_entries, walk->entries,
	                        &walk->entries_wanted, share->room, at, count, &entries);

	if (code)
		return code;
	survey_entries(share, entries, at, count);
	if (!gow_layout_has_versions(walk->unchecked->header.layout))
		return GOW_OK;
	code = next_numbers(share, gow_header_read_versions, NULL, &walk->versions_wanted,
	                    share->room + share->chunk, at, count, &versions);
	if (!code)
		survey_versions(share, entries, versions, count);
	return code;
}

/* Pieces are whole ones, but for the last one, and that at the end of the disk. */
static void survey_share(struct share *share)
{
	const struct gow_header *header = &share->walk->unchecked->header;

	for (uint32_t at = share->first, part; at < share->end && !share->code; at += part) {
		part = (uint32_t)gow_min(share->end - at, share->chunk);
		if (at < header->logical_blocks)
			part = (uint32_t)gow_min(part, header->logical_blocks - at);
		share->code = survey_piece(share, at, part);
	}
}

/* ---- threads ----------------------------------------------------------------------------- */

static void *run(void *context)
{
	survey_share(context);
	return NULL;
}

/* Whether what the pass needs can be had by several threads at once. */
static bool can_share(const struct gow_walk *walk)
{
	return walk->unchecked->file->concurrent ||
	       (walk->entries && !gow_layout_has_versions(walk->unchecked->header.layout));
}

/* Cuts the map into shares of about the same size; *count of them. */
static int cut_shares(const struct gow_walk *walk, struct share shares[SHARES_MOST],
                      unsigned *count, gow_error *error)
{
	const uint32_t all = walk->unchecked->header.layout->map_entries;
	const uint64_t most = can_share(walk) ? gow_min(gow_processors(), SHARES_MOST) : 1;
	const unsigned cut = (unsigned)gow_max(gow_min(most, all / SHARE_LEAST), 1);
	const uint32_t size = (uint32_t)gow_round_up(gow_divide_up(all, cut), SURVEY_CHUNK);
	const uint32_t chunk = walk->unchecked->file->doubted ? DOUBTED_CHUNK : SURVEY_CHUNK;

	for (*count = 0; *count < cut; ++*count) {
		struct share *share = &shares[*count];

		share->walk = walk;
		share->first = (uint32_t)gow_min((uint64_t)*count * size, all);
		share->end = (uint32_t)gow_min(share->first + (uint64_t)size, all);
		share->chunk = chunk;
		share->marks = walk->marks;
		/* Taken here, since what a thread takes comes from more memory of its own. */
		share->room = malloc(2 * sizeof *share->room * chunk);
		if (!share->room)
			return gow_fail_memory(error, 2 * sizeof *share->room * chunk);
	}
	return GOW_OK;
}

/* Gives a share to a thread, with marks of its own; without room for either it is left to us. */
static void start(struct share *share)
{
	const struct gow_marks *ours = &share->walk->marks;

	if (gow_marks_like(ours, &share->marks))
		share->started = gow_thread_start(&share->thread, run, share);
	if (!share->started) {
		free(share->marks.named);
		share->marks = *ours;
	}
}

/* Adds what a share found. */
static void merge(struct gow_walk *walk, const struct share *share)
{
	struct gow_tally *tally = &walk->tally;
	struct gow_survey *survey = &walk->survey;

	tally->allocated += share->tally.allocated;
	tally->neighbours.pairs += share->tally.neighbours.pairs;
	tally->neighbours.apart += share->tally.neighbours.apart;
	tally->highest_version = (uint32_t)gow_max(tally->highest_version,
	                                           share->tally.highest_version);
	survey->end = (uint32_t)gow_max(survey->end, share->survey.end);
	survey->beyond += share->survey.beyond;
	survey->wrong_versions |= share->survey.wrong_versions;
	gow_marks_merge(&walk->marks, &share->marks);
}

/* Has all shares looked at, and what was found put together in the order of the map; the first
 * failure counts. */
static int work(struct gow_walk *walk, struct share *shares, unsigned count)
{
	const struct share *failed = NULL;

	for (unsigned i = 1; i < count; i++)
		start(&shares[i]);
	for (unsigned i = 0; i < count; i++) {
		struct share *share = &shares[i];

		if (share->started)
			(void)pthread_join(share->thread, NULL);
		else
			survey_share(share);
		if (i)
			count_seam(shares[i - 1].last, share->opens, &walk->tally.neighbours);
		merge(walk, share);
		if (share->started)
			free(share->marks.named);
		if (share->code && !failed)
			failed = share;
	}
	if (failed && walk->error)
		*walk->error = failed->error;
	return failed ? failed->code : GOW_OK;
}

static int survey_all(struct gow_walk *walk)
{
	struct share *shares = calloc(SHARES_MOST, sizeof *shares);
	unsigned count;
	int code;

	if (!shares)
		return gow_fail_memory(walk->error, SHARES_MOST * sizeof *shares);
	code = cut_shares(walk, shares, &count, walk->error);
	if (!code)
		code = work(walk, shares, count);
	for (unsigned i = 0; i < SHARES_MOST; i++)
		free(shares[i].room);
	free(shares);
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
