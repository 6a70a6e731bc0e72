/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scene.h - a small image in memory, as an input describes it: one with a valid life, and then
 * what damage the input wants. A view is what a file says, read without the library.
 */
#ifndef GOW_FUZZ_SCENE_H
#define GOW_FUZZ_SCENE_H

#include "kit/input.h"
#include "support/handmade.h"
#include "support/memfile.h"

enum { SCENE_ENTRIES = 24, SCENE_BLOCKS = 16, BLOCK = 65536 };

struct scene {
	struct hm_image image;   /* the header, before bytes were poked into it */
	uint32_t physical;       /* blocks that have been laid out */
	struct memdisk *disk;
	struct memfile *file;    /* "image", on it */
	struct memdisk *before;  /* the same, never touched again */
};

/* A valid image: some blocks leaked, some of zeros, out of order, a short end. At most
 * SCENE_ENTRIES entries. */
void scene_make(struct scene *scene, struct input *input, const struct gow_layout *layout);

/* The layout of one of the rows of handmade.h. */
struct gow_layout scene_row(struct input *input);

/* Damages it; far: the file may also become terabytes long. */
void scene_damage(struct scene *scene, struct input *input, bool far);

/* Makes the present state the one before. */
void scene_settle(struct scene *scene);

void scene_free(struct scene *scene);

bool scene_is_as_before(const struct scene *scene);

/* ---- views ------------------------------------------------------------------------------- */

struct view {
	const struct gow_layout *layout; /* NULL: no row fits, and nothing else is known */
	const struct memfile *file;
	struct hm_image image;           /* of a truncated header what is there */
	bool truncated;
	bool valid;      /* the logical size */
	uint64_t present; /* physical blocks */
	uint64_t blocks;  /* logical blocks that the size asks for, no more than there are entries */
};

/* By the first of the rows whose magic and version are there. */
void view_read(struct view *view, const struct gow_layout *rows, size_t count,
               const struct memfile *file);
void view_release(struct view *view);

/* How many places there are of every problem; of the kinds that a header tells. */
void view_judge(const struct view *view, uint64_t counts[GOW_PROBLEM_COUNT]);

/* Whether there is any of the kind. */
bool any_corrupt(const uint64_t counts[GOW_PROBLEM_COUNT]);

/* What a guest reads in a block: zeros where the entry names no present block, and past the end
 * of the disk, if that is valid. */
void view_block(const struct view *view, uint64_t logical, uint8_t bytes[BLOCK]);

/* A hash of that. */
uint64_t view_hash(const struct view *view, uint64_t logical);

/* The guest digest, as text. */
void view_digest(const struct view *view, char text[33]);

/* Whether two views show the same guest. NULL, or what differs. */
const char *views_differ(const struct view *a, const struct view *b);

#endif
