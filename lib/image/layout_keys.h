/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_keys.h - the keys of a layout's text: how the value of each is parsed and printed. */
#ifndef GOW_IMAGE_LAYOUT_KEYS_H
#define GOW_IMAGE_LAYOUT_KEYS_H

#include "base/error.h"
#include "image/layout_value.h"

/* A row that is parsed. */
struct gow_layout_parse {
	struct gow_layout *layout;
	uint8_t pending_size; /* of magic-pending, in bytes */
};

/* A text that is printed: room for GOW_LAYOUT_TEXT_MAX bytes (layout_text.h). */
struct gow_layout_print {
	char *text;
	size_t used; /* what does not fit is lost, which no row brings about */
};

struct gow_layout_key {
	const char *name;
	const char *form; /* for messages */
	bool optional;
	bool (*parse)(struct gow_layout_parse *parse, struct gow_value *value);
	void (*print)(struct gow_layout_print *print, const struct gow_layout *layout);
};

/* In the order of the text; the name, which may be missing, comes first. */
enum { GOW_LAYOUT_KEYS = 13 };
extern const struct gow_layout_key gow_layout_keys[GOW_LAYOUT_KEYS];

/* Adds to the text. */
void gow_layout_add(struct gow_layout_print *print, const char *fmt, ...) GOW_PRINTF(2, 3);

#endif
