/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync_record.h - COPY.gow-sync: which blocks of a master are in COPY's file already, though its map does
 * not name them yet. It is only believed where the block that it speaks of has the content that it
 * says, so losing it, or a part of it, costs a download and nothing else.
 *
 * A head, and behind it one frame for each batch: how many rows, the rows, all under a hash. A frame
 * that is torn ends the record.
 */
#ifndef GOW_JOURNAL_SYNC_RECORD_H
#define GOW_JOURNAL_SYNC_RECORD_H

#include "base/block.h"
#include "io/directory.h"

enum {
	GOW_SYNC_ROWS = 64 /* of a frame, at most */
};

/* A block that was fetched, or is about to be. */
struct gow_sync_row {
	uint32_t logical, physical;
	uint32_t number; /* that it had in the master */
	struct gow_hash hash;
};

struct gow_sync_record {
	struct gow_directory *directory; /* of the copy; not owned */
	char *name;                      /* of the record there; owned */
	char *copy;                      /* of the copy; owned */
	struct gow_file *file;           /* NULL: there is none yet */
	uint64_t end;                    /* where the next frame goes */
	uint32_t pending;                /* rows that may not be durable */
	bool in_place;                   /* the copy is pending until all is fetched */
};

/* For the copy of that name. */
int gow_sync_record_init(struct gow_sync_record *record, struct gow_directory *directory,
                         const char *copy, gow_error *error);
void gow_sync_record_release(struct gow_sync_record *record);

/* Opens what there is: *found is false where there is none, or nothing that can be used. */
int gow_sync_record_open(struct gow_sync_record *record, bool write, bool *found, gow_error *error);

/* identity: of the master that it was fetched from. */
typedef int (*gow_sync_row_visitor)(void *context, const struct gow_hash *identity,
                                    const struct gow_sync_row *row, gow_error *error);

/* Visits the rows of an open one, in the order in which they were added; frames go behind the last
 * whole one from then on. */
int gow_sync_record_each(struct gow_sync_record *record, gow_sync_row_visitor visit, void *context,
                         gow_error *error);

/* Makes a new one instead of what there is: durable, with its name. GOW_ERR_EXISTS where that is no
 * record. */
int gow_sync_record_begin(struct gow_sync_record *record, bool in_place, gow_error *error);

/*
 * Adds a frame. The blocks have to be durable before, and the frame is so now and then. But in place
 * it is at once, and before the blocks are written, since nobody would know otherwise which blocks
 * are not the copy's own any more.
 */
int gow_sync_record_add(struct gow_sync_record *record, const struct gow_hash *identity,
                        const struct gow_sync_row *rows, uint32_t count, gow_error *error);

/* Removes it; durable. Succeeds where there is none, and leaves alone what is no record. */
int gow_sync_record_remove(struct gow_sync_record *record, gow_error *error);

#endif
