/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line.h - one line of JSON, read where it stands. json-c leaves out what it had no memory for, and
 * does not say so; nothing is allocated here but the texts that are asked for.
 */
#ifndef GOW_CMD_LINE_H
#define GOW_CMD_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the text, which ends with NUL after length bytes, is one JSON object and nothing else. All
 * that follows is for values in such a text. */
bool line_is_object(const char *text, size_t length);

/* The value of that key, of several the last; NULL: there is none, or object is no object. */
const char *line_member(const char *object, const char *key);

/* The elements of an array, one by one: *next is the array at first, and the rest of it afterwards.
 * NULL: there are no more, or it is no array. */
const char *line_element(const char **next);

/* Whether it is an integer that is not negative; one that is too large is UINT64_MAX. */
bool line_number(const char *value, uint64_t *number);

/* Whether it is true. */
bool line_is_true(const char *value);

/* Whether it is a string. */
bool line_is_text(const char *value);

/* A copy of a string, as UTF-8, up to its first NUL; NULL: no memory. */
char *line_text(const char *value);

#endif
