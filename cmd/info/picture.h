/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * picture.h - where the blocks of an image are, as a picture: the file from its first block to its
 * last, and the guest's disk, each cut into cells of as many blocks as it takes.
 */
#ifndef GOW_CMD_PICTURE_H
#define GOW_CMD_PICTURE_H

#include <stdint.h>

#include "common/cli.h"

/* What a cell is drawn as. */
enum picture_state {
	PICTURE_FREE,    /* of the guest's disk: nothing is allocated */
	PICTURE_ORDERED, /* allocated, mostly in the guest's order */
	PICTURE_APART,   /* allocated, and often not in the guest's order */
	PICTURE_ZERO,    /* allocated, and all zeros */
	PICTURE_LEAKED,  /* unreferenced */
	PICTURE_SHARED,  /* named by two */
	PICTURE_STATES
};

/* How many blocks of each kind a cell has. breaks: that do not follow their guest's neighbour. */
struct picture_cell {
	uint64_t allocated, breaks, zero, leaked, shared;
};

struct picture_band {
	uint64_t blocks;
	unsigned count;             /* cells; no more than blocks */
	struct picture_cell *cells; /* owned */
};

struct picture {
	struct picture_band file, guest;
	uint64_t totals[PICTURE_STATES]; /* blocks of the file */
	/* guest.count rows of file.count: whether a cell's blocks are there; NULL: not wanted. */
	uint8_t *links;
};

/* Reads what it takes from an image that was checked. room: how many cells a band may have. */
int picture_make(gow_check *check, const gow_info *info, unsigned room, bool links,
                 struct picture *picture, gow_error *error);
void picture_free(struct picture *picture);

enum picture_state picture_state_of(const struct picture_cell *cell);

/* "in order", "fragmented", ... */
const char *picture_state_name(enum picture_state state);

/* "version 1", or "layout NAME" of an image that has none of the reference layouts, in buffer. */
enum { PICTURE_LAYOUT = 80 };
const char *picture_layout(const gow_info *info, char buffer[PICTURE_LAYOUT]);

/* For the terminal that out leads to: its width, its characters, its colours. */
int picture_print(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                  gow_error *error);

/* As a new file; one that is there already is not replaced (GOW_ERR_EXISTS). */
int picture_write_svg(const char *path, const char *image, gow_check *check, const gow_info *info,
                      gow_error *error);

#endif
