/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pen.h - writing, or finding out beforehand what writing will take. The same steps go three
 * times over a pen: to measure, to reserve the space, and to write. So what a dry run reports is
 * what a real one does, and what was reserved is what is needed.
 */
#ifndef GOW_OPS_PEN_H
#define GOW_OPS_PEN_H

#include "io/holes.h"

enum gow_pass { GOW_PASS_MEASURE, GOW_PASS_RESERVE, GOW_PASS_WRITE };

/* Holes that were reserved, to be given back if nothing comes of it. Zeroed to begin with. */
struct gow_reserved {
	struct gow_hole_map_run *holes; /* owned */
	size_t count, room;
};

struct gow_pen {
	struct gow_file *file; /* not owned */
	enum gow_pass pass;
	uint64_t written;     /* bytes that are (or would be) written */
	uint64_t room;        /* bytes of the pages for these that are holes, or past the end */
	uint64_t counted_end; /* up to where room was last counted */
	uint64_t fresh_start, fresh_end; /* written, and the disk has not been asked to begin */
	uint64_t fresh_bytes;
	bool cannot_reserve;           /* the file system has no way to */
	struct gow_reserved *reserved; /* not owned; for the pass that reserves */
};

/* These act on a range of the file as the pass wants; gow_pen_mark says that the caller writes
 * it himself in the pass for that. */
int gow_pen_write(struct gow_pen *pen, uint64_t offset, const void *bytes, size_t size,
                  gow_error *error);
int gow_pen_mark(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error);

/* Makes a hole, or zeros where there can be none; counts as nothing written. */
int gow_pen_clear(struct gow_pen *pen, uint64_t offset, uint64_t size, gow_error *error);

/* Makes holes again of what was reserved and has not been written to. What cannot be stays. */
void gow_reserved_give_back(const struct gow_reserved *reserved, struct gow_file *file);
/* Has the error of a failed reservation say how much was needed in all. Returns code. */
int gow_reserved_short(int code, uint64_t need, gow_error *error);
void gow_reserved_release(struct gow_reserved *reserved);

/* How many bytes of the range have no space in the file. */
int gow_file_holes(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *holes,
                   gow_error *error);

#endif
