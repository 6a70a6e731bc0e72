/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h - a validated image: reading and writing the guest's blocks in place, and building a
 * new image front to back. The public half is in gow.h.
 */
#ifndef GOW_IMAGE_IMAGE_H
#define GOW_IMAGE_IMAGE_H

#include "image/layout_table.h"
#include "image/map.h"
#include "io/lock.h"

/* How an image is opened, and what is done about damage. */
struct gow_image_policy {
	bool write;                      /* begin a session */
	bool salvage;                    /* read what is readable */
	enum gow_numbers numbers;        /* which version numbers its map has */
	const struct gow_layout *assume; /* for salvage: the layout, whatever magic and version
	                                  * say; NULL: by those */
	gow_loss_visitor lost;           /* for salvage; may be NULL */
	void *lost_context;
	gow_layouts_finder find_layout; /* for gow_image_open_policy; NULL: none is inferred */
};

/* Makes an image of a file and its map, both its own from then on, also when it fails. */
int gow_image_make(struct gow_file *file, struct gow_map *map, bool damaged, gow_image **image,
                   gow_error *error);

/* What makes an image of an open file, which it owns from then on, also when it fails: the floor
 * above has gow_image_from_file (journal/open.h), and hands it to who opens disks. */
typedef int (*gow_opener)(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                          const struct gow_image_policy *policy, gow_image **image,
                          gow_error *error);

/* For the operations, which look deeper than the guest does. Owned by the image. */
const struct gow_map *gow_image_map(const gow_image *image);
struct gow_file *gow_image_file(const gow_image *image);
struct gow_lock *gow_image_lock(gow_image *image);

/* The table that its layout is in is the image's from then on. */
void gow_image_own_layouts(gow_image *image, struct gow_layouts *layouts);

/* Whether the image, opened for salvage, had corrupt findings. */
bool gow_image_is_damaged(const gow_image *image);

/*
 * The next guest bytes at or after offset that may be other than zero: holes in the map and
 * holes in the file are passed over. More may follow at *end, which goes no further than it is
 * quick to find out. *start == *end at the end of the disk.
 */
int gow_image_next_data(gow_image *image, uint64_t offset, uint64_t *start, uint64_t *end,
                        gow_error *error);

#endif
