/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairs and their undoing, crashed at every instant: whatever is left must be the image as it
 * was, or as it was to be, or marked as being changed and restored in full by its undo file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/change.h"
#include "ops/plan.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

enum { ENTRIES = 24, BLOCKS = 4 };

static gow_error error;

/* ---- damaged images ---------------------------------------------------------------------- */

enum damage { COUNT_AND_PADDING, MAP, EVERYTHING, MISSING, TRUNCATED, RUINED, KEPT, DAMAGES };

static const char *const damage_names[DAMAGES] = {
	"count and padding", "map", "everything", "journal missing", "header cut short",
	"preamble ruined", "everything, and the mark stays",
};

struct world {
	struct gow_layout layout;
	enum damage damage;
	struct memdisk *disk;
	struct memfile *image;
	struct memdisk *before, *after; /* what the image was and is to be */
};

static void damage_map(struct hm_image *image)
{
	image->map[5] = image->map[0];
	image->map[6] = image->map[0];
	image->map[7] = 1000;
	image->block_count = 1;
	if (image->versions)
		image->versions[1] = 0;
}

static void write_data(const struct hm_image *image, struct memfile *file)
{
	static uint8_t block[65536];
	struct rng rng = { 7 };

	for (uint32_t i = 0; i < BLOCKS; i++) {
		rng_fill(&rng, block, sizeof block);
		memfile_put(file, hm_data_start(&image->layout) + i * sizeof block, block,
		            sizeof block);
	}
}

static void make_image(struct world *world, enum hm_row row)
{
	struct hm_image image;
	uint64_t data_start;

	hm_make(&image, row, ENTRIES);
	world->layout = image.layout;
	data_start = hm_data_start(&image.layout);
	image.logical_size = UINT64_C(20) * 65536;
	image.block_count = BLOCKS;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		image.map[i] = i;
		image.versions[i] = 1;
	}
	image.file_size = data_start + BLOCKS * UINT64_C(65536);
	if (world->damage == MAP || world->damage == EVERYTHING || world->damage == KEPT)
		damage_map(&image);
	if (world->damage == EVERYTHING || world->damage == KEPT) {
		image.logical_size = 0;
		image.file_size -= 100;
	}
	image.pending = world->damage == EVERYTHING || world->damage == MISSING ||
	                world->damage == KEPT;
	if (world->damage == COUNT_AND_PADDING)
		image.block_count = BLOCKS + 3;
	write_data(&image, world->image);
	if (world->damage == TRUNCATED)
		image.file_size = image.layout.map_offset + 5 * (uint64_t)image.layout.map_stride;
	hm_write(&image, world->image);
	if (world->damage == COUNT_AND_PADDING && hm_header_end(&image.layout) < data_start)
		memfile_put(world->image, data_start - 1, "x", 1);
	if (world->damage == RUINED) {
		memfile_put(world->image, image.layout.magic_offset, "....", 4);
		memfile_put(world->image, image.layout.version_field.offset, "....",
		            gow_min(4, image.layout.version_field.width));
	}
	hm_release(&image);
}

/* ---- the work ---------------------------------------------------------------------------- */

static int judged_well(void *context, struct gow_file *image, gow_error *why)
{
	const struct gow_plan *plan = context;
	struct gow_verdict verdict;
	struct gow_raw raw;
	int code = gow_raw_load_plain(image, plan->layout, &raw, why);

	if (code)
		return code;
	code = gow_judge(&raw, &verdict, why);
	gow_raw_release(&raw);
	if (!code && memcmp(&verdict, &plan->foreseen, sizeof verdict) != 0)
		code = GOW_ERR_MISMATCH;
	return code;
}

static struct gow_change change_in(const struct world *world, struct memdisk *disk)
{
	return (struct gow_change){
		.image = memfile_open(memdisk_file(disk, "image")),
		.place = { memfolder_open(disk), "image", &world->layout, 1 },
		.layout = &world->layout,
	};
}

static void close_change(struct gow_change *change)
{
	gow_undo_close(change->undo);
	(void)gow_file_close(change->image, NULL);
	gow_folder_close(change->place.folder);
}

static int rebuild(struct gow_plan *plan, gow_error *why)
{
	uint8_t version[8];
	gow_repair_step step = gow_plan_step(GOW_PROBLEM_COUNT, GOW_STEP_WRITE, "", 0, 0);
	int code;

	gow_store(version, plan->layout->version_field.width, plan->layout->order,
	          plan->layout->version);
	code = gow_file_write(plan->overlay, plan->layout->magic_offset, plan->layout->magic, 4,
	                      why);
	if (!code)
		code = gow_file_write(plan->overlay, plan->layout->version_field.offset, version,
		                      plan->layout->version_field.width, why);
	return code ? code : gow_plan_add(plan, &step, why);
}

/* Repairs the image of the disk. */
static int repair(const struct world *world, struct memdisk *disk, bool *pending)
{
	const gow_repair_options options = {
		.level = world->damage == KEPT ? GOW_REPAIR_PREEN : GOW_REPAIR_ALL,
		.size = 65536 * 20,
	};
	struct gow_change change = change_in(world, disk);
	struct gow_plan plan;
	int code = gow_plan_begin(&plan, change.image, &world->layout, &options, &error);

	*pending = false;
	if (!code && world->damage == RUINED)
		code = rebuild(&plan, &error);
	if (!code)
		code = gow_plan_work_out(&plan, &error);
	if (!code)
		code = gow_change_commit(&change, plan.overlay, "test", NULL, judged_well, &plan,
		                         pending, &error);
	gow_plan_release(&plan);
	close_change(&change);
	return code;
}

/* Takes back the change that is under way; GOW_ERR_MISMATCH where there is none. */
static int recover(const struct world *world, struct memdisk *disk)
{
	struct gow_change change = change_in(world, disk);
	bool missing;
	char doubt[256];
	int code = gow_undo_find(&change.place, change.image, true, &change.undo, &missing, doubt,
	                         sizeof doubt, &error);

	if (!code && !change.undo)
		code = GOW_ERR_MISMATCH;
	if (!code)
		code = gow_change_roll_back(&change, &error);
	close_change(&change);
	return code;
}

/* Takes back the last repair, which is over. */
static int undo(const struct world *world, struct memdisk *disk)
{
	struct gow_change change = change_in(world, disk);
	uint32_t *layers;
	size_t count = 0;
	int code = gow_undo_layers(&change.place, &layers, &count, &error);

	if (!code && !count)
		code = GOW_ERR_MISMATCH;
	if (!code)
		code = gow_undo_open(&change.place, layers[0], true, &change.undo, &error);
	if (!code && change.undo && !change.undo->done)
		code = GOW_ERR_MISMATCH;
	if (!code)
		code = gow_undo_check_done(change.undo, change.image, &error);
	if (!code)
		code = gow_change_roll_back(&change, &error);
	if (count)
		free(layers);
	close_change(&change);
	return code;
}

static struct world *world_new(enum hm_row row, enum damage damage)
{
	struct world *world = check_alloc(sizeof *world);
	struct memdisk *repaired;
	bool pending;

	check_about("%s, %s", hm_name(row), damage_names[damage]);
	world->damage = damage;
	world->disk = memdisk_new();
	world->image = memdisk_file(world->disk, "image");
	make_image(world, row);
	world->before = memdisk_clone(world->disk);
	repaired = memdisk_clone(world->disk);
	CHECK_OK(repair(world, repaired, &pending), &error);
	world->after = memdisk_clone(repaired);
	CHECK(!memfile_equal(memdisk_file(world->before, "image"),
	                     memdisk_file(world->after, "image")));
	CHECK(memfolder_has(repaired, "image.gow-undo"));
	CHECK_EQ(0, memdisk_open_files(repaired));
	memdisk_free(repaired);
	return world;
}

static void world_free(struct world *world)
{
	memdisk_free(world->disk);
	memdisk_free(world->before);
	memdisk_free(world->after);
	free(world);
}

/* ---- what may be left -------------------------------------------------------------------- */

static bool is_like(struct memdisk *disk, struct memdisk *other)
{
	return memfile_equal(memdisk_file(disk, "image"), memdisk_file(other, "image"));
}

static bool is_pending(const struct world *world, struct memdisk *disk)
{
	uint8_t magic[4];

	memfile_get(memdisk_file(disk, "image"), world->layout.magic_offset, magic, 4);
	return memcmp(magic, world->layout.magic_pending, 4) == 0;
}

/* NULL, or what is wrong with a state that was found after a crash or a failure. */
static const char *judge_state(const struct world *world, struct memdisk *disk)
{
	if (is_pending(world, disk)) {
		if (!recover(world, disk))
			return is_like(disk, world->before) ? NULL
			                                    : "recovering does not bring it back";
		/* Some images say that from the first, and some to the last. */
		if (!is_like(disk, world->before) && !is_like(disk, world->after))
			return "it is pending, and cannot be recovered";
	}
	if (is_like(disk, world->before))
		return NULL;
	if (!is_like(disk, world->after))
		return "it is neither what it was nor what it was to be";
	if (undo(world, disk))
		return "what was done cannot be undone";
	return is_like(disk, world->before) ? NULL : "undoing does not bring it back";
}

struct crash_walk {
	const struct world *world;
	unsigned states;
	unsigned nest;      /* crash the recovery of every so-manieth state, too; 0: of none */
	const char *fault;
	char story[512];
};

static int judge_crash(void *context, struct memfile_crash *crash);

/* Recovers, and has that crash as well. */
static int nest(struct crash_walk *walk, const struct memfile_crash *crash)
{
	const struct memfile_crash_plan plan = { .all_subsets = 4, .seed = walk->states };
	struct crash_walk inner = { .world = walk->world };
	struct memdisk *disk = memdisk_clone(crash->disk);
	int result;

	memdisk_record(disk);
	(void)recover(walk->world, disk);
	result = memdisk_each_crash(disk, &plan, judge_crash, &inner);
	if (result) {
		walk->fault = inner.fault;
		(void)snprintf(walk->story, sizeof walk->story, "%s; then %.300s", crash->story,
		               inner.story);
	}
	walk->states += inner.states;
	memdisk_free(disk);
	return result;
}

static int judge_crash(void *context, struct memfile_crash *crash)
{
	struct crash_walk *walk = context;

	walk->states++;
	if (walk->nest && walk->states % walk->nest == 0 && is_pending(walk->world, crash->disk) &&
	    nest(walk, crash))
		return 1;
	walk->fault = judge_state(walk->world, crash->disk);
	if (walk->fault)
		(void)snprintf(walk->story, sizeof walk->story, "%s", crash->story);
	return walk->fault != NULL;
}

static const struct memfile_crash_plan thorough = {
	.all_subsets = 7,
	.random = 40,
	.torn = 1,
	.seed = 1,
};

static void check_all_crashes(const struct world *world, const struct memdisk *disk)
{
	struct crash_walk walk = { .world = world, .nest = 23 };

	if (memdisk_each_crash(disk, &thorough, judge_crash, &walk))
		CHECK_FAIL("%s (%s)", walk.fault, walk.story);
	CHECK(walk.states > 5);
}

/* ---- the tests --------------------------------------------------------------------------- */

static void crash_repair(enum hm_row row, enum damage damage)
{
	struct world *world = world_new(row, damage);
	struct memdisk *disk = memdisk_clone(world->before);
	bool pending;

	(void)memfolder_has(disk, "image.gow-undo");
	memdisk_record(disk);
	CHECK_OK(repair(world, disk, &pending), &error);
	CHECK(is_like(disk, world->after));
	check_all_crashes(world, disk);
	memdisk_free(disk);
	world_free(world);
}

static void crash_undo(enum hm_row row, enum damage damage)
{
	struct world *world = world_new(row, damage);
	struct memdisk *disk = memdisk_clone(world->before);
	bool pending;

	CHECK_OK(repair(world, disk, &pending), &error);
	memdisk_record(disk);
	CHECK_OK(undo(world, disk), &error);
	CHECK(is_like(disk, world->before));
	CHECK(!memfolder_has(disk, "image.gow-undo"));
	check_all_crashes(world, disk);
	memdisk_free(disk);
	world_free(world);
}

static void repairs_survive_crashes(void)
{
	for (enum damage damage = 0; damage < DAMAGES; damage++)
		crash_repair(HM_SMALL3, damage);
	crash_repair(HM_SMALL1, MAP);
	crash_repair(HM_BIG, EVERYTHING);
	crash_repair(HM_NARROW, MAP);
	crash_repair(HM_WIDE, RUINED);
}

static void undoing_survives_crashes(void)
{
	for (enum damage damage = 0; damage < DAMAGES; damage++)
		crash_undo(HM_SMALL3, damage);
	crash_undo(HM_BIG, EVERYTHING);
	crash_undo(HM_WIDE, RUINED);
}

/* Each sync is needed but the last, after which nothing is written: without it the same states
 * show a fault, or this test would not find one. */
static void every_sync_is_needed(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *disk = memdisk_clone(world->before);
	bool pending;
	size_t syncs;

	(void)memfolder_has(disk, "image.gow-undo");
	memdisk_record(disk);
	CHECK_OK(repair(world, disk, &pending), &error);
	syncs = memdisk_syncs(disk);
	CHECK_EQ(6, syncs);
	for (size_t i = 1; i < syncs; i++) {
		struct memfile_crash_plan plan = thorough;
		struct crash_walk walk = { .world = world };

		plan.ignore_sync = i;
		check_about("without sync %zu", i);
		CHECK(memdisk_each_crash(disk, &plan, judge_crash, &walk) != 0);
	}
	memdisk_free(disk);
	world_free(world);
}

/* Any call fails, once or for good: what is left is one of the states of a crash, and after a
 * failure that was not for good the image is what it was at once. */
static void fail_every_call(enum damage damage, bool undoing, bool for_good)
{
	struct world *world = world_new(HM_SMALL3, damage);

	for (size_t nth = 1;; nth++) {
		struct memdisk *disk = memdisk_clone(world->before);
		bool pending = false, failed;
		const char *fault;
		int code;

		if (undoing)
			CHECK_OK(repair(world, disk, &pending), &error);
		memdisk_fail(disk, &(struct memfile_fault){ .nth = nth, .sys_errno = EIO,
		                                            .partial = 3, .for_good = for_good });
		code = undoing ? undo(world, disk) : repair(world, disk, &pending);
		failed = memdisk_has_failed(disk);
		memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
		check_about("%s, call %zu, %s%s", damage_names[damage], nth,
		            undoing ? "undoing" : "repairing", for_good ? ", for good" : "");
		CHECK_EQ(0, memdisk_open_files(disk));
		if (!code)
			CHECK(is_like(disk, undoing ? world->before : world->after));
		else if (!pending && !undoing)
			CHECK(is_like(disk, world->before));
		fault = judge_state(world, disk);
		if (fault)
			CHECK_FAIL("%s", fault);
		memdisk_free(disk);
		if (!failed)
			break;
	}
	world_free(world);
}

static void failing_calls_leave_it_whole(void)
{
	fail_every_call(MAP, false, false);
	fail_every_call(MAP, false, true);
	fail_every_call(EVERYTHING, false, false);
	fail_every_call(TRUNCATED, false, false);
	fail_every_call(MAP, true, false);
	fail_every_call(EVERYTHING, true, true);
}

/* One bit anywhere in an undo file, or an end too early: it is refused, or (in the marks that
 * come later, of a pending image) still serves. */
static void damaged_undo_files_are_refused(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *whole = memdisk_clone(world->before);
	uint64_t size;
	bool pending;

	CHECK_OK(repair(world, whole, &pending), &error);
	size = memfile_size(memdisk_file(whole, "image.gow-undo"));
	for (uint64_t at = 0; at < size; at++) {
		struct memdisk *disk = memdisk_clone(whole);
		struct memfile *file = memdisk_file(disk, "image.gow-undo");
		uint8_t byte;

		check_about("byte %u", (unsigned)at);
		memfile_get(file, at, &byte, 1);
		byte ^= (uint8_t)(1u << at % 8);
		memfile_put(file, at, &byte, 1);
		CHECK(undo(world, disk) != GOW_OK);
		CHECK(is_like(disk, world->after));
		byte ^= (uint8_t)(1u << at % 8);
		memfile_put(file, at, &byte, 1);
		memfile_resize(file, at);
		CHECK(undo(world, disk) != GOW_OK);
		CHECK(is_like(disk, world->after));
		memdisk_free(disk);
	}
	CHECK_OK(undo(world, whole), &error);
	CHECK(is_like(whole, world->before));
	memdisk_free(whole);
	world_free(world);
}

/* Whatever the guest did since, where the undo would undo it, is not lost. */
static void later_changes_are_not_undone(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *whole = memdisk_clone(world->before);
	struct gow_change change;
	uint64_t size = memfile_size(memdisk_file(world->after, "image"));
	uint64_t old_size = memfile_size(memdisk_file(world->before, "image"));
	bool pending;

	CHECK_OK(repair(world, whole, &pending), &error);
	change = change_in(world, whole);
	CHECK_OK(gow_undo_open(&change.place, 1, false, &change.undo, &error), &error);
	for (uint64_t at = 0; at < size; at += at < 512 || at > size - 600 ? 1 : 1021) {
		uint8_t now, then;

		memfile_get(memdisk_file(whole, "image"), at, &now, 1);
		memfile_get(memdisk_file(world->before, "image"), at, &then, 1);
		if (now == then && at < old_size)
			continue;
		check_about("byte %u", (unsigned)at);
		now ^= 1;
		memfile_put(memdisk_file(whole, "image"), at, &now, 1);
		CHECK_CODE(GOW_ERR_CHANGED, gow_undo_check_done(change.undo, change.image, &error),
		           &error);
		now ^= 1;
		memfile_put(memdisk_file(whole, "image"), at, &now, 1);
	}
	memfile_resize(memdisk_file(whole, "image"), size + 1);
	CHECK_CODE(GOW_ERR_CHANGED, gow_undo_check_done(change.undo, change.image, &error), &error);
	memfile_resize(memdisk_file(whole, "image"), size);
	CHECK_OK(gow_undo_check_done(change.undo, change.image, &error), &error);
	close_change(&change);
	memdisk_free(whole);
	world_free(world);
}

CHECK_MAIN(CHECK_TEST(repairs_survive_crashes), CHECK_TEST(undoing_survives_crashes),
           CHECK_TEST(every_sync_is_needed), CHECK_TEST(failing_calls_leave_it_whole),
           CHECK_TEST(damaged_undo_files_are_refused), CHECK_TEST(later_changes_are_not_undone))
