/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h - a validated image: reading and writing the guest's blocks in place, and building a
 * new image front to back. The public half is in gow.h.
 */
#ifndef GOW_IMAGE_IMAGE_H
#define GOW_IMAGE_IMAGE_H

#include "image/map.h"
#include "io/lock.h"

/* What gow_image_from_file does about damage. */
struct gow_image_policy {
	bool write;              /* begin a session */
	bool salvage;            /* take what can be had */
	const struct gow_layout *assume; /* for salvage: the layout, whatever magic and version
	                                  * say; NULL: by those */
	gow_loss_visitor lost;   /* for salvage; may be NULL */
	void *lost_context;
};

/* Makes an image of an open file, which it owns from then on, also when it fails. */
int gow_image_from_file(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        const struct gow_image_policy *policy, gow_image **image,
                        gow_error *error);

/* gow_image_open with a say in salvage. */
int gow_image_open_policy(const char *path, const gow_open_options *options,
                          const struct gow_image_policy *policy, gow_image **image,
                          gow_error *error);

/* For the operations, which look deeper than the guest does. Owned by the image. */
const struct gow_map *gow_image_map(const gow_image *image);
struct gow_file *gow_image_file(const gow_image *image);
struct gow_lock *gow_image_lock(gow_image *image);

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
