/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * held.h - guest bytes that a session holds back, in bounded memory, until the version numbers of
 * their blocks are durable.
 */
#ifndef GOW_IMAGE_HELD_H
#define GOW_IMAGE_HELD_H

#include "gow.h"

enum {
	GOW_HELD_CHUNK = 4096,                       /* bytes are held in pieces of this size */
	GOW_HELD_PER_BLOCK = 65536 / GOW_HELD_CHUNK, /* of one logical block */
	GOW_HELD_MOST = 8192                         /* pieces: 32 MiB */
};

struct gow_held;

int gow_held_new(struct gow_held **held, gow_error *error);
void gow_held_free(struct gow_held *held); /* accepts NULL */

/* How many pieces more there is room for. */
size_t gow_held_room(const struct gow_held *held);
bool gow_held_any(const struct gow_held *held);

/* Whether any piece of the block is held. */
bool gow_held_has(const struct gow_held *held, uint32_t logical);

/* A piece of a block, or NULL where it is not held. */
uint8_t *gow_held_find(const struct gow_held *held, uint32_t logical, uint32_t index);

/* A new piece, of which nothing is set; there must be room. */
int gow_held_add(struct gow_held *held, uint32_t logical, uint32_t index, uint8_t **bytes,
                 gow_error *error);

/* Forgets a block, or all of them. */
void gow_held_drop(struct gow_held *held, uint32_t logical);
void gow_held_clear(struct gow_held *held);

/* Copies what is held of the guest's bytes [offset, offset + size) over those in buf. */
void gow_held_overlay(const struct gow_held *held, uint64_t offset, uint8_t *buf, size_t size);

/* Visits the held pieces, ascending; a result other than 0 ends that. */
typedef int (*gow_held_visitor)(void *context, uint32_t logical, uint32_t index,
                                const uint8_t *bytes, gow_error *error);
int gow_held_each(struct gow_held *held, gow_held_visitor visit, void *context, gow_error *error);

#endif
