/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Synchronising a copy, crashed at every instant: its guest is the old one or the new one, or it is
 * marked as being changed; gow-repair's way leads back, and the next run ends where an undisturbed
 * one does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ops/repair/repair.h"
#include "ops/sync/job.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

enum { ENTRIES = 24, BLOCK = 65536 };

static gow_error error;

/* ---- what there is ----------------------------------------------------------------------- */

/* A guest's disk: the generation of each block's content, and its number; generation 0: not
 * allocated. */
struct state {
	uint32_t blocks; /* of the disk */
	uint8_t generation[ENTRIES];
	uint32_t number[ENTRIES];
};

static const struct state states[] = {
	/* 0: a copy. */
	{ 12, { 1, 1, 1, 1, 1, 1, 1, 1 }, { 1, 1, 1, 1, 1, 1, 1, 1 } },
	/* 1: changed, discarded, allocated, and on a larger disk. */
	{ 15, { 1, 1, 2, 2, 2, 0, 1, 1, 0, 2, 2, 0, 0, 2 }, { 1, 1, 2, 2, 2, 2, 1, 1, 0, 1, 1, 0, 0, 1 } },
	/* 2: all of it changed, on a smaller disk. */
	{ 8, { 3, 3, 3, 3, 3, 3, 3, 3 }, { 4, 4, 4, 4, 4, 4, 4, 4 } },
	/* 3: numbers alone: blocks of the copy that were discarded. */
	{ 12, { 1, 1, 1, 1, 1, 1, 0, 0 }, { 1, 1, 1, 1, 1, 1, 2, 2 } },
};

/* What a guest reads in a block, told by arithmetic. */
static void fill_block(uint8_t *block, uint32_t logical, uint8_t generation)
{
	struct rng rng = { 1000u * generation + logical };

	memset(block, 0, BLOCK);
	if (generation)
		rng_fill(&rng, block, BLOCK);
}

/* An image of that state, its blocks from the last to the first. */
static void write_state(const struct state *state, enum hm_row row, struct memfile *file)
{
	uint8_t *block = check_alloc(BLOCK);
	struct hm_image image;
	uint32_t count = 0;

	hm_make(&image, row, ENTRIES);
	image.logical_size = (uint64_t)state->blocks * BLOCK;
	for (uint32_t i = ENTRIES; i-- > 0;) {
		image.versions[i] = state->number[i];
		if (!state->generation[i])
			continue;
		fill_block(block, i, state->generation[i]);
		memfile_put(file, hm_data_start(&image.layout) + (uint64_t)count * BLOCK, block,
		            BLOCK);
		image.map[i] = count++;
	}
	image.block_count = count;
	image.file_size = hm_data_start(&image.layout) + (uint64_t)count * BLOCK;
	hm_write(&image, file);
	hm_release(&image);
	free(block);
}

/* NULL if the file is an image at rest of that state, or what is wrong. */
static const char *judge(const struct state *state, enum hm_row row, const struct memfile *file)
{
	uint8_t *want = check_alloc(BLOCK), *have = check_alloc(BLOCK);
	uint32_t named = 0;
	struct hm_image image;
	const char *wrong = NULL;

	hm_make(&image, row, ENTRIES);
	hm_read(&image, file);
	if (image.pending)
		wrong = "pending";
	else if (image.logical_size != (uint64_t)state->blocks * BLOCK)
		wrong = "another logical size";
	for (uint32_t i = 0; i < ENTRIES && !wrong; i++) {
		const uint32_t at = image.map[i];

		if (image.versions[i] != state->number[i])
			wrong = "another number";
		else if ((at == HM_NONE) != (state->generation[i] == 0))
			wrong = "a block that is not there, or is";
		if (wrong || at == HM_NONE)
			continue;
		if (at >= image.block_count || at >= 32 || named >> at & 1)
			wrong = "an entry that leads nowhere, or to another's block";
		named |= at < 32 ? UINT32_C(1) << at : 0;
		fill_block(want, i, state->generation[i]);
		memset(have, 0, BLOCK);
		memfile_get(file, hm_data_start(&image.layout) + (uint64_t)at * BLOCK, have, BLOCK);
		if (!wrong && memcmp(want, have, BLOCK) != 0)
			wrong = "another content";
	}
	hm_release(&image);
	free(want);
	free(have);
	return wrong;
}

/* ---- the work ---------------------------------------------------------------------------- */

struct world {
	enum hm_row row;
	int from, to;
	bool in_place;
	uint32_t window; /* blocks on their way at a time; 0: all of them */
	struct memdisk *masters; /* "0", "1", ...: the states */
	struct memdisk *disk;
	size_t seen;
};

static void make_world(struct world *world)
{
	char name[2] = "0";

	world->masters = memdisk_new();
	for (int i = 0; i < 4; i++) {
		name[0] = (char)('0' + i);
		write_state(&states[i], world->row, memdisk_file(world->masters, name));
	}
	world->disk = memdisk_new();
	write_state(&states[world->from], world->row, memdisk_file(world->disk, "image"));
	memdisk_record(world->disk);
}

static void free_world(struct world *world)
{
	memdisk_free(world->masters);
	memdisk_free(world->disk);
}

/* Brings the copy on disk to a state. */
static int sync_to(const struct world *world, struct memdisk *disk, int to, bool in_place,
                   gow_sync_result *result)
{
	const struct gow_layout layout = hm_layout(world->row, ENTRIES);
	const gow_sync_options options = { .flags = (in_place ? GOW_SYNC_IN_PLACE : 0) |
		                                    GOW_SYNC_FORCE };
	char image[] = "image";
	struct gow_location location = { .directory = memdirectory_open(disk), .name = image };
	char name[2] = { (char)('0' + to), '\0' };
	struct gow_sync_job job = {
		.options = &options, .result = result, .rows = &layout, .row_count = 1,
		.window = world->window,
		.master = { .name = "master", .rows = &layout, .row_count = 1 },
	};
	bool needed = false;
	int code;

	*result = (gow_sync_result){ .struct_size = sizeof *result };
	location.file = memfile_open(memdisk_file(disk, "image"));
	job.master.file = memfile_open(memdisk_file(world->masters, name));
	code = gow_file_settle(location.file, &error); /* as gow_location_open does */
	if (!code)
		code = gow_sync_master_load(&job.master, &error);
	if (!code)
		code = gow_sync_work(&job, &location, false, &needed, &error);
	gow_sync_master_close(&job.master);
	CHECK_OK(gow_file_close(location.file, NULL), NULL);
	gow_directory_close(location.directory);
	return code;
}

/* What gow-repair makes of it. */
static int repair(const struct world *world, struct memdisk *disk)
{
	const struct gow_layout layout = hm_layout(world->row, ENTRIES);
	struct gow_lock lock = { .file = NULL };
	struct gow_repair_target target = {
		.file = memfile_open(memdisk_file(disk, "image")),
		.lock = &lock,
		.place = { memdirectory_open(disk), "image", &layout, 1 },
	};
	const gow_repair_options options = { .level = GOW_REPAIR_PREEN };
	gow_repair_result *result = check_alloc(sizeof *result);
	int code = gow_repair_file(&target, &options, result, &error);

	CHECK_OK(gow_file_close(target.file, NULL), NULL);
	gow_directory_close(target.place.directory);
	free(result);
	return code;
}

/* ---- crashes ----------------------------------------------------------------------------- */

static const char *judge_either(const struct world *world, const struct memfile *file)
{
	const char *wrong = judge(&states[world->from], world->row, file);

	return wrong ? judge(&states[world->to], world->row, file) : NULL;
}

static bool is_pending(const struct world *world, const struct memfile *file)
{
	struct hm_image image;
	bool pending;

	hm_make(&image, world->row, ENTRIES);
	hm_read(&image, file);
	pending = image.pending;
	hm_release(&image);
	return pending;
}

static const char *judge_end(const struct world *world, struct memdisk *disk, int to)
{
	gow_sync_result result;

	if (sync_to(world, disk, to, world->in_place, &result))
		return error.what;
	if (memdirectory_has(disk, "image.gow-sync") || memdirectory_has(disk, "image.gow-undo"))
		return "a file is left beside the copy";
	return judge(&states[to], world->row, memdisk_file(disk, "image"));
}

static int look(void *context, struct memfile_crash *crash)
{
	struct world *world = context;
	struct memfile *file = memdisk_file(crash->disk, "image");
	struct memdisk *other = memdisk_clone(crash->disk);
	const char *wrong = NULL;
	const bool pending = is_pending(world, file);

	world->seen++;
	if (!pending)
		wrong = judge_either(world, file);
	else if (!world->in_place && repair(world, other))
		wrong = "gow-repair fails";
	else if (!world->in_place)
		wrong = judge(&states[world->from], world->row, memdisk_file(other, "image"));
	/* Back to the numbers that the header still has: what was overwritten is known by the record. */
	if (!wrong && pending && world->in_place) {
		memdisk_free(other);
		other = memdisk_clone(crash->disk);
		wrong = judge_end(world, other, world->from);
	}
	/* To the state that it was on its way to, and to another one. */
	if (!wrong)
		wrong = judge_end(world, other, world->to == 1 ? 2 : 1);
	if (!wrong)
		wrong = judge_end(world, crash->disk, world->to);
	memdisk_free(other);
	if (!wrong)
		return 0;
	check_about("%d to %d%s: %s: %s", world->from, world->to,
	            world->in_place ? " in place" : "", crash->story, wrong);
	return 1;
}

static const struct world worlds[] = {
	{ .row = HM_SMALL3, .from = 0, .to = 1 },
	{ .row = HM_BIG, .from = 1, .to = 2, .window = 6 },
	{ .row = HM_SMALL3, .from = 0, .to = 3 },
	{ .row = HM_SMALL3, .from = 0, .to = 1, .in_place = true },
	{ .row = HM_BIG, .from = 1, .to = 2, .in_place = true, .window = 6 },
	{ .row = HM_SMALL3, .from = 2, .to = 0 },
};

enum { WORLDS = sizeof worlds / sizeof *worlds };

static void every_crash_leaves_the_old_guest_or_the_new_one(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 5, .random = 4, .torn = 1,
		                                        .seed = 21, .each = 4 * CHECK_SAMPLE };

	for (int i = 0; i < WORLDS; i++) {
		struct world world = worlds[i];
		gow_sync_result result;

		check_about("world %d", i);
		make_world(&world);
		CHECK_OK(sync_to(&world, world.disk, world.to, world.in_place, &result), &error);
		CHECK_STR(NULL, judge(&states[world.to], world.row,
		                      memdisk_file(world.disk, "image")));
		CHECK_EQ(0, memdisk_each_crash(world.disk, &plan, look, &world));
		CHECK(world.seen * CHECK_SAMPLE > 10);
		check_explored(world.seen);
		free_world(&world);
	}
}

/*
 * Each sync has its reason: without it some crash shows what must not be. But the first one is for what
 * an earlier run left (the tests below), and the last ones are for files that the next run removes.
 * That the record has its name is needed in place only, where blocks need no sync of their own before
 * that of the count.
 */
static void a_sync_that_is_left_out_is_noticed(void)
{
	static const struct {
		int world;
		size_t first, behind, syncs, not;
	} expected[] = { { 0, 2, 12, 13, 3 }, { 3, 2, 10, 10, 6 } };

	for (int i = 0; i < 2; i++) {
		struct world world = worlds[expected[i].world];
		gow_sync_result result;

		make_world(&world);
		CHECK_OK(sync_to(&world, world.disk, world.to, world.in_place, &result), &error);
		CHECK_EQ(expected[i].syncs, memdisk_syncs(world.disk));
		for (size_t nth = 1; nth <= expected[i].syncs; nth++) {
			const struct memfile_crash_plan plan = { .all_subsets = 5, .random = 4,
				                                 .ignore_sync = nth, .seed = 24 };
			const bool noticed = memdisk_each_crash(world.disk, &plan, look, &world);

			check_about("world %d, sync %zu", expected[i].world, nth);
			CHECK(noticed == (nth >= expected[i].first && nth < expected[i].behind &&
			                  nth != expected[i].not));
		}
		free_world(&world);
	}
}

/* What a killed run wrote is in the files for the next one to see, and may still be lost. */
static void killed_and_resumed_it_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .seed = 22,
		                                        .each = 25 * CHECK_SAMPLE };
	static const struct memfile_fault none;

	for (int i = 0; i < 4; i++) {
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault kill = { .nth = nth, .for_good = true,
				                            .sys_errno = EIO,
				                            .kinds = 1u << MEMFILE_WRITE |
				                                     1u << MEMFILE_SYNC };
			struct world world = worlds[i];
			gow_sync_result result;

			check_about("world %d, killed at %zu", i, nth);
			make_world(&world);
			memdisk_fail(world.disk, &kill);
			failed = sync_to(&world, world.disk, world.to, world.in_place, &result);
			memdisk_fail(world.disk, &none);
			CHECK_OK(sync_to(&world, world.disk, world.to, world.in_place, &result),
			         &error);
			CHECK_STR(NULL, judge(&states[world.to], world.row,
			                      memdisk_file(world.disk, "image")));
			CHECK_EQ(0, memdisk_each_crash(world.disk, &plan, look, &world));
			check_explored(world.seen);
			free_world(&world);
		}
	}
}

/* A failed sync loses what reads still return. */
static void a_run_after_a_failed_sync_survives_a_crash(void)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .seed = 23,
		                                        .each = 25 * CHECK_SAMPLE };
	static const struct memfile_fault none;

	for (int i = 0; i < 4 * MEMFILE_LOSSES; i++) {
		bool failed = true;

		for (size_t nth = 1; failed; nth++) {
			const struct memfile_fault fault = { .nth = nth, .sys_errno = EIO,
				                             .kinds = 1u << MEMFILE_SYNC,
				                             .lose = (enum memfile_loss)(i / 4),
				                             .seed = nth };
			struct world world = worlds[i % 4];
			gow_sync_result result;

			check_about("world %d, loss %d, sync %zu", i % 4, i / 4, nth);
			make_world(&world);
			memdisk_fail(world.disk, &fault);
			(void)sync_to(&world, world.disk, world.to, world.in_place, &result);
			failed = memdisk_has_failed(world.disk);
			memdisk_fail(world.disk, &none);
			CHECK_OK(sync_to(&world, world.disk, world.to, world.in_place, &result),
			         &error);
			memdisk_drop_caches(world.disk);
			CHECK_STR(NULL, judge(&states[world.to], world.row,
			                      memdisk_file(world.disk, "image")));
			CHECK_EQ(0, memdisk_each_crash(world.disk, &plan, look, &world));
			check_explored(world.seen);
			free_world(&world);
		}
	}
}

static void every_failing_call_leaves_the_old_guest_or_the_new_one(void)
{
	static const struct memfile_fault none;

	for (int i = 0; i < WORLDS; i++) {
		bool failed = true;

		for (size_t nth = 1; failed; nth += 1) {
			const struct memfile_fault fault = { .nth = nth, .partial = 1000,
				                             .sys_errno = nth % 2 ? EIO : ENOSPC };
			struct world world = worlds[i];
			struct memfile *image;
			gow_sync_result result;

			check_about("world %d, call %zu", i, nth);
			make_world(&world);
			image = memdisk_file(world.disk, "image");
			memdisk_fail(world.disk, &fault);
			(void)sync_to(&world, world.disk, world.to, world.in_place, &result);
			failed = memdisk_has_failed(world.disk);
			memdisk_fail(world.disk, &none);
			if (!is_pending(&world, image))
				CHECK_STR(NULL, judge_either(&world, image));
			CHECK_STR(NULL, judge_end(&world, world.disk, world.to));
			CHECK_EQ(0, memdisk_open_files(world.disk));
			free_world(&world);
		}
	}
}

/* What is there already is not asked for again. */
static void only_what_was_in_flight_is_read_again(void)
{
	const struct memfile_fault fault = { .nth = 2, .kinds = 1u << MEMFILE_CREATE,
		                             .sys_errno = EIO };
	static const struct memfile_fault none;
	struct world world = worlds[0];
	gow_sync_result first, second;

	make_world(&world);
	/* The undo file cannot be made: all blocks are there, and the header is the old one. */
	memdisk_fail(world.disk, &fault);
	CHECK_CODE(GOW_ERR_IO, sync_to(&world, world.disk, world.to, false, &first), &error);
	CHECK_STR(NULL, judge(&states[0], world.row, memdisk_file(world.disk, "image")));
	memdisk_fail(world.disk, &none);
	CHECK_OK(sync_to(&world, world.disk, world.to, false, &second), &error);
	CHECK(second.resumed);
	CHECK_EQ(first.fetch_bytes - 6 * BLOCK, second.fetch_bytes);
	free_world(&world);
}

CHECK_MAIN(CHECK_TEST(every_crash_leaves_the_old_guest_or_the_new_one),
           CHECK_TEST(a_sync_that_is_left_out_is_noticed),
           CHECK_TEST(killed_and_resumed_it_survives_a_crash),
           CHECK_TEST(a_run_after_a_failed_sync_survives_a_crash),
           CHECK_TEST(every_failing_call_leaves_the_old_guest_or_the_new_one),
           CHECK_TEST(only_what_was_in_flight_is_read_again))
