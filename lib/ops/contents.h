/* SPDX-License-Identifier: BSD-2-Clause */
/* contents.h - what a guest's disk holds, read by the map of an image or from a source. */
#ifndef GOW_OPS_CONTENTS_H
#define GOW_OPS_CONTENTS_H

#include "disk/disk.h"
#include "guest/guest.h"
#include "image/validate.h"

/* By the entries of a header of which nothing is believed; a disk of so many bytes. */
void gow_contents_of_unchecked(const struct gow_unchecked *unchecked, uint64_t size,
                               struct gow_guest *guest);

/* Where the disk ends too early; 0: nowhere. */
uint64_t gow_contents_past_end(const struct gow_guest *guest, uint64_t size);

/* Says so, where the disk of a source that can be read at any place ends before what is on it.
 * Whatever fails here says nothing. */
void gow_contents_warn(struct gow_source *source, const gow_monitor *monitor, const char *name);

#endif
