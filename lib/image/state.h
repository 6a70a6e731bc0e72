/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - what an open image is, and what a session keeps (session.h says to what end).
 */
#ifndef GOW_IMAGE_STATE_H
#define GOW_IMAGE_STATE_H

#include "image/held.h"
#include "image/map.h"
#include "io/lock.h"

struct gow_session {
	uint64_t *raised; /* bit per logical block: its version number went up in this session */
	uint64_t *number_due; /* it is another one than on the disk */
	uint64_t *fresh;      /* it stands in a place that no entry on the disk names */
	uint64_t *entry_due;  /* its entry is to be written with the next group */
	struct gow_held *held;
	uint32_t *freed; /* places: first those that may be used again, then those that may after
	                       * the next group */
	size_t usable, freed_count, freed_room;
	uint8_t *block; /* one block, to make new ones whole in */
	bool any_number, any_fresh, any_entry;
	bool unsynced; /* bytes were written over those of an allocated block */
	/* Frees it: reading and closing an image know no session. */
	void (*free)(struct gow_session *session);
	bool failed; /* header or sync: what is on disk is no longer known for sure */
};

struct gow_image {
	struct gow_file *file;
	struct gow_lock lock;
	struct gow_map map;
	struct gow_layouts *layouts; /* that its header was read with; NULL: another's */
	struct gow_session *session; /* NULL: opened for reading */
	bool damaged;
};

/* Whether the range of guest bytes is inside the disk. */
int gow_image_check_range(const gow_image *image, uint64_t offset, uint64_t size, gow_error *error);

#endif
