/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout_record.h - a layout as the records of in-place changes describe it, so that an image of a
 * layout that nobody knows recovers by its record alone. The bytes are in gow-trailer(5).
 */
#ifndef GOW_JOURNAL_LAYOUT_RECORD_H
#define GOW_JOURNAL_LAYOUT_RECORD_H

#include "image/layout.h"

enum {
	GOW_LAYOUT_RECORD_SIZE = 104,  /* bytes of a description */
	GOW_HEADER_LARGEST = 128 << 20 /* bytes; no record is of a longer header */
};

/* Fills GOW_LAYOUT_RECORD_SIZE bytes. The layout has a mark (gow_layout_has_mark). That it has one
 * entry per logical block is not among them. */
void gow_layout_record_put(uint8_t *bytes, const struct gow_layout *layout);

/* What these bytes describe, which may be a layout that cannot be. */
struct gow_layout gow_layout_record_get(const uint8_t *bytes);

/* Whether the layout of a record can be: fields, map and header within bounds, and a mark. */
bool gow_layout_record_is_valid(const struct gow_layout *layout);

/* Whether two layouts have the same description. */
bool gow_layouts_are_same(const struct gow_layout *a, const struct gow_layout *b);

#endif
