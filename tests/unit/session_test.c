/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: what is written is read back, in the order and with the numbers that gow(5) demands,
 * whatever fails and wherever it is cut off. */
#include "journal/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/handmade.h"
#include "support/history.h"
#include "support/memfile.h"

enum { BLOCK = 65536 };

static gow_error error;

static const struct gow_image_policy to_write = { .write = true };
static const struct gow_image_policy to_read = { .write = false };

/* ---- content ----------------------------------------------------------------------------- */

/* The file, read by hand, holds what the history says: data, zeros past the disk's end, counts,
 * numbers, and whole blocks. */
static void check_file(const struct history *history)
{
	const struct gow_layout *layout = &history->start.layout;
	const struct moment *before = &history->moments[0];
	static uint8_t bytes[BLOCK], want[BLOCK];
	struct hm_image now;

	hm_make(&now, HM_SMALL1, layout->map_entries);
	now.layout = *layout;
	hm_read(&now, history->file);
	CHECK(!now.pending);
	CHECK_EQ(history->size, now.logical_size);
	for (uint32_t i = 0; i < layout->map_entries; i++) {
		const uint64_t start = (uint64_t)i * BLOCK;

		if (i >= history->blocks) {
			CHECK_EQ(HM_NONE, now.map[i]);
			continue;
		}
		CHECK_EQ(history->allocated[i], now.map[i] != HM_NONE);
		CHECK_EQ(history->versions[i], now.versions[i]);
		if (now.map[i] == HM_NONE)
			continue;
		CHECK(now.map[i] < now.block_count);
		memset(want, 0, sizeof want);
		memcpy(want, history->bytes + start,
		       (size_t)(history->size - start < BLOCK ? history->size - start : BLOCK));
		memfile_get(history->file, hm_data_start(layout) + (uint64_t)now.map[i] * BLOCK, bytes,
		            BLOCK);
		CHECK_BYTES(want, bytes, BLOCK);
		/* A new block is written whole. */
		if (!before->allocated[i])
			CHECK(hm_data_start(layout) + ((uint64_t)now.map[i] + 1) * BLOCK <=
			      now.file_size);
	}
	hm_release(&now);
}

static void random_session(struct history *history, struct rng *rng)
{
	bool flushed = false;

	history_open(history);
	for (int step = 0; step < 14; step++) {
		if (rng_chance(rng, 25))
			history_clear_random(history, rng, 5);
		else
			history_write_random(history, rng, 5);
		flushed = false;
		if (rng_chance(rng, 30))
			history_check_reads(history);
		if (rng_chance(rng, 25)) {
			history_flush(history);
			flushed = true;
		}
	}
	history_check_reads(history);
	if (rng_chance(rng, 70) && !flushed)
		history_flush(history);
	CHECK(!history_judge(history, history->file, SIZE_MAX - 1));
	history_close(history);
	check_file(history);
}

static void what_is_written_is_read_back(void)
{
	for (uint64_t seed = 0; seed < 42; seed++) {
		struct rng rng = { seed };
		struct history history;
		const enum hm_row row = (enum hm_row)(seed % HM_ROWS);

		check_about("seed %llu, %s", (unsigned long long)seed, hm_name(row));
		history_begin(&history, row, 1 + rng_below(&rng, 30), &rng);
		for (int session = 0; session < 4; session++)
			random_session(&history, &rng);
		history_free(&history);
	}
}

/* A small image with nothing in it. */
static struct memfile *empty_image(struct memdisk *disk, struct hm_image *image, enum hm_row row,
                                   uint64_t size)
{
	struct memfile *file = memdisk_file(disk, "image");

	hm_make(image, row, 64);
	image->logical_size = size;
	hm_write(image, file);
	return file;
}

static gow_image *open_image(struct memfile *file, const struct gow_layout *layout,
                             const struct gow_image_policy *policy)
{
	gow_image *image;

	CHECK_OK(gow_image_from_file(memfile_open(file), layout, 1, policy, &image, &error), &error);
	return image;
}

static size_t count_calls(const struct memdisk *disk, unsigned kinds)
{
	const struct memfile_call *log;
	size_t count, found = 0;

	log = memdisk_log(disk, &count);
	for (size_t i = 0; i < count; i++)
		found += kinds >> log[i].kind & 1;
	return found;
}

static const unsigned changes = 1u << MEMFILE_WRITE | 1u << MEMFILE_TRUNCATE | 1u << MEMFILE_ZERO |
                                1u << MEMFILE_ALLOCATE | 1u << MEMFILE_SYNC;

static void zeros_allocate_nothing(void)
{
	uint8_t *zeros = check_alloc(10 * BLOCK);
	struct memdisk *disk = memdisk_new();
	struct hm_image handmade;
	struct memfile *file = empty_image(disk, &handmade, HM_SMALL3, 10 * BLOCK - 512);
	gow_image *image = open_image(file, &handmade.layout, &to_write);

	memdisk_record(disk);
	CHECK_OK(gow_image_write(image, 0, zeros, 10 * BLOCK - 512, &error), &error);
	CHECK_OK(gow_image_write(image, 5, zeros, 1, &error), &error);
	CHECK_OK(gow_image_write(image, 10 * BLOCK - 512, zeros, 0, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(0, count_calls(disk, changes)); /* what was there was settled when it was opened */
	zeros[3 * BLOCK + 17] = 1;
	CHECK_OK(gow_image_write(image, 0, zeros, 10 * BLOCK - 512, &error), &error);
	CHECK_EQ(1, gow_image_map(image)->block_count);
	CHECK_EQ(0, gow_image_map(image)->entries[3]);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(hm_data_start(&handmade.layout) + BLOCK, memfile_size(file));
	memdisk_record(disk);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(0, count_calls(disk, changes)); /* nothing to flush */
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
	free(zeros);
}

static void guest_range_is_checked(void)
{
	struct memdisk *disk = memdisk_new();
	struct hm_image handmade;
	struct memfile *file = empty_image(disk, &handmade, HM_SMALL3, 2 * BLOCK - 512);
	gow_image *image = open_image(file, &handmade.layout, &to_write);
	const uint64_t size = 2 * BLOCK - 512;
	uint8_t bytes[1024];

	memset(bytes, 1, sizeof bytes);
	memdisk_record(disk);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, size, bytes, 1, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, size - 1, bytes, 2, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, UINT64_MAX, bytes, 2, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, 5, bytes, SIZE_MAX - 2, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_read(image, size, bytes, 1, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_read(image, UINT64_MAX, bytes, 1, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_read(image, 1, bytes, SIZE_MAX, &error), &error);
	CHECK_EQ(0, count_calls(disk, UINT32_MAX));
	CHECK_OK(gow_image_read(image, size, bytes, 0, &error), &error);
	CHECK_OK(gow_image_write(image, size, bytes, 0, &error), &error);
	CHECK_OK(gow_image_write(image, size - 1, bytes, 1, &error), &error);
	gow_image_close(image);
	image = open_image(file, &handmade.layout, &to_read);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_write(image, 0, bytes, 1, &error), &error);
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_flush(image, &error), &error);
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* The next-data walk tells of every byte that is not zero, in order, and of no unallocated block. */
static void data_is_found(void)
{
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct rng rng = { seed };
		struct history history;
		uint64_t at = 0, start, end;

		check_about("seed %llu", (unsigned long long)seed);
		history_begin(&history, (enum hm_row)(seed % HM_ROWS), 1 + rng_below(&rng, 40), &rng);
		history_open(&history);
		for (int i = 0; i < 4; i++)
			history_write_random(&history, &rng, 3);
		history_flush(&history);
		if (history.size > 3 * BLOCK) { /* holes inside of blocks, as a punch leaves them */
			uint64_t first = gow_image_map(history.image)->entries[1];

			if (first != GOW_UNALLOCATED) {
				uint64_t from = hm_data_start(&history.start.layout) + first * BLOCK;
				struct gow_file *file = memfile_open(history.file);

				CHECK_OK(gow_file_zero(file, from + 5000, 30000, &error), &error);
				memset(history.bytes + BLOCK + 5000, 0, 30000);
				CHECK_OK(gow_file_close(file, &error), &error);
			}
		}
		do {
			CHECK_OK(gow_image_next_data(history.image, at, &start, &end, &error), &error);
			CHECK(start >= at && end <= history.size);
			for (uint64_t i = at; i < start; i++)
				CHECK_EQ(0, history.bytes[i]);
			for (uint64_t i = start; i < end; i += BLOCK)
				CHECK(history.allocated[i / BLOCK]);
			at = end;
		} while (start < end);
		CHECK_EQ(history.size, start);
		CHECK_OK(gow_image_next_data(history.image, history.size, &start, &end, &error),
		         &error);
		CHECK_EQ(start, end);
		history_check_reads(&history);
		history_free(&history);
	}
}

/* ---- version numbers --------------------------------------------------------------------- */

static void numbers_go_up_once_in_a_session(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct hm_image handmade;
	uint8_t byte = 9, zero = 0;
	gow_image *image;

	hm_make(&handmade, HM_SMALL3, 64);
	for (uint32_t i = 0; i < 4; i++)
		handmade.map[i] = i;
	handmade.versions[0] = 1;
	handmade.versions[1] = 41;
	handmade.versions[2] = 0xFFFFFFFE;
	handmade.versions[3] = 0xFFFFFFFF;
	handmade.versions[4] = 7; /* unallocated, and was something once */
	handmade.versions[5] = 0xFFFFFFFF;
	handmade.block_count = 4;
	handmade.file_size = hm_data_start(&handmade.layout) + 4 * BLOCK;
	hm_write(&handmade, file);
	image = open_image(file, &handmade.layout, &to_write);
	for (int pass = 0; pass < 3; pass++) {
		for (uint64_t i = 1; i < 7; i++)
			CHECK_OK(gow_image_write(image, i * BLOCK + (uint64_t)pass, &byte, 1, &error),
			         &error);
		CHECK_OK(gow_image_write(image, 8 * BLOCK, &zero, 1, &error), &error);
		if (pass == 1)
			CHECK_OK(gow_image_flush(image, &error), &error);
	}
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	hm_read(&handmade, file);
	CHECK_EQ(1, handmade.versions[0]);
	CHECK_EQ(42, handmade.versions[1]);
	CHECK_EQ(0xFFFFFFFF, handmade.versions[2]);
	CHECK_EQ(0xFFFFFFFF, handmade.versions[3]);
	CHECK_EQ(8, handmade.versions[4]);
	CHECK_EQ(0xFFFFFFFF, handmade.versions[5]);
	CHECK_EQ(1, handmade.versions[6]);
	CHECK_EQ(0, handmade.versions[7]);
	CHECK_EQ(0, handmade.versions[8]);
	/* The next session is another one. Zeros over data are a change, too. */
	image = open_image(file, &handmade.layout, &to_write);
	CHECK_OK(gow_image_write(image, BLOCK, &zero, 1, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	hm_read(&handmade, file);
	CHECK_EQ(43, handmade.versions[1]);
	CHECK_EQ(8, handmade.versions[4]);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* ---- order of writes, from the log ------------------------------------------------------- */

/* The log played again: what is on stable storage for sure, and what may be. */
struct replay {
	struct memdisk *durable, *current;
	const struct hm_image *start;
	struct hm_image header; /* of the durable state */
};

/* Data over a block that the durable map names: its number went up before. */
static void check_overwrite(struct replay *replay, const struct memfile_call *call)
{
	const struct gow_layout *layout = &replay->start->layout;
	const uint64_t data_start = hm_data_start(layout);
	const uint64_t first = (call->offset - data_start) / BLOCK;
	const uint64_t last = (call->offset + call->size - 1 - data_start) / BLOCK;

	hm_read(&replay->header, memdisk_file(replay->durable, "image"));
	for (uint32_t i = 0; i < layout->map_entries; i++) {
		const uint32_t before = replay->start->versions[i];

		if (replay->header.map[i] == HM_NONE || replay->header.map[i] < first ||
		    replay->header.map[i] > last)
			continue;
		if (layout->versions_stride && before != UINT32_MAX)
			CHECK_EQ(before + 1, replay->header.versions[i]);
	}
}

/* Entries: what they name is durable, whole, and below the durable count. */
static void check_entries(struct replay *replay)
{
	const struct gow_layout *layout = &replay->start->layout;
	struct memfile *durable = memdisk_file(replay->durable, "image");
	struct memfile *current = memdisk_file(replay->current, "image");
	static uint8_t bytes[BLOCK], now[BLOCK];
	struct hm_image with;

	hm_make(&with, HM_SMALL1, layout->map_entries);
	with.layout = *layout;
	hm_read(&with, current);
	hm_read(&replay->header, durable);
	for (uint32_t i = 0; i < layout->map_entries; i++) {
		const uint64_t offset = hm_data_start(layout) + (uint64_t)with.map[i] * BLOCK;

		if (with.map[i] == replay->header.map[i])
			continue;
		CHECK_EQ(HM_NONE, replay->header.map[i]);
		CHECK(with.map[i] < replay->header.block_count);
		CHECK(offset + BLOCK <= memfile_size(durable));
		memfile_get(durable, offset, bytes, BLOCK);
		memfile_get(current, offset, now, BLOCK);
		CHECK_BYTES(now, bytes, BLOCK);
		/* No entry without its number. */
		if (layout->versions_stride && replay->start->versions[i] != UINT32_MAX)
			CHECK_EQ(replay->start->versions[i] + 1, replay->header.versions[i]);
	}
	hm_release(&with);
}

static void check_order(const struct history *history, struct memdisk *before)
{
	const struct memfile_call *log;
	struct replay replay = { memdisk_clone(before), memdisk_clone(before), &history->start,
		                 { .map = NULL } };
	const uint64_t data_start = hm_data_start(&history->start.layout);
	size_t count;
	bool unsynced = false;

	hm_make(&replay.header, HM_SMALL1, history->start.layout.map_entries);
	replay.header.layout = history->start.layout;
	log = memdisk_log(history->disk, &count);
	for (size_t i = 0; i < count; i++) {
		const struct memfile_call *call = &log[i];

		if (call->kind == MEMFILE_SYNC) {
			memdisk_free(replay.durable);
			replay.durable = memdisk_clone(replay.current);
			unsynced = false;
		}
		if (call->kind == MEMFILE_TRUNCATE || call->kind == MEMFILE_ZERO)
			CHECK_FAIL("a session neither cuts nor zeroes");
		if (call->kind != MEMFILE_WRITE)
			continue;
		unsynced = true;
		/* Header and data never in one write. */
		CHECK(call->offset >= data_start || call->offset + call->size <= data_start);
		if (call->offset >= data_start)
			check_overwrite(&replay, call);
		memfile_put(memdisk_file(replay.current, "image"), call->offset, call->bytes,
		            (size_t)call->size);
		if (call->offset < data_start)
			check_entries(&replay);
	}
	CHECK(!unsynced); /* the last call was a flush */
	hm_release(&replay.header);
	memdisk_free(replay.durable);
	memdisk_free(replay.current);
}

static void writes_keep_their_order(void)
{
	for (uint64_t seed = 0; seed < 24; seed++) {
		struct rng rng = { 77 + seed };
		struct history history;
		struct memdisk *before;

		check_about("seed %llu", (unsigned long long)seed);
		history_begin(&history, (enum hm_row)(seed % HM_ROWS), 2 + rng_below(&rng, 20), &rng);
		before = memdisk_clone(history.disk);
		history_open(&history);
		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < 4; i++)
				history_write_random(&history, &rng, 4);
			history_flush(&history);
		}
		check_order(&history, before);
		memdisk_free(before);
		history_free(&history);
	}
}

/* A guest that writes everywhere and flushes once: numbers, and then the data. */
static void many_overwrites_cost_few_syncs(void)
{
	enum { BLOCKS = 8192, WRITES = 2000, SIZE = 4096 };
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct rng rng = { 9 };
	uint8_t bytes[SIZE], back[SIZE];
	struct hm_image handmade;
	gow_image *image;

	hm_make(&handmade, HM_SMALL3, BLOCKS);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		handmade.map[i] = i;
		handmade.versions[i] = 1;
	}
	handmade.block_count = BLOCKS;
	handmade.file_size = hm_data_start(&handmade.layout) + (uint64_t)BLOCKS * BLOCK;
	hm_write(&handmade, file);
	memdisk_record(disk);
	image = open_image(file, &handmade.layout, &to_write);
	for (int i = 0; i < WRITES; i++) {
		rng_fill(&rng, bytes, SIZE);
		CHECK_OK(gow_image_write(image, (uint64_t)rng_below(&rng, BLOCKS * 16) * SIZE, bytes,
		                         SIZE, &error),
		         &error);
	}
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK(memdisk_syncs(disk) <= 4);
	CHECK_EQ(3, memdisk_syncs(disk)); /* one of them when it was opened */
	/* Their numbers are durable: from now on a write of these blocks goes straight to the file. */
	CHECK_OK(gow_image_write(image, 0, bytes, SIZE, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	memdisk_record(disk);
	CHECK_OK(gow_image_write(image, SIZE, bytes, SIZE, &error), &error);
	memfile_get(file, hm_data_start(&handmade.layout) + SIZE, back, SIZE);
	CHECK_BYTES(bytes, back, SIZE);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(1, memdisk_syncs(disk));
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* However much is written, what is held back stays within its bounds, and all of it arrives. */
static void memory_is_bounded(void)
{
	enum { BLOCKS = 600 };
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	uint8_t *bytes = check_alloc((size_t)BLOCKS * BLOCK);
	uint8_t *back = check_alloc((size_t)BLOCKS * BLOCK);
	struct rng rng = { 10 };
	struct hm_image handmade;
	gow_image *image;

	hm_make(&handmade, HM_SMALL3, BLOCKS);
	for (uint32_t i = 0; i < BLOCKS; i++)
		handmade.map[i] = i;
	handmade.block_count = BLOCKS;
	handmade.file_size = hm_data_start(&handmade.layout) + (uint64_t)BLOCKS * BLOCK;
	hm_write(&handmade, file);
	image = open_image(file, &handmade.layout, &to_write);
	memdisk_record(disk);
	rng_fill(&rng, bytes, (size_t)BLOCKS * BLOCK);
	CHECK_OK(gow_image_write(image, 0, bytes, (size_t)BLOCKS * BLOCK, &error), &error);
	CHECK_EQ(2, memdisk_syncs(disk)); /* 32 MiB were full once */
	CHECK_OK(gow_image_read(image, 0, back, (size_t)BLOCKS * BLOCK, &error), &error);
	CHECK_BYTES(bytes, back, (size_t)BLOCKS * BLOCK);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(4, memdisk_syncs(disk));
	gow_image_close(image);
	memfile_get(file, hm_data_start(&handmade.layout), back, (size_t)BLOCKS * BLOCK);
	CHECK_BYTES(bytes, back, (size_t)BLOCKS * BLOCK);
	hm_release(&handmade);
	memdisk_free(disk);
	free(bytes);
	free(back);
}

/* ---- discarding -------------------------------------------------------------------------- */

/* A place that was given back is used again, and not before its unmapping is durable. */
static void discarded_places_are_used_again(void)
{
	struct memdisk *disk = memdisk_new();
	struct hm_image handmade;
	struct memfile *file = empty_image(disk, &handmade, HM_SMALL3, 10 * BLOCK);
	gow_image *image = open_image(file, &handmade.layout, &to_write);
	const struct gow_map *map = gow_image_map(image);
	uint8_t byte = 1;

	for (uint64_t i = 0; i < 3; i++)
		CHECK_OK(gow_image_write(image, i * BLOCK, &byte, 1, &error), &error);
	CHECK_OK(gow_image_discard(image, 2 * BLOCK, BLOCK, &error), &error);
	CHECK_OK(gow_image_write(image, 3 * BLOCK, &byte, 1, &error), &error);
	CHECK_EQ(2, map->entries[3]); /* no entry ever named it */
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_OK(gow_image_discard(image, BLOCK - 512, BLOCK + 512, &error), &error);
	CHECK(map->entries[0] == 0 && map->entries[1] == GOW_UNALLOCATED);
	CHECK_OK(gow_image_write(image, 4 * BLOCK, &byte, 1, &error), &error);
	CHECK_EQ(3, map->entries[4]);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_OK(gow_image_write(image, 5 * BLOCK, &byte, 1, &error), &error);
	CHECK_EQ(1, map->entries[5]);
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_EQ(4, map->block_count);
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* Numbers: a discard that a guest sees is a change, one of zeros is not. */
static void discards_raise_numbers_where_a_guest_sees_them(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct hm_image handmade;
	gow_image *image;

	hm_make(&handmade, HM_SMALL3, 64);
	for (uint32_t i = 0; i < 3; i++) {
		handmade.map[i] = i;
		handmade.versions[i] = 7;
	}
	handmade.block_count = 3;
	handmade.file_size = hm_data_start(&handmade.layout) + 3 * BLOCK;
	hm_write(&handmade, file);
	memfile_put(file, hm_data_start(&handmade.layout) + BLOCK + 999, "x", 1);
	image = open_image(file, &handmade.layout, &to_write);
	CHECK_OK(gow_image_discard(image, 0, 2 * BLOCK, &error), &error);
	CHECK_OK(gow_image_discard(image, 2 * BLOCK + 1, BLOCK - 1, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	hm_read(&handmade, file);
	CHECK_EQ(7, handmade.versions[0]);
	CHECK_EQ(8, handmade.versions[1]);
	CHECK_EQ(7, handmade.versions[2]);
	CHECK_EQ(HM_NONE, handmade.map[0]);
	CHECK_EQ(HM_NONE, handmade.map[1]);
	CHECK_EQ(2, handmade.map[2]);
	/* What cannot be read may be anything but zeros. */
	image = open_image(file, &handmade.layout, &to_write);
	memdisk_fail(disk, &(struct memfile_fault){
				   .nth = 1, .kinds = 1u << MEMFILE_READ, .sys_errno = EIO });
	CHECK_OK(gow_image_discard(image, 2 * BLOCK, BLOCK, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	hm_read(&handmade, file);
	CHECK_EQ(8, handmade.versions[2]);
	CHECK_EQ(HM_NONE, handmade.map[2]);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* ---- limits ------------------------------------------------------------------------------ */

static void first_and_last_block_of_the_largest_image(void)
{
	const uint64_t size = UINT64_C(274877906944); /* 256 GiB */
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	uint8_t *empty = check_alloc(1 << 24);
	static const uint8_t preamble[20] = { 'G', 'O', 'W', 0, 3, 0, 0, 0, 0, 0, 0, 0,
		                              64,  0,   0,   0, 0, 0, 0, 0 };
	uint8_t bytes[4096], back[4096];
	uint64_t start, end;
	gow_image *image;
	struct rng rng = { 256 };

	memset(empty, 0xff, 1 << 24);
	memfile_put(file, 0, preamble, sizeof preamble);
	memfile_put(file, 20, empty, 1 << 24);
	memfile_resize(file, 33554452);
	free(empty);
	CHECK_OK(gow_image_from_file(memfile_open(file), gow_layouts, gow_layout_count, &to_write,
	                             &image, &error),
	         &error);
	CHECK_EQ(size, gow_image_size(image));
	CHECK_EQ(3, gow_image_version(image));
	rng_fill(&rng, bytes, sizeof bytes);
	CHECK_OK(gow_image_write(image, size - sizeof bytes, bytes, sizeof bytes, &error), &error);
	CHECK_OK(gow_image_write(image, 0, bytes, 512, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	/* Where format and arithmetic say, not where the library says. */
	memfile_get(file, 16, back, 8);
	CHECK_BYTES("\2\0\0\0\1\0\0\0", back, 8); /* block_count, and the first entry */
	memfile_get(file, 16777232, back, 8);
	CHECK_BYTES("\0\0\0\0\1\0\0\0", back, 8); /* the last entry, and the first number */
	memfile_get(file, 33554448, back, 4);
	CHECK_BYTES("\1\0\0\0", back, 4);
	memfile_get(file, 33554944 + 65536 - 4096, back, 4096);
	CHECK_BYTES(bytes, back, 4096);
	memfile_get(file, 33554944 + 65536, back, 512);
	CHECK_BYTES(bytes, back, 512);
	CHECK_EQ(33554944 + 2 * 65536, memfile_size(file));
	CHECK_OK(gow_image_from_file(memfile_open(file), gow_layouts, gow_layout_count, &to_read,
	                             &image, &error),
	         &error);
	CHECK_OK(gow_image_read(image, size - sizeof back, back, sizeof back, &error), &error);
	CHECK_BYTES(bytes, back, sizeof back);
	CHECK_OK(gow_image_next_data(image, 1 << 20, &start, &end, &error), &error);
	CHECK(start >= size - BLOCK && end == size);
	gow_image_close(image);
	memdisk_free(disk);
}

/* With so many blocks handed out, one more can be had and then none. */
static void check_last_number(enum hm_row row, uint64_t count)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct hm_image handmade;
	uint8_t byte = 5, back = 0;
	gow_image *image;

	check_about("%s, %llu blocks", hm_name(row), (unsigned long long)count);
	hm_make(&handmade, row, 64);
	handmade.block_count = count;
	handmade.file_size = hm_data_start(&handmade.layout) + count * BLOCK;
	hm_write(&handmade, file);
	image = open_image(file, &handmade.layout, &to_write);
	CHECK_OK(gow_image_write(image, 0, &byte, 1, &error), &error);
	CHECK_CODE(GOW_ERR_NO_SPACE, gow_image_write(image, 7 * BLOCK, &byte, 1, &error), &error);
	CHECK_EQ(7, error.block);
	/* What went before can still be flushed, and what is there be written. */
	CHECK_OK(gow_image_flush(image, &error), &error);
	CHECK_OK(gow_image_write(image, 1, &byte, 1, &error), &error);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	image = open_image(file, &handmade.layout, &to_read);
	CHECK_OK(gow_image_read(image, 1, &back, 1, &error), &error);
	CHECK_EQ(5, back);
	CHECK_EQ(count, gow_image_map(image)->entries[0]);
	CHECK_EQ(count + 1, gow_image_map(image)->block_count);
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

static void block_numbers_run_out(void)
{
	check_last_number(HM_SMALL3, 0xFFFFFFFE);
	check_last_number(HM_NARROW, 0xFFFE);
}

/* ---- calls that fail --------------------------------------------------------------------- */

static uint8_t script_bytes[4 * BLOCK];

/* Whether the last call that failed ended the session: a sync, or a write of the header that failed
 * for another reason than room. */
static bool is_over(const struct history *history)
{
	const struct memfile_call *log;
	size_t count;

	log = memdisk_log(history->disk, &count);
	while (count && !log[count - 1].failed)
		count--;
	return count && (log[count - 1].kind == MEMFILE_SYNC ||
	                 (log[count - 1].offset < hm_data_start(&history->start.layout) &&
	                  error.code != GOW_ERR_NO_SPACE));
}

/* The same deeds every time, whatever fails; the first error and whether all went well after. */
static int run_script(struct history *history, struct rng *rng)
{
	int first = GOW_OK;
	bool flush_failed = false;

	for (int step = 0; step < 8; step++) {
		uint64_t offset = rng_next(rng) % history->size;
		size_t size = (size_t)gow_min(1 + rng_below(rng, 3 * BLOCK), history->size - offset);
		int code;

		rng_fill(rng, script_bytes, size);
		code = history_try_write(history, offset, script_bytes, size, &error);
		first = first ? first : code;
		CHECK(code == GOW_OK || error.code == (gow_code)code);
		if (flush_failed)
			CHECK(code != GOW_OK);
		if (step % 3 != 2)
			continue;
		code = history_try_flush(history, &error);
		first = first ? first : code;
		CHECK(code == GOW_OK || error.code == (gow_code)code);
		if (flush_failed)
			CHECK(code != GOW_OK);
		flush_failed |= code != GOW_OK && is_over(history);
	}
	return first;
}

/* Opens and runs; false where nothing failed any more. */
static bool run_with_fault(uint64_t seed, const struct memfile_fault *fault)
{
	struct rng rng = { seed };
	struct history history;
	bool failed;
	int code;

	history_begin(&history, (enum hm_row)(seed % HM_ROWS), 9, &rng);
	history_open(&history);
	memdisk_fail(history.disk, fault);
	code = run_script(&history, &rng);
	failed = memdisk_has_failed(history.disk);
	/* What fails is told, and what does not is not. */
	CHECK_EQ(failed, code != GOW_OK);
	if (code == GOW_ERR_NO_SPACE)
		CHECK_EQ(ENOSPC, fault->sys_errno);
	memdisk_fail(history.disk, &(struct memfile_fault){ .nth = 0 });
	gow_image_close(history.image);
	history.image = NULL;
	CHECK_EQ(0, memdisk_open_files(history.disk));
	{
		size_t calls;
		const char *wrong;

		(void)memdisk_log(history.disk, &calls);
		wrong = history_judge(&history, history.file, calls);
		if (wrong)
			CHECK_FAIL("%s", wrong);
	}
	history_free(&history);
	return failed;
}

static void every_call_may_fail(void)
{
	static const struct {
		int sys_errno;
		size_t partial;
		bool for_good;
	} kinds[] = { { EIO, 0, false }, { ENOSPC, 5000, false }, { EIO, 300, true },
		      { ENOSPC, SIZE_MAX, false } };

	for (uint64_t seed = 0; seed < 2 * HM_ROWS; seed++) {
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
			struct memfile_fault fault = { .sys_errno = kinds[k].sys_errno,
				                       .partial = kinds[k].partial,
				                       .for_good = kinds[k].for_good };

			if (CHECK_SAMPLE > 1 && (seed + k) % 6 != 0)
				continue;
			do {
				fault.nth++;
				check_about("seed %llu, kind %zu, call %zu", (unsigned long long)seed, k,
				            fault.nth);
			} while (run_with_fault(seed, &fault));
			CHECK(fault.nth > 20);
		}
	}
}

/* Opening fails cleanly wherever it fails. */
static void opening_may_fail(void)
{
	for (uint64_t seed = 0; seed < HM_ROWS; seed++) {
		struct rng rng = { seed };
		struct history history;
		bool failed = true;
		unsigned looked = 0;

		history_begin(&history, (enum hm_row)seed, 9, &rng);
		for (size_t n = 1; failed; n++) {
			gow_image *image;
			int code;

			check_about("row %llu, call %zu", (unsigned long long)seed, n);
			memdisk_fail(history.disk, &(struct memfile_fault){ .nth = n, .sys_errno = EIO });
			code = gow_image_from_file(memfile_open(history.file), &history.start.layout, 1,
			                           &to_write, &image, &error);
			failed = memdisk_has_failed(history.disk);
			/* Where a record of an upgrade may end: what cannot be read is no record. All
			 * is read twice. */
			if (failed && !code && looked < 2)
				looked++;
			else
				CHECK_CODE(failed ? GOW_ERR_IO : GOW_OK, code, &error);
			if (!code)
				gow_image_close(image);
			CHECK_EQ(0, memdisk_open_files(history.disk));
		}
		history_free(&history);
	}
}

/* A sync that failed has failed for good: what it lost cannot be known. */
static void failed_flush_ends_the_session(void)
{
	struct memdisk *disk = memdisk_new();
	struct hm_image handmade;
	struct memfile *file = empty_image(disk, &handmade, HM_SMALL3, 10 * BLOCK);
	gow_image *image = open_image(file, &handmade.layout, &to_write);
	uint8_t byte = 1;
	size_t before;

	CHECK_OK(gow_image_write(image, 0, &byte, 1, &error), &error);
	memdisk_fail(disk, &(struct memfile_fault){
		.nth = 1, .kinds = 1u << MEMFILE_SYNC, .sys_errno = EIO });
	CHECK_CODE(GOW_ERR_IO, gow_image_flush(image, &error), &error);
	before = count_calls(disk, changes);
	CHECK_CODE(GOW_ERR_IO, gow_image_flush(image, &error), &error);
	CHECK_CODE(GOW_ERR_IO, gow_image_write(image, BLOCK, &byte, 1, &error), &error);
	CHECK_CODE(GOW_ERR_IO, gow_image_write(image, 0, &byte, 1, &error), &error);
	/* And not a byte more is written. */
	CHECK_EQ(before, count_calls(disk, changes));
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

/* Without room a write or a flush fails, and nothing that was written before is lost; whether the
 * header has places of its own, or a hole, or shares them with another file. */
static void full_disk_loses_nothing(void)
{
	for (uint64_t seed = 0; seed < 8 * HM_ROWS; seed++) {
		struct rng rng = { seed };
		struct history history;
		int code = GOW_OK;
		uint64_t from;

		check_about("seed %llu", (unsigned long long)seed);
		history_begin(&history, (enum hm_row)(seed % HM_ROWS), 9, &rng);
		history_open(&history);
		for (int i = 0; i < 4; i++)
			history_write_random(&history, &rng, 3);
		/* There is no room for anything, or anything past the header. */
		from = seed / HM_ROWS % 2 ? 0 : hm_data_start(&history.start.layout);
		memdisk_fail(history.disk, &(struct memfile_fault){
			.nth = 1, .kinds = 1u << MEMFILE_WRITE, .sys_errno = ENOSPC, .for_good = true,
			.from = from, .partial = 700 });
		memset(script_bytes, 'f', sizeof script_bytes);
		for (uint64_t i = 0; i < history.blocks && !code; i++)
			code = history_try_write(&history, i * BLOCK, script_bytes, 600, &error);
		for (int i = 0; i < 2; i++) {
			int flushed = history_try_flush(&history, &error);

			CHECK(flushed == GOW_OK || flushed == GOW_ERR_NO_SPACE);
			code = code ? code : flushed;
		}
		CHECK_EQ(GOW_ERR_NO_SPACE, code);
		history_check_reads(&history);
		memdisk_fail(history.disk, &(struct memfile_fault){ .nth = 0 });
		history_write_random(&history, &rng, 3);
		history_flush(&history);
		history_check_reads(&history);
		CHECK(!history_judge(&history, history.file, SIZE_MAX - 1));
		history_close(&history);
		check_file(&history);
		history_free(&history);
	}
}

/* What is due is kept as bits in words: runs that begin and end at their edges, and empty words
 * between them. */
static void every_entry_of_a_group_is_written(void)
{
	enum { BLOCKS = 320 };
	static const struct {
		uint32_t first, end;
	} runs[][4] = {
		{ { 63, 64 }, { 128, 129 } },
		{ { 0, 64 }, { 128, 130 } },
		{ { 62, 66 }, { 127, 192 }, { 256, 257 }, { 319, 320 } },
	};

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct memdisk *disk = memdisk_new();
		struct memfile *file = memdisk_file(disk, "image");
		struct hm_image made, now;
		gow_image *image;

		check_about("runs %zu", i);
		hm_make(&made, HM_SMALL3, BLOCKS);
		hm_make(&now, HM_SMALL3, BLOCKS);
		made.logical_size = (uint64_t)BLOCKS * BLOCK;
		hm_write(&made, file);
		image = open_image(file, &made.layout, &to_write);
		for (size_t run = 0; run < 4; run++)
			for (uint32_t at = runs[i][run].first; at < runs[i][run].end; at++)
				CHECK_OK(gow_image_write(image, (uint64_t)at * BLOCK, "data", 4,
				                         &error),
				         &error);
		CHECK_OK(gow_image_flush(image, &error), &error);
		gow_image_close(image);
		hm_read(&now, file);
		for (uint32_t at = 0; at < BLOCKS; at++) {
			bool due = false;

			for (size_t run = 0; run < 4; run++)
				due |= at >= runs[i][run].first && at < runs[i][run].end;
			CHECK_EQ(due, now.map[at] != HM_NONE);
			CHECK_EQ(due, now.versions[at]);
		}
		hm_release(&made);
		hm_release(&now);
		memdisk_free(disk);
	}
}

CHECK_MAIN(CHECK_TEST(what_is_written_is_read_back), CHECK_TEST(zeros_allocate_nothing),
           CHECK_TEST(guest_range_is_checked), CHECK_TEST(data_is_found),
           CHECK_TEST(numbers_go_up_once_in_a_session), CHECK_TEST(writes_keep_their_order),
           CHECK_TEST(many_overwrites_cost_few_syncs), CHECK_TEST(memory_is_bounded),
           CHECK_TEST(discarded_places_are_used_again),
           CHECK_TEST(discards_raise_numbers_where_a_guest_sees_them),
           CHECK_TEST(first_and_last_block_of_the_largest_image), CHECK_TEST(block_numbers_run_out),
           CHECK_TEST(every_call_may_fail), CHECK_TEST(opening_may_fail),
           CHECK_TEST(failed_flush_ends_the_session), CHECK_TEST(full_disk_loses_nothing),
           CHECK_TEST(every_entry_of_a_group_is_written))
