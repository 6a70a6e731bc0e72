/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_text.h - a layout as text, gow-layout(5): parsed strictly, printed without loss. */
#ifndef GOW_IMAGE_LAYOUT_TEXT_H
#define GOW_IMAGE_LAYOUT_TEXT_H

#include "image/layout.h"

/* Room for the text of any layout, with its final NUL. */
enum { GOW_LAYOUT_TEXT_MAX = 2048 };

/*
 * Parses size bytes of text. Whatever is unknown, given twice, missing or impossible is
 * GOW_ERR_DAMAGED, with the line. The row has no variants yet (gow_layout_variants_new), and no name
 * where the text gives none.
 */
int gow_layout_parse(const char *text, size_t size, struct gow_layout *layout, gow_error *error);

/* Writes the text, which parses to the same row; returns its length. */
size_t gow_layout_print(const struct gow_layout *layout, char buf[GOW_LAYOUT_TEXT_MAX]);

/* Whether it is one of the reference layouts, whatever its name. */
bool gow_layout_is_reference(const struct gow_layout *layout);

#endif
