/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-layout(5): what is printed is parsed again, and what is no layout is refused with its line. */
#include "image/layout_text.h"

#include <stdio.h>
#include <string.h>

#include "image/header.h"
#include "support/check.h"
#include "support/handmade.h"

static gow_error error;

static const char complete[] = "gow-layout 1\n"
                               "name = win4lin-pro-6\n"
                               "byte-order = little            # little | big\n"
                               "magic = \"GOW\" 0x00 at 0\n"
                               "magic-pending = \"GOW\" 0x21\n"
                               "version-field = 4:4 is 1\n"
                               "logical-size = 8:8 bytes\n"
                               "block-count = 16:4\n"
                               "map = 20 stride 4 entries 1048576\n"
                               "first-block = 0\n"
                               "unallocated = 0xffffffff\n"
                               "block-versions = none\n"
                               "data-align = 1\n"
                               "limit = 64G\n";

static void the_reference_layout_is_what_its_text_says(void)
{
	const struct gow_layout *want = gow_layout_of(1);
	struct gow_layout row;

	CHECK_OK(gow_layout_parse(complete, strlen(complete), &row, &error), &error);
	CHECK_STR("win4lin-pro-6", row.name);
	CHECK_EQ(4, row.magic_size);
	CHECK_BYTES("GOW", row.magic, 4);
	CHECK_BYTES("GOW!", row.magic_pending, 4);
	CHECK_EQ(1, row.version);
	CHECK_EQ(gow_layout_data_start(want), gow_layout_data_start(&row));
	CHECK_EQ(want->logical_limit, row.logical_limit);
}

static void check_round_trip(const struct gow_layout *row)
{
	char text[GOW_LAYOUT_TEXT_MAX], again[GOW_LAYOUT_TEXT_MAX];
	size_t length = gow_layout_print(row, text);
	struct gow_layout back;

	check_about("%s", text);
	CHECK_OK(gow_layout_parse(text, length, &back, &error), &error);
	CHECK_EQ(length, gow_layout_print(&back, again));
	CHECK_STR(text, again);
	CHECK_EQ(gow_layout_data_start(row), gow_layout_data_start(&back));
	CHECK_EQ(row->unallocated, back.unallocated);
	CHECK_EQ(row->order, back.order);
	CHECK_BYTES(row->magic, back.magic, sizeof row->magic);
	CHECK_EQ(row->map_entries, back.map_entries);
}

static void rows_survive_being_printed(void)
{
	for (size_t i = 0; i < gow_layout_count; i++)
		check_round_trip(&gow_layouts[i]);
	for (int row = 0; row < HM_ROWS; row++) {
		struct gow_layout layout = hm_layout((enum hm_row)row, 64);

		check_round_trip(&layout);
		layout.magic_size = 0;
		layout.has_pending = false;
		memset(layout.magic, 0, sizeof layout.magic);
		layout.version_field.width = 0;
		layout.version = 0;
		check_round_trip(&layout);
		layout.logical_size.width = 0;
		layout.fixed_size = 5 * 65536 + 512;
		layout.block_count.width = 0;
		check_round_trip(&layout);
		layout.fixed_size = 0;
		check_round_trip(&layout);
		layout.logical_size.width = 8;
		layout.size_unit = 65536;
		layout.per_logical_block = !gow_layout_has_versions(&layout);
		check_round_trip(&layout);
	}
}

/* The complete text with one line replaced (or removed, or added where old is NULL). */
static void refused(const char *old, const char *new, const char *what)
{
	char text[2048];
	const char *at = old ? strstr(complete, old) : complete + strlen(complete);
	struct gow_layout row;

	CHECK(at != NULL);
	(void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - complete), complete, new,
	               old ? strchr(at, '\n') : "");
	check_about("%s", new);
	CHECK_CODE(GOW_ERR_DAMAGED, gow_layout_parse(text, strlen(text), &row, &error), &error);
	if (!strstr(error.what, what))
		CHECK_FAIL("\"%s\" does not say \"%s\"", error.what, what);
}

static void what_is_no_layout_is_refused(void)
{
	static const char *const keys[] = { "byte-order", "magic", "version-field", "logical-size",
		                            "block-count", "map", "first-block", "unallocated",
		                            "block-versions", "data-align" };
	char start[32];

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		(void)snprintf(start, sizeof start, "%s =", keys[i]);
		refused(start, "", "missing");
	}
	refused("gow-layout 1", "gow-layout 2", "line 1");
	refused("gow-layout 1", "", "line 2");
	refused("byte-order", "byte-order = middle", "line 3");
	refused("byte-order", "byte-order little", "line 3");
	refused("byte-order", "byte-order = little big", "line 3");
	refused("byte-order", "Byte-order = little", "line 3");
	refused("magic =", "magic = \"GOW at 0", "line 4");
	refused("magic =", "magic = at 0", "line 4");
	refused("magic =", "magic = 0x100 at 0", "line 4");
	refused("magic =", "magic = \"12345678901234567\" at 0", "line 4");
	refused("magic =", "magic = \"GOW\" at 0", "as long as");
	refused("magic =", "magic = none", "as long as");
	refused("version-field", "version-field = 4:9 is 1", "line 6");
	refused("version-field", "version-field = 4:4", "line 6");
	refused("version-field", "version-field = 4:1 is 256", "cannot work");
	refused("version-field", "version-field = 3:4 is 1", "cannot work");
	refused("logical-size", "logical-size = 8:8 furlongs", "line 7");
	refused("logical-size", "logical-size = is 0", "line 7");
	refused("logical-size", "logical-size = is 513", "cannot work");
	refused("logical-size", "logical-size = is 65G", "cannot work");
	refused("map", "map = 20 stride 4 entries 99999999999999999999", "line 9");
	refused("map", "map = 20 stride 4 entries 16777217", "line 9");
	refused("map", "map = 20 stride 3 entries 1048576", "cannot work");
	refused("map", "map = -20 stride 4 entries 1048576", "line 9");
	refused("first-block", "first-block = 2", "line 10");
	refused("unallocated", "unallocated = 0x100000000", "line 11");
	refused("unallocated", "unallocated = 0", "cannot work");
	refused("unallocated", "unallocated = 07f", "line 11");
	refused("block-versions", "block-versions = at 20 stride 4", "cannot work");
	refused("block-versions", "block-versions = at 24 stride 0", "line 12");
	refused("data-align", "data-align = 0", "line 13");
	refused("data-align", "data-align = 8192", "line 13");
	refused("limit", "limit = 65G", "cannot work");
	refused("limit", "limit = 64X", "line 14");
	refused(NULL, "limit = 64G\n", "line 15");
	refused(NULL, "colour = red\n", "line 15");
}

static void size_decides_how_long_a_map_is(void)
{
	static const char text[] = "gow-layout 1\nbyte-order = big\nmagic = none\nversion-field = none\n"
	                           "logical-size = 0:4 sectors\nblock-count = none\n"
	                           "map = 8 stride 4 entries per-logical-block\nfirst-block = 1\n"
	                           "unallocated = 0\nblock-versions = none\ndata-align = 512\n";
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct gow_header header;
	struct gow_layout row;

	CHECK_OK(gow_layout_parse(text, strlen(text), &row, &error), &error);
	CHECK_OK(gow_layout_variants_new(&row.variants, &error), &error);
	memfile_put(mem, 0, "\0\0\1\1", 4); /* 257 sectors: three blocks */
	memfile_resize(mem, 512 + 65536 + 1);
	CHECK_OK(gow_header_read(file, &row, 1, &header, &error), &error);
	CHECK_EQ(257 * 512, header.logical_size);
	CHECK_EQ(3, header.logical_blocks);
	CHECK_EQ(3, header.layout->map_entries);
	CHECK_EQ(2, header.present_blocks);
	CHECK_EQ(2, header.block_count);
	CHECK_EQ(20, gow_layout_header_end(header.layout));
	CHECK_OK(gow_file_close(file, &error), &error);
	gow_layout_variants_free(row.variants);
	memdisk_free(disk);
}

CHECK_MAIN(CHECK_TEST(the_reference_layout_is_what_its_text_says),
           CHECK_TEST(rows_survive_being_printed), CHECK_TEST(what_is_no_layout_is_refused),
           CHECK_TEST(size_decides_how_long_a_map_is))
