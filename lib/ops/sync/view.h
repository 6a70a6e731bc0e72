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

/* Fetches the preamble, and of map and numbers the entries of logical blocks. base must outlive the
 * view. hash: of all that was fetched. GOW_ERR_NOT_GOW where no row fits; what is wrong otherwise is
 * the validator's to tell. */
int gow_sync_view_new(struct gow_file *base, const struct gow_layout *rows, size_t row_count,
                      struct gow_file **view, struct gow_hash *hash, struct gow_sync_cost *cost,
                      gow_error *error);

/* The hash that a view of the file would have now, if its layout and its number of logical blocks are
 * those still; all of it is asked for at once. */
int gow_sync_view_hash(struct gow_file *base, const struct gow_layout *layout, uint32_t entries,
                       struct gow_hash *hash, struct gow_sync_cost *cost, gow_error *error);

#endif
