/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages.h - bytes at offsets, some of which are there: small pages with a bit for every byte, so
 * that a map that is written entry by entry, in any order, takes little more than its length.
 */
#ifndef GOW_IO_PAGES_H
#define GOW_IO_PAGES_H

#include <stdbool.h>

#include "io/tree.h"

struct gow_pages {
	struct gow_tree tree;
};

void gow_pages_init(struct gow_pages *pages);
void gow_pages_release(struct gow_pages *pages);

/* Sees to it that bytes can be put there; false: no memory. Changes nothing that can be seen. */
bool gow_pages_prepare(struct gow_pages *pages, uint64_t offset, uint64_t length);

/* Puts bytes where gow_pages_prepare said that they can be. */
void gow_pages_put(struct gow_pages *pages, uint64_t offset, const uint8_t *bytes, uint64_t length);

/* Removes what is in [start, end). */
void gow_pages_clear(struct gow_pages *pages, uint64_t start, uint64_t end);

/* The first bytes at or behind offset: where they begin, how many, and they themselves, which are
 * the pages'. Bytes may go on where these end. False: there are none. */
bool gow_pages_next(const struct gow_pages *pages, uint64_t offset, uint64_t *start,
                    uint64_t *length, const uint8_t **bytes);

#endif
