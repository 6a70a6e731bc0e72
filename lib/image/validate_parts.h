/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate_parts.h - the walk of the validator (validate.h), for the files that it is made of:
 * validate.c begins it and looks at each entry by itself, validate_blocks.c at what entries have in
 * common.
 */
#ifndef GOW_IMAGE_VALIDATE_PARTS_H
#define GOW_IMAGE_VALIDATE_PARTS_H

#include "image/validate.h"

struct gow_walk {
	const struct gow_unchecked *unchecked;
	gow_problem_visitor visit;
	void *context;
	struct gow_tally tally;
	gow_error *error;
	uint64_t *named;  /* a bit per physical block of the window */
	uint64_t *shared; /* named more than once */
	uint32_t window;  /* the first block of the window */
	uint32_t width;   /* how many blocks it has */
	uint32_t inside;  /* how many entries name a block of it */
	bool any_shared;
};

static const gow_place gow_walk_nowhere = { GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE };

static inline int gow_walk_report(struct gow_walk *walk, gow_problem_id id, gow_place place,
                                  uint64_t run)
{
	return walk->visit(walk->context, id, &place, run);
}

/* The bitmaps, and the first window; gow_walk_end() frees what there is. */
int gow_walk_begin(struct gow_walk *walk);
void gow_walk_end(struct gow_walk *walk);

/* Marks what so many entries name inside the window. */
void gow_walk_mark(struct gow_walk *walk, const uint32_t *entries, uint32_t count);

/* Physical blocks that no entry, or more than one, names, and the block at the end that is cut. All
 * entries were marked for the first window. */
int gow_walk_blocks(struct gow_walk *walk);

#endif
