/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sample.h - a small image with traces of a life, for whoever changes images in place: blocks in
 * random order, leaked ones, blocks of zeros, holes, a short end. What the guest sees of it is
 * told by arithmetic, and compared without the library.
 */
#ifndef GOW_TESTS_SAMPLE_H
#define GOW_TESTS_SAMPLE_H

#include "support/check.h"
#include "support/handmade.h"

enum { SAMPLE_BLOCKS = 64 };

enum sample_content { SAMPLE_DATA, SAMPLE_ZERO, SAMPLE_HOLE };

struct sample_plan {
	struct gow_layout layout;
	uint32_t present;   /* physical blocks in the file */
	unsigned leaked;    /* percent of these that no entry names */
	unsigned zero;      /* percent that hold zeros, written or as holes */
	uint32_t cut;       /* bytes that the last block is short of */
	uint32_t size_odd;  /* bytes that the disk ends before a block's end, a multiple of 512 */
	int count;          /* block_count, from the number of present blocks */
	uint64_t seed;
};

struct sample {
	struct hm_image image;
	struct memdisk *disk;
	struct memfile *file;    /* "image", on it */
	struct memdisk *pristine;/* a copy of what it was */
	uint32_t logical_blocks;
	uint32_t allocated, leaked, zeros; /* how many there are; zeros: of the allocated */
	enum sample_content content[SAMPLE_BLOCKS]; /* of the physical blocks */
	uint8_t *guest;          /* what the guest sees */
};

void sample_make(struct sample *sample, const struct sample_plan *plan);
void sample_free(struct sample *sample);

/* That row with block 0 at `start` exactly: rows whose headers grow by what the test wants. */
struct gow_layout sample_layout(enum hm_row row, uint32_t entries, uint32_t start);

/*
 * Whether the file holds the same guest, by that layout, in whole blocks that are all inside and
 * named once. NULL, or what is wrong. What it finds is left in *read if that is not NULL (made
 * with hm_make).
 */
const char *sample_judge(const struct sample *sample, const struct memfile *file,
                         const struct gow_layout *layout, struct hm_image *read);

/* What the magic and the version field say. */
bool sample_is_pending(const struct memfile *file);
uint32_t sample_version(const struct memfile *file);

#endif
