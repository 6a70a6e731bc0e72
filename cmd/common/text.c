/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text.h"

#include <stdlib.h>
#include <string.h>

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

char *text_utf8(const char *text)
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

size_t text_control(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (byte[0] < ' ' || byte[0] == 0x7F)
		return byte[0] != '\0';
	if (byte[0] == 0xC2 && byte[1] >= 0x80 && byte[1] < 0xA0)
		return 2;
	return byte[0] >= 0x80 && byte[0] < 0xA0;
}

char *text_one_line(const char *text)
{
	char *made = malloc(strlen(text) + 1);
	char *end = made;

	if (!made)
		return NULL;
	while (*text) {
		size_t control = text_control(text);
		size_t length = control ? 1 : utf8_length((const unsigned char *)text);

		/* What is no UTF-8 may be a name in another character set. */
		length = length ? length : 1;
		end = control ? stpcpy(end, "?") : mempcpy(end, text, length);
		text += control ? control : length;
	}
	*end = '\0';
	return made;
}
