/* SPDX-License-Identifier: BSD-2-Clause */
/* assume.h - what speaks for reading a file, whose preamble does not say, by some layout. */
#ifndef GOW_OPS_ASSUME_H
#define GOW_OPS_ASSUME_H

#include "image/layout.h"
#include "io/file.h"

/*
 * Weighs how well map and length of the file agree with layout, and with the other rows. Writes
 * the evidence, for people, to text. GOW_ERR_MISMATCH where they do not agree, or where another
 * row agrees better.
 */
int gow_assume_weigh(struct gow_file *file, const struct gow_layout *layout,
                     const struct gow_layout *rows, size_t row_count, char *text, size_t size,
                     gow_error *error);

#endif
