/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/layout.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* What all reference layouts share: format.md, "Preamble". */
#define REFERENCE_PREAMBLE                                                                         \
	.order = GOW_LITTLE_ENDIAN, .magic_size = 4, .has_pending = true,                          \
	.magic = { 'G', 'O', 'W', '\0' }, .magic_pending = { 'G', 'O', 'W', '!' },                 \
	.magic_offset = 0, .version_field = { 4, 4 }, .logical_size = { 8, 8 },                    \
	.block_count = { 16, 4 }, .map_offset = 20, .map_stride = 4, .first_block = 0,             \
	.unallocated = UINT32_MAX

/* format.md, "Map, versions and data". */
const struct gow_layout gow_layouts[] = {
	{
		.name = "gow1",
		.version = 1,
		REFERENCE_PREAMBLE,
		.map_entries = 1 * MIB,
		.data_align = 1,
		.logical_limit = 64 * GIB,
	},
	{
		.name = "gow2",
		.version = 2,
		REFERENCE_PREAMBLE,
		.map_entries = 4 * MIB,
		.data_align = 512,
		.logical_limit = 256 * GIB,
	},
	{
		.name = "gow3",
		.version = 3,
		REFERENCE_PREAMBLE,
		.map_entries = 4 * MIB,
		.versions_offset = 20 + 16 * MIB,
		.versions_stride = 4,
		.data_align = 512,
		.logical_limit = 256 * GIB,
	},
};

const size_t gow_layout_count = sizeof gow_layouts / sizeof *gow_layouts;

const struct gow_layout *gow_layout_among(const struct gow_layout *rows, size_t row_count,
                                          uint64_t version)
{
	for (size_t i = 0; i < row_count; i++)
		if (rows[i].version == version)
			return &rows[i];
	return NULL;
}

const struct gow_layout *gow_layout_of(unsigned version)
{
	return gow_layout_among(gow_layouts, gow_layout_count, version);
}

uint64_t gow_version_limit(unsigned version)
{
	const struct gow_layout *layout = gow_layout_of(version);

	return layout ? layout->logical_limit : 0;
}

uint64_t gow_version_empty_size(unsigned version)
{
	const struct gow_layout *layout = gow_layout_of(version);

	return layout ? gow_layout_data_start(layout) : 0;
}

/* ---- places ------------------------------------------------------------------------------ */

/* 0 for a field that is absent: it ends before everything. */
static uint64_t field_end(struct gow_field field)
{
	return field.width ? (uint64_t)field.offset + field.width : 0;
}

static struct gow_field magic_field(const struct gow_layout *layout)
{
	return (struct gow_field){ layout->magic_offset, layout->magic_size };
}

uint64_t gow_layout_preamble_end(const struct gow_layout *layout)
{
	uint64_t end = field_end(magic_field(layout));

	end = gow_max(end, field_end(layout->version_field));
	end = gow_max(end, field_end(layout->logical_size));
	return gow_max(end, field_end(layout->block_count));
}

uint64_t gow_layout_header_end(const struct gow_layout *layout)
{
	uint64_t last = layout->map_entries - 1;
	uint64_t end = gow_layout_entry_offset(layout, last) + sizeof(uint32_t);

	if (gow_layout_has_versions(layout))
		end = gow_max(end, gow_layout_version_offset(layout, last) + sizeof(uint32_t));
	return gow_max(end, gow_layout_preamble_end(layout));
}

uint64_t gow_layout_data_start(const struct gow_layout *layout)
{
	return gow_round_up(gow_layout_header_end(layout), layout->data_align);
}

/* ---- entries ----------------------------------------------------------------------------- */

/*
 * Canonical numbers are stored ones less first_block, and "not allocated" is carried over. That
 * leaves one stored value whose difference would be GOW_UNALLOCATED although it means a block;
 * it takes the one canonical value that is left over. Both are far past any block that a file
 * can hold (gow_layout_is_usable sees to it), so the validator finds them out of range.
 */
static uint32_t spare_value(const struct gow_layout *layout)
{
	return layout->unallocated - layout->first_block;
}

static uint32_t to_canonical(const struct gow_layout *layout, uint32_t stored)
{
	uint32_t physical = stored - layout->first_block;

	if (stored == layout->unallocated)
		return GOW_UNALLOCATED;
	return physical == GOW_UNALLOCATED ? spare_value(layout) : physical;
}

static uint32_t from_canonical(const struct gow_layout *layout, uint32_t entry)
{
	uint32_t stored = entry + layout->first_block;

	if (entry == GOW_UNALLOCATED)
		return layout->unallocated;
	return stored == layout->unallocated ? GOW_UNALLOCATED + layout->first_block : stored;
}

const char *gow_layout_why_no_mark(const struct gow_layout *layout)
{
	if (!layout->magic_size)
		return "its layout has no magic, which is where the mark of a change would be";
	if (!layout->has_pending)
		return "its layout has no magic-pending, the mark of a change";
	if (layout->magic_size != GOW_MAGIC_SIZE)
		return "the magic of its layout is not 4 bytes long";
	return layout->version_field.width
	               ? NULL
	               : "its layout has no version-field, which the record of a "
	                 "change needs";
}

static bool fields_overlap(uint64_t start, uint64_t end, uint64_t other_start, uint64_t other_end)
{
	return start < other_end && other_start < end;
}

/* Whether no entry shares a byte with a version number: one array behind the other, or both in
 * turn in strides that hold one of each. */
static bool versions_are_apart(const struct gow_layout *layout)
{
	uint64_t last = layout->map_entries - 1;
	uint64_t map_end = gow_layout_entry_offset(layout, last) + 4;
	uint64_t versions_end = gow_layout_version_offset(layout, last) + 4;
	uint64_t apart = gow_max(layout->map_offset, layout->versions_offset) -
	                 gow_min(layout->map_offset, layout->versions_offset);

	if (layout->versions_stride < 4)
		return false;
	if (!fields_overlap(layout->map_offset, map_end, layout->versions_offset, versions_end))
		return true;
	return layout->versions_stride == layout->map_stride && apart >= 4 &&
	       apart + 4 <= layout->map_stride;
}

/* The fields lie before both arrays, and no two share a byte. */
static bool fields_are_apart(const struct gow_layout *layout)
{
	const struct gow_field fields[] = { magic_field(layout), layout->version_field,
		                            layout->logical_size, layout->block_count };
	const size_t count = sizeof fields / sizeof *fields;
	uint64_t arrays_start = gow_layout_has_versions(layout)
	                                ? gow_min(layout->map_offset, layout->versions_offset)
	                                : layout->map_offset;

	for (size_t i = 0; i < count; i++) {
		if (field_end(fields[i]) > arrays_start)
			return false;
		for (size_t j = 0; j < i && fields[i].width; j++)
			if (fields[j].width &&
			    fields_overlap(fields[i].offset, field_end(fields[i]), fields[j].offset,
			                   field_end(fields[j])))
				return false;
	}
	return gow_layout_preamble_end(layout) <= GOW_PREAMBLE_MAX;
}

static bool widths_are_usable(const struct gow_layout *layout)
{
	uint32_t unit = gow_layout_size_unit(layout);

	return layout->magic_size <= GOW_MAGIC_MAX && layout->version_field.width <= 8 &&
	       layout->logical_size.width <= 8 && layout->block_count.width <= 8 &&
	       (unit == 1 || unit == 512 || unit == GOW_BLOCK_SIZE) &&
	       (layout->magic_size || !layout->has_pending) &&
	       gow_fits(layout->version,
	                layout->version_field.width ? layout->version_field.width : 8);
}

/* Files hold fewer blocks than this, so a number from here on can mean "not allocated". */
enum { BLOCKS_MAX = 1 << 23 };

static bool arrays_are_usable(const struct gow_layout *layout)
{
	if (!layout->map_entries || layout->map_entries > GOW_LAYOUT_ENTRIES_MAX ||
	    layout->map_stride < 4 || layout->first_block > 1 || layout->map_stride > 64 ||
	    layout->versions_stride > 64)
		return false;
	if (!layout->data_align || layout->data_align > GOW_LAYOUT_ALIGN_MAX)
		return false;
	if (layout->map_offset > INT64_MAX / 4 || layout->versions_offset > INT64_MAX / 4)
		return false;
	/* No block number that an image could sanely use. */
	return layout->unallocated < layout->first_block || spare_value(layout) >= BLOCKS_MAX;
}

bool gow_layout_is_usable(const struct gow_layout *layout)
{
	if (!arrays_are_usable(layout) || !widths_are_usable(layout))
		return false;
	/* Rounded up: a disk that ends inside a block has an entry for that block, too. */
	if (gow_divide_up(layout->logical_limit, GOW_BLOCK_SIZE) > layout->map_entries ||
	    layout->fixed_size > layout->logical_limit || layout->fixed_size % 512)
		return false;
	return fields_are_apart(layout) &&
	       (!gow_layout_has_versions(layout) || versions_are_apart(layout));
}

/* ---- one entry per logical block --------------------------------------------------------- */

/* A list: a process meets a handful of sizes. */
struct variant {
	struct variant *next;
	struct gow_layout row;
};

struct gow_layout_variants {
	pthread_mutex_t mutex;
	struct variant *first;
};

int gow_layout_variants_new(struct gow_layout_variants **variants, gow_error *error)
{
	struct gow_layout_variants *made = calloc(1, sizeof *made);

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	(void)pthread_mutex_init(&made->mutex, NULL); /* cannot fail with these attributes */
	*variants = made;
	return GOW_OK;
}

void gow_layout_variants_free(struct gow_layout_variants *variants)
{
	if (!variants)
		return;
	while (variants->first) {
		struct variant *next = variants->first->next;

		free(variants->first);
		variants->first = next;
	}
	(void)pthread_mutex_destroy(&variants->mutex);
	free(variants);
}

/* The mutex is held. NULL: no memory. */
static struct variant *find_or_make(const struct gow_layout *layout, uint32_t entries)
{
	struct variant *each = layout->variants->first;

	while (each && each->row.map_entries != entries)
		each = each->next;
	if (each)
		return each;
	each = calloc(1, sizeof *each);
	if (!each)
		return NULL;
	each->row = *layout;
	each->row.map_entries = entries;
	each->row.variants = NULL;
	each->next = layout->variants->first;
	layout->variants->first = each;
	return each;
}

int gow_layout_resolve(const struct gow_layout *layout, uint64_t logical_size,
                       const struct gow_layout **resolved, gow_error *error)
{
	uint64_t entries = gow_divide_up(gow_min(logical_size, layout->logical_limit),
	                                 GOW_BLOCK_SIZE);
	struct variant *variant;

	*resolved = layout;
	if (!layout->per_logical_block || !layout->variants)
		return GOW_OK;
	(void)pthread_mutex_lock(&layout->variants->mutex);
	variant = find_or_make(layout, (uint32_t)gow_max(entries, 1));
	(void)pthread_mutex_unlock(&layout->variants->mutex);
	if (!variant)
		return gow_fail_memory(error, sizeof *variant);
	*resolved = &variant->row;
	return GOW_OK;
}

/* ---- codecs ------------------------------------------------------------------------------ */

bool gow_layout_entries_are_canonical(const struct gow_layout *layout)
{
	return layout->order == GOW_HOST_ORDER && layout->map_stride == sizeof(uint32_t) &&
	       layout->first_block == 0 && layout->unallocated == GOW_UNALLOCATED;
}

void gow_layout_decode_entries(const struct gow_layout *layout, const void *bytes,
                               uint32_t *entries, size_t count)
{
	const uint8_t *byte = bytes;

	if (gow_layout_entries_are_canonical(layout)) {
		memmove(entries, bytes, count * sizeof *entries);
		return;
	}
	for (size_t i = 0; i < count; i++)
		entries[i] = to_canonical(layout,
		                          gow_load32(byte + i * layout->map_stride, layout->order));
}

void gow_layout_encode_entries(const struct gow_layout *layout, const uint32_t *entries,
                               void *bytes, size_t count)
{
	uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i++)
		gow_store32(byte + i * layout->map_stride, layout->order,
		            from_canonical(layout, entries[i]));
}

void gow_layout_decode_versions(const struct gow_layout *layout, const void *bytes,
                                uint32_t *versions, size_t count)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i++)
		versions[i] = gow_load32(byte + i * layout->versions_stride, layout->order);
}

void gow_layout_encode_versions(const struct gow_layout *layout, const uint32_t *versions,
                                void *bytes, size_t count)
{
	uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i++)
		gow_store32(byte + i * layout->versions_stride, layout->order, versions[i]);
}
