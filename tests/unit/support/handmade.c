/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/handmade.h"

#include <stdlib.h>
#include <string.h>

#include "support/check.h"

/* The offsets of version numbers in arrays are set by hm_layout: behind the map. */
static const struct gow_layout rows[HM_ROWS] = {
	[HM_SMALL1] = {
		.name = "small1", .version = 1, .order = GOW_LITTLE_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = "GOW", .magic_pending = { 'G', 'O', 'W', '!' }, .magic_offset = 0,
		.version_field = { 4, 4 }, .logical_size = { 8, 8 }, .block_count = { 16, 4 },
		.map_offset = 20, .map_stride = 4, .first_block = 0, .unallocated = UINT32_MAX,
		.data_align = 1,
	},
	[HM_SMALL2] = {
		.name = "small2", .version = 2, .order = GOW_LITTLE_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = "GOW", .magic_pending = { 'G', 'O', 'W', '!' }, .magic_offset = 0,
		.version_field = { 4, 4 }, .logical_size = { 8, 8 }, .block_count = { 16, 4 },
		.map_offset = 20, .map_stride = 4, .first_block = 0, .unallocated = UINT32_MAX,
		.data_align = 512,
	},
	[HM_SMALL3] = {
		.name = "small3", .version = 3, .order = GOW_LITTLE_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = "GOW", .magic_pending = { 'G', 'O', 'W', '!' }, .magic_offset = 0,
		.version_field = { 4, 4 }, .logical_size = { 8, 8 }, .block_count = { 16, 4 },
		.map_offset = 20, .map_stride = 4, .first_block = 0, .unallocated = UINT32_MAX,
		.versions_offset = 20, .versions_stride = 4, .data_align = 512,
	},
	[HM_BIG] = {
		.name = "big", .version = 0x1234, .order = GOW_BIG_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = { 0xCA, 'w', 'o', 'g' }, .magic_pending = { 'p', 0, 'n', 'd' },
		.magic_offset = 11,
		.version_field = { 2, 2 }, .logical_size = { 16, 8 }, .block_count = { 32, 8 },
		.map_offset = 48, .map_stride = 8, .first_block = 1, .unallocated = 0,
		.versions_offset = 52, .versions_stride = 8, .data_align = 4096,
	},
	[HM_NARROW] = {
		.name = "narrow", .version = 7, .order = GOW_LITTLE_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = { 1, 2, 3, 4 }, .magic_pending = { 4, 3, 2, 1 }, .magic_offset = 20,
		.version_field = { 8, 8 }, .logical_size = { 4, 4 }, .block_count = { 2, 2 },
		.map_offset = 64, .map_stride = 12, .first_block = 1, .unallocated = UINT32_MAX,
		.versions_offset = 64, .versions_stride = 8, .data_align = 1,
	},
	[HM_WIDE] = {
		.name = "wide", .version = 0x80000001, .order = GOW_BIG_ENDIAN,
		.magic_size = 4, .has_pending = true,
		.magic = { 0xff, 0xfe, 0xfd, 0xfc }, .magic_pending = { 0, 0, 0, 1 },
		.magic_offset = 1000,
		.version_field = { 992, 8 }, .logical_size = { 0, 8 }, .block_count = { 2000, 8 },
		.map_offset = 2048, .map_stride = 8, .first_block = 0, .unallocated = 0xFFFFFFF0,
		.data_align = 512,
	},
};

const char *hm_name(enum hm_row row)
{
	return rows[row].name;
}

struct gow_layout hm_layout(enum hm_row row, uint32_t entries)
{
	struct gow_layout layout = rows[row];

	layout.map_entries = entries;
	layout.logical_limit = (uint64_t)entries * 65536;
	if (row == HM_SMALL3)
		layout.versions_offset = 20 + (uint64_t)entries * 4;
	if (row == HM_NARROW)
		layout.versions_offset = 64 + (uint64_t)entries * 12 + 4;
	return layout;
}

uint64_t hm_header_end(const struct gow_layout *layout)
{
	uint64_t map_end = layout->map_offset + (uint64_t)(layout->map_entries - 1) * layout->map_stride + 4;
	uint64_t versions_end =
		layout->versions_offset + (uint64_t)(layout->map_entries - 1) * layout->versions_stride + 4;

	return layout->versions_stride && versions_end > map_end ? versions_end : map_end;
}

uint64_t hm_data_start(const struct gow_layout *layout)
{
	uint64_t units = hm_header_end(layout) / layout->data_align;

	if (hm_header_end(layout) % layout->data_align)
		units++;
	return units * layout->data_align;
}

void hm_make(struct hm_image *image, enum hm_row row, uint32_t entries)
{
	memset(image, 0, sizeof *image);
	image->layout = hm_layout(row, entries);
	image->logical_size = image->layout.logical_limit;
	image->file_size = hm_header_end(&image->layout);
	image->map = check_alloc(entries * sizeof *image->map);
	image->versions = check_alloc(entries * sizeof *image->versions);
	for (uint32_t i = 0; i < entries; i++)
		image->map[i] = HM_NONE;
}

void hm_release(struct hm_image *image)
{
	free(image->map);
	free(image->versions);
	image->map = NULL;
	image->versions = NULL;
}

uint32_t hm_stored(const struct gow_layout *layout, uint32_t physical)
{
	return physical == HM_NONE ? layout->unallocated : physical + layout->first_block;
}

/* Digit by digit, from the end that the order names. */
static void put_number(struct memfile *file, const struct gow_layout *layout, uint64_t offset,
                       unsigned width, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < width; i++) {
		unsigned shift = layout->order == GOW_BIG_ENDIAN ? 8 * (width - 1 - i) : 8 * i;

		bytes[i] = (uint8_t)(value >> shift & 0xff);
	}
	memfile_put(file, offset, bytes, width);
}

static void put_field(struct memfile *file, const struct gow_layout *layout,
                      struct gow_field field, uint64_t value)
{
	put_number(file, layout, field.offset, field.width, value);
}

void hm_write(const struct hm_image *image, struct memfile *file)
{
	const struct gow_layout *layout = &image->layout;

	memfile_put(file, layout->magic_offset, image->pending ? layout->magic_pending : layout->magic,
	            4);
	put_field(file, layout, layout->version_field, layout->version);
	put_field(file, layout, layout->logical_size, image->logical_size);
	put_field(file, layout, layout->block_count, image->block_count);
	for (uint32_t i = 0; i < layout->map_entries; i++) {
		put_number(file, layout, layout->map_offset + (uint64_t)i * layout->map_stride, 4,
		           hm_stored(layout, image->map[i]));
		if (layout->versions_stride)
			put_number(file, layout,
			           layout->versions_offset + (uint64_t)i * layout->versions_stride, 4,
			           image->versions[i]);
	}
	memfile_resize(file, image->file_size);
}

static uint64_t get_number(const struct memfile *file, const struct gow_layout *layout,
                           uint64_t offset, unsigned width)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	memfile_get(file, offset, bytes, width);
	for (unsigned i = 0; i < width; i++) {
		unsigned shift = layout->order == GOW_BIG_ENDIAN ? 8 * (width - 1 - i) : 8 * i;

		value |= (uint64_t)bytes[i] << shift;
	}
	return value;
}

void hm_read(struct hm_image *image, const struct memfile *file)
{
	const struct gow_layout *layout = &image->layout;
	uint8_t magic[4];

	memfile_get(file, layout->magic_offset, magic, 4);
	CHECK(memcmp(magic, layout->magic, 4) == 0 || memcmp(magic, layout->magic_pending, 4) == 0);
	image->pending = memcmp(magic, layout->magic, 4) != 0;
	CHECK_EQ(layout->version, get_number(file, layout, layout->version_field.offset,
	                                     layout->version_field.width));
	image->logical_size = get_number(file, layout, layout->logical_size.offset,
	                                 layout->logical_size.width);
	image->block_count = get_number(file, layout, layout->block_count.offset,
	                                layout->block_count.width);
	image->file_size = memfile_size(file);
	for (uint32_t i = 0; i < layout->map_entries; i++) {
		uint32_t stored = (uint32_t)get_number(
			file, layout, layout->map_offset + (uint64_t)i * layout->map_stride, 4);

		image->map[i] = stored == layout->unallocated ? HM_NONE : stored - layout->first_block;
		image->versions[i] =
			layout->versions_stride
				? (uint32_t)get_number(file, layout,
			                               layout->versions_offset +
			                                       (uint64_t)i * layout->versions_stride,
			                               4)
				: 0;
	}
}
