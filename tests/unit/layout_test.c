/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts as rows: the reference ones against the numbers of gow(5), made-up ones against bytes
 * written by hand. */
#include "image/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/header.h"
#include "image/validate.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

static gow_error error;

/* ---- the reference rows ------------------------------------------------------------------ */

static void reference_rows_are_those_of_the_format(void)
{
	static const struct {
		uint64_t limit, versions, header_end, data_start;
		uint32_t entries;
	} want[] = {
		{ UINT64_C(68719476736), 0, 4194324, 4194324, 1048576 },
		{ UINT64_C(274877906944), 0, 16777236, 16777728, 4194304 },
		{ UINT64_C(274877906944), 16777236, 33554452, 33554944, 4194304 },
	};

	CHECK_EQ(3, gow_layout_count);
	for (unsigned i = 0; i < 3; i++) {
		const struct gow_layout *row = gow_layout_of(i + 1);

		check_about("version %u", i + 1);
		CHECK(row == &gow_layouts[i]);
		CHECK(gow_layout_is_usable(row));
		CHECK_EQ(i + 1, row->version);
		CHECK_EQ(want[i].entries, row->map_entries);
		CHECK_EQ(want[i].limit, row->logical_limit);
		CHECK_EQ(want[i].limit, gow_version_limit(i + 1));
		CHECK_EQ(20, gow_layout_entry_offset(row, 0));
		CHECK_EQ(24, gow_layout_entry_offset(row, 1));
		CHECK_EQ(want[i].versions != 0, gow_layout_has_versions(row));
		if (want[i].versions) {
			CHECK_EQ(want[i].versions, gow_layout_version_offset(row, 0));
			CHECK_EQ(want[i].versions + 4, gow_layout_version_offset(row, 1));
		}
		CHECK_EQ(20, gow_layout_preamble_end(row));
		CHECK_EQ(want[i].header_end, gow_layout_header_end(row));
		CHECK_EQ(want[i].data_start, gow_layout_data_start(row));
		CHECK_EQ(want[i].data_start, gow_layout_block_offset(row, 0));
		CHECK_EQ(want[i].data_start + 65536, gow_layout_block_offset(row, 1));
		/* Far past 32 bits. */
		CHECK_EQ(want[i].data_start + UINT64_C(281474976579584),
		         gow_layout_block_offset(row, 0xFFFFFFFE));
		CHECK_EQ(4, row->magic_size);
		CHECK_BYTES("GOW", row->magic, 4);
		CHECK_BYTES("GOW!", row->magic_pending, 4);
		CHECK(gow_layout_entries_are_canonical(row) ==
		      (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__));
	}
	check_about("other versions");
	CHECK(!gow_layout_of(0));
	CHECK(!gow_layout_of(4));
	CHECK_EQ(0, gow_version_limit(0));
	CHECK_EQ(0, gow_version_limit(4));
	CHECK_EQ(0, gow_version_limit(UINT32_MAX));
}

static void present_blocks_are_those_that_begin_in_the_file(void)
{
	const struct gow_layout *row = gow_layout_of(1);

	CHECK_EQ(0, gow_present_blocks(row, 0));
	CHECK_EQ(0, gow_present_blocks(row, 4194323));
	CHECK_EQ(0, gow_present_blocks(row, 4194324));
	CHECK_EQ(1, gow_present_blocks(row, 4194325));
	CHECK_EQ(1, gow_present_blocks(row, 4194324 + 65536));
	CHECK_EQ(2, gow_present_blocks(row, 4194324 + 65537));
	CHECK_EQ(0xFFFFFFFE, gow_present_blocks(row, 4194324 + UINT64_C(0xFFFFFFFE) * 65536));
	CHECK_EQ(0xFFFFFFFF, gow_present_blocks(row, 4194325 + UINT64_C(0xFFFFFFFE) * 65536));
	CHECK_EQ(0xFFFFFFFF, gow_present_blocks(row, 4194325 + UINT64_C(0xFFFFFFFF) * 65536));
	CHECK_EQ(0xFFFFFFFF, gow_present_blocks(row, INT64_MAX));
	CHECK_EQ(0xFFFFFFFF, gow_present_blocks(row, UINT64_MAX));
	CHECK_EQ(0, gow_present_entries(row, 0));
	CHECK_EQ(0, gow_present_entries(row, 23));
	CHECK_EQ(1, gow_present_entries(row, 24));
	CHECK_EQ(1, gow_present_entries(row, 27));
	CHECK_EQ(2, gow_present_entries(row, 28));
	CHECK_EQ(1048575, gow_present_entries(row, 4194323));
	CHECK_EQ(1048576, gow_present_entries(row, 4194324));
	CHECK_EQ(1048576, gow_present_entries(row, INT64_MAX));
}

/* ---- bytes by hand ----------------------------------------------------------------------- */

/* Hex digits, blanks ignored; `..` is a byte that belongs to nobody, written as given. */
static size_t hex(const char *text, uint8_t nobody, uint8_t *bytes)
{
	size_t count = 0;

	while (*text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		if (text[0] == '.') {
			bytes[count++] = nobody;
		} else {
			char digits[3] = { text[0], text[1], '\0' };

			bytes[count++] = (uint8_t)strtoul(digits, NULL, 16);
		}
		text += 2;
	}
	return count;
}

struct sample {
	const char *name;
	struct gow_layout layout;
	const char *text; /* the whole header */
	uint64_t logical_size;
	uint64_t block_count;
	uint32_t entries[4];
	uint32_t versions[4];
	uint64_t data_start;
};

/* Four map entries each, and every property of a row in another form at least once. */
static const struct sample samples[] = {
	{
		.name = "big endian, interleaved, from 1, 0 is none, widths 2 8 8",
		.layout = {
			.name = "a", .version = 0x0102, .order = GOW_BIG_ENDIAN,
			.magic_size = 4, .has_pending = true,
			.magic = { 0xAA, 0xBB, 0xCC, 0xDD }, .magic_pending = { 1, 1, 1, 1 },
			.magic_offset = 3, .version_field = { 0, 2 }, .logical_size = { 8, 8 },
			.block_count = { 16, 8 }, .map_offset = 26, .map_stride = 8,
			.map_entries = 4, .first_block = 1, .unallocated = 0,
			.versions_offset = 30, .versions_stride = 8, .data_align = 4096,
			.logical_limit = 4 * 65536,
		},
		.text = "0102 .. AABBCCDD .. 0000000000030200 0000000000000007 .... "
		        "00000001 00000009  00000000 00000000  00000007 FFFFFFFF  FFFFFFFF 01020304",
		.logical_size = 0x30200, .block_count = 7,
		.entries = { 0, UINT32_MAX, 6, 0xFFFFFFFE }, .versions = { 9, 0, UINT32_MAX, 0x01020304 },
		.data_start = 4096,
	},
	{
		.name = "little endian, array, stride 12, from 1, all ones is none, widths 4 4 2",
		.layout = {
			.name = "b", .version = 9, .order = GOW_LITTLE_ENDIAN,
			.magic_size = 4, .has_pending = true,
			.magic = { 'W', 'O', 'G', 'x' }, .magic_pending = { 'w', 'o', 'g', 'x' },
			.magic_offset = 10, .version_field = { 4, 4 }, .logical_size = { 0, 4 },
			.block_count = { 8, 2 }, .map_offset = 16, .map_stride = 12,
			.map_entries = 4, .first_block = 1, .unallocated = UINT32_MAX,
			.versions_offset = 67, .versions_stride = 5, .data_align = 1,
			.logical_limit = 4 * 65536,
		},
		.text = "00020000 09000000 0300 574F4778 .... "
		        "02000000 ........ ........ FFFFFFFF ........ ........ "
		        "00000000 ........ ........ 03000000 ........ ........ ...... "
		        "01000000 .. 00000000 .. FFFFFFFF .. 04030201",
		.logical_size = 512, .block_count = 3,
		.entries = { 1, UINT32_MAX, 0xFFFFFFFE, 2 }, .versions = { 1, 0, UINT32_MAX, 0x01020304 },
		.data_start = 86,
	},
	{
		.name = "little endian, no numbers, stride 4, odd none, widths 8 2 4",
		.layout = {
			.name = "c", .version = 1, .order = GOW_LITTLE_ENDIAN,
			.magic_size = 4, .has_pending = true,
			.magic = { 0, 0, 0, 1 }, .magic_pending = { 0, 0, 0, 2 },
			.magic_offset = 0, .version_field = { 6, 8 }, .logical_size = { 4, 2 },
			.block_count = { 15, 4 }, .map_offset = 21, .map_stride = 4,
			.map_entries = 4, .first_block = 0, .unallocated = 0x90000000,
			.data_align = 512, .logical_limit = 4 * 65536,
		},
		.text = "00000001 00FE 0100000000000000 .. 05000000 .... "
		        "00000000 00000090 FFFFFFFF 78563412",
		.logical_size = 0xFE00, .block_count = 5,
		.entries = { 0, UINT32_MAX, 0x90000000, 0x12345678 },
		.data_start = 512,
	},
	{
		.name = "big endian, array, stride 8, fields of 1, 3, 5 bytes",
		.layout = {
			.name = "d", .version = 200, .order = GOW_BIG_ENDIAN,
			.magic_size = 4, .has_pending = true,
			.magic = { 'm', 'a', 'g', 'i' }, .magic_pending = { 'M', 'a', 'g', 'i' },
			.magic_offset = 8, .version_field = { 0, 1 }, .logical_size = { 1, 3 },
			.block_count = { 13, 5 }, .map_offset = 18, .map_stride = 8,
			.map_entries = 4, .first_block = 0, .unallocated = UINT32_MAX,
			.versions_offset = 52, .versions_stride = 4, .data_align = 64,
			.logical_limit = 4 * 65536,
		},
		.text = "C8 040000 ........ 6D616769 .. 0000000102 "
		        "00000000 ........ FFFFFFFF ........ 00000001 ........ 12345678 ........ .... "
		        "00000001 00000000 00000002 FFFFFFFF",
		.logical_size = 0x40000, .block_count = 0x102,
		.entries = { 0, UINT32_MAX, 1, 0x12345678 }, .versions = { 1, 0, 2, UINT32_MAX },
		.data_start = 128,
	},
};

enum { SAMPLES = sizeof samples / sizeof *samples };

static void samples_are_read(void)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct sample *sample = &samples[i];
		struct memdisk *disk = memdisk_new();
		struct memfile *mem = memdisk_file(disk, "image");
		struct gow_file *file = memfile_open(mem);
		uint8_t bytes[256];
		size_t size = hex(sample->text, 0xEE, bytes);
		uint32_t versions[4];
		struct gow_layout rows[SAMPLES];
		struct gow_unchecked raw;

		check_about("%s", sample->name);
		CHECK(gow_layout_is_usable(&sample->layout));
		for (size_t r = 0; r < SAMPLES; r++)
			rows[r] = samples[r].layout;
		CHECK_EQ(size, gow_layout_header_end(&sample->layout));
		CHECK_EQ(sample->data_start, gow_layout_data_start(&sample->layout));
		memfile_put(mem, 0, bytes, size);
		/* Found among its like. */
		CHECK_OK(gow_unchecked_load(file, rows, SAMPLES, &raw, &error), &error);
		CHECK(raw.header.layout == &rows[i]);
		CHECK(!raw.header.pending);
		CHECK(!raw.header.truncated);
		CHECK_EQ(sample->logical_size, raw.header.logical_size);
		CHECK_EQ(sample->block_count, raw.header.block_count);
		CHECK_EQ(size, raw.header.file_size);
		CHECK_EQ((sample->logical_size + 65535) / 65536, raw.header.logical_blocks);
		CHECK_EQ(0, raw.header.present_blocks);
		for (uint32_t e = 0; e < 4; e++)
			CHECK_EQ(sample->entries[e], raw.entries[e]);
		if (gow_layout_has_versions(&sample->layout)) {
			CHECK_OK(gow_header_read_versions(file, &rows[i], 0, 4, versions, &error),
			         &error);
			for (uint32_t e = 0; e < 4; e++)
				CHECK_EQ(sample->versions[e], versions[e]);
			CHECK_OK(gow_header_read_versions(file, &rows[i], 2, 1, versions, &error),
			         &error);
			CHECK_EQ(sample->versions[2], versions[0]);
		}
		gow_unchecked_release(&raw);
		memfile_put(mem, sample->layout.magic_offset, sample->layout.magic_pending, 4);
		CHECK_OK(gow_unchecked_load(file, rows, SAMPLES, &raw, &error), &error);
		CHECK(raw.header.pending);
		gow_unchecked_release(&raw);
		CHECK_OK(gow_file_close(file, &error), &error);
		memdisk_free(disk);
	}
}

/* Written over a file of 0x55, or into an empty one: nobody's bytes stay, or become zeros. */
static void samples_are_written(void)
{
	for (size_t i = 0; i < 2 * (size_t)SAMPLES; i++) {
		const struct sample *sample = &samples[i / 2];
		const uint8_t nobody = i % 2 ? 0x55 : 0;
		const struct gow_header header = {
			.layout = &sample->layout,
			.logical_size = sample->logical_size,
			.block_count = (uint32_t)sample->block_count,
		};
		struct memdisk *disk = memdisk_new();
		struct memfile *mem = memdisk_file(disk, "image");
		struct gow_file *file = memfile_open(mem);
		uint8_t want[256], have[256];
		size_t size = hex(sample->text, nobody, want);

		check_about("%s", sample->name);
		memset(have, nobody, sizeof have);
		if (nobody)
			memfile_put(mem, 0, have, sizeof have);
		CHECK_OK(gow_header_write(file, &header, &error), &error);
		/* In two runs, so that a run's end is not the array's. */
		for (uint32_t half = 0; half < 4; half += 2) {
			CHECK_OK(gow_header_write_entries(file, &sample->layout, half, 2,
			                                  sample->entries + half, &error),
			         &error);
			if (gow_layout_has_versions(&sample->layout))
				CHECK_OK(gow_header_write_versions(file, &sample->layout, half, 2,
				                                   sample->versions + half, &error),
				         &error);
		}
		CHECK_EQ(nobody ? sizeof have : size, memfile_size(mem));
		memfile_get(mem, 0, have, sizeof have);
		CHECK_BYTES(want, have, size);
		/* One field alone. */
		CHECK_OK(gow_header_write_block_count(
			         file, &(struct gow_header){ .layout = &sample->layout }, &error),
		         &error);
		memset(want + sample->layout.block_count.offset, 0, sample->layout.block_count.width);
		memfile_get(mem, 0, have, sizeof have);
		CHECK_BYTES(want, have, size);
		CHECK_OK(gow_file_close(file, &error), &error);
		memdisk_free(disk);
	}
}

static void write_header_of(struct gow_layout layout, uint64_t size, uint32_t count,
                            gow_code code)
{
	const struct gow_header header = {
		.layout = &layout, .logical_size = size, .block_count = count
	};
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);

	CHECK_CODE(code, gow_header_write(file, &header, &error), &error);
	/* Refused before a byte was written. */
	if (code)
		CHECK_EQ(0, memfile_size(mem));
	CHECK_CODE(gow_fits(count, layout.block_count.width) ? GOW_OK : GOW_ERR_LIMIT,
	           gow_header_write_block_count(file, &header, &error), &error);
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
}

static void values_too_large_for_their_field_are_refused(void)
{
	struct gow_layout layout = samples[2].layout; /* logical_size of 2 bytes */

	write_header_of(layout, 0xFE00, 0, GOW_OK);
	write_header_of(layout, 0x10000, 0, GOW_ERR_LIMIT);
	write_header_of(layout, UINT64_MAX, 0, GOW_ERR_LIMIT);
	layout = samples[1].layout; /* of 4, block_count of 2 */
	write_header_of(layout, 0xFFFFFE00, 0xFFFF, GOW_OK);
	write_header_of(layout, UINT64_C(0x100000000), 0, GOW_ERR_LIMIT);
	CHECK_EQ(0, error.offset);
	write_header_of(layout, 0, 0x10000, GOW_ERR_LIMIT);
	CHECK_EQ(8, error.offset);
	layout.version_field.width = 1;
	layout.version = 256;
	write_header_of(layout, 0, 0, GOW_ERR_LIMIT);
}

/* A field wider than the library's own type is no way around a check. */
static void wide_block_count_is_clamped(void)
{
	const struct sample *sample = &samples[0];
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	uint8_t bytes[256];
	struct gow_header header;

	memfile_put(mem, 0, bytes, hex(sample->text, 0, bytes));
	memfile_put(mem, 16, "\0\0\0\1\0\0\0\0", 8); /* 2^32 */
	CHECK_OK(gow_header_read(file, &sample->layout, 1, &header, &error), &error);
	CHECK_EQ(UINT32_MAX, header.block_count);
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
}

/* ---- what is no image -------------------------------------------------------------------- */

static void read_header_of(const void *bytes, size_t size, gow_code code, const char *what)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct gow_header header;
	int result;

	memfile_put(mem, 0, bytes, size);
	memset(&error, 0, sizeof error);
	result = gow_header_read(file, gow_layouts, gow_layout_count, &header, &error);
	CHECK_CODE(code, result, &error);
	if (code) {
		CHECK_STR("image", error.file);
		if (!strstr(error.what, what))
			CHECK_FAIL("\"%s\" does not say \"%s\"", error.what, what);
	} else {
		CHECK(header.truncated);
		CHECK_EQ(size, header.file_size);
		CHECK_EQ(size >= 16 ? 0x200 : 0, header.logical_size);
		CHECK_EQ(size >= 20 ? 5 : 0, header.block_count);
	}
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
}

static void what_is_no_image_is_an_error(void)
{
	static const uint8_t image[24] = { 'G', 'O', 'W', 0, 3, 0, 0, 0, 0, 2, 0, 0,
		                           0, 0, 0, 0, 5, 0, 0, 0, 1, 1, 1, 1 };
	uint8_t bytes[24];

	read_header_of("", 0, GOW_ERR_NOT_GOW, "empty");
	for (size_t size = 1; size < 4; size++)
		read_header_of(image, size, GOW_ERR_NOT_GOW, "magic");
	for (size_t size = 4; size < 8; size++)
		read_header_of(image, size, GOW_ERR_NOT_GOW, "cut short");
	for (size_t size = 8; size <= 24; size++)
		read_header_of(image, size, GOW_OK, "");
	for (size_t i = 0; i < 8; i++) {
		memcpy(bytes, image, sizeof bytes);
		bytes[i] ^= 0x80;
		read_header_of(bytes, sizeof bytes, GOW_ERR_NOT_GOW,
		               i < 4 ? "no magic" : "unknown version");
	}
	memcpy(bytes, image, sizeof bytes);
	bytes[3] = '!';
	read_header_of(bytes, sizeof bytes, GOW_OK, "");
	bytes[4] = 0;
	read_header_of(bytes, sizeof bytes, GOW_ERR_NOT_GOW, "unknown version, 0");
	bytes[4] = 4;
	read_header_of(bytes, sizeof bytes, GOW_ERR_NOT_GOW, "unknown version, 4");
}

/* ---- codecs ------------------------------------------------------------------------------ */

static uint32_t decode(const struct gow_layout *layout, uint32_t stored)
{
	uint8_t bytes[4];
	uint32_t entry;

	gow_store(bytes, 4, layout->order, stored);
	gow_layout_decode_entries(layout, bytes, &entry, 1);
	return entry;
}

static uint32_t encode(const struct gow_layout *layout, uint32_t entry)
{
	uint8_t bytes[4];

	gow_layout_encode_entries(layout, &entry, bytes, 1);
	return (uint32_t)gow_load(bytes, 4, layout->order);
}

static void codecs_are_bijections(void)
{
	static const struct {
		uint32_t first, unallocated;
	} kinds[] = { { 0, UINT32_MAX }, { 1, UINT32_MAX }, { 1, 0 },          { 0, 0xFFFFFFF0 },
		      { 1, 0xFFFFFFFE }, { 0, 0x90000000 }, { 1, 0x90000000 }, { 0, 0xFFFFFFFE } };

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		for (int big = 0; big < 2; big++) {
			struct gow_layout layout = hm_layout(HM_SMALL1, 64);
			struct rng rng = { k };
			uint32_t edges[] = { 0, kinds[k].unallocated, UINT32_MAX, 0x80000000 };

			layout.order = big ? GOW_BIG_ENDIAN : GOW_LITTLE_ENDIAN;
			layout.first_block = kinds[k].first;
			layout.unallocated = kinds[k].unallocated;
			CHECK(gow_layout_is_usable(&layout));
			CHECK_EQ(GOW_UNALLOCATED, decode(&layout, kinds[k].unallocated));
			CHECK_EQ(kinds[k].unallocated, encode(&layout, GOW_UNALLOCATED));
			for (uint32_t i = 0; i < 20000; i++) {
				/* Near every edge, and anywhere. */
				uint32_t value = i < 10000 ? edges[i % 4] + (i / 4) - 1000
				                           : (uint32_t)rng_next(&rng);

				check_about("first %u, none %#x, value %#x", layout.first_block,
				            layout.unallocated, value);
				CHECK_EQ(value, encode(&layout, decode(&layout, value)));
				CHECK_EQ(value, decode(&layout, encode(&layout, value)));
				CHECK_EQ(value == layout.unallocated,
				         decode(&layout, value) == GOW_UNALLOCATED);
			}
			/* Valid numbers are plain ones. */
			for (uint32_t p = 0; p < 1000; p++)
				CHECK_EQ(p + layout.first_block, encode(&layout, p));
		}
	}
}

/* Long arrays go through buffers in parts: none is lost or moved at a seam. */
static void long_arrays_survive_their_parts(void)
{
	enum { ENTRIES = 20000 };
	uint32_t *numbers = check_alloc(ENTRIES * sizeof *numbers);
	uint32_t *back = check_alloc(ENTRIES * sizeof *back);
	struct rng rng = { 4 };

	for (int row = 0; row < HM_ROWS; row++) {
		struct gow_layout layout = hm_layout((enum hm_row)row, ENTRIES);
		struct hm_image image;
		struct memdisk *disk = memdisk_new(), *want = memdisk_new();
		struct memfile *mem = memdisk_file(disk, "image");
		struct gow_file *file = memfile_open(mem);

		check_about("%s", hm_name((enum hm_row)row));
		hm_make(&image, (enum hm_row)row, ENTRIES);
		hm_write(&image, mem); /* an empty map */
		for (uint32_t i = 0; i < ENTRIES; i++) {
			image.map[i] = rng_chance(&rng, 30) ? HM_NONE : rng_below(&rng, 1 << 30);
			image.versions[i] = (uint32_t)rng_next(&rng);
		}
		hm_write(&image, memdisk_file(want, "image"));
		CHECK_OK(gow_header_write_entries(file, &layout, 0, ENTRIES, image.map, &error),
		         &error);
		if (gow_layout_has_versions(&layout))
			CHECK_OK(gow_header_write_versions(file, &layout, 0, ENTRIES,
			                                   image.versions, &error),
			         &error);
		CHECK(memfile_equal(mem, memdisk_file(want, "image")));
		for (int n = 0; n < 50; n++) {
			uint32_t first = rng_below(&rng, ENTRIES);
			uint32_t count = rng_below(&rng, ENTRIES - first + 1);

			CHECK_OK(gow_header_read_entries(file, &layout, first, count, back, &error),
			         &error);
			CHECK_BYTES(image.map + first, back, count * sizeof *back);
			if (!gow_layout_has_versions(&layout))
				continue;
			CHECK_OK(gow_header_read_versions(file, &layout, first, count, back,
			                                  &error),
			         &error);
			CHECK_BYTES(image.versions + first, back, count * sizeof *back);
		}
		/* Past the end of the file it is an error, not zeros. */
		memfile_resize(mem, gow_layout_entry_offset(&layout, ENTRIES / 2) + 3);
		CHECK_CODE(GOW_ERR_CHANGED,
		           gow_header_read_entries(file, &layout, 0, ENTRIES, back, &error), &error);
		CHECK_EQ(ENTRIES / 2, gow_present_entries(&layout, memfile_size(mem)));
		CHECK_OK(gow_file_close(file, &error), &error);
		hm_release(&image);
		memdisk_free(disk);
		memdisk_free(want);
	}
	free(numbers);
	free(back);
}

/* ---- rows that cannot work --------------------------------------------------------------- */

static void nonsense_rows_are_refused(void)
{
#define REFUSED(base, assignment)                              \
	do {                                                   \
		struct gow_layout row = hm_layout(base, 64);   \
		CHECK(gow_layout_is_usable(&row));             \
		row.assignment;                                \
		check_about("%s", #assignment);                \
		CHECK(!gow_layout_is_usable(&row));            \
	} while (0)

	for (int row = 0; row < HM_ROWS; row++) {
		struct gow_layout layout = hm_layout((enum hm_row)row, 64);

		check_about("%s", layout.name);
		CHECK(gow_layout_is_usable(&layout));
		CHECK_EQ(hm_header_end(&layout), gow_layout_header_end(&layout));
		CHECK_EQ(hm_data_start(&layout), gow_layout_data_start(&layout));
	}
	REFUSED(HM_SMALL3, map_entries = 0);
	REFUSED(HM_SMALL3, map_entries = 63); /* the versions' array and the limit were for 64 */
	REFUSED(HM_SMALL1, map_stride = 3);
	REFUSED(HM_SMALL1, map_stride = 0);
	REFUSED(HM_SMALL1, map_stride = 65536);
	REFUSED(HM_SMALL1, first_block = 2);
	REFUSED(HM_SMALL1, data_align = 0);
	REFUSED(HM_SMALL1, unallocated = 0);
	REFUSED(HM_SMALL1, unallocated = 63);
	REFUSED(HM_SMALL1, unallocated = 1000000);
	REFUSED(HM_NARROW, unallocated = 1);
	REFUSED(HM_SMALL1, logical_limit = 65 * 65536);
	REFUSED(HM_SMALL1, logical_limit = 64 * 65536 + 512);
	REFUSED(HM_SMALL1, logical_limit = UINT64_MAX);
	REFUSED(HM_SMALL1, map_offset = 19);
	REFUSED(HM_SMALL1, map_offset = 0);
	REFUSED(HM_SMALL1, map_offset = UINT64_MAX);
	REFUSED(HM_SMALL1, magic_size = 0); /* but a pending one */
	REFUSED(HM_SMALL1, magic_size = 17);
	REFUSED(HM_SMALL1, size_unit = 4096);
	REFUSED(HM_SMALL1, fixed_size = 65 * 65536);
	REFUSED(HM_SMALL1, fixed_size = 513);
	REFUSED(HM_SMALL1, data_align = 4097);
	REFUSED(HM_SMALL1, map_entries = (1 << 24) + 1);
	REFUSED(HM_SMALL1, version_field.width = 9);
	REFUSED(HM_SMALL1, logical_size.width = 9);
	REFUSED(HM_SMALL1, block_count.width = 5); /* into the map */
	REFUSED(HM_SMALL1, version_field.offset = 3);
	REFUSED(HM_SMALL1, logical_size.offset = 12);
	REFUSED(HM_SMALL1, magic_offset = 2);
	REFUSED(HM_SMALL1, block_count.offset = UINT32_MAX);
	REFUSED(HM_SMALL3, versions_offset = 20);
	REFUSED(HM_SMALL3, versions_offset = 22);
	REFUSED(HM_SMALL3, versions_offset = 20 + 63 * 4);
	REFUSED(HM_SMALL3, versions_offset = UINT64_MAX);
	REFUSED(HM_SMALL3, versions_stride = 3);
	REFUSED(HM_SMALL3, versions_stride = 65536);
	REFUSED(HM_BIG, versions_offset = 50);
	REFUSED(HM_BIG, versions_offset = 53);
	REFUSED(HM_BIG, versions_stride = 12);
	/* Fields that the preamble's buffer does not reach would be read as 0. */
	{
		struct gow_layout row = hm_layout(HM_SMALL1, 64);

		check_about("a preamble of more than 4096 bytes");
		row.map_offset = 8192;
		row.block_count.offset = 4092;
		CHECK(gow_layout_is_usable(&row));
		row.block_count.offset = 4093;
		CHECK(!gow_layout_is_usable(&row));
	}
#undef REFUSED
}

CHECK_MAIN(CHECK_TEST(reference_rows_are_those_of_the_format),
           CHECK_TEST(present_blocks_are_those_that_begin_in_the_file),
           CHECK_TEST(samples_are_read), CHECK_TEST(samples_are_written),
           CHECK_TEST(values_too_large_for_their_field_are_refused),
           CHECK_TEST(wide_block_count_is_clamped), CHECK_TEST(what_is_no_image_is_an_error),
           CHECK_TEST(codecs_are_bijections), CHECK_TEST(long_arrays_survive_their_parts),
           CHECK_TEST(nonsense_rows_are_refused))
