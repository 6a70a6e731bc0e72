/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate_parts.h - the walk of the validator (validate.h), for the files that it is made of:
 * validate.c begins it and reports entry by entry, validate_survey.c passes once over the map and
 * finds out what there is to report (validate_count.c adds it up), validate_blocks.c looks at what
 * entries have in common.
 */
#ifndef GOW_IMAGE_VALIDATE_PARTS_H
#define GOW_IMAGE_VALIDATE_PARTS_H

#include "image/validate.h"

/* What the survey counts that needs a second look. */
struct gow_survey {
	uint32_t end;            /* behind the last physical block that an entry names */
	uint32_t beyond;         /* allocated blocks past the end of the disk */
	uint32_t wrong_versions; /* not 0: one that no block, or no allocated block, has */
};

/* Which physical blocks are named: a bit for each block of a window. */
struct gow_marks {
	uint64_t *named;
	uint32_t window; /* the first block of the window */
	uint32_t width;  /* how many blocks it has */
	uint32_t inside; /* how many entries name a block of it */
};

/* Where the survey puts the first numbers of an array, for whoever wants to have them. */
struct gow_wanted {
	uint32_t *table;
	uint32_t count; /* 0, all, or as many as the disk has blocks */
};

struct gow_walk {
	const struct gow_unchecked *unchecked;
	const uint32_t *entries; /* the map, where it is in memory; NULL: it is in the file */
	uint32_t *own_entries;   /* that, where the walk had to load it */
	struct gow_wanted entries_wanted, versions_wanted;
	gow_problem_visitor visit;
	void *context;
	struct gow_tally tally;
	struct gow_survey survey;
	gow_error *error;
	struct gow_marks marks;
	uint64_t *shared; /* a bit per block of the window: named more than once */
};

static const gow_place gow_walk_nowhere = { GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE };

static inline int gow_walk_report(struct gow_walk *walk, gow_problem_id id, gow_place place,
                                  uint64_t run)
{
	return walk->visit(walk->context, id, &place, run);
}

/* What entries add up to. */
struct gow_entry_counts {
	uint32_t allocated;
	uint32_t end; /* behind the last physical block that one names */
};

struct gow_version_range {
	uint32_t most;
	uint32_t zero; /* 1: one is 0 */
};

struct gow_entry_counts gow_count_entries(const uint32_t *entries, uint32_t count);
struct gow_version_range gow_range_of_versions(const uint32_t *versions, uint32_t count);

/* The map of a header that is not truncated; free()d by the caller. */
int gow_walk_load_entries(const struct gow_unchecked *unchecked, uint32_t **entries,
                          gow_error *error);

/*
 * The one pass over the map and the version numbers: fills tally and survey, and marks what is
 * named in the first window. Several threads do it where there is enough of it. Where that leaves
 * something to report that is found in the map only, the map is in memory afterwards, and everything
 * counted is of what is there.
 */
int gow_walk_survey(struct gow_walk *walk);

/* The bitmaps, and the first window; gow_walk_end() frees what there is. */
int gow_walk_begin(struct gow_walk *walk);
void gow_walk_end(struct gow_walk *walk);

/* Forgets what was marked in the window. */
void gow_walk_clear(struct gow_walk *walk);

/* Marks of the same window, with nothing named in them; false: no memory. Free `named`. */
bool gow_marks_like(const struct gow_marks *marks, struct gow_marks *made);

/* Marks what so many entries name inside the window. */
void gow_marks_add(struct gow_marks *marks, const uint32_t *entries, uint32_t count);

/* Adds what was marked elsewhere, or in the same bits, of the same window. */
void gow_marks_merge(struct gow_marks *marks, const struct gow_marks *other);

/* Whether gow_walk_blocks() will have to know who names a block. */
bool gow_walk_asks_owners(const struct gow_walk *walk);

/* Physical blocks that no entry, or more than one, names, and the block at the end that is cut. All
 * entries were marked for the first window. */
int gow_walk_blocks(struct gow_walk *walk);

#endif
