/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.h - from an open file to a map that was judged: read the header and the map, look for the
 * record of an interrupted change, judge, and only then believe. The image floor reads bytes and
 * knows no record; whoever opens an image or judges one as it lies there begins here.
 */
#ifndef GOW_JOURNAL_OPEN_H
#define GOW_JOURNAL_OPEN_H

#include "image/image.h"
#include "journal/pending.h"

/* gow_unchecked_begin, with what is known of an interrupted change. */
int gow_journal_begin(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                      struct gow_unchecked *unchecked, gow_error *error);

/* The map of a valid image; fails with the first corrupt finding. Free with gow_map_release. */
int gow_journal_read_map(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                         enum gow_numbers numbers, struct gow_map *map, gow_error *error);

/* Makes an image of an open file, which it owns from then on, also when it fails. A gow_opener. */
int gow_image_from_file(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        const struct gow_image_policy *policy, gow_image **image, gow_error *error);

/* gow_image_open and gow_image_open_fd with a say in salvage, and in how a layout is inferred. */
int gow_image_adopt_policy(int fd, const char *name, const gow_open_options *options,
                           const struct gow_image_policy *policy, gow_image **image,
                           gow_error *error);
int gow_image_open_policy(const char *path, const gow_open_options *options,
                          const struct gow_image_policy *policy, gow_image **image,
                          gow_error *error);

#endif
