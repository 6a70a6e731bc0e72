/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check_parts.h - parts of an image's data that are read in turn, into memory of their own. Of a
 * server the next ones are on their way already: begun when they are planned.
 */
#ifndef GOW_OPS_CHECK_PARTS_H
#define GOW_OPS_CHECK_PARTS_H

#include "io/remote.h"
#include "ops/check/check.h"

/* Blocks that are neighbours in the guest and in the file. */
struct gow_check_part {
	uint32_t logical, blocks;
	uint8_t *bytes;                /* of all these blocks */
	struct gow_remote_range range; /* what the file has of them; the rest is zeros */
	bool begun;
};

enum {
	GOW_CHECK_PART_MOST = 16,  /* blocks of a part, which stay in the cache of a processor */
	GOW_CHECK_PARTS_AHEAD = 7, /* at most */
	/* One more is read, and one is looked at. */
	GOW_CHECK_PARTS_ROOM = GOW_CHECK_PARTS_AHEAD + 2
};

/* A ring. A part that was taken keeps its bytes until the next one is taken and another is planned. */
struct gow_check_parts {
	gow_check *check;
	size_t ahead;   /* parts that are planned while one is read; 0: none is begun */
	double waited;  /* seconds for each part, on average of the last ones */
	unsigned known; /* parts that were waited for */
	bool pours;     /* what is large may come without being kept */
	struct gow_check_part list[GOW_CHECK_PARTS_ROOM];
	size_t first, count;
	uint8_t *memory;
	/* Bytes that no part has. Those that were used last are used first: a processor's cache has
	 * them. */
	uint8_t *idle[GOW_CHECK_PARTS_ROOM];
	size_t idle_count;
	uint8_t *taken; /* bytes of the part that was taken last; or NULL */
};

int gow_check_parts_begin(struct gow_check_parts *parts, gow_check *check, gow_error *error);

/* Of what is all zeros it does nothing. */
void gow_check_parts_end(struct gow_check_parts *parts);

/* Whether one has to be taken before another is planned. */
bool gow_check_parts_are_full(const struct gow_check_parts *parts);

/* Plans to read up to GOW_CHECK_PART_MOST blocks, which are there in the file. */
void gow_check_parts_plan(struct gow_check_parts *parts, uint32_t logical, uint32_t blocks);

/* Takes the part that was planned first, with the result of reading it. There is one. */
int gow_check_parts_take(struct gow_check_parts *parts, struct gow_check_part **part,
                         gow_error *error);

/* Of what a part tells: its bytes stay as they are until this is called with the next one. */
typedef int (*gow_check_part_visitor)(void *context, struct gow_check_part *part, gow_error *error);

/* Whether a run of blocks is better poured, where nothing else is planned: its bytes come by one
 * request, and are in the processor's cache when they are visited. */
bool gow_check_parts_may_pour(const struct gow_check_parts *parts, uint32_t run);

/* Reads blocks of such a run, and visits each, as a part of its own; *done: how many, which are fewer
 * where one cannot be read. The next ones are to be planned as parts then. */
int gow_check_parts_pour(struct gow_check_parts *parts, uint32_t logical, uint32_t run,
                         gow_check_part_visitor visit, void *context, uint32_t *done,
                         gow_error *error);

/* Reads one block of a part by itself, to where it belongs. */
int gow_check_part_read_block(const struct gow_check_parts *parts, struct gow_check_part *part,
                              uint32_t block, gow_error *error);

#endif
