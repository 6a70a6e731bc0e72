/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * member.h - the bytes of the member of an archive that is the disk, in the order in which they
 * come, with zeros for the holes of a sparse one; or of what was compressed by itself.
 */
#ifndef GOW_DISK_ARCHIVE_MEMBER_H
#define GOW_DISK_ARCHIVE_MEMBER_H

#include <stdatomic.h>

#include "disk/archive/entries.h"
#include "image/layout.h"

/* How much of a member is read at once. */
enum { GOW_MEMBER_BYTES = 1 << 18 };

/* Bytes of the member, as they come. */
struct gow_piece {
	const uint8_t *bytes;
	size_t size;
	uint64_t offset; /* in the member */
};

struct gow_member {
	struct gow_entries *entries;
	const atomic_bool *stop; /* the reader is to give up */
	uint64_t size;           /* bytes; GOW_NOWHERE: not known before its end */
	uint64_t limit;          /* a member of more bytes is refused */
	bool sparse;
	uint64_t claimed;                /* bytes of data that a sparse member's map has */
	uint64_t given;                  /* bytes of data that were read */
	bool has_sum;                    /* its header has the sum of its bytes */
	uint32_t sum_due, sum;           /* that, and the sum of those that were read */
	uint64_t position;               /* of the next byte that is read */
	struct gow_piece piece;          /* what is left of the piece that came last */
	struct gow_piece behind;         /* the piece after that, where it was taken back */
	bool ended;                      /* nothing follows these */
	uint8_t first[GOW_PREAMBLE_MAX]; /* how it begins */
	size_t first_size;
};

/* No member yet; also to drop one. */
void gow_member_reset(struct gow_member *member, struct gow_entries *entries,
                      const atomic_bool *stop);

/* The entry that was just met is the member: takes its size and its map of holes. */
int gow_member_begin(struct gow_member *member, struct archive_entry *entry, gow_error *error);

/* Reads how the member begins; gow_member_take_back has those bytes come again. */
int gow_member_read_first(struct gow_member *member, gow_error *error);
void gow_member_take_back(struct gow_member *member);

/* From where to where there is data next, as far as is known; *start == *end: no more. */
int gow_member_next_data(struct gow_member *member, uint64_t *start, uint64_t *end,
                         gow_error *error);

/* The next bytes; NULL buf: they are skipped. *got falls short of size only at the end. */
int gow_member_read(struct gow_member *member, uint8_t *buf, uint64_t size, uint64_t *got,
                    gow_error *error);

/* Skips what stands before offset. It may be another thread that does (the reader's): then there
 * is no monitor to ask. */
int gow_member_pass_to(struct gow_member *member, uint64_t offset, const gow_monitor *monitor,
                       gow_error *error);

/* Reads what is left, so that its sums are checked; and whether all has come. */
int gow_member_end(struct gow_member *member, const gow_monitor *monitor, gow_error *error);

/* GOW_ERR_DAMAGED: the member ends before its size is reached. */
int gow_member_too_short(const struct gow_member *member, gow_error *error);

#endif
