/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h - an image on a server as the validator sees it: a file as long as the image, whose header
 * has what was fetched of it. Entries of no logical block read as not allocated, and their numbers as
 * 0. Of the data no more is read than a record behind it, in pieces of a sector.
 */
#ifndef GOW_OPS_SYNC_VIEW_H
#define GOW_OPS_SYNC_VIEW_H

#include "base/block.h"
#include "image/header.h"

/* What is read of a master. */
struct gow_sync_cost {
	uint64_t bytes, requests;
};

enum { GOW_SYNC_PARTS = 3 /* of a header: preamble, map, numbers */ };

/* What was fetched of a header, part by part. Where numbers stand between entries they count as the
 * map. */
struct gow_sync_sum {
	struct gow_hash parts[GOW_SYNC_PARTS];
};

/* How much of a header is looked at again. */
enum gow_sync_depth {
	GOW_SYNC_PREAMBLE, /* nothing but that, in one request */
	GOW_SYNC_NUMBERS,  /* and the numbers; of a layout that has none the map */
	GOW_SYNC_ALL       /* and the map */
};

/* Fetches the preamble, and of map and numbers the entries of logical blocks. base must outlive the
 * view. sum: of all that was fetched. GOW_ERR_NOT_GOW where no row fits; what is wrong otherwise is
 * the validator's to tell. */
int gow_sync_view_new(struct gow_file *base, const struct gow_layout *rows, size_t row_count,
                      struct gow_file **view, struct gow_sync_sum *sum, struct gow_sync_cost *cost,
                      gow_error *error);

/* Reads so much of the header again, all of it at once: whether that is another one than a view of
 * this layout, with so many logical blocks, had. A file that is too short for it has changed. */
int gow_sync_view_look(struct gow_file *base, const struct gow_layout *layout, uint32_t entries,
                       enum gow_sync_depth depth, const struct gow_sync_sum *before, bool *changed,
                       struct gow_sync_cost *cost, gow_error *error);

/* What that costs. */
struct gow_sync_cost gow_sync_view_cost(const struct gow_layout *layout, uint64_t file_size,
                                        uint32_t entries, enum gow_sync_depth depth);

#endif
