/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/document.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gow.h"

enum { SCHEMA = 1 };

/* ---- text -------------------------------------------------------------------------------- */

/* How many bytes of a well-formed UTF-8 character text begins with; 0: none. */
static size_t utf8_length(const unsigned char *text)
{
	/* The second byte's range keeps out long forms, surrogates and what is past U+10FFFF. */
	static const struct {
		unsigned char first, last, low, high, length;
	} forms[] = {
		{ 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
		{ 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
		{ 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
		{ 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
	};

	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (text[1] < forms[i].low || text[1] > forms[i].high)
			return 0;
		for (size_t at = 2; at < forms[i].length; at++)
			if ((text[at] & 0xC0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* A copy of text that is well-formed UTF-8; NULL: no memory. */
static char *make_utf8(const char *text)
{
	static const char replacement[] = "\xEF\xBF\xBD";
	char *made = malloc(strlen(text) * 3 + 1);
	char *end = made;

	if (!made)
		return NULL;
	while (*text) {
		size_t length = utf8_length((const unsigned char *)text);

		if (length)
			end = mempcpy(end, text, length);
		else
			end = stpcpy(end, replacement);
		text += length ? length : 1;
	}
	*end = '\0';
	return made;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put(struct doc *doc, const char *text)
{
	out_write(doc->out, text, strlen(text));
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
		put(doc, text);
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

void doc_begin(struct doc *doc, struct out *out, const char *tool, const char *image)
{
	doc_begin_line(doc, out);
	doc_uint(doc, "schema", SCHEMA);
	doc_text(doc, "tool", tool);
	doc_name(doc, "image", image);
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
	char *clean = make_utf8(text);

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
