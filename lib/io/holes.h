/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * holes.h - where a file has data and where holes, as it was when it was asked.
 *
 * Whoever writes to a file, or reserves space in it, changes what it says of its holes: what was
 * reserved can count as data from then on. A hole map made beforehand does not change, so that what
 * is measured by it is also what is done by it.
 */
#ifndef GOW_IO_HOLES_H
#define GOW_IO_HOLES_H

#include "io/file.h"

struct gow_hole_map_run {
	uint64_t start, end; /* bytes */
};

struct gow_hole_map {
	struct gow_hole_map_run *runs; /* of data; ascending, owned */
	size_t count, room;
	size_t limit;   /* at most so many: then short holes count as data, and longer ones, ... */
	uint64_t grain; /* those up to so many bytes */
};

/* An empty one: all is hole. limit is at least 2. */
void gow_hole_map_init(struct gow_hole_map *map, size_t limit);
void gow_hole_map_release(struct gow_hole_map *map);

/* Adds what the file has in [start, end), which is not before what was added until then. */
int gow_hole_map_add(struct gow_hole_map *map, struct gow_file *file, uint64_t start, uint64_t end,
                     gow_error *error);

/* As gow_file_next_data. */
void gow_hole_map_next_data(const struct gow_hole_map *map, uint64_t offset, uint64_t *start,
                            uint64_t *end);

#endif
