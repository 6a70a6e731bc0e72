/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/layout_keys.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "image/layout_text.h"

/* ---- parsing ---------------------------------------------------------------------------- */

static bool parse_name(struct gow_layout_parse *parse, struct gow_value *value)
{
	size_t length = 0;

	gow_value_skip_blanks(value);
	while (gow_value_is_word_char(value->at[length]))
		length++;
	if (!length || length >= GOW_LAYOUT_NAME_SIZE)
		return false;
	memcpy(parse->layout->name, value->at, length);
	value->at += length;
	return true;
}

static bool parse_order(struct gow_layout_parse *parse, struct gow_value *value)
{
	bool little = gow_value_take_word(value, "little");

	parse->layout->order = little ? GOW_LITTLE_ENDIAN : GOW_BIG_ENDIAN;
	return little || gow_value_take_word(value, "big");
}

static bool parse_magic(struct gow_layout_parse *parse, struct gow_value *value)
{
	struct gow_layout *layout = parse->layout;
	uint64_t offset;

	if (gow_value_take_word(value, "none"))
		return true;
	if (!gow_value_take_bytes(value, layout->magic, &layout->magic_size) ||
	    !gow_value_take_word(value, "at") ||
	    !gow_value_take_number(value, GOW_PREAMBLE_MAX - 1, &offset))
		return false;
	layout->magic_offset = (uint32_t)offset;
	return true;
}

static bool parse_pending(struct gow_layout_parse *parse, struct gow_value *value)
{
	if (gow_value_take_word(value, "none"))
		return true;
	parse->layout->has_pending = true;
	return gow_value_take_bytes(value, parse->layout->magic_pending, &parse->pending_size);
}

static bool parse_version(struct gow_layout_parse *parse, struct gow_value *value)
{
	uint64_t version;

	if (gow_value_take_word(value, "none"))
		return true;
	if (!gow_value_take_field(value, &parse->layout->version_field) ||
	    !gow_value_take_word(value, "is") ||
	    !gow_value_take_number(value, UINT32_MAX, &version))
		return false;
	parse->layout->version = (unsigned)version;
	return true;
}

static const struct {
	const char *word;
	uint32_t unit;
} units[] = { { "bytes", 1 }, { "sectors", 512 }, { "blocks", GOW_BLOCK_SIZE } };

static bool parse_size(struct gow_layout_parse *parse, struct gow_value *value)
{
	struct gow_layout *layout = parse->layout;

	if (gow_value_take_word(value, "none"))
		return true;
	if (gow_value_take_word(value, "is"))
		return gow_value_take_size(value, INT64_MAX, &layout->fixed_size) &&
		       layout->fixed_size;
	if (!gow_value_take_field(value, &layout->logical_size))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (gow_value_take_word(value, units[i].word)) {
			layout->size_unit = units[i].unit;
			return true;
		}
	return false;
}

static bool parse_count(struct gow_layout_parse *parse, struct gow_value *value)
{
	return gow_value_take_word(value, "none") ||
	       gow_value_take_field(value, &parse->layout->block_count);
}

static bool parse_map(struct gow_layout_parse *parse, struct gow_value *value)
{
	struct gow_layout *layout = parse->layout;
	uint64_t stride, entries = 0;

	if (!gow_value_take_size(value, INT64_MAX / 4, &layout->map_offset) ||
	    !gow_value_take_word(value, "stride") ||
	    !gow_value_take_number(value, UINT8_MAX, &stride) ||
	    !gow_value_take_word(value, "entries"))
		return false;
	layout->per_logical_block = gow_value_take_word(value, "per-logical-block");
	if (!layout->per_logical_block &&
	    !gow_value_take_number(value, GOW_LAYOUT_ENTRIES_MAX, &entries))
		return false;
	layout->map_stride = (uint32_t)stride;
	layout->map_entries = (uint32_t)entries;
	return true;
}

static bool parse_first(struct gow_layout_parse *parse, struct gow_value *value)
{
	uint64_t first;

	if (!gow_value_take_number(value, 1, &first))
		return false;
	parse->layout->first_block = (uint32_t)first;
	return true;
}

static bool parse_unallocated(struct gow_layout_parse *parse, struct gow_value *value)
{
	uint64_t number;

	if (!gow_value_take_number(value, UINT32_MAX, &number))
		return false;
	parse->layout->unallocated = (uint32_t)number;
	return true;
}

static bool parse_versions(struct gow_layout_parse *parse, struct gow_value *value)
{
	uint64_t stride;

	if (gow_value_take_word(value, "none"))
		return true;
	if (!gow_value_take_word(value, "at") ||
	    !gow_value_take_size(value, INT64_MAX / 4, &parse->layout->versions_offset) ||
	    !gow_value_take_word(value, "stride") ||
	    !gow_value_take_number(value, UINT8_MAX, &stride) || !stride)
		return false;
	parse->layout->versions_stride = (uint32_t)stride;
	return true;
}

static bool parse_align(struct gow_layout_parse *parse, struct gow_value *value)
{
	uint64_t align;

	if (!gow_value_take_size(value, GOW_LAYOUT_ALIGN_MAX, &align) || !align)
		return false;
	parse->layout->data_align = (uint32_t)align;
	return true;
}

static bool parse_limit(struct gow_layout_parse *parse, struct gow_value *value)
{
	return gow_value_take_size(value, INT64_MAX, &parse->layout->logical_limit) &&
	       parse->layout->logical_limit;
}

/* ---- printing --------------------------------------------------------------------------- */

void gow_layout_add(struct gow_layout_print *print, const char *fmt, ...)
{
	size_t room = GOW_LAYOUT_TEXT_MAX - print->used;
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(print->text + print->used, room, fmt, args);
	va_end(args);
	if (length > 0)
		print->used += (size_t)gow_min((size_t)length, room - 1);
}

static void add_bytes(struct gow_layout_print *print, const uint8_t *bytes, size_t count)
{
	bool quoted = false;

	for (size_t i = 0; i < count; i++) {
		bool plain = bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '"';

		if (plain != quoted)
			gow_layout_add(print, plain ? "%s\"" : "\"", i ? " " : "");
		quoted = plain;
		if (plain)
			gow_layout_add(print, "%c", bytes[i]);
		else
			gow_layout_add(print, "%s0x%02x", i ? " " : "", bytes[i]);
	}
	if (quoted)
		gow_layout_add(print, "\"");
}

static void print_name(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, "%s", layout->name);
}

static void print_order(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, layout->order == GOW_LITTLE_ENDIAN ? "little" : "big");
}

static void print_magic(struct gow_layout_print *print, const struct gow_layout *layout)
{
	add_bytes(print, layout->magic, layout->magic_size);
	gow_layout_add(print, layout->magic_size ? " at %" PRIu32 : "none", layout->magic_offset);
}

static void print_pending(struct gow_layout_print *print, const struct gow_layout *layout)
{
	if (layout->has_pending)
		add_bytes(print, layout->magic_pending, layout->magic_size);
	else
		gow_layout_add(print, "none");
}

static void print_field(struct gow_layout_print *print, struct gow_field field)
{
	gow_layout_add(print, field.width ? "%" PRIu32 ":%u" : "none", field.offset, field.width);
}

static void print_version(struct gow_layout_print *print, const struct gow_layout *layout)
{
	print_field(print, layout->version_field);
	if (layout->version_field.width)
		gow_layout_add(print, " is %u", layout->version);
}

static void print_size(struct gow_layout_print *print, const struct gow_layout *layout)
{
	if (!layout->logical_size.width && layout->fixed_size) {
		gow_layout_add(print, "is %" PRIu64, layout->fixed_size);
		return;
	}
	print_field(print, layout->logical_size);
	for (size_t i = 0; i < sizeof units / sizeof *units && layout->logical_size.width; i++)
		if (units[i].unit == gow_layout_size_unit(layout))
			gow_layout_add(print, " %s", units[i].word);
}

static void print_count(struct gow_layout_print *print, const struct gow_layout *layout)
{
	print_field(print, layout->block_count);
}

static void print_map(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, "%" PRIu64 " stride %" PRIu32 " entries ", layout->map_offset,
	               layout->map_stride);
	if (layout->per_logical_block)
		gow_layout_add(print, "per-logical-block");
	else
		gow_layout_add(print, "%" PRIu32, layout->map_entries);
}

static void print_first(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, "%" PRIu32, layout->first_block);
}

static void print_unallocated(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, "0x%08" PRIx32, layout->unallocated);
}

static void print_versions(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print,
	               gow_layout_has_versions(layout) ? "at %" PRIu64 " stride %" PRIu32 : "none",
	               layout->versions_offset, layout->versions_stride);
}

static void print_align(struct gow_layout_print *print, const struct gow_layout *layout)
{
	gow_layout_add(print, "%" PRIu32, layout->data_align);
}

static void print_limit(struct gow_layout_print *print, const struct gow_layout *layout)
{
	if (layout->logical_limit % (1 << 30))
		gow_layout_add(print, "%" PRIu64, layout->logical_limit);
	else
		gow_layout_add(print, "%" PRIu64 "G", layout->logical_limit >> 30);
}

/* ---- the table ------------------------------------------------------------------------- */

const struct gow_layout_key gow_layout_keys[GOW_LAYOUT_KEYS] = {
	{ "name", "a word of letters, digits, '-', '_' and '.'", true, parse_name, print_name },
	{ "byte-order", "little | big", false, parse_order, print_order },
	{ "magic", "none | BYTES at OFFSET", false, parse_magic, print_magic },
	{ "magic-pending", "none | BYTES", true, parse_pending, print_pending },
	{ "version-field", "none | OFFSET:WIDTH is NUMBER", false, parse_version, print_version },
	{ "logical-size", "none | is SIZE | OFFSET:WIDTH bytes|sectors|blocks", false, parse_size,
	  print_size },
	{ "block-count", "none | OFFSET:WIDTH", false, parse_count, print_count },
	{ "map", "OFFSET stride N entries N|per-logical-block", false, parse_map, print_map },
	{ "first-block", "0 | 1", false, parse_first, print_first },
	{ "unallocated", "a 32-bit number", false, parse_unallocated, print_unallocated },
	{ "block-versions", "none | at OFFSET stride N", false, parse_versions, print_versions },
	{ "data-align", "1 to 4096", false, parse_align, print_align },
	{ "limit", "a size, such as 64G", true, parse_limit, print_limit },
};
