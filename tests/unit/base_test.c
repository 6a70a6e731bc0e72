/* SPDX-License-Identifier: BSD-2-Clause */
/* The ground floor: integers in files, errors and their texts, zeros, notes and progress. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/block.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/monitor.h"
#include "support/check.h"

static gow_error error;

/* ---- bytes ------------------------------------------------------------------------------- */

static void integers_keep_their_order(void)
{
	static const uint8_t bytes[9] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x55 };
	static const struct {
		unsigned width;
		uint64_t little, big;
	} want[] = {
		{ 1, 0x01, 0x01 },
		{ 2, 0x2301, 0x0123 },
		{ 3, 0x452301, 0x012345 },
		{ 4, 0x67452301, 0x01234567 },
		{ 5, 0x8967452301, 0x0123456789 },
		{ 7, 0xCDAB8967452301, 0x0123456789ABCD },
		{ 8, UINT64_C(0xEFCDAB8967452301), UINT64_C(0x0123456789ABCDEF) },
	};

	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		uint8_t back[9];
		const unsigned width = want[i].width;

		check_about("%u bytes", width);
		CHECK_EQ(want[i].little, gow_load(bytes, width, GOW_LITTLE_ENDIAN));
		CHECK_EQ(want[i].big, gow_load(bytes, width, GOW_BIG_ENDIAN));
		/* Not a byte more, and high bits cut off. */
		memset(back, 0x55, sizeof back);
		gow_store(back, width, GOW_LITTLE_ENDIAN, want[i].little);
		CHECK_BYTES(bytes, back, width);
		CHECK_EQ(0x55, back[width]);
		memset(back, 0x55, sizeof back);
		gow_store(back, width, GOW_BIG_ENDIAN,
		          width < 8 ? want[i].big | UINT64_C(0xA5) << 8 * width : want[i].big);
		CHECK_BYTES(bytes, back, width);
		CHECK_EQ(0x55, back[width]);
	}
	CHECK_EQ(0x67452301, gow_load32(bytes, GOW_LITTLE_ENDIAN));
	CHECK_EQ(0x01234567, gow_load32(bytes, GOW_BIG_ENDIAN));
	CHECK_EQ(0x89674523, gow_load32(bytes + 1, GOW_LITTLE_ENDIAN)); /* not aligned */
	for (int big = 0; big < 2; big++) {
		const enum gow_order order = big ? GOW_BIG_ENDIAN : GOW_LITTLE_ENDIAN;
		uint8_t back[5] = { 0, 0, 0, 0, 0x55 };

		gow_store32(back, order, gow_load32(bytes, order));
		CHECK_BYTES(bytes, back, 4);
		CHECK_EQ(0x55, back[4]);
	}
}

static void arithmetic_knows_its_edges(void)
{
	CHECK(gow_fits(0, 1) && gow_fits(0xFF, 1) && !gow_fits(0x100, 1));
	CHECK(gow_fits(0xFFFF, 2) && !gow_fits(0x10000, 2));
	CHECK(gow_fits(UINT32_MAX, 4) && !gow_fits(UINT64_C(1) << 32, 4));
	CHECK(gow_fits((UINT64_C(1) << 56) - 1, 7) && !gow_fits(UINT64_C(1) << 56, 7));
	CHECK(gow_fits(UINT64_MAX, 8));
	CHECK_EQ(0, gow_round_up(0, 512));
	CHECK_EQ(512, gow_round_up(1, 512));
	CHECK_EQ(512, gow_round_up(512, 512));
	CHECK_EQ(7, gow_round_up(7, 1));
	CHECK_EQ(UINT64_MAX - 511, gow_round_up(UINT64_MAX - 1022, 512));
	CHECK_EQ(0, gow_divide_up(0, 65536));
	CHECK_EQ(1, gow_divide_up(1, 65536));
	CHECK_EQ(1, gow_divide_up(65536, 65536));
	CHECK_EQ(2, gow_divide_up(65537, 65536));
	CHECK_EQ(UINT64_C(1) << 48, gow_divide_up(UINT64_MAX, 65536));
	CHECK_EQ(1, gow_divide_up(UINT64_MAX, UINT64_MAX));
	CHECK_EQ(0, gow_min(0, UINT64_MAX));
	CHECK_EQ(UINT64_MAX, gow_max(0, UINT64_MAX));
}

/* ---- zeros ------------------------------------------------------------------------------- */

static void one_byte_is_found_anywhere(void)
{
	enum { MOST = 1200 };
	static uint8_t bytes[MOST + 64];

	CHECK(gow_is_zero(NULL, 0));
	for (size_t at = 0; at < 16; at++)
		for (size_t size = 0; size < MOST; size += size < 600 ? 1 : 37) {
			check_about("at %zu, %zu bytes", at, size);
			/* What stands around it is not asked for. */
			memset(bytes, 0xFF, sizeof bytes);
			memset(bytes + at, 0, size);
			CHECK(gow_is_zero(bytes + at, size));
			for (size_t i = 0; i < size; i += size < 300 ? 1 : 1 + i % 7) {
				bytes[at + i] = 1;
				CHECK(!gow_is_zero(bytes + at, size));
				bytes[at + i] = 0;
			}
		}
}

static void a_whole_block_is_looked_through(void)
{
	uint8_t *block = check_alloc(GOW_BLOCK_SIZE);

	CHECK(gow_is_zero(block, GOW_BLOCK_SIZE));
	for (size_t i = 0; i < GOW_BLOCK_SIZE; i++) {
		block[i] = 0x80;
		if (gow_is_zero(block, GOW_BLOCK_SIZE))
			CHECK_FAIL("byte %zu was overlooked", i);
		block[i] = 0;
	}
	free(block);
}

/* Nothing is read past the end: the page after it cannot be. */
static void zeros_end_where_they_end(void)
{
	enum { PAGE = 4096 };
	uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                      0);

	CHECK(pages != MAP_FAILED);
	CHECK(mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
	for (size_t size = 0; size <= PAGE; size++)
		CHECK(gow_is_zero(pages + PAGE - size, size));
	CHECK(munmap(pages, 2 * PAGE) == 0);
}

static void tables_have_room(void)
{
	static const size_t counts[] = { 1, 64, 524287, 524288, 524289, 4194304 };

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		uint32_t *table;

		CHECK_OK(gow_alloc_table(counts[i], &table, &error), &error);
		table[0] = table[counts[i] - 1] = 1;
		free(table);
	}
}

/* ---- errors ------------------------------------------------------------------------------ */

static void every_code_has_its_name(void)
{
	/* Pinned: numbers and names are what scripts stand on. */
	static const struct {
		int code;
		const char *name;
	} codes[] = {
		{ 0, "ok" },         { 1, "memory" },   { 2, "io" },          { 3, "no-space" },
		{ 4, "not-gow" },    { 5, "corrupt" },  { 6, "busy" },        { 7, "stopped" },
		{ 8, "exists" },     { 9, "argument" }, { 10, "limit" },      { 11, "unsupported" },
		{ 12, "mismatch" },  { 13, "changed" }, { 14, "damaged" },    { 15, "unreachable" },
		{ 16, "unknown" },   { -1, "unknown" },
	};

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		CHECK_STR(codes[i].name, gow_code_name((gow_code)codes[i].code));
	CHECK_EQ(0, GOW_OK);
	CHECK_EQ(13, GOW_ERR_CHANGED);
	CHECK_EQ(14, GOW_ERR_DAMAGED);
	CHECK_EQ(GOW_ERR_IO, 2);
	CHECK_EQ(GOW_ERR_CORRUPT, 5);
	CHECK_EQ(GOW_ERR_BUSY, 6);
}

static void check_text(const char *want)
{
	char text[1024];

	CHECK(gow_error_text(&error, text, sizeof text) == text);
	CHECK_STR(want, text);
}

static void texts_tell_what_where_and_why(void)
{
	char text[1024], why[200];

	CHECK_EQ(GOW_ERR_LIMIT, gow_fail(&error, GOW_ERR_LIMIT, "too %s by %d", "large", 7));
	CHECK_EQ(0, error.sys_errno);
	CHECK_STR("", error.file);
	check_text("too large by 7");
	CHECK_EQ(5, gow_fail_at_offset(&error, 5, 0));
	check_text("too large by 7 (offset 0)");
	CHECK_EQ(5, gow_fail_at_block(&error, 5, 42));
	check_text("too large by 7 (block 42, offset 0)");
	error.offset = error.block = UINT64_MAX - 1;
	check_text("too large by 7 (block 18446744073709551614, offset 18446744073709551614)");
	CHECK_EQ(5, gow_fail_in_file(&error, 5, "image"));
	CHECK_STR("image", error.file);
	/* A new error forgets the old one. */
	CHECK_EQ(GOW_ERR_IO, gow_fail_errno(&error, EIO, "cannot read"));
	CHECK_EQ(EIO, error.sys_errno);
	CHECK_EQ(GOW_NOWHERE, error.offset);
	CHECK_EQ(GOW_NOWHERE, error.block);
	CHECK_STR("", error.file);
	(void)snprintf(why, sizeof why, "cannot read: %s", strerror(EIO));
	check_text(why);
	(void)gow_fail_at_block(&error, 0, 3);
	(void)snprintf(why, sizeof why, "cannot read (block 3): %s", strerror(EIO));
	check_text(why);
	/* However little room there is. */
	for (size_t size = 0; size < 40; size++) {
		memset(text, 'x', sizeof text);
		CHECK(gow_error_text(&error, text, size) == text);
		CHECK_EQ('x', text[size]);
		if (size) {
			CHECK_EQ(size - 1 < strlen(why) ? size - 1 : strlen(why), strlen(text));
			CHECK(strncmp(why, text, strlen(text)) == 0);
		}
	}
}

static void codes_follow_from_errno(void)
{
	CHECK_EQ(GOW_ERR_NO_SPACE, gow_fail_errno(&error, ENOSPC, "x"));
	CHECK_EQ(GOW_ERR_NO_SPACE, gow_fail_errno(&error, EDQUOT, "x"));
	CHECK_EQ(GOW_ERR_NO_SPACE, gow_fail_errno(&error, EFBIG, "x"));
	CHECK_EQ(GOW_ERR_MEMORY, gow_fail_errno(&error, ENOMEM, "x"));
	CHECK_EQ(GOW_ERR_IO, gow_fail_errno(&error, EACCES, "x"));
	CHECK_EQ(GOW_ERR_MEMORY, gow_fail_memory(&error, 12345));
	check_text("no memory for 12345 bytes");
}

static void nobody_need_listen(void)
{
	CHECK_EQ(GOW_ERR_BUSY, gow_fail(NULL, GOW_ERR_BUSY, "x"));
	CHECK_EQ(GOW_ERR_NO_SPACE, gow_fail_errno(NULL, ENOSPC, "x"));
	CHECK_EQ(GOW_ERR_MEMORY, gow_fail_memory(NULL, 1));
	CHECK_EQ(3, gow_fail_at_offset(NULL, 3, 1));
	CHECK_EQ(3, gow_fail_at_block(NULL, 3, 1));
	CHECK_EQ(3, gow_fail_in_file(NULL, 3, "x"));
	CHECK_OK(gow_tick(NULL, "x", 1, 2, &error), &error);
	gow_note(NULL, GOW_NOTE_WARNING, "x", "y");
	CHECK_OK(gow_tick(&(gow_monitor){ .context = NULL }, "x", 1, 2, &error), &error);
	gow_note(&(gow_monitor){ .context = NULL }, GOW_NOTE_WARNING, "x", "y");
}

static void long_texts_are_cut(void)
{
	char *long_text = check_alloc(10000);

	memset(long_text, 'a', 9999);
	(void)gow_fail(&error, GOW_ERR_IO, "%s", long_text);
	CHECK_EQ(sizeof error.what - 1, strlen(error.what));
	(void)gow_fail_in_file(&error, GOW_ERR_IO, long_text);
	CHECK_EQ(sizeof error.file - 1, strlen(error.file));
	free(long_text);
}

/* ---- the monitor ------------------------------------------------------------------------- */

struct heard {
	const char *phase;
	uint64_t done, total;
	char text[600];
	gow_note_level level;
	int answer;
};

static int hear_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct heard *heard = context;

	heard->phase = phase;
	heard->done = done;
	heard->total = total;
	return heard->answer;
}

static void hear_note(void *context, gow_note_level level, const char *file, const char *text)
{
	struct heard *heard = context;

	heard->level = level;
	(void)snprintf(heard->text, sizeof heard->text, "%s|%s", file, text);
}

static void the_monitor_hears_and_stops(void)
{
	struct heard heard = { .answer = 0 };
	const gow_monitor monitor = { sizeof monitor, &heard, hear_progress, hear_note };

	CHECK_OK(gow_tick(&monitor, "copy", 5, 9, &error), &error);
	CHECK_STR("copy", heard.phase);
	CHECK_EQ(5, heard.done);
	CHECK_EQ(9, heard.total);
	heard.answer = -3;
	CHECK_CODE(GOW_ERR_STOPPED, gow_tick(&monitor, "copy", 6, 9, &error), &error);
	gow_note(&monitor, GOW_NOTE_WARNING, "image", "%d of %d", 1, 2);
	CHECK_STR("image|1 of 2", heard.text);
	CHECK_EQ(GOW_NOTE_WARNING, heard.level);
}

CHECK_MAIN(CHECK_TEST(integers_keep_their_order), CHECK_TEST(arithmetic_knows_its_edges),
           CHECK_TEST(one_byte_is_found_anywhere), CHECK_TEST(a_whole_block_is_looked_through),
           CHECK_TEST(zeros_end_where_they_end), CHECK_TEST(tables_have_room),
           CHECK_TEST(every_code_has_its_name), CHECK_TEST(texts_tell_what_where_and_why),
           CHECK_TEST(codes_follow_from_errno), CHECK_TEST(nobody_need_listen),
           CHECK_TEST(long_texts_are_cut), CHECK_TEST(the_monitor_hears_and_stops))
