/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/line.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

/* ---- to the end of a value --------------------------------------------------------------- */

/* All of these return what follows, or NULL where there is something else. */

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *skip_word(const char *at, const char *word)
{
	size_t length = strlen(word);

	return strncmp(at, word, length) == 0 ? at + length : NULL;
}

static const char *skip_digits(const char *at)
{
	size_t length = at ? strspn(at, "0123456789") : 0;

	return length ? at + length : NULL;
}

static const char *skip_number(const char *at)
{
	at += *at == '-';
	at = *at == '0' ? at + 1 : skip_digits(at);
	if (at && *at == '.')
		at = skip_digits(at + 1);
	if (at && (*at == 'e' || *at == 'E'))
		at = skip_digits(at + 1 + (at[1] == '+' || at[1] == '-'));
	return at;
}

static const char *skip_text(const char *at)
{
	if (*at++ != '"')
		return NULL;
	while (*at != '"') {
		if ((unsigned char)*at < ' ')
			return NULL;
		if (*at++ != '\\')
			continue;
		if (*at == 'u' && strspn(at + 1, "0123456789abcdefABCDEF") >= 4)
			at += 5;
		else if (*at && strchr("\"\\/bfnrt", *at))
			at++;
		else
			return NULL;
	}
	return at + 1;
}

static const char *skip_value(const char *at, int depth);

/* A list of members or elements. */
static const char *skip_list(const char *at, char end, int depth)
{
	at = skip_space(at + 1);
	if (*at == end)
		return at + 1;
	while (depth < DEPTH_MAX) {
		if (end == '}') {
			at = skip_text(at);
			at = at ? skip_space(at) : at;
			if (!at || *at != ':')
				return NULL;
			at = skip_space(at + 1);
		}
		at = skip_value(at, depth + 1);
		at = at ? skip_space(at) : at;
		if (!at || (*at != ',' && *at != end))
			return NULL;
		if (*at == end)
			return at + 1;
		at = skip_space(at + 1);
	}
	return NULL;
}

static const char *skip_value(const char *at, int depth)
{
	switch (*at) {
	case '{':
		return skip_list(at, '}', depth);
	case '[':
		return skip_list(at, ']', depth);
	case '"':
		return skip_text(at);
	case 't':
		return skip_word(at, "true");
	case 'f':
		return skip_word(at, "false");
	case 'n':
		return skip_word(at, "null");
	default:
		return skip_number(at);
	}
}

/* ---- values ------------------------------------------------------------------------------ */

bool line_is_object(const char *text, size_t length)
{
	const char *at = skip_space(text);

	at = *at == '{' ? skip_value(at, 0) : NULL;
	return at && skip_space(at) == text + length;
}

const char *line_member(const char *object, const char *key)
{
	const char *at = skip_space(object), *found = NULL;
	size_t length = strlen(key);

	if (*at != '{')
		return NULL;
	at = skip_space(at + 1);
	while (*at == '"') {
		bool is_it = strncmp(at + 1, key, length) == 0 && at[1 + length] == '"';

		at = skip_space(skip_space(skip_text(at)) + 1);
		if (is_it)
			found = at;
		at = skip_space(skip_value(at, 0));
		at = skip_space(at + (*at == ','));
	}
	return found;
}

const char *line_element(const char **next)
{
	const char *at = *next;

	if (!at || (*at != '[' && *at != ','))
		return NULL;
	at = skip_space(at + 1);
	if (*at == ']')
		return NULL;
	*next = skip_space(skip_value(at, 0));
	return at;
}

bool line_number(const char *value, uint64_t *number)
{
	const char *end = value ? skip_digits(value) : NULL;

	if (!end || *end == '.' || *end == 'e' || *end == 'E')
		return false;
	*number = strtoull(value, NULL, 10);
	return true;
}

bool line_is_true(const char *value)
{
	return value && *value == 't';
}

bool line_is_text(const char *value)
{
	return value && *value == '"';
}

/* ---- texts ------------------------------------------------------------------------------- */

static uint32_t hex4(const char *at)
{
	char digits[5] = { at[0], at[1], at[2], at[3], '\0' };

	return (uint32_t)strtoul(digits, NULL, 16);
}

/* The character of the escape whose digits stand at *at; a half of a pair becomes U+FFFD. */
static uint32_t unescape(const char **at)
{
	uint32_t one = hex4(*at), two;

	*at += 4;
	if (one < 0xD800 || one > 0xDFFF)
		return one;
	two = one < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u' ? hex4(*at + 2) : 0;
	if (two < 0xDC00 || two > 0xDFFF)
		return 0xFFFD;
	*at += 6;
	return 0x10000 + ((one - 0xD800) << 10) + (two - 0xDC00);
}

/* Returns where the next one goes. No character is longer than its escape. */
static char *put_utf8(char *to, uint32_t character)
{
	unsigned more = character < 0x80 ? 0 : character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
	static const uint8_t first[] = { 0, 0xC0, 0xE0, 0xF0 };

	*to++ = (char)(first[more] | character >> 6 * more);
	while (more--)
		*to++ = (char)(0x80 | (character >> 6 * more & 0x3F));
	return to;
}

/* What the letter behind a backslash stands for. */
static char escaped(char letter)
{
	switch (letter) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return letter;
	}
}

char *line_text(const char *value)
{
	const char *end = skip_text(value) - 1, *at = value + 1;
	char *text = malloc((size_t)(end - at) + 1);
	char *to = text;

	while (text && at < end) {
		if (*at != '\\') {
			*to++ = *at++;
			continue;
		}
		at += 2;
		if (at[-1] == 'u')
			to = put_utf8(to, unescape(&at));
		else
			*to++ = escaped(at[-1]);
	}
	if (text)
		*to = '\0';
	return text;
}
