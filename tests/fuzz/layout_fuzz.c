/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layout files, valid or not: the library parses them, and what it accepts can work, and is printed
 * as a text that parses to the same.
 */
#include "kit/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "image/layout_text.h"
#include "support/check.h"

enum { TEXT_MAX = 4096 };

static gow_error error;

struct text {
	char bytes[TEXT_MAX];
	size_t size;
};

static void add(struct text *text, const char *line)
{
	size_t length = strlen(line);

	if (text->size + length > TEXT_MAX)
		return;
	memcpy(text->bytes + text->size, line, length);
	text->size += length;
}

/* What each key can be followed by, good and bad; the first of each is always good. */
static const struct {
	const char *key;
	const char *values[8];
} keys[] = {
	{ "name", { "word", "a-b_c.9", "", "two words", "\"x\"" } },
	{ "byte-order", { "little", "big", "middle" } },
	{ "magic", { "none", "\"GOW\" 0x00 at 0", "0x00 at 4095", "\"0123456789abcdef\" at 0",
	             "\"GOW", "0x100 at 0", "\"GOW\" at 4096" } },
	{ "magic-pending", { "none", "\"GOW\" 0x21", "0xff", "\"GOW!\" at 0" } },
	{ "version-field", { "none", "4:4 is 1", "4:9 is 1", "4:0 is 0", "4:1 is 256" } },
	{ "logical-size", { "none", "8:8 bytes", "8:4 sectors", "is 4G", "8:8 blocks", "is 0",
	                    "8:8", "is 99999999999999999999" } },
	{ "block-count", { "none", "16:4", "16", "4294967295:4" } },
	{ "map", { "20 stride 4 entries 1048576", "64 stride 8 entries per-logical-block",
	           "20 stride 0 entries 1", "20 stride 4 entries 0", "16M stride 4 entries 16777216",
	           "20 stride 64 entries 16777217", "20 stride 4" } },
	{ "first-block", { "0", "1", "2", "-1" } },
	{ "unallocated", { "0xffffffff", "0", "0x80000000", "5", "0x1ffffffff" } },
	{ "block-versions", { "none", "at 4M stride 4", "at 68 stride 8", "at 16777236 stride 4",
	                      "at 20 stride 4", "at 0 stride 1" } },
	{ "data-align", { "1", "512", "4K", "0", "4097", "3" } },
	{ "limit", { "64G", "256G", "1M", "1", "0", "16777216T" } },
};

enum { KEYS = sizeof keys / sizeof *keys };

static const char *value_of(struct input *input, size_t key)
{
	uint32_t count = 0;

	while (count < 8 && keys[key].values[count])
		count++;
	return keys[key].values[take_below(input, count)];
}

static void make_text(struct text *text, struct input *input)
{
	add(text, take_chance(input, 8) ? "gow-layout 2\n" : "gow-layout 1\n");
	for (size_t i = 0; i < KEYS; i++) {
		size_t key = take_chance(input, 8) ? take_below(input, KEYS) : i;
		char line[128];

		(void)snprintf(line, sizeof line, "%s%s%s%s\n", keys[key].key,
		               take_chance(input, 8) ? ":" : " = ", value_of(input, key),
		               take_chance(input, 16) ? " # so" : "");
		add(text, line);
	}
	if (text->size && take_chance(input, 32))
		text->bytes[take_below(input, (uint32_t)text->size)] =
			(char)take_number(input, 1);
}

void fuzz_one(struct input *input)
{
	struct text text = { .size = 0 };
	struct gow_layout first, second;
	char printed[GOW_LAYOUT_TEXT_MAX], again[GOW_LAYOUT_TEXT_MAX];
	size_t size;
	int code;

	if (take_chance(input, 64)) {
		text.size = input->left < TEXT_MAX ? input->left : TEXT_MAX;
		memcpy(text.bytes, input->at, text.size);
	} else {
		make_text(&text, input);
	}
	code = gow_layout_parse(text.bytes, text.size, &first, &error);
	CHECK(!code || code == GOW_ERR_DAMAGED);
	if (code)
		return;
	CHECK(gow_layout_is_usable(&first));
	size = gow_layout_print(&first, printed);
	CHECK(size < sizeof printed - 1);
	CHECK_OK(gow_layout_parse(printed, size, &second, &error), &error);
	if (fuzz_lies())
		second.map_offset++;
	CHECK_EQ(size, gow_layout_print(&second, again));
	CHECK(!memcmp(printed, again, size));
}
