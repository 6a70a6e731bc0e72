/* SPDX-License-Identifier: BSD-2-Clause */
/* The recording backend: what the other tests stand on is tested itself. */
#include "support/memfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

static gow_error error;

/* Random calls against a plain array. */
static void content_is_what_was_written(void)
{
	enum { SIZE = 40000 };
	static uint8_t model[SIZE], read[SIZE];
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(file);
	struct rng rng = { 1 };
	uint64_t size = 0;

	memset(model, 0, sizeof model);
	for (int i = 0; i < 2000; i++) {
		uint32_t offset = rng_below(&rng, SIZE);
		uint32_t length = rng_below(&rng, SIZE - offset + 1);
		size_t got;

		switch (rng_below(&rng, 6)) {
		case 0:
			rng_fill(&rng, model + offset, length);
			CHECK_OK(gow_file_write(handle, offset, model + offset, length, &error),
			         &error);
			size = length && offset + length > size ? offset + length : size;
			break;
		case 1:
			memset(model + offset, 0, length);
			CHECK_OK(gow_file_zero(handle, offset, length, &error), &error);
			size = length && offset + length > size ? offset + length : size;
			break;
		case 2:
			CHECK_OK(gow_file_truncate(handle, offset, &error), &error);
			memset(model + offset, 0, SIZE - offset);
			size = offset;
			break;
		case 3:
			CHECK_OK(gow_file_allocate(handle, offset, length, &error), &error);
			size = length && offset + length > size ? offset + length : size;
			break;
		case 4:
			memset(model + offset, 0, length);
			CHECK_OK(gow_file_punch(handle, offset, length, &error), &error);
			break;
		default:
			break;
		}
		CHECK_OK(gow_file_read(handle, 0, read, SIZE, &got, &error), &error);
		CHECK_EQ(size, got);
		CHECK_EQ(size, memfile_size(file));
		CHECK_BYTES(model, read, got);
	}
	CHECK_EQ(1, memdisk_open_files(disk));
	CHECK_OK(gow_file_close(handle, &error), &error);
	CHECK_EQ(0, memdisk_open_files(disk));
	memdisk_free(disk);
}

static void is_sparse_up_to_the_largest_offset(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(file);
	uint64_t start, end;
	uint8_t byte = 7;

	CHECK_OK(gow_file_write(handle, INT64_MAX - 1, &byte, 1, &error), &error);
	CHECK_OK(gow_file_write(handle, UINT64_C(1) << 62, &byte, 1, &error), &error);
	CHECK_OK(gow_file_next_data(handle, 5, &start, &end, &error), &error);
	CHECK_EQ(UINT64_C(1) << 62, start);
	CHECK_OK(gow_file_next_data(handle, end, &start, &end, &error), &error);
	CHECK_EQ(INT64_MAX, end);
	CHECK_OK(gow_file_next_data(handle, end, &start, &end, &error), &error);
	CHECK_EQ(start, end);
	CHECK_OK(gow_file_zero(handle, 1, INT64_MAX - 1, &error), &error);
	CHECK_OK(gow_file_next_data(handle, 0, &start, &end, &error), &error);
	memfile_get(file, INT64_MAX - 1, &byte, 1);
	CHECK_EQ(0, byte);
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_write(handle, INT64_MAX, &byte, 1, &error), &error);
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

static void clones_are_independent(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct memdisk *clone;
	char byte = 'a';

	memfile_put(file, 10000, &byte, 1);
	clone = memdisk_clone(disk);
	CHECK(memfile_equal(file, memdisk_file(clone, "image")));
	byte = 'b';
	memfile_put(file, 10000, &byte, 1);
	CHECK(!memfile_equal(file, memdisk_file(clone, "image")));
	memfile_get(memdisk_file(clone, "image"), 10000, &byte, 1);
	CHECK_EQ('a', byte);
	memdisk_free(clone);
	memdisk_free(disk);
}

static void nth_call_fails(void)
{
	struct memdisk *disk = memdisk_new();
	struct gow_file *handle = memfile_open(memdisk_file(disk, "image"));
	uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t got;

	memdisk_fail(disk, &(struct memfile_fault){ .nth = 2, .sys_errno = ENOSPC, .partial = 3 });
	CHECK_OK(gow_file_write(handle, 0, bytes, 8, &error), &error);
	CHECK(!memdisk_has_failed(disk));
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_write(handle, 8, bytes, 8, &error), &error);
	CHECK(memdisk_has_failed(disk));
	CHECK_EQ(ENOSPC, error.sys_errno);
	CHECK_EQ(11, memfile_size(memdisk_file(disk, "image")));
	CHECK_OK(gow_file_read(handle, 0, bytes, 8, &got, &error), &error);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 1, .kinds = 1u << MEMFILE_READ });
	CHECK_OK(gow_file_read(handle, 0, bytes, 8, &got, &error), &error);
	CHECK_EQ(4, got);
	memdisk_fail(disk, &(struct memfile_fault){
		.nth = 1, .kinds = 1u << MEMFILE_WRITE, .sys_errno = EIO, .for_good = true });
	CHECK_OK(gow_file_sync(handle, &error), &error);
	for (int i = 0; i < 3; i++)
		CHECK_CODE(GOW_ERR_IO, gow_file_write(handle, 0, bytes, 8, &error), &error);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 1, .kinds = 1u << MEMFILE_CLOSE });
	CHECK_CODE(GOW_ERR_IO, gow_file_close(handle, &error), &error);
	CHECK_EQ(0, memdisk_open_files(disk));
	memdisk_free(disk);
}

/* The contents that crashes can leave, as texts. */
struct seen {
	char text[256][24];
	size_t count;
	size_t calls[256]; /* the fewest */
};

static int note_state(void *context, struct memfile_crash *crash)
{
	struct seen *seen = context;
	char text[24] = "";
	size_t i;

	for (int f = 0; f < 2; f++) {
		struct memfile *file = memdisk_file(crash->disk, f ? "undo" : "image");
		uint8_t bytes[1024];
		char *at = text + strlen(text);

		memfile_get(file, 0, bytes, sizeof bytes);
		at[0] = (char)(bytes[0] ? bytes[0] : '-');
		at[1] = (char)(bytes[512] ? bytes[512] : '-');
		at[2] = (char)('0' + memfile_size(file) / 512);
		at[3] = f ? '\0' : ' ';
	}
	for (i = 0; i < seen->count && strcmp(seen->text[i], text) != 0; i++)
		;
	if (i == seen->count) {
		CHECK(i < 256);
		strcpy(seen->text[seen->count++], text);
		seen->calls[i] = crash->calls;
	}
	seen->calls[i] = crash->calls < seen->calls[i] ? crash->calls : seen->calls[i];
	return 0;
}

static void check_seen(const struct seen *seen, const char *text, size_t calls)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->text[i], text) == 0) {
			CHECK_EQ(calls, seen->calls[i]);
			return;
		}
	CHECK_FAIL("%s was not among the states", text);
}

static void crash_states_are_all_there_are(void)
{
	const struct memfile_crash_plan plan = { .all_subsets = 8, .torn = 30, .seed = 1 };
	struct memfile_crash_plan ignoring = plan;
	struct memdisk *disk = memdisk_new();
	struct memfile *image = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(image);
	struct gow_file *undo = memfile_open(memdisk_file(disk, "undo"));
	uint8_t a[1024], b[1024];
	struct seen seen = { .count = 0 };

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	memfile_put(image, 0, a, 512);
	memdisk_record(disk);
	CHECK_OK(gow_file_write(undo, 0, a, 512, &error), &error);     /* 1 */
	CHECK_OK(gow_file_sync(handle, &error), &error);               /* 2: the other file */
	CHECK_OK(gow_file_write(handle, 0, b, 1024, &error), &error);  /* 3 */
	CHECK_OK(gow_file_sync(undo, &error), &error);                 /* 4 */
	CHECK_OK(gow_file_truncate(handle, 512, &error), &error);      /* 5 */
	CHECK_EQ(2, memdisk_syncs(disk));
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_state, &seen));
	check_seen(&seen, "a-1 --0", 0);
	check_seen(&seen, "a-1 a-1", 1);
	check_seen(&seen, "bb2 --0", 3);
	check_seen(&seen, "bb2 a-1", 3);
	check_seen(&seen, "b-1 --0", 3); /* torn */
	check_seen(&seen, "ab2 --0", 3);
	check_seen(&seen, "b-1 a-1", 3);
	check_seen(&seen, "ab2 a-1", 3);
	check_seen(&seen, "a-2 --0", 3); /* the size alone */
	check_seen(&seen, "a-1 --1", 1);
	/* That is all: truncated after the write, or instead of it, looks like some of these; and
	 * each of five states of one file with each of three of the other. */
	CHECK_EQ(15, seen.count);

	seen.count = 0;
	ignoring.ignore_sync = 2;
	CHECK_EQ(0, memdisk_each_crash(disk, &ignoring, note_state, &seen));
	CHECK_EQ(15, seen.count);
	CHECK_OK(gow_file_sync(handle, &error), &error);               /* 6 */
	CHECK_OK(gow_file_write(handle, 0, a, 512, &error), &error);   /* 7 */
	seen.count = 0;
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_state, &seen));
	check_seen(&seen, "b-1 a-1", 3);
	check_seen(&seen, "a-1 a-1", 1);
	CHECK_EQ(15, seen.count);
	CHECK_OK(gow_file_close(handle, &error), &error);
	CHECK_OK(gow_file_close(undo, &error), &error);
	memdisk_free(disk);
}

/* Which of the two files that had the name one after the other it leads to, as a bit; neither: 4. */
static int note_name(void *context, struct memfile_crash *crash)
{
	uint8_t byte;

	if (!memdirectory_has(crash->disk, "name")) {
		*(unsigned *)context |= 4;
		return 0;
	}
	memfile_get(memdisk_file(crash->disk, "name"), 0, &byte, 1);
	CHECK(byte == 'a' || byte == 'b');
	*(unsigned *)context |= byte == 'a' ? 1 : 2;
	return 0;
}

static void names_are_not_files(void)
{
	const struct memfile_crash_plan plan = { .all_subsets = 8 };
	struct memdisk *disk = memdisk_new();
	struct gow_directory *directory = memdirectory_open(disk);
	struct gow_file *file;
	unsigned seen = 0;

	memfile_put(memdisk_file(disk, "name"), 0, "aaaa", 4);
	memdisk_record(disk);
	CHECK_OK(gow_directory_remove(directory, "name", &error), &error);
	CHECK(!memdirectory_has(disk, "name"));
	CHECK_OK(gow_directory_open_file(directory, "new", GOW_DIRECTORY_CREATE, &file, &error),
	         &error);
	CHECK_OK(gow_file_write(file, 0, "b", 1, &error), &error);
	CHECK_OK(gow_file_sync(file, &error), &error);
	CHECK_OK(gow_file_close(file, &error), &error);
	CHECK_OK(gow_directory_rename(directory, "new", "name", &error), &error);
	CHECK(!memdirectory_has(disk, "new"));
	CHECK_EQ(1, memfile_size(memdisk_file(disk, "name")));
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_name, &seen));
	CHECK_EQ(7, seen);
	/* The directory's sync is what makes names durable. */
	CHECK_OK(gow_directory_sync(directory, &error), &error);
	memdisk_record(disk);
	seen = 0;
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_name, &seen));
	CHECK_EQ(2, seen);
	gow_directory_close(directory);
	memdisk_free(disk);
}

/* ---- failed syncs ------------------------------------------------------------------------ */

enum { APART = 8192 };

/* 'A' at 0, APART and 2 APART, durable; then 'B' there, 1024 bytes each, and a sync that fails. */
static struct gow_file *fail_sync(struct memdisk *disk, enum memfile_loss lose, uint64_t seed)
{
	struct memfile *image = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(image);
	uint8_t bytes[1024];

	memset(bytes, 'A', sizeof bytes);
	for (uint64_t i = 0; i < 3; i++)
		memfile_put(image, i * APART, bytes, sizeof bytes);
	memdisk_record(disk);
	memset(bytes, 'B', sizeof bytes);
	for (uint64_t i = 0; i < 3; i++)
		CHECK_OK(gow_file_write(handle, i * APART, bytes, sizeof bytes, &error), &error);
	memdisk_refuse_drop(disk, true);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 1, .kinds = 1u << MEMFILE_SYNC,
	                                            .sys_errno = EIO, .lose = lose, .seed = seed });
	CHECK_CODE(GOW_ERR_IO, gow_file_sync(handle, &error), &error);
	memdisk_refuse_drop(disk, false);
	CHECK_OK(gow_file_close(handle, &error), &error);
	return memfile_open(image);
}

/* The six sectors that were written, as a text. */
static const char *sectors(struct memfile *file)
{
	static char text[7];

	for (uint64_t i = 0; i < 6; i++)
		memfile_get(file, i / 2 * APART + i % 2 * 512, &text[i], 1);
	return text;
}

/* After a walk over the crashes: the texts that were there. */
struct texts {
	char text[128][7];
	size_t count;
};

static int note_sectors(void *context, struct memfile_crash *crash)
{
	struct texts *texts = context;
	const char *text = sectors(memdisk_file(crash->disk, "image"));

	for (size_t i = 0; i < texts->count; i++)
		if (strcmp(texts->text[i], text) == 0)
			return 0;
	CHECK(texts->count < 128);
	strcpy(texts->text[texts->count++], text);
	return 0;
}

static bool among(const struct texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->count; i++)
		if (strcmp(texts->text[i], text) == 0)
			return true;
	return false;
}

static void failed_sync_loses_for_good(void)
{
	const struct memfile_crash_plan plan = { .all_subsets = 8 };
	struct memdisk *disk = memdisk_new();
	struct memfile *image = memdisk_file(disk, "image");
	struct gow_file *handle = fail_sync(disk, MEMFILE_LOSE_ALL, 0);
	struct texts texts = { .count = 0 };
	uint8_t byte;

	/* It reads as if it was there, and the next sync says so. */
	CHECK_STR("BBBBBB", sectors(image));
	CHECK_OK(gow_file_sync(handle, &error), &error);
	CHECK_OK(gow_file_write(handle, 512, "C", 1, &error), &error);
	CHECK_OK(gow_file_sync(handle, &error), &error);
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_sectors, &texts));
	CHECK(among(&texts, "BBBBBB")); /* before the sync that failed */
	CHECK(among(&texts, "ACAAAA"));
	CHECK(!among(&texts, "BCBBBB"));
	/* Whoever drops the cache sees it. */
	memdisk_refuse_drop(disk, true);
	gow_file_drop_cache(handle);
	CHECK_STR("BCBBBB", sectors(image));
	memdisk_refuse_drop(disk, false);
	CHECK_OK(gow_file_settle(handle, &error), &error);
	CHECK_STR("ACAAAA", sectors(image));
	CHECK_OK(gow_file_write(handle, 0, "D", 1, &error), &error);
	gow_file_drop_cache(handle); /* what waits to be written stays */
	memfile_get(image, 0, &byte, 1);
	CHECK_EQ('D', byte);
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

/* What is read after a failed sync that lost some, and the cache dropped. */
static void note_loss(enum memfile_loss lose, uint64_t seed, struct texts *texts)
{
	const struct memfile_crash_plan plan = { .all_subsets = 8 };
	struct memdisk *disk = memdisk_new();
	struct gow_file *handle = fail_sync(disk, lose, seed);
	struct memfile_crash crash = { .disk = disk };
	struct texts after = { .count = 0 };

	CHECK_STR("BBBBBB", sectors(memdisk_file(disk, "image")));
	CHECK_OK(gow_file_sync(handle, &error), &error);
	memdisk_drop_caches(disk);
	(void)note_sectors(texts, &crash);
	/* That is what a crash leaves, too. */
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_sectors, &after));
	CHECK(among(&after, sectors(memdisk_file(disk, "image"))));
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

static void failed_sync_loses_what_was_chosen(void)
{
	struct texts texts = { .count = 0 };

	for (uint64_t seed = 0; seed < 6; seed++)
		note_loss(MEMFILE_LOSE_ONE, seed, &texts);
	CHECK_EQ(3, texts.count);
	CHECK(among(&texts, "BBBBAA") && among(&texts, "BBAABB") && among(&texts, "AABBBB"));
	texts.count = 0;
	note_loss(MEMFILE_LOSE_NOTHING, 0, &texts);
	CHECK_STR("BBBBBB", texts.text[0]);
	texts.count = 0;
	for (uint64_t seed = 0; seed < 2000; seed++)
		note_loss(MEMFILE_LOSE_SOME, seed, &texts);
	CHECK_EQ(64, texts.count);
}

/* A file that grew, the sync of which failed: its size may stay, without the data. */
static void lost_size_may_stay(void)
{
	unsigned seen = 0;

	for (uint64_t seed = 0; seed < 30; seed++) {
		struct memdisk *disk = memdisk_new();
		struct memfile *image = memdisk_file(disk, "image");
		struct gow_file *handle = memfile_open(image);
		uint8_t byte = 'x';

		memdisk_record(disk);
		CHECK_OK(gow_file_write(handle, 99, "B", 1, &error), &error);
		memdisk_fail(disk, &(struct memfile_fault){
			.nth = 1, .kinds = 1u << MEMFILE_SYNC, .lose = MEMFILE_LOSE_SOME, .seed = seed });
		CHECK_CODE(GOW_ERR_IO, gow_file_sync(handle, &error), &error); /* and drops the cache */
		memfile_get(image, 99, &byte, 1);
		seen |= memfile_size(image) ? byte == 'B' ? 1u : 2u : 4u;
		CHECK_OK(gow_file_close(handle, &error), &error);
		memdisk_free(disk);
	}
	CHECK_EQ(7, seen);
}

/* ---- the rest of the model --------------------------------------------------------------- */

static int note_first(void *context, struct memfile_crash *crash)
{
	char byte;

	memfile_get(memdisk_file(crash->disk, "image"), 0, &byte, 1);
	*(unsigned *)context |= byte == 'p' ? 1u : byte == 'c' ? 2u : 4u;
	return 0;
}

static void crashes_come_after_clean_up_too(void)
{
	const struct memfile_crash_plan plan = { .all_subsets = 8 };
	struct memdisk *disk = memdisk_new();
	struct gow_file *handle = memfile_open(memdisk_file(disk, "image"));
	unsigned seen = 0;

	memdisk_record(disk);
	memdisk_fail(disk, &(struct memfile_fault){
		.nth = 1, .kinds = 1u << MEMFILE_WRITE, .sys_errno = ENOSPC, .partial = 3 });
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_file_write(handle, 0, "partial", 7, &error), &error);
	CHECK_OK(gow_file_write(handle, 0, "clean", 5, &error), &error);
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_first, &seen));
	CHECK_EQ(7, seen);
	CHECK_OK(gow_file_sync(handle, &error), &error);
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

struct spoilt {
	size_t whole, unreadable, flipped;
};

static int note_spoilt(void *context, struct memfile_crash *crash)
{
	struct spoilt *spoilt = context;
	struct gow_file *handle = memfile_open(memdisk_file(crash->disk, "image"));
	uint8_t bytes[2048];
	size_t got;
	int code = gow_file_read(handle, 0, bytes, sizeof bytes, &got, &error);

	CHECK_EQ(crash->unreadable != NULL, code != GOW_OK);
	if (crash->unreadable) {
		spoilt->unreadable++;
		CHECK_EQ(512, crash->unreadable_offset);
		CHECK_OK(gow_file_read(handle, 0, bytes, 512, &got, &error), &error);
		CHECK_OK(gow_file_write(handle, 512, bytes, 512, &error), &error);
		CHECK_OK(gow_file_read(handle, 0, bytes, 2048, &got, &error), &error);
	} else if (crash->flipped) {
		spoilt->flipped++;
		CHECK(crash->flipped_bit >= 8192 && crash->flipped_bit < 8200);
		CHECK_EQ(1u << crash->flipped_bit % 8, bytes[1024]);
	} else {
		spoilt->whole++;
		CHECK_EQ(0, bytes[1024]);
	}
	CHECK_OK(gow_file_close(handle, &error), &error);
	return 0;
}

static void sectors_and_bits_go_wrong(void)
{
	const struct memfile_crash_plan plan = {
		.all_subsets = 8, .unreadable = true,
		.flips = 2, .flip_file = "image", .flip_first = 1024, .flip_end = 1025
	};
	static const uint8_t zeros[2048];
	struct memdisk *disk = memdisk_new();
	struct memfile *image = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(image);
	struct spoilt spoilt = { .whole = 0 };

	memfile_put(image, 0, zeros, sizeof zeros);
	memdisk_record(disk);
	CHECK_OK(gow_file_write(handle, 0, zeros, 1024, &error), &error);
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, note_spoilt, &spoilt));
	CHECK(spoilt.whole && spoilt.unreadable);
	CHECK_EQ(2 * spoilt.whole, spoilt.flipped);
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

static void reserving_shows_nothing(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *image = memdisk_file(disk, "image");
	struct gow_file *handle = memfile_open(image);

	CHECK_OK(gow_file_reserve(handle, 1000, 1000, &error), &error);
	CHECK_EQ(0, memfile_size(image));
	CHECK_OK(gow_file_close(handle, &error), &error);
	memdisk_free(disk);
}

static int stop_at_once(void *context, struct memfile_crash *crash)
{
	(void)crash;
	++*(int *)context;
	return 42;
}

static void crash_walk_ends_when_told(void)
{
	const struct memfile_crash_plan plan = { .all_subsets = 4 };
	struct memdisk *disk = memdisk_new();
	int calls = 0;

	CHECK_EQ(42, memdisk_each_crash(disk, &plan, stop_at_once, &calls));
	CHECK_EQ(1, calls);
	memdisk_free(disk);
}

CHECK_MAIN(CHECK_TEST(content_is_what_was_written), CHECK_TEST(is_sparse_up_to_the_largest_offset),
           CHECK_TEST(clones_are_independent), CHECK_TEST(nth_call_fails),
           CHECK_TEST(crash_states_are_all_there_are), CHECK_TEST(names_are_not_files),
           CHECK_TEST(failed_sync_loses_for_good), CHECK_TEST(failed_sync_loses_what_was_chosen),
           CHECK_TEST(lost_size_may_stay), CHECK_TEST(crashes_come_after_clean_up_too),
           CHECK_TEST(sectors_and_bits_go_wrong), CHECK_TEST(reserving_shows_nothing),
           CHECK_TEST(crash_walk_ends_when_told))
