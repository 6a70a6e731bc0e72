/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/layout_text.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "image/layout_keys.h"

enum { LINE_MAX_SIZE = 512 };

static int fail_line(gow_error *error, unsigned line, const char *what, const char *form)
{
	return gow_fail(error, GOW_ERR_DAMAGED, "line %u: %s%s%s", line, what, form ? ": " : "",
	                form ? form : "");
}

/* "key = value" */
static int parse_pair(struct gow_layout_parse *parse, const char *line, unsigned number,
                      bool seen[GOW_LAYOUT_KEYS], gow_error *error)
{
	struct gow_value value = { line };

	for (size_t i = 0; i < GOW_LAYOUT_KEYS; i++) {
		if (!gow_value_take_word(&value, gow_layout_keys[i].name))
			continue;
		if (seen[i])
			return fail_line(error, number, "a second time", gow_layout_keys[i].name);
		seen[i] = true;
		gow_value_skip_blanks(&value);
		if (*value.at++ != '=')
			return fail_line(error, number, "no '=' after", gow_layout_keys[i].name);
		if (!gow_layout_keys[i].parse(parse, &value) || !gow_value_at_end(&value)) {
			char what[64];

			(void)snprintf(what, sizeof what, "'%s' takes", gow_layout_keys[i].name);
			return fail_line(error, number, what, gow_layout_keys[i].form);
		}
		return GOW_OK;
	}
	return fail_line(error, number, "an unknown key", NULL);
}

/* Copies the line at *text, without its end, and moves on. */
static int next_line(const char **text, size_t *left, char line[LINE_MAX_SIZE], unsigned number,
                     gow_error *error)
{
	const char *end = memchr(*text, '\n', *left);
	size_t length = end ? (size_t)(end - *text) : *left;
	size_t kept = length && (*text)[length - 1] == '\r' ? length - 1 : length;

	if (kept >= LINE_MAX_SIZE)
		return fail_line(error, number, "is too long", NULL);
	if (memchr(*text, '\0', kept))
		return fail_line(error, number, "has a NUL byte", NULL);
	memcpy(line, *text, kept);
	line[kept] = '\0';
	*text += length + (end != NULL);
	*left -= length + (end != NULL);
	return GOW_OK;
}

/* What follows from the rest where it is not given. */
static void complete(struct gow_layout *layout)
{
	if (layout->per_logical_block && !layout->logical_limit)
		layout->logical_limit = UINT64_C(256) << 30;
	if (layout->per_logical_block)
		layout->map_entries = (uint32_t)gow_min(
			gow_divide_up(layout->logical_limit, GOW_BLOCK_SIZE), UINT32_MAX);
	if (!layout->logical_limit)
		layout->logical_limit = (uint64_t)layout->map_entries * GOW_BLOCK_SIZE;
}

static int finish(const struct gow_layout_parse *parse, const bool seen[GOW_LAYOUT_KEYS],
                  gow_error *error)
{
	struct gow_layout *layout = parse->layout;

	for (size_t i = 0; i < GOW_LAYOUT_KEYS; i++)
		if (!seen[i] && !gow_layout_keys[i].optional)
			return gow_fail(error, GOW_ERR_DAMAGED, "the key '%s' is missing",
			                gow_layout_keys[i].name);
	if (layout->has_pending && parse->pending_size != layout->magic_size)
		return gow_fail(error, GOW_ERR_DAMAGED, "magic-pending is not as long as magic");
	if (layout->per_logical_block && !layout->logical_size.width && !layout->fixed_size)
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "a map with one entry per logical block needs a logical-size");
	complete(layout);
	if (!gow_layout_is_usable(layout))
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "the layout cannot work: its fields, map and version numbers "
		                "overlap, or a number is out of range (gow-layout(5))");
	return GOW_OK;
}

/* What Windows puts before a text. */
static const char mark[] = "\xef\xbb\xbf";

int gow_layout_parse(const char *text, size_t size, struct gow_layout *layout, gow_error *error)
{
	struct gow_layout made = { .name = "" };
	struct gow_layout_parse parse = { .layout = &made };
	bool seen[GOW_LAYOUT_KEYS] = { false }, begun = false;
	int code = GOW_OK;

	if (size >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0) {
		text += sizeof mark - 1;
		size -= sizeof mark - 1;
	}
	for (unsigned number = 1; size && !code; number++) {
		char line[LINE_MAX_SIZE];
		struct gow_value value = { line };

		code = next_line(&text, &size, line, number, error);
		if (code || gow_value_at_end(&value))
			continue;
		if (begun)
			code = parse_pair(&parse, line, number, seen, error);
		else if (!gow_value_take_word(&value, "gow-layout") ||
		         !gow_value_take_word(&value, "1") || !gow_value_at_end(&value))
			code = fail_line(error, number, "a layout begins with", "gow-layout 1");
		begun = true;
	}
	if (!code && !begun)
		code = gow_fail(error, GOW_ERR_DAMAGED, "a layout begins with: gow-layout 1");
	if (!code)
		code = finish(&parse, seen, error);
	if (!code)
		*layout = made;
	return code;
}

/* What the text is written to is written to by way of struct gow_layout_print. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
size_t gow_layout_print(const struct gow_layout *layout, char buf[GOW_LAYOUT_TEXT_MAX])
{
	struct gow_layout_print print = { .text = buf };

	gow_layout_add(&print, "gow-layout 1\n");
	for (size_t i = 0; i < GOW_LAYOUT_KEYS; i++) {
		if (i == 0 && !*layout->name)
			continue;
		gow_layout_add(&print, "%s = ", gow_layout_keys[i].name);
		gow_layout_keys[i].print(&print, layout);
		gow_layout_add(&print, "\n");
	}
	return print.used;
}

bool gow_layout_is_reference(const struct gow_layout *layout)
{
	const struct gow_layout *reference = gow_layout_of(layout->version);
	struct gow_layout nameless = *layout, other;
	char text[GOW_LAYOUT_TEXT_MAX], wanted[GOW_LAYOUT_TEXT_MAX];

	if (!reference)
		return false;
	other = *reference;
	nameless.name[0] = other.name[0] = '\0';
	(void)gow_layout_print(&nameless, text);
	(void)gow_layout_print(&other, wanted);
	return strcmp(text, wanted) == 0;
}
