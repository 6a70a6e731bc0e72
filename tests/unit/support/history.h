/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history.h - a session on an image in memory, and what was promised in it: every write and every
 * flush is noted together with how many calls had reached the disk, so that for any state a crash
 * leaves it is known what must be there, what may be, and what must not.
 */
#ifndef GOW_TESTS_HISTORY_H
#define GOW_TESTS_HISTORY_H

#include "image/image.h"
#include "support/check.h"
#include "support/handmade.h"

enum { HISTORY_BLOCKS = 64 };

/* What a moment promises for good. */
struct moment {
	size_t calls_before, calls_after; /* of the flush */
	bool no_room;                     /* it failed, and the session went on */
	uint8_t *bytes;                   /* the guest's disk */
	bool allocated[HISTORY_BLOCKS];
	uint32_t versions[HISTORY_BLOCKS];
};

struct deed {
	size_t calls_before;
	size_t moment; /* the flush that it comes after; SIZE_MAX: it failed, and counts for good */
	uint64_t offset;
	size_t size;
	uint8_t *bytes;
};

struct history {
	struct hm_image start;    /* the image as it was */
	struct memdisk *disk;
	struct memfile *file;
	gow_image *image;         /* open for writing, or NULL */
	uint64_t size;            /* of the guest's disk */
	uint32_t blocks;
	uint8_t *bytes;           /* the guest's disk as it should read now */
	bool allocated[HISTORY_BLOCKS];
	bool changed[HISTORY_BLOCKS]; /* since the last flush */
	bool raised[HISTORY_BLOCKS]; /* its number went up in this session */
	uint32_t versions[HISTORY_BLOCKS];
	struct moment *moments;   /* [0]: the beginning */
	size_t moment_count;
	struct deed *deeds;
	size_t deed_count;
	uint32_t expected_findings; /* 1 << id: advisory ones that were there at the beginning */
};

/* An image with some blocks that hold data, with numbers, leaks and other traces of a life; the
 * disk has so many blocks, of which the last may be partial. Nothing is open yet. */
void history_begin(struct history *history, enum hm_row row, uint32_t blocks, struct rng *rng);
void history_free(struct history *history);

/* Opens a session and starts recording. */
void history_open(struct history *history);

/* Closes it. What was not flushed is lost or not, by the rules; what the file says then counts. */
void history_close(struct history *history);

/* These do it, check that it succeeds, and note it. */
void history_write(struct history *history, uint64_t offset, const void *bytes, size_t size);
void history_flush(struct history *history);
void history_zero(struct history *history, uint64_t offset, uint64_t size);
void history_discard(struct history *history, uint64_t offset, uint64_t size);

/* These do it and note what may have come of it, for calls that fail. */
int history_try_write(struct history *history, uint64_t offset, const void *bytes, size_t size,
                      gow_error *error);
int history_try_flush(struct history *history, gow_error *error);

/* Something of everything: partial blocks, several blocks, zeros. */
void history_write_random(struct history *history, struct rng *rng, uint32_t blocks_at_most);

/* A zero or a discard, of whole blocks or not. */
void history_clear_random(struct history *history, struct rng *rng, uint32_t blocks_at_most);

/* Reads it all and compares, and the extents as well. */
void history_check_reads(struct history *history);

/* Whether a file is what a crash (or a failed call) after so many calls may leave: NULL if so, or
 * what is wrong with it. The text is good until the next call. */
const char *history_judge(const struct history *history, struct memfile *file, size_t calls);

/* The same for a crash, whenever it can have been, of the file named "image". */
const char *history_judge_crash(const struct history *history, const struct memfile_crash *crash);

#endif
