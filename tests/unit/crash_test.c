/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions cut off anywhere: of every state that a crash can leave, the image is valid, what was
 * flushed is there, and no change goes without its number. */
#include "journal/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/history.h"
#include "support/memfile.h"

enum { BLOCK = 65536 };

static gow_error error;

struct inspection {
	const struct history *history;
	size_t states;
	size_t continue_each; /* go on with every n-th state; 0: with none */
	char wrong[1024];     /* "" while nothing is */
};

/* A later session on what the crash left: it may build on all of it. */
static const char *go_on(const struct history *history, struct memfile *file)
{
	static const struct gow_image_policy policy = { .write = true };
	uint8_t *bytes = check_alloc((size_t)history->size);
	uint8_t *back = check_alloc((size_t)history->size);
	struct rng rng = { 3 };
	struct gow_file *handle;
	struct gow_verdict verdict;
	struct gow_unchecked raw;
	gow_image *image;
	const char *wrong = NULL;

	rng_fill(&rng, bytes, (size_t)history->size);
	if (gow_image_from_file(memfile_open(file), &history->start.layout, 1, &policy, &image,
	                        &error)) {
		wrong = "cannot be opened for writing";
	} else {
		if (gow_image_write(image, 0, bytes, (size_t)history->size, &error) ||
		    gow_image_flush(image, &error))
			wrong = "cannot be written";
		gow_image_close(image);
	}
	handle = memfile_open(file);
	if (!wrong && gow_unchecked_load(handle, &history->start.layout, 1, &raw, &error) == GOW_OK) {
		if (gow_judge(&raw, &verdict, &error) || gow_verdict_first(&verdict, GOW_CORRUPT))
			wrong = "is corrupt after the next session";
		gow_unchecked_release(&raw);
	}
	(void)gow_file_close(handle, NULL);
	if (!wrong && gow_image_from_file(memfile_open(file), &history->start.layout, 1,
	                                  &(struct gow_image_policy){ .write = false }, &image,
	                                  &error) == GOW_OK) {
		if (gow_image_read(image, 0, back, (size_t)history->size, &error) ||
		    memcmp(bytes, back, (size_t)history->size) != 0)
			wrong = "does not read as the next session wrote it";
		gow_image_close(image);
	}
	free(bytes);
	free(back);
	return wrong;
}

static int inspect(void *context, struct memfile_crash *crash)
{
	struct inspection *inspection = context;
	struct memfile *file = memdisk_file(crash->disk, "image");
	const char *wrong = history_judge_crash(inspection->history, crash);

	inspection->states++;
	if (!wrong && inspection->continue_each &&
	    inspection->states % inspection->continue_each == 0)
		wrong = go_on(inspection->history, file);
	if (wrong)
		(void)snprintf(inspection->wrong, sizeof inspection->wrong, "%s: %s", crash->story,
		               wrong);
	return wrong != NULL;
}

/* Walks through the crash states of a recorded session; what is wrong, or "". */
static void walk_crashes(const struct history *history, size_t ignore_sync, uint64_t seed,
                         unsigned each, struct inspection *inspection)
{
	const struct memfile_crash_plan plan = {
		.all_subsets = 8,
		.random = 60,
		.torn = 2,
		.seed = seed,
		.ignore_sync = ignore_sync,
		.each = each,
	};

	inspection->history = history;
	inspection->wrong[0] = '\0';
	(void)memdisk_each_crash(history->disk, &plan, inspect, inspection);
}

static void random_session(struct history *history, struct rng *rng)
{
	history_open(history);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			history_write_random(history, rng, 3);
			if (rng_chance(rng, 40))
				history_clear_random(history, rng, 3);
		}
		if (round < 2 || rng_chance(rng, 50))
			history_flush(history);
	}
}

static void every_crash_leaves_a_valid_image(void)
{
	size_t states = 0;

	for (uint64_t seed = 0; seed < 36; seed++) {
		struct rng rng = { 4000 + seed };
		struct inspection inspection = { .continue_each = 97 };
		struct history history;

		check_about("seed %llu", (unsigned long long)seed);
		history_begin(&history, (enum hm_row)(seed % HM_ROWS), 3 + rng_below(&rng, 7), &rng);
		random_session(&history, &rng);
		walk_crashes(&history, 0, seed, CHECK_SAMPLE, &inspection);
		if (inspection.wrong[0])
			CHECK_FAIL("%s", inspection.wrong);
		states += inspection.states;
		history_free(&history);
	}
	/* So many that none of the kinds is missed. */
	CHECK(states > 10000 / CHECK_SAMPLE);
}

/* The same where a flush had no room, of which the session goes on; false: it had room. */
static bool session_without_room(struct history *history, uint64_t seed, size_t nth)
{
	/* Whole entries come through. */
	const struct memfile_fault full = { .nth = nth, .sys_errno = ENOSPC,
		                            .partial = seed % 4 * 24,
		                            .kinds = 1u << MEMFILE_WRITE };
	struct rng rng = { 7000 + seed };
	bool failed;
	int code;

	history_begin(history, (enum hm_row)(seed % HM_ROWS), 4 + rng_below(&rng, 6), &rng);
	history_open(history);
	for (int i = 0; i < 3; i++)
		history_write_random(history, &rng, 3);
	memdisk_fail(history->disk, &full);
	code = history_try_flush(history, &error);
	failed = memdisk_has_failed(history->disk);
	CHECK_CODE(failed ? GOW_ERR_NO_SPACE : GOW_OK, code, &error);
	memdisk_fail(history->disk, &(struct memfile_fault){ .nth = 0 });
	/* What is given back now may be named by an entry that did come through. */
	for (int i = 0; i < 3; i++) {
		history_clear_random(history, &rng, 3);
		history_write_random(history, &rng, 2);
	}
	history_check_reads(history);
	history_flush(history);
	return failed;
}

static void a_session_that_had_no_room_leaves_valid_images(void)
{
	for (uint64_t seed = 0; seed < 3 * HM_ROWS; seed++) {
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			struct inspection inspection = { .continue_each = 97 };
			struct history history;

			check_about("seed %llu, call %zu", (unsigned long long)seed, nth);
			failed = session_without_room(&history, seed, nth);
			walk_crashes(&history, 0, seed, 11 * CHECK_SAMPLE, &inspection);
			if (inspection.wrong[0])
				CHECK_FAIL("%s", inspection.wrong);
			history_free(&history);
		}
	}
}

/* ---- killed, resumed, crashed ------------------------------------------------------------ */

/* A session that follows one which was killed, and what it promised in its only flush. */
struct sequel {
	const struct history *killed; /* and what was there before either */
	uint8_t *bytes;               /* the guest's disk as it read at the flush */
	uint32_t versions[HISTORY_BLOCKS];
	size_t calls;                 /* made when the flush was over */
	char wrong[640];
};

/* Everything that a session of a disk can see. */
static gow_image *look_at(const struct history *history, struct memfile *file, bool write,
                          uint8_t *bytes, uint32_t *versions)
{
	const struct gow_image_policy policy = { .write = write };
	gow_image *image;
	const struct gow_map *map;

	if (gow_image_from_file(memfile_open(file), &history->start.layout, 1, &policy, &image,
	                        &error))
		return NULL;
	CHECK_OK(gow_image_read(image, 0, bytes, (size_t)history->size, &error), &error);
	map = gow_image_map(image);
	for (uint32_t i = 0; i < history->blocks; i++)
		versions[i] = map->versions ? map->versions[i] : 0;
	return image;
}

static const char *judge_blocks(const struct sequel *sequel, bool flushed, const uint8_t *bytes,
                                const uint32_t *versions)
{
	const struct history *before = sequel->killed;
	const struct moment *start = &before->moments[0];

	for (uint32_t i = 0; i < before->blocks; i++) {
		const uint64_t at = (uint64_t)i * BLOCK;
		const size_t size = (size_t)gow_min(BLOCK, before->size - at);
		const bool changed = memcmp(bytes + at, start->bytes + at, size) != 0;

		if (flushed && memcmp(bytes + at, sequel->bytes + at, size) != 0)
			return "what a session saw, and flushed, is not there";
		if (flushed && versions[i] < sequel->versions[i])
			return "a number that a session saw, and flushed, is not there";
		if (before->start.layout.versions_stride && changed &&
		    start->versions[i] != UINT32_MAX && versions[i] <= start->versions[i])
			return "a block changed, and its number did not";
	}
	return NULL;
}

static int inspect_sequel(void *context, struct memfile_crash *crash)
{
	struct sequel *sequel = context;
	uint8_t *bytes = check_alloc((size_t)sequel->killed->size);
	uint32_t versions[HISTORY_BLOCKS];
	gow_image *image = look_at(sequel->killed, memdisk_file(crash->disk, "image"), false,
	                           bytes, versions);
	const char *wrong = image ? judge_blocks(sequel, sequel->calls <= crash->calls_latest,
	                                         bytes, versions)
	                          : "cannot be opened";

	if (wrong)
		(void)snprintf(sequel->wrong, sizeof sequel->wrong, "%s: %s", crash->story, wrong);
	gow_image_close(image);
	free(bytes);
	return wrong != NULL;
}

/* Reads; or writes over some of everything; and flushes. */
static void go_on_with(struct history *killed, struct sequel *sequel, bool write, struct rng *rng)
{
	gow_image *image = look_at(killed, killed->file, true, sequel->bytes, sequel->versions);

	CHECK(image);
	for (int i = 0; i < 3 && write; i++) {
		uint64_t offset = rng_next(rng) % killed->size;
		size_t size = (size_t)gow_min(rng_below(rng, 2 * BLOCK), killed->size - offset);

		rng_fill(rng, sequel->bytes + offset, size);
		CHECK_OK(gow_image_write(image, offset, sequel->bytes + offset, size, &error),
		         &error);
	}
	CHECK_OK(gow_image_flush(image, &error), &error);
	(void)memdisk_log(killed->disk, &sequel->calls);
	gow_image_close(image);
}

/* Begins a session and ends it at its nth call that changes anything; false: it came to its end. */
static bool killed_session(struct history *history, enum hm_row row, uint64_t seed, size_t nth)
{
	const struct memfile_fault kill = {
		.nth = nth, .for_good = true, .sys_errno = EIO,
		.kinds = 1u << MEMFILE_WRITE | 1u << MEMFILE_SYNC,
		/* Where it is a sync that fails, what it loses still reads as if it was there. */
		.lose = (enum memfile_loss)(nth % MEMFILE_LOSSES), .seed = seed + nth
	};
	struct rng rng = { seed };
	static uint8_t bytes[2 * BLOCK];
	bool killed;

	history_begin(history, row, 6, &rng);
	history_open(history);
	/* The session itself still reads what it lost; the next one must not. */
	memdisk_refuse_drop(history->disk, true);
	memdisk_fail(history->disk, &kill);
	for (int i = 0; i < 6; i++) {
		uint64_t offset = rng_next(&rng) % history->size;
		size_t size = (size_t)gow_min(rng_below(&rng, sizeof bytes), history->size - offset);

		rng_fill(&rng, bytes, size);
		(void)history_try_write(history, offset, bytes, size, &error);
		if (i % 3 == 2)
			(void)history_try_flush(history, &error);
	}
	killed = memdisk_has_failed(history->disk);
	memdisk_fail(history->disk, &(struct memfile_fault){ .nth = 0 });
	gow_image_close(history->image);
	history->image = NULL;
	memdisk_refuse_drop(history->disk, false);
	return killed;
}

/* What a session that was killed had not synced is in the file for the next one to see, and may
 * still be lost: what that one saw or built on it is durable with its flush, or the flush lies. */
static void killed_and_gone_on_with_it_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 5, .random = 10, .torn = 1,
		                                        .seed = 29, .each = 3 * CHECK_SAMPLE };

	bool missed = false;

	for (uint64_t seed = 0; seed < 4 * HM_ROWS; seed++) {
		bool killed = true;

		for (size_t nth = 1; killed; nth++) {
			struct memfile_crash_plan without = plan;
			struct rng rng = { seed + nth };
			struct sequel sequel = { .calls = 0 };
			struct history history;

			check_about("seed %llu, killed at %zu", (unsigned long long)seed, nth);
			killed = killed_session(&history, (enum hm_row)(seed % HM_ROWS), seed, nth);
			without.ignore_sync = memdisk_syncs(history.disk) + 1;
			sequel.killed = &history;
			sequel.bytes = check_alloc((size_t)history.size);
			go_on_with(&history, &sequel, seed / HM_ROWS % 2, &rng);
			(void)memdisk_each_crash(history.disk, &plan, inspect_sequel, &sequel);
			if (sequel.wrong[0])
				CHECK_FAIL("%s", sequel.wrong);
			if (!missed)
				missed = memdisk_each_crash(history.disk, &without, inspect_sequel,
				                            &sequel) != 0;
			free(sequel.bytes);
			history_free(&history);
		}
	}
	CHECK(missed);
}

/* ---- can this test fail? ----------------------------------------------------------------- */

/* Three blocks that hold data, three that hold none. */
static void begin_plain(struct history *history, enum hm_row row)
{
	struct rng rng = { 1 };
	struct hm_image *image = &history->start;

	history_begin(history, row, 6, &rng);
	for (uint32_t i = 0; i < 6; i++) {
		image->map[i] = i < 3 ? i : HM_NONE;
		image->versions[i] = i < 3 ? 5 : 0;
		history->versions[i] = image->layout.versions_stride ? image->versions[i] : 0;
		history->allocated[i] = i < 3;
	}
	image->block_count = 3;
	image->file_size = hm_data_start(&image->layout) + 3 * BLOCK;
	memset(history->bytes, 0, (size_t)history->size);
	memfile_resize(history->file, 0);
	hm_write(image, history->file);
	history->expected_findings = 1u << GOW_SPACE_LEAK | 1u << GOW_HEADER_COUNT_HIGH;
}

/* Every sync of a session is needed: without it some crash loses what it must not. */
static void every_sync_is_missed(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct inspection inspection = { .states = 0 };
		struct history history;
		uint8_t bytes[700];
		size_t syncs;

		begin_plain(&history, (enum hm_row)row);
		history_open(&history);
		memset(bytes, 'x', sizeof bytes);
		history_write(&history, 100, bytes, sizeof bytes); /* over data: raises a number */
		history_write(&history, 4 * BLOCK, bytes, sizeof bytes);
		history_flush(&history); /* data, count; entries */
		history_write(&history, 200, bytes, sizeof bytes);
		history_flush(&history); /* data */
		history_write(&history, 3 * BLOCK, bytes, sizeof bytes);
		history_flush(&history);
		history_flush(&history); /* nothing */
		check_about("%s", hm_name((enum hm_row)row));
		walk_crashes(&history, 0, 1, 1, &inspection);
		CHECK_STR("", inspection.wrong);
		syncs = memdisk_syncs(history.disk);
		CHECK_EQ(6, syncs); /* the first one settles what was there */
		for (size_t k = 2; k <= syncs; k++) {
			check_about("%s, without sync %zu", hm_name((enum hm_row)row), k);
			walk_crashes(&history, k, 1, 1, &inspection);
			CHECK(inspection.wrong[0]);
		}
		history_free(&history);
	}
}

/* The same for the promises themselves: a history that promises more is not kept. */
static void lies_are_found_out(void)
{
	struct inspection inspection = { .states = 0 };
	struct history history;
	uint8_t byte = 'x';
	size_t over;

	begin_plain(&history, HM_SMALL3);
	history_open(&history);
	history_write(&history, 5, &byte, 1);
	history_flush(&history);
	walk_crashes(&history, 0, 1, 1, &inspection);
	CHECK_STR("", inspection.wrong);
	over = history.moments[1].calls_after;
	/* A flush that claims to have been over before its sync. */
	history.moments[1].calls_after--;
	walk_crashes(&history, 0, 1, 1, &inspection);
	CHECK(inspection.wrong[0]);
	history.moments[1].calls_after++;
	CHECK_EQ(over, history.moments[1].calls_after);
	walk_crashes(&history, 0, 1, 1, &inspection);
	CHECK_STR("", inspection.wrong);
	/* A byte that nobody wrote. */
	history.deeds[0].bytes[0] = 'y';
	walk_crashes(&history, 0, 1, 1, &inspection);
	CHECK(inspection.wrong[0]);
	history.deeds[0].bytes[0] = 'x';
	/* A number that went up before. */
	history.moments[0].versions[0]--;
	walk_crashes(&history, 0, 1, 1, &inspection);
	CHECK(strstr(inspection.wrong, "more than once"));
	history_free(&history);
}

CHECK_MAIN(CHECK_TEST(every_crash_leaves_a_valid_image),
           CHECK_TEST(a_session_that_had_no_room_leaves_valid_images),
           CHECK_TEST(killed_and_gone_on_with_it_survives_a_crash),
           CHECK_TEST(every_sync_is_missed),
           CHECK_TEST(lies_are_found_out))
