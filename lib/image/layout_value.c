/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/layout_value.h"

#include <string.h>

void gow_value_skip_blanks(struct gow_value *value)
{
	while (*value->at == ' ' || *value->at == '\t')
		value->at++;
}

bool gow_value_at_end(struct gow_value *value)
{
	gow_value_skip_blanks(value);
	return *value->at == '\0' || *value->at == '#';
}

bool gow_value_is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

bool gow_value_take_word(struct gow_value *value, const char *word)
{
	size_t length = strlen(word);

	gow_value_skip_blanks(value);
	if (strncmp(value->at, word, length) != 0 || gow_value_is_word_char(value->at[length]))
		return false;
	value->at += length;
	return true;
}

static bool take_colon(struct gow_value *value)
{
	if (*value->at != ':')
		return false;
	value->at++;
	return true;
}

static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return UINT32_MAX;
}

/* Decimal, or hexadecimal after 0x; nothing else, and nothing larger than max. */
static bool take_digits(struct gow_value *value, uint64_t max, uint64_t *number)
{
	unsigned base = 10;
	uint64_t result = 0;
	const char *start;

	gow_value_skip_blanks(value);
	if (value->at[0] == '0' && (value->at[1] == 'x' || value->at[1] == 'X')) {
		base = 16;
		value->at += 2;
	}
	for (start = value->at; digit_of(*value->at) < base; value->at++) {
		unsigned digit = digit_of(*value->at);

		if (digit > max || result > (max - digit) / base)
			return false;
		result = result * base + digit;
	}
	*number = result;
	return value->at > start;
}

bool gow_value_take_size(struct gow_value *value, uint64_t max, uint64_t *size)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned shift;

	if (!take_digits(value, max, size))
		return false;
	suffix = *value->at ? strchr(suffixes, *value->at) : NULL;
	if (!suffix)
		return !gow_value_is_word_char(*value->at);
	shift = 10 * (unsigned)(suffix - suffixes + 1);
	value->at++;
	if (gow_value_is_word_char(*value->at) || *size > max >> shift)
		return false;
	*size <<= shift;
	return true;
}

bool gow_value_take_number(struct gow_value *value, uint64_t max, uint64_t *number)
{
	return take_digits(value, max, number) && !gow_value_is_word_char(*value->at);
}

bool gow_value_take_field(struct gow_value *value, struct gow_field *field)
{
	uint64_t offset, width;

	if (!take_digits(value, GOW_PREAMBLE_MAX - 1, &offset) || !take_colon(value) ||
	    !gow_value_take_number(value, 8, &width) || !width)
		return false;
	*field = (struct gow_field){ (uint32_t)offset, (uint8_t)width };
	return true;
}

bool gow_value_take_bytes(struct gow_value *value, uint8_t bytes[GOW_MAGIC_MAX], uint8_t *size)
{
	uint8_t count = 0;
	uint64_t byte;

	for (gow_value_skip_blanks(value); *value->at == '"' || *value->at == '0';
	     gow_value_skip_blanks(value)) {
		if (*value->at == '0') {
			if (count == GOW_MAGIC_MAX ||
			    !gow_value_take_number(value, UINT8_MAX, &byte))
				return false;
			bytes[count++] = (uint8_t)byte;
			continue;
		}
		for (value->at++; *value->at != '"'; value->at++) {
			if (*value->at < ' ' || *value->at > '~' || count == GOW_MAGIC_MAX)
				return false;
			bytes[count++] = (uint8_t)*value->at;
		}
		value->at++;
	}
	*size = count;
	return count > 0;
}
