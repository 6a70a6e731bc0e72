/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * document.h - the JSON document of an image, on one line, written as it comes: a list may have
 * more members than memory. "exit" is its last member, so that it is true even where something
 * fails on the way.
 *
 * key is NULL for the members of an array.
 */
#ifndef GOW_CMD_DOCUMENT_H
#define GOW_CMD_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/out.h"

enum { DOC_DEPTH_MAX = 8 };

struct doc {
	struct out *out;                 /* NULL: not begun */
	unsigned depth;                  /* how many objects and arrays are open */
	char closing[DOC_DEPTH_MAX + 1]; /* what closes each of them, the outermost first */
	bool empty;                      /* the innermost has no member yet */
};

/* Begins with what every document has. */
void doc_begin(struct doc *doc, struct out *out, const char *tool, const char *image);

/* A line of a list that follows a document: a bare object. */
void doc_begin_line(struct doc *doc, struct out *out);

/* Closes whatever is open, and ends the line. doc_end_line writes no "exit". */
void doc_end(struct doc *doc, int status);
void doc_end_line(struct doc *doc);

void doc_object(struct doc *doc, const char *key);
void doc_array(struct doc *doc, const char *key);
void doc_close(struct doc *doc);
void doc_close_to_top(struct doc *doc);

/* text may have bytes that are no UTF-8 (a file's name, say); U+FFFD stands there. */
void doc_text(struct doc *doc, const char *key, const char *text);
/* An image's name, as it is shown; where that is no UTF-8, also its bytes ("image_hex"). */
void doc_image(struct doc *doc, const char *shown);
/* The name of a file or the URI of one, of which the user, password and query are left out. */
void doc_name(struct doc *doc, const char *key, const char *name);
void doc_uint(struct doc *doc, const char *key, uint64_t number);
void doc_double(struct doc *doc, const char *key, double number);
void doc_bool(struct doc *doc, const char *key, bool value);
void doc_null(struct doc *doc, const char *key);
/* Nothing where the number is GOW_NOWHERE. */
void doc_uint_unless_nowhere(struct doc *doc, const char *key, uint64_t number);
/* null where the number is not known. */
void doc_uint_or_null(struct doc *doc, bool known, const char *key, uint64_t number);

#endif
