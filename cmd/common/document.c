/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/document.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "gow.h"

enum { SCHEMA = 1 };

/* ---- writing ----------------------------------------------------------------------------- */

static void put(struct doc *doc, const char *text)
{
	out_write(doc->out, text, strlen(text));
}

/* Escapes what JSON lets through as it is, and a terminal obeys; text is well-formed UTF-8. */
static void put_escaped(struct doc *doc, const char *text)
{
	const char *from = text;
	char escape[8];

	for (; *text; text++) {
		const bool two = text_control(text) == 2;

		if (!two && *text != 0x7F)
			continue;
		out_write(doc->out, from, (size_t)(text - from));
		text += two;
		(void)snprintf(escape, sizeof escape, "\\u00%02x", (unsigned char)*text);
		put(doc, escape);
		from = text + 1;
	}
	put(doc, from);
}

/* A value by json-c, which is freed; NULL: there was no memory for it. */
static void put_value(struct doc *doc, struct json_object *value)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text;

	/* json-c leaves out what it had no memory for; only errno shows it. */
	errno = 0;
	text = value ? json_object_to_json_string_ext(value, flags) : NULL;
	if (text && errno != ENOMEM)
		put_escaped(doc, text);
	else
		out_fail(doc->out, ENOMEM);
	(void)json_object_put(value);
}

/* What stands before a member's value. Keys are our own and need no escaping. */
static void put_key(struct doc *doc, const char *key)
{
	if (!doc->empty)
		put(doc, ",");
	doc->empty = false;
	if (key) {
		put(doc, "\"");
		put(doc, key);
		put(doc, "\":");
	}
}

static void open_level(struct doc *doc, const char *opening, char closing)
{
	put(doc, opening);
	doc->closing[doc->depth++] = closing;
	doc->empty = true;
}

void doc_begin_line(struct doc *doc, struct out *out)
{
	*doc = (struct doc){ .out = out };
	open_level(doc, "{", '}');
}

void doc_name(struct doc *doc, const char *key, const char *name)
{
	char *shown = gow_shown_name(name);

	if (!shown)
		out_fail(doc->out, ENOMEM);
	doc_text(doc, key, shown ? shown : "");
	free(shown);
}

/* The bytes of a name, two digits each. */
static void put_hex(struct doc *doc, const char *key, const char *name)
{
	char digits[4];

	put_key(doc, key);
	put(doc, "\"");
	for (; *name; name++) {
		(void)snprintf(digits, sizeof digits, "%02x", (unsigned char)*name);
		put(doc, digits);
	}
	put(doc, "\"");
}

void doc_image(struct doc *doc, const char *shown)
{
	char *clean = text_utf8(shown);

	if (!clean)
		out_fail(doc->out, ENOMEM);
	doc_text(doc, "image", shown);
	/* Several such names may look the same. */
	if (clean && strcmp(clean, shown) != 0)
		put_hex(doc, "image_hex", shown);
	free(clean);
}

void doc_begin(struct doc *doc, struct out *out, const char *tool, const char *image)
{
	char *shown = gow_shown_name(image);

	doc_begin_line(doc, out);
	doc_uint(doc, "schema", SCHEMA);
	doc_text(doc, "tool", tool);
	if (!shown)
		out_fail(out, ENOMEM);
	doc_image(doc, shown ? shown : "");
	free(shown);
}

void doc_object(struct doc *doc, const char *key)
{
	put_key(doc, key);
	open_level(doc, "{", '}');
}

void doc_array(struct doc *doc, const char *key)
{
	put_key(doc, key);
	open_level(doc, "[", ']');
}

void doc_close(struct doc *doc)
{
	out_write(doc->out, &doc->closing[--doc->depth], 1);
	doc->empty = false;
}

void doc_close_to_top(struct doc *doc)
{
	while (doc->depth > 1)
		doc_close(doc);
}

void doc_end_line(struct doc *doc)
{
	doc_close_to_top(doc);
	doc_close(doc);
	put(doc, "\n");
	doc->out = NULL;
}

void doc_end(struct doc *doc, int status)
{
	doc_close_to_top(doc);
	doc_uint(doc, "exit", (uint64_t)status);
	doc_end_line(doc);
}

/* ---- members ----------------------------------------------------------------------------- */

void doc_text(struct doc *doc, const char *key, const char *text)
{
	char *clean = text_utf8(text);

	put_key(doc, key);
	put_value(doc, clean ? json_object_new_string(clean) : NULL);
	free(clean);
}

/* Without a detour over an object: there may be millions of them. */
void doc_uint(struct doc *doc, const char *key, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%" PRIu64, number);
	put_key(doc, key);
	put(doc, text);
}

void doc_double(struct doc *doc, const char *key, double number)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%.6g", number);
	put_key(doc, key);
	put_value(doc, json_object_new_double_s(number, text));
}

void doc_bool(struct doc *doc, const char *key, bool value)
{
	put_key(doc, key);
	put(doc, value ? "true" : "false");
}

void doc_null(struct doc *doc, const char *key)
{
	put_key(doc, key);
	put(doc, "null");
}

void doc_uint_unless_nowhere(struct doc *doc, const char *key, uint64_t number)
{
	if (number != GOW_NOWHERE)
		doc_uint(doc, key, number);
}

void doc_uint_or_null(struct doc *doc, bool known, const char *key, uint64_t number)
{
	if (known)
		doc_uint(doc, key, number);
	else
		doc_null(doc, key);
}
