/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h - a session, one opening of an image for writing. For session.c (writing) and flush.c
 * (making durable).
 */
#ifndef GOW_IMAGE_SESSION_H
#define GOW_IMAGE_SESSION_H

#include "image/image.h"
#include "image/state.h"

/*
 * The order of writes is the format's. A group of changes becomes durable in two steps:
 *
 * 1. new blocks' data, in places that no entry on the disk names; block_count; the raised version
 *    number of every block that changes; sync;
 * 2. the held bytes of allocated blocks, and the entries; sync.
 *
 * A place that a discard gave back is used again after step 2 only.
 *
 * Bytes are held back in memory only where they must be: those of an allocated block whose number
 * has to go up and is not durable yet. All others are written at once.
 */

/* Begins a session on an image whose file was settled before its map was read. */
int gow_session_begin(gow_image *image, gow_error *error);
void gow_session_free(struct gow_session *session); /* accepts NULL */

/* Whether there is a session that can go on. */
int gow_session_check(const gow_image *image, gow_error *error);

/* Makes the group durable. GOW_ERR_NO_SPACE leaves everything as it was, to be tried again; after
 * another error of the header or of a sync the session has failed. */
int gow_session_write_back(gow_image *image, gow_error *error);

/* The place that the next new block goes to; it stays available until gow_session_take_place. */
int gow_session_next_place(const gow_image *image, uint32_t *physical, gow_error *error);
void gow_session_take_place(gow_image *image, uint32_t physical);

/* Gives back the place of a block; `at_once` where no entry on the disk names it. */
int gow_session_give_back(gow_image *image, uint32_t physical, bool at_once, gow_error *error);

#endif
