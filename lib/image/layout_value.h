/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout_value.h - the values of a layout's text: words, numbers, sizes, fields, bytes. What takes one
 * is false where the value begins with something else.
 */
#ifndef GOW_IMAGE_LAYOUT_VALUE_H
#define GOW_IMAGE_LAYOUT_VALUE_H

#include "image/layout.h"

/* What is left of a value. */
struct gow_value {
	const char *at;
};

void gow_value_skip_blanks(struct gow_value *value);

/* Whether nothing follows but a comment. */
bool gow_value_at_end(struct gow_value *value);

/* Whether a name may have that character. */
bool gow_value_is_word_char(char c);

/* That word, and no longer one. */
bool gow_value_take_word(struct gow_value *value, const char *word);

/* Decimal, or hexadecimal after 0x; nothing larger than max. */
bool gow_value_take_number(struct gow_value *value, uint64_t max, uint64_t *number);

/* A number of bytes: with K, M, G or T after it, or without. */
bool gow_value_take_size(struct gow_value *value, uint64_t max, uint64_t *size);

/* OFFSET:WIDTH */
bool gow_value_take_field(struct gow_value *value, struct gow_field *field);

/* "text" and bytes such as 0x00, in any order; sets *size. */
bool gow_value_take_bytes(struct gow_value *value, uint8_t bytes[GOW_MAGIC_MAX], uint8_t *size);

#endif
