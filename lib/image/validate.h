/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * validate.h - the one validator: finds everything that is wrong with a header and its map.
 *
 * It is a walk that calls a visitor at every place where something is wrong; whoever calls it
 * counts, lists, or makes a plan. A sound image costs one pass over the map, which need not be in
 * memory for that; memory is bounded by the number of map entries, never by the size of the file.
 */
#ifndef GOW_IMAGE_VALIDATE_H
#define GOW_IMAGE_VALIDATE_H

#include "image/header.h"

/* What is known of an in-place change that was interrupted: from whoever knows its record
 * (journal/pending.h). */
enum gow_pending_kind {
	GOW_PENDING_NONE,    /* no record was found */
	GOW_PENDING_REPAIR,  /* an undo file: to be rolled back */
	GOW_PENDING_UPGRADE, /* a trailer: to be finished, or rolled back */
	GOW_PENDING_SYNC     /* COPY.gow-sync: to be finished by gow-sync */
};

struct gow_pending {
	enum gow_pending_kind kind;
	char what[256]; /* what was being done and how far it is, for messages */
};

/* A header with its map: what there is to judge. Nothing of it is believed yet. */
struct gow_unchecked {
	struct gow_file *file; /* not owned; version numbers and padding are read from it */
	struct gow_header header;
	struct gow_pending pending; /* what is known of an interrupted change */
	/* layout->map_entries, canonical; NULL until they were asked for, and while
	 * header.truncated. */
	uint32_t *entries;
};

/* Reads header and map, and nothing else: of a record of an interrupted change it knows nothing.
 * Free with gow_unchecked_release (after a failure there is nothing to free), which leaves the file
 * open. */
int gow_unchecked_load(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                       struct gow_unchecked *unchecked, gow_error *error);
void gow_unchecked_release(struct gow_unchecked *unchecked);

/* The same by a given row, whatever magic and version say (gow_header_read_as). */
int gow_unchecked_load_as(struct gow_file *file, const struct gow_layout *layout,
                          struct gow_unchecked *unchecked, gow_error *error);

/* Both without the map of a local file, for whoever wants a judgement and perhaps no more: that is
 * judged as it is read, in far less memory. */
int gow_unchecked_begin(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        struct gow_unchecked *unchecked, gow_error *error);
int gow_unchecked_begin_as(struct gow_file *file, const struct gow_layout *layout,
                           struct gow_unchecked *unchecked, gow_error *error);

/* Reads the map, unless that was done before, or the header is truncated. */
int gow_unchecked_need_entries(struct gow_unchecked *unchecked, gow_error *error);

/*
 * Called for what is wrong, at place; for space.leak run may be more than 1: so many physical
 * blocks from there on. Another result than 0 ends the walk, which returns it.
 * Places of one id come in its order (by logical block; map.crosslink and space.leak by physical
 * block); a cross-linked block comes once for every owner but the first, in `other`.
 */
typedef int (*gow_problem_visitor)(void *context, gow_problem_id id, const gow_place *place,
                                   uint64_t run);

/* Neighbours of the guest's disk that are both allocated, and how many of them are not neighbours
 * in the file. */
struct gow_neighbours {
	uint32_t pairs;
	uint32_t apart;
};

/* Adds those among so many entries. */
void gow_count_neighbours(const uint32_t *entries, uint32_t count, struct gow_neighbours *sum);

/* What the walk finds out besides. */
struct gow_tally {
	uint32_t allocated; /* entries that are not GOW_UNALLOCATED */
	uint32_t leaked;    /* present physical blocks that no entry names */
	uint32_t highest_version;
	struct gow_neighbours neighbours;
	uint32_t walked; /* 0: pending or truncated, so that nothing was counted */
};

/* Runs to the end unless visit or reading fails. tally may be NULL. */
int gow_validate(const struct gow_unchecked *unchecked, gow_problem_visitor visit, void *context,
                 struct gow_tally *tally, gow_error *error);

/* Findings by id: count 0 where there is none. */
struct gow_verdict {
	gow_finding by_id[GOW_PROBLEM_COUNT];
	struct gow_tally tally;
};

/* Validates and counts. */
int gow_judge(const struct gow_unchecked *unchecked, struct gow_verdict *verdict, gow_error *error);

/* Which version numbers somebody wants to have. */
enum gow_numbers {
	GOW_NUMBERS_ALL,     /* of the layout, also those past the end of the disk */
	GOW_NUMBERS_OF_DISK, /* one for each block of the disk */
	GOW_NUMBERS_NONE
};

/* The entries of the disk's blocks, and version numbers; NULL: none. free()d by the caller. */
struct gow_tables {
	uint32_t *entries, *versions;
};

/* The same for whoever wants the map, too: fills the tables on the way, with what was judged. There are
 * none of an image that is pending or truncated, and after a failure. */
int gow_judge_filling(const struct gow_unchecked *unchecked, enum gow_numbers numbers,
                      struct gow_tables *tables, struct gow_verdict *verdict, gow_error *error);

/* Adds one more place (data.unreadable, say) to a verdict. */
void gow_verdict_add(struct gow_verdict *verdict, gow_problem_id id, const gow_place *place,
                     uint64_t run);

/* The first finding of that severity, or NULL. */
const gow_finding *gow_verdict_first(const struct gow_verdict *verdict, gow_severity severity);

#endif
