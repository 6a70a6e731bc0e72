/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trailer.h - the record of an upgrade in place, kept in the image itself, past its last block:
 * gow-trailer(5). It is found from the end of the file, so it goes wherever the image goes.
 *
 *	the old header | cursor | cursor | footer (ends with the file), with gaps in between
 *
 * The footer and the old header are written once, before the magic says that a change is under
 * way. The two cursors are written in turn, so far apart that one is whole whatever happens while
 * the other is written. Either of them is good enough to resume from, not only the newer one.
 */
#ifndef GOW_JOURNAL_TRAILER_H
#define GOW_JOURNAL_TRAILER_H

#include "image/validate.h"

/* What is known of the header, by which a record that others have passed over is recognized. */
enum gow_trailer_stage {
	GOW_TRAILER_BEGUN = 0,    /* nothing has been changed but the magic */
	GOW_TRAILER_MOVING = 1,   /* the header may be anything; only the record knows */
	GOW_TRAILER_UPGRADED = 2, /* the new header is whole; only the magic is to be set */
	GOW_TRAILER_RESTORED = 3  /* the old header is whole; only the magic is to be set */
};

enum {
	GOW_TRAILER_HASH = 16,
	GOW_TRAILER_SECTOR = 4096 /* cursors and footer: one each, of the largest that disks have */
};

enum {
	GOW_TRAILER_OLD_FORMAT = 1, /* cursors side by side; no layouts: versions name them */
	GOW_TRAILER_FORMAT = 2      /* what is written */
};

struct gow_trailer {
	uint32_t format;            /* GOW_TRAILER_... */
	struct gow_layout from, to; /* the layouts; of the old format only their versions */
	uint32_t present_blocks;    /* physical blocks, before and after */
	uint64_t original_size;     /* of the file, bytes: before, */
	uint64_t final_size;        /* and after */
	uint64_t header_size;       /* bytes of the old header that the trailer keeps */
	uint64_t new_header_size;   /* bytes of the new one, up to block 0 */
	uint64_t offset;            /* where the trailer, and in it the old header, begins */
	/* Data that changes its place: [move_from, move_from + move_length) in the old image
	 * stands at [move_to, ...) in the new one. */
	uint64_t move_from, move_to, move_length;
	uint8_t header_hash[GOW_TRAILER_HASH]; /* of the old header, its magic at rest */
	/* The cursor. The first `unmoved` bytes of the data are where the old layout has them, the
	 * others where the new one has them. */
	uint64_t sequence;
	uint64_t unmoved;
	enum gow_trailer_stage stage;
	uint8_t new_hash[GOW_TRAILER_HASH]; /* of the new header, once it is whole */
	bool one_cursor; /* the other one was not whole when the record was read */
};

/* Bytes that the trailer takes. */
uint64_t gow_trailer_size(const struct gow_trailer *trailer);

/* Where it ends: with the file, unless something was added to that. */
uint64_t gow_trailer_end(const struct gow_trailer *trailer);

/*
 * Where a trailer may begin behind a file of final_size bytes: behind all that stands in the file
 * at any time, and far enough from it that no sector holds a part of both.
 */
uint64_t gow_trailer_place(uint64_t final_size);

/* Writes the trailer with a copy of the header that the file has now (its magic at rest), and
 * fills header_hash. The file grows as far as it takes. Nothing is synced. */
int gow_trailer_write(struct gow_file *file, struct gow_trailer *trailer, gow_error *error);

/* Compares what gow_trailer_write wrote with what it meant. Sync, and drop the cache, first. */
int gow_trailer_verify(struct gow_file *file, const struct gow_trailer *trailer, gow_error *error);

/* Makes the cursor as it stands in *trailer durable: writes it, syncs the file, reads it back. */
int gow_trailer_write_cursor(struct gow_file *file, struct gow_trailer *trailer, gow_error *error);

/*
 * Looks for a whole trailer that belongs to the image as it is now; header is its preamble. It
 * ends with the file, or a few MiB before that if the file became longer. *found says whether there
 * is one; a damaged one is none.
 */
int gow_trailer_find(struct gow_file *file, const struct gow_header *header,
                     struct gow_trailer *trailer, bool *found, gow_error *error);

/* The same where no preamble can be read: the one that ends with the file. No search, since most files
 * that are no images are raw disks. */
int gow_trailer_find_last(struct gow_file *file, struct gow_trailer *trailer, bool *found,
                          gow_error *error);

/* The same, if it is of a move in progress. */
int gow_trailer_find_moving(struct gow_file *file, struct gow_trailer *trailer, bool *found,
                            gow_error *error);

/* Whether the sizes and places in the record are those of an upgrade from one layout to the
 * other. gow_trailer_find has asked where the record has the layouts. */
bool gow_trailer_agrees(const struct gow_trailer *trailer, const struct gow_layout *from,
                        const struct gow_layout *to);

/* The hash of the first size bytes of the file, the magic taken for what it is at rest. */
int gow_trailer_hash_header(struct gow_file *file, const struct gow_layout *layout, uint64_t size,
                            uint8_t hash[GOW_TRAILER_HASH], gow_error *error);

/* "upgrade from version 2 to 3, ..." with how far it is; returns buf. */
const char *gow_trailer_describe(const struct gow_trailer *trailer, char *buf, size_t size);

/* For pending.c. A record that says that data is being moved counts also where the magic is the
 * one of an image at rest. */
int gow_trailer_find_pending(struct gow_file *file, const struct gow_header *header,
                             struct gow_pending *pending, gow_error *error);

#endif
