/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/layout_record.h"

#include <string.h>

#include "journal/numbers.h"

/* Where the numbers stand; all are little-endian. A field is an offset, and then a width. */
enum layout_field {
	LAYOUT_VERSION = 0,
	LAYOUT_ORDER = 4,
	LAYOUT_MAGIC_OFFSET = 8,
	LAYOUT_MAGIC = 12,
	LAYOUT_MAGIC_PENDING = 16,
	LAYOUT_VERSION_FIELD = 20,
	LAYOUT_LOGICAL_SIZE = 28,
	LAYOUT_BLOCK_COUNT = 36,
	LAYOUT_SIZE_UNIT = 44,
	LAYOUT_FIXED_SIZE = 48,
	LAYOUT_MAP_OFFSET = 56,
	LAYOUT_MAP_STRIDE = 64,
	LAYOUT_MAP_ENTRIES = 68,
	LAYOUT_FIRST_BLOCK = 72,
	LAYOUT_UNALLOCATED = 76,
	LAYOUT_VERSIONS_OFFSET = 80,
	LAYOUT_VERSIONS_STRIDE = 88,
	LAYOUT_DATA_ALIGN = 92,
	LAYOUT_LOGICAL_LIMIT = 96
};

static void put_field(uint8_t *bytes, unsigned at, struct gow_field field)
{
	gow_record_put(bytes + at, 4, field.offset);
	gow_record_put(bytes + at + 4, 4, field.width);
}

/* A width that no field can have becomes one that no usable layout has. */
static struct gow_field get_field(const uint8_t *bytes, unsigned at)
{
	uint32_t width = gow_record_get32(bytes + at + 4);

	return (struct gow_field){ gow_record_get32(bytes + at),
		                   (uint8_t)gow_min(width, UINT8_MAX) };
}

void gow_layout_record_put(uint8_t *bytes, const struct gow_layout *layout)
{
	gow_record_put(bytes + LAYOUT_VERSION, 4, layout->version);
	gow_record_put(bytes + LAYOUT_ORDER, 4, layout->order == GOW_LITTLE_ENDIAN ? 0 : 1);
	gow_record_put(bytes + LAYOUT_MAGIC_OFFSET, 4, layout->magic_offset);
	memcpy(bytes + LAYOUT_MAGIC, layout->magic, GOW_MAGIC_SIZE);
	memcpy(bytes + LAYOUT_MAGIC_PENDING, layout->magic_pending, GOW_MAGIC_SIZE);
	put_field(bytes, LAYOUT_VERSION_FIELD, layout->version_field);
	put_field(bytes, LAYOUT_LOGICAL_SIZE, layout->logical_size);
	put_field(bytes, LAYOUT_BLOCK_COUNT, layout->block_count);
	gow_record_put(bytes + LAYOUT_SIZE_UNIT, 4, gow_layout_size_unit(layout));
	gow_record_put(bytes + LAYOUT_FIXED_SIZE, 8, layout->fixed_size);
	gow_record_put(bytes + LAYOUT_MAP_OFFSET, 8, layout->map_offset);
	gow_record_put(bytes + LAYOUT_MAP_STRIDE, 4, layout->map_stride);
	gow_record_put(bytes + LAYOUT_MAP_ENTRIES, 4, layout->map_entries);
	gow_record_put(bytes + LAYOUT_FIRST_BLOCK, 4, layout->first_block);
	gow_record_put(bytes + LAYOUT_UNALLOCATED, 4, layout->unallocated);
	gow_record_put(bytes + LAYOUT_VERSIONS_OFFSET, 8, layout->versions_offset);
	gow_record_put(bytes + LAYOUT_VERSIONS_STRIDE, 4, layout->versions_stride);
	gow_record_put(bytes + LAYOUT_DATA_ALIGN, 4, layout->data_align);
	/* Where the map has one entry per logical block the limit is of larger disks than this. */
	gow_record_put(
		bytes + LAYOUT_LOGICAL_LIMIT, 8,
		gow_min(layout->logical_limit, (uint64_t)layout->map_entries * GOW_BLOCK_SIZE));
}

struct gow_layout gow_layout_record_get(const uint8_t *bytes)
{
	struct gow_layout layout = {
		.name = "the layout in the record",
		.version = gow_record_get32(bytes + LAYOUT_VERSION),
		.order = gow_record_get(bytes + LAYOUT_ORDER, 4) ? GOW_BIG_ENDIAN
		                                                 : GOW_LITTLE_ENDIAN,
		.magic_size = GOW_MAGIC_SIZE,
		.has_pending = true,
		.magic_offset = gow_record_get32(bytes + LAYOUT_MAGIC_OFFSET),
		.version_field = get_field(bytes, LAYOUT_VERSION_FIELD),
		.logical_size = get_field(bytes, LAYOUT_LOGICAL_SIZE),
		.block_count = get_field(bytes, LAYOUT_BLOCK_COUNT),
		.size_unit = gow_record_get32(bytes + LAYOUT_SIZE_UNIT),
		.fixed_size = gow_record_get(bytes + LAYOUT_FIXED_SIZE, 8),
		.map_offset = gow_record_get(bytes + LAYOUT_MAP_OFFSET, 8),
		.map_stride = gow_record_get32(bytes + LAYOUT_MAP_STRIDE),
		.map_entries = gow_record_get32(bytes + LAYOUT_MAP_ENTRIES),
		.first_block = gow_record_get32(bytes + LAYOUT_FIRST_BLOCK),
		.unallocated = gow_record_get32(bytes + LAYOUT_UNALLOCATED),
		.versions_offset = gow_record_get(bytes + LAYOUT_VERSIONS_OFFSET, 8),
		.versions_stride = gow_record_get32(bytes + LAYOUT_VERSIONS_STRIDE),
		.data_align = gow_record_get32(bytes + LAYOUT_DATA_ALIGN),
		.logical_limit = gow_record_get(bytes + LAYOUT_LOGICAL_LIMIT, 8),
	};

	memcpy(layout.magic, bytes + LAYOUT_MAGIC, GOW_MAGIC_SIZE);
	memcpy(layout.magic_pending, bytes + LAYOUT_MAGIC_PENDING, GOW_MAGIC_SIZE);
	return layout;
}

/* Of the alignment only the sum matters. */
bool gow_layout_record_is_valid(const struct gow_layout *layout)
{
	struct gow_layout packed = *layout;

	packed.data_align = 1;
	return layout->data_align && layout->data_align <= GOW_HEADER_LARGEST &&
	       gow_layout_is_usable(&packed) && gow_layout_has_mark(layout) &&
	       gow_layout_data_start(layout) <= GOW_HEADER_LARGEST;
}

bool gow_layouts_are_same(const struct gow_layout *a, const struct gow_layout *b)
{
	uint8_t of_a[GOW_LAYOUT_RECORD_SIZE], of_b[GOW_LAYOUT_RECORD_SIZE];

	if (!gow_layout_has_mark(a) || !gow_layout_has_mark(b))
		return false;
	gow_layout_record_put(of_a, a);
	gow_layout_record_put(of_b, b);
	return memcmp(of_a, of_b, sizeof of_a) == 0;
}
