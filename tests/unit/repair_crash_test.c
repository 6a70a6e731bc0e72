/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairs and their undoing, crashed at every instant: whatever is left must be the image as it
 * was, or as it was to be, or marked as being changed and restored in full by its undo file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ops/repair/repair.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

enum { ENTRIES = 24, BLOCKS = 4 };

static gow_error error;

/* ---- damaged images ---------------------------------------------------------------------- */

enum damage {
	COUNT_AND_PADDING, MAP, EVERYTHING, MISSING, TRUNCATED, RUINED, KEPT, TWICE, ELSEWHERE, DAMAGES
};

static const char *const damage_names[DAMAGES] = {
	"count and padding", "map", "everything", "journal missing", "header cut short",
	"preamble ruined", "everything, and the mark stays at first", "map, and versions later",
	"map, and the undo file is elsewhere",
};

enum { REPAIRS_MAX = 2 };

struct world {
	struct gow_layout layout;
	enum damage damage;
	struct memfile *image;
	/* What the image was, is to be after each repair, and after both in one; with the undo
	 * files. */
	struct memdisk *known[REPAIRS_MAX + 2];
	int known_count;
	int repairs;
};

static bool has_damaged_map(enum damage damage)
{
	return damage == MAP || damage == EVERYTHING || damage == KEPT || damage == TWICE ||
	       damage == ELSEWHERE;
}

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
	if (has_damaged_map(world->damage))
		damage_map(&image);
	if (world->damage == TWICE)
		image.versions[2] = UINT32_MAX;
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
		            (size_t)gow_min(4, image.layout.version_field.width));
	}
	hm_release(&image);
}

/* ---- the work ---------------------------------------------------------------------------- */

enum deed { REPAIR, REPAIR_MORE, UNDO };

static const char *const deed_names[] = { "repair", "another repair", "undo" };

/* A name that is free for an undo file elsewhere. */
static const char *free_name(struct memdisk *disk)
{
	static const char *const names[] = { "/1", "/2", "/3", "/4" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char full[16];

		(void)snprintf(full, sizeof full, MEMDIRECTORY_AWAY "%s", names[i] + 1);
		if (!memdirectory_has(disk, full))
			return names[i];
	}
	CHECK_FAIL("no name is free");
}

static int repair_in(const struct world *world, struct memdisk *disk,
                     const struct gow_repair_target *target, bool more)
{
	const gow_repair_options options = {
		.level = world->damage == KEPT && !more ? GOW_REPAIR_PREEN : GOW_REPAIR_ALL,
		.size = 65536 * 20,
		.assume_version = world->damage == RUINED ? world->layout.version : 0,
		.flags = GOW_REPAIR_CLEAR_PENDING | (more ? GOW_REPAIR_RESET_VERSIONS : 0),
		.undo_file = world->damage == ELSEWHERE ? free_name(disk) : NULL,
	};
	gow_repair_result result;

	return gow_repair_file(target, &options, &result, &error);
}

static int undo_in(const struct gow_repair_target *target)
{
	static const gow_undo_options options;
	gow_undo_result result;

	return gow_repair_undo_file(target, &options, &result, &error);
}

static int carry_out(const struct world *world, struct memdisk *disk, enum deed deed)
{
	struct gow_lock lock = { .file = NULL };
	const struct gow_repair_target target = {
		.file = memfile_open(memdisk_file(disk, "image")),
		.lock = &lock,
		.place = { memdirectory_open(disk), "image", &world->layout, 1 },
	};
	int code = deed == UNDO ? undo_in(&target)
	                        : repair_in(world, disk, &target, deed == REPAIR_MORE);

	(void)gow_file_close(target.file, NULL);
	gow_directory_close(target.place.directory);
	return code;
}

static int repair(const struct world *world, struct memdisk *disk)
{
	return carry_out(world, disk, REPAIR);
}

static int undo(const struct world *world, struct memdisk *disk)
{
	return carry_out(world, disk, UNDO);
}

static bool is_like(struct memdisk *disk, struct memdisk *other)
{
	return memfile_equal(memdisk_file(disk, "image"), memdisk_file(other, "image"));
}

/* What a repair makes of a known image becomes known as well. */
static void learn(struct world *world, int from, enum deed deed)
{
	struct memdisk *repaired = memdisk_clone(world->known[from]);

	CHECK_OK(carry_out(world, repaired, deed), &error);
	CHECK(!is_like(repaired, world->known[from]));
	CHECK(memdirectory_has(repaired, from ? "image.gow-undo.2" : "image.gow-undo"));
	CHECK_EQ(0, memdisk_open_files(repaired));
	world->known[world->known_count++] = repaired;
}

static struct world *world_new(enum hm_row row, enum damage damage)
{
	struct world *world = check_alloc(sizeof *world);

	check_about("%s, %s", hm_name(row), damage_names[damage]);
	world->damage = damage;
	world->repairs = damage == TWICE || damage == KEPT ? 2 : 1;
	world->known[world->known_count++] = memdisk_new();
	world->image = memdisk_file(world->known[0], "image");
	make_image(world, row);
	learn(world, 0, REPAIR);
	if (world->repairs == 2) {
		learn(world, 1, REPAIR_MORE);
		learn(world, 0, REPAIR_MORE);
	}
	return world;
}

static void world_free(struct world *world)
{
	for (int i = 0; i < world->known_count; i++)
		memdisk_free(world->known[i]);
	free(world);
}

/* ---- what may be left -------------------------------------------------------------------- */

/* Which of the known images that is; -1: none. */
static int find_known(const struct world *world, struct memdisk *disk)
{
	for (int i = 0; i < world->known_count; i++)
		if (is_like(disk, world->known[i]))
			return i;
	return -1;
}

static bool is_pending(const struct world *world, struct memdisk *disk)
{
	uint8_t magic[4];

	memfile_get(memdisk_file(disk, "image"), world->layout.magic_offset, magic, 4);
	return memcmp(magic, world->layout.magic_pending, 4) == 0;
}

static const char left[] = "an undo file is left";

/* Undoes as often as it goes: that must lead back to the beginning, by known images only, and
 * leave nothing behind. */
static const char *take_all_back(const struct world *world, struct memdisk *disk)
{
	int at = find_known(world, disk);

	for (int i = 0; i <= world->repairs; i++) {
		bool pending = is_pending(world, disk);
		int now;

		if (undo(world, disk))
			break;
		now = find_known(world, disk);
		if (now < 0)
			return "undoing makes something else of it";
		/* Some images are marked from the first, and an interrupted repair of one may have
		 * changed nothing yet. */
		if (at >= 0 && (pending ? now > at : now >= at))
			return "undoing goes the wrong way";
		at = now;
	}
	if (find_known(world, disk) != at)
		return "undoing fails, and changes it";
	if (at != 0)
		return "what was done cannot be undone";
	return memdirectory_has(disk, "image.gow-undo") ||
	                       memdirectory_has(disk, "image.gow-undo.2")
	               ? left
	               : NULL;
}

static const char *repair_again(const struct world *world, struct memdisk *disk)
{
	for (int i = 0; i < world->repairs; i++)
		if (carry_out(world, disk, i ? REPAIR_MORE : REPAIR))
			return "it cannot be repaired";
	return find_known(world, disk) >= world->repairs ? take_all_back(world, disk)
	                                                 : "repairing makes something else of it";
}

/* NULL, or what is wrong with a state that was found after a crash or a failure. */
static const char *judge_state(const struct world *world, struct memdisk *disk)
{
	struct memdisk *again;
	const char *fault;

	if (find_known(world, disk) < 0 && !is_pending(world, disk))
		return "it is neither what it was nor what it was to be";
	again = memdisk_clone(disk);
	fault = repair_again(world, again);
	memdisk_free(again);
	return fault ? fault : take_all_back(world, disk);
}

struct crash_walk {
	const struct world *world;
	unsigned states;
	unsigned nest;      /* crash the recovery of every so-manieth state, too; 0: of none */
	/* A mark whose sync failed may say that a change is done that was rolled back: the image is as it
	 * was, and such an undo file is passed over, not removed, since the image may have been restored
	 * from a backup. */
	bool may_leave;
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
	(void)undo(walk->world, disk);
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
	if (walk->fault == left && walk->may_leave)
		walk->fault = NULL;
	if (walk->fault)
		(void)snprintf(walk->story, sizeof walk->story, "%s", crash->story);
	return walk->fault != NULL;
}

static const struct memfile_crash_plan thorough = {
	.all_subsets = 7,
	.random = 40,
	.torn = 1,
	.seed = 1,
	.each = CHECK_SAMPLE,
};

static void check_all_crashes(const struct world *world, const struct memdisk *disk)
{
	struct crash_walk walk = { .world = world, .nest = 23 };

	if (memdisk_each_crash(disk, &thorough, judge_crash, &walk))
		CHECK_FAIL("%s (%s)", walk.fault, walk.story);
	CHECK(walk.states > 5 || CHECK_SAMPLE > 1);
}

/* ---- the tests --------------------------------------------------------------------------- */

static void crash_repair(enum hm_row row, enum damage damage)
{
	struct world *world = world_new(row, damage);
	struct memdisk *disk = memdisk_clone(world->known[0]);

	memdisk_record(disk);
	CHECK_OK(repair(world, disk), &error);
	CHECK(is_like(disk, world->known[1]));
	check_all_crashes(world, disk);
	memdisk_free(disk);
	world_free(world);
}

static void crash_undo(enum hm_row row, enum damage damage)
{
	struct world *world = world_new(row, damage);
	struct memdisk *disk = memdisk_clone(world->known[0]);

	CHECK_OK(repair(world, disk), &error);
	memdisk_record(disk);
	CHECK_OK(undo(world, disk), &error);
	CHECK(is_like(disk, world->known[0]));
	CHECK(!memdirectory_has(disk, "image.gow-undo"));
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

/* Whether a crash shows that this sync was left out. */
static bool is_missed(const struct world *world, const struct memdisk *disk, size_t sync)
{
	struct memfile_crash_plan plan = thorough;
	struct crash_walk walk = { .world = world };

	plan.ignore_sync = sync;
	plan.each = 1;
	return memdisk_each_crash(disk, &plan, judge_crash, &walk) != 0;
}

/* Each sync is needed but the first two, which settle what others did and are looked at below, and
 * the last, after which nothing is written: without it some state shows a fault, or these tests
 * would not find one. When the second of two repairs is taken back, the first one's undo file could
 * serve in place of the sync before the second's is removed. */
static void check_each_sync(const struct world *world, int done, enum deed deed, size_t count)
{
	struct memdisk *disk = memdisk_clone(world->known[done]);

	memdisk_record(disk);
	CHECK_OK(carry_out(world, disk, deed), &error);
	CHECK_EQ(count, memdisk_syncs(disk));
	for (size_t i = 1; i <= count; i++) {
		check_about("%s, %s, without sync %zu", damage_names[world->damage],
		            deed_names[deed], i);
		CHECK_EQ(i > 2 && i < count - (done == 2), is_missed(world, disk, i));
	}
	memdisk_free(disk);
}

static void every_sync_is_needed(void)
{
	static const struct {
		enum damage damage;
		size_t repair, undo;
	} cases[] = { { MAP, 9, 7 }, { ELSEWHERE, 11, 8 }, { TWICE, 9, 7 } };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world *world = world_new(HM_SMALL3, cases[i].damage);

		check_each_sync(world, 0, REPAIR, cases[i].repair);
		check_each_sync(world, 1, UNDO, cases[i].undo);
		if (world->repairs == 2) {
			check_each_sync(world, 1, REPAIR_MORE, cases[i].repair);
			check_each_sync(world, 2, UNDO, cases[i].undo);
		}
		world_free(world);
	}
}

/* ---- killed, resumed, crashed ------------------------------------------------------------ */

/* Ends a deed at its nth call that changes anything; false: it came to its end. */
static bool kill_at(const struct world *world, struct memdisk *disk, enum deed deed, size_t nth)
{
	const struct memfile_fault kill = {
		.nth = nth, .for_good = true, .sys_errno = EIO,
		.kinds = MEMFILE_ALL_KINDS & ~(1u << MEMFILE_READ | 1u << MEMFILE_SIZE |
		                               1u << MEMFILE_NEXT_DATA)
	};
	bool killed;

	memdisk_fail(disk, &kill);
	(void)carry_out(world, disk, deed);
	killed = memdisk_has_failed(disk);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
	return killed;
}

/* So many repairs were done in peace; then a deed is killed, and another one done. */
struct sequel {
	int done;
	enum deed killed, next;
};

/* What a run that was killed had not synced is in the files for the next run to see, and may still
 * be lost: nothing may be built on it. */
static void kill_and_go_on(const struct world *world, const struct sequel *sequel,
                           bool missed[2])
{
	static const struct memfile_crash_plan plan = { .all_subsets = 4, .random = 4, .torn = 1,
		                                        .seed = 17, .each = CHECK_SAMPLE };
	bool killed = true;

	for (size_t nth = 1; killed; nth++) {
		struct memdisk *disk = memdisk_clone(world->known[sequel->done]);
		struct crash_walk walk = { .world = world };
		size_t syncs;

		check_about("%s, after %d: %s killed at %zu, then %s", damage_names[world->damage],
		            sequel->done, deed_names[sequel->killed], nth, deed_names[sequel->next]);
		memdisk_record(disk);
		killed = kill_at(world, disk, sequel->killed, nth);
		syncs = memdisk_syncs(disk);
		(void)carry_out(world, disk, sequel->next);
		CHECK_EQ(0, memdisk_open_files(disk));
		if (memdisk_each_crash(disk, &plan, judge_crash, &walk))
			CHECK_FAIL("%s (%s)", walk.fault, walk.story);
		/* The image, and the directory. */
		for (size_t i = 0; i < 2; i++) {
			struct memfile_crash_plan without = plan;

			without.ignore_sync = syncs + i + 1;
			if (!missed[i])
				missed[i] = memdisk_each_crash(disk, &without, judge_crash,
				                               &walk) != 0;
		}
		memdisk_free(disk);
	}
}

static void killed_and_gone_on_with_it_survives_a_crash(void)
{
	static const struct sequel sequels[] = {
		{ 0, REPAIR, REPAIR }, { 0, REPAIR, UNDO }, { 1, UNDO, REPAIR }, { 1, UNDO, UNDO },
		{ 1, REPAIR_MORE, REPAIR_MORE }, { 1, REPAIR_MORE, UNDO }, { 2, UNDO, UNDO },
		{ 2, UNDO, REPAIR_MORE }, { 2, UNDO, REPAIR }, { 0, REPAIR, REPAIR_MORE },
		{ 1, UNDO, REPAIR_MORE }
	};
	bool missed[2] = { false };

	for (enum damage damage = 0; damage < DAMAGES; damage++) {
		struct world *world = world_new(HM_SMALL3, damage);
		size_t count = world->repairs == 2 ? sizeof sequels / sizeof *sequels : 4;

		for (size_t i = 0; i < count; i++)
			kill_and_go_on(world, &sequels[i], missed);
		world_free(world);
	}
	/* Without that of the image nothing shows: the marks are written again, and synced, before
	 * a layer that they no longer need is removed. */
	check_about("without settling the directory");
	CHECK(missed[1]);
}

/* The nth sync of a deed fails, and loses data for good that reads still show; the disk recovers, and
 * another run resumes it. false: there was no nth sync. */
static bool fail_and_go_on(const struct world *world, const struct sequel *sequel, size_t nth,
                           enum memfile_loss lose, bool refuse_drop)
{
	static const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .seed = 29,
		                                        .each = 7 * CHECK_SAMPLE };
	const struct memfile_fault fault = { .nth = nth, .kinds = 1u << MEMFILE_SYNC,
		                             .sys_errno = EIO, .lose = lose, .seed = nth };
	struct memdisk *disk = memdisk_clone(world->known[sequel->done]);
	struct crash_walk walk = { .world = world, .may_leave = true };
	const char *wrong;
	bool failed;

	check_about("%s, after %d: sync %zu of %s loses %d%s, then %s", damage_names[world->damage],
	            sequel->done, nth, deed_names[sequel->killed], (int)lose,
	            refuse_drop ? ", the cache stays" : "", deed_names[sequel->next]);
	memdisk_refuse_drop(disk, refuse_drop);
	memdisk_record(disk);
	memdisk_fail(disk, &fault);
	(void)carry_out(world, disk, sequel->killed);
	failed = memdisk_has_failed(disk);
	memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
	(void)carry_out(world, disk, sequel->next);
	CHECK_EQ(0, memdisk_open_files(disk));
	if (failed && memdisk_each_crash(disk, &plan, judge_crash, &walk))
		CHECK_FAIL("%s (%s)", walk.fault, walk.story);
	/* Nor is anything missing after a remount. */
	memdisk_refuse_drop(disk, false);
	memdisk_drop_caches(disk);
	wrong = judge_state(world, disk);
	if (wrong && wrong != left)
		CHECK_FAIL("%s, after a remount", wrong);
	memdisk_free(disk);
	return failed;
}

static void a_run_after_a_failed_sync_survives_a_crash(void)
{
	static const struct sequel sequels[] = {
		{ 0, REPAIR, REPAIR }, { 0, REPAIR, UNDO }, { 1, UNDO, UNDO }, { 1, UNDO, REPAIR }
	};
	static const enum damage damages[] = { MAP, EVERYTHING, ELSEWHERE };

	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		struct world *world = world_new(HM_SMALL3, damages[i]);

		for (size_t k = 0; k < 4 * 2 * MEMFILE_LOSSES; k++) {
			const struct sequel *sequel = &sequels[k % 4];
			size_t nth = 1;

			while (fail_and_go_on(world, sequel, nth, (enum memfile_loss)(k / 8),
			                      k / 4 % 2))
				nth++;
			CHECK(nth >= 3);
		}
		world_free(world);
	}
}

/* Two runs are killed, one after the other, before one comes to its end; false: at that pair of
 * calls the first or the second came to its end. */
static bool kill_twice(const struct world *world, int done, const enum deed deeds[3],
                       const size_t at[2])
{
	static const struct memfile_crash_plan plan = { .all_subsets = 2, .random = 2, .seed = 19,
		                                        .each = CHECK_SAMPLE };
	struct memdisk *disk = memdisk_clone(world->known[done]);
	struct crash_walk walk = { .world = world };
	bool killed;

	check_about("%s, after %d: %s killed at %zu, %s killed at %zu, then %s",
	            damage_names[world->damage], done, deed_names[deeds[0]], at[0],
	            deed_names[deeds[1]], at[1], deed_names[deeds[2]]);
	memdisk_record(disk);
	killed = kill_at(world, disk, deeds[0], at[0]) && kill_at(world, disk, deeds[1], at[1]);
	if (killed) {
		(void)carry_out(world, disk, deeds[2]);
		if (memdisk_each_crash(disk, &plan, judge_crash, &walk))
			CHECK_FAIL("%s (%s)", walk.fault, walk.story);
	}
	memdisk_free(disk);
	return killed;
}

/* There are too many such stories for all of them: some, anywhere. */
static void killed_twice_and_gone_on_with_it_survives_a_crash(void)
{
	enum { STORIES = 30, CALLS = 26 };
	static const enum deed deeds[] = { REPAIR, UNDO, REPAIR_MORE };
	struct rng rng = { 23 };

	for (enum damage damage = 0; damage < DAMAGES; damage++) {
		struct world *world = world_new(HM_SMALL3, damage);
		uint32_t kinds = world->repairs == 2 ? 3 : 2;

		for (int rest = STORIES; rest;) {
			int done = (int)rng_below(&rng, (uint32_t)world->repairs + 1);
			const enum deed of[] = { deeds[rng_below(&rng, kinds)],
				                 deeds[rng_below(&rng, kinds)],
				                 deeds[rng_below(&rng, kinds)] };
			const size_t at[] = { 1 + rng_below(&rng, CALLS), 1 + rng_below(&rng, CALLS) };

			rest -= kill_twice(world, done, of, at);
		}
		world_free(world);
	}
}

/* ---- calls that fail, files that are damaged --------------------------------------------- */

/* Any call fails, once or for good: what is left is one of the states of a crash, and after a
 * failure that was not for good the image is what it was at once. */
static void fail_every_call(enum damage damage, bool undoing, bool for_good)
{
	struct world *world = world_new(HM_SMALL3, damage);

	for (size_t nth = 1;; nth++) {
		struct memdisk *disk = memdisk_clone(world->known[0]);
		bool failed;
		const char *fault;
		int code;

		if (undoing)
			CHECK_OK(repair(world, disk), &error);
		memdisk_fail(disk, &(struct memfile_fault){ .nth = nth, .sys_errno = EIO,
		                                            .partial = 3, .for_good = for_good });
		code = undoing ? undo(world, disk) : repair(world, disk);
		failed = memdisk_has_failed(disk);
		memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
		check_about("%s, call %zu, %s%s", damage_names[damage], nth,
		            undoing ? "undoing" : "repairing", for_good ? ", for good" : "");
		CHECK_EQ(0, memdisk_open_files(disk));
		if (!code)
			CHECK(is_like(disk, undoing ? world->known[0] : world->known[1]));
		else if (!undoing && !is_pending(world, disk))
			/* When only the last sync fails, and nothing can be rolled back. */
			CHECK(is_like(disk, world->known[0]) ||
			      (for_good && is_like(disk, world->known[1])));
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
	struct memdisk *whole = memdisk_clone(world->known[0]);
	uint64_t size;

	CHECK_OK(repair(world, whole), &error);
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
		CHECK(is_like(disk, world->known[1]));
		byte ^= (uint8_t)(1u << at % 8);
		memfile_put(file, at, &byte, 1);
		memfile_resize(file, at);
		CHECK(undo(world, disk) != GOW_OK);
		CHECK(is_like(disk, world->known[1]));
		memdisk_free(disk);
	}
	CHECK_OK(undo(world, whole), &error);
	CHECK(is_like(whole, world->known[0]));
	memdisk_free(whole);
	world_free(world);
}

/* ---- undo files that somebody made up ---------------------------------------------------- */

/* As gow-undo(5) has it. */
enum { SECTOR = 512, RECORD = 32 };
enum { OLD_SIZE = 16, NEW_SIZE = 24, RECORDS_SIZE = 40, HEADER_LENGTH = 48 };

static uint64_t get64(struct memfile *file, uint64_t offset)
{
	uint8_t bytes[8];

	memfile_get(file, offset, bytes, sizeof bytes);
	return gow_load(bytes, 8, GOW_LITTLE_ENDIAN);
}

static void put64(struct memfile *file, uint64_t offset, uint64_t value)
{
	uint8_t bytes[8];

	gow_store(bytes, 8, GOW_LITTLE_ENDIAN, value);
	memfile_put(file, offset, bytes, sizeof bytes);
}

static void seal_sector(struct memfile *file, uint64_t at)
{
	uint8_t sector[SECTOR];

	memfile_get(file, at, sector, sizeof sector);
	put64(file, at + SECTOR - 8, XXH3_64bits(sector, SECTOR - 8));
}

/* Makes all checksums of an edited undo file of a pending image right. */
static void seal_all(struct memfile *file)
{
	uint64_t end = gow_round_up(SECTOR + get64(file, RECORDS_SIZE), SECTOR);
	uint8_t *bytes = check_alloc((size_t)end);
	XXH128_canonical_t digest;

	for (uint64_t at = SECTOR; at + RECORD <= SECTOR + get64(file, RECORDS_SIZE);) {
		uint64_t length = get64(file, at + 8) & UINT32_MAX;

		memfile_get(file, at, bytes, 24);
		memfile_get(file, at + RECORD, bytes + 24, (size_t)length);
		put64(file, at + 24, XXH3_64bits(bytes, 24 + (size_t)length));
		at += RECORD + length;
	}
	seal_sector(file, 0);
	memfile_get(file, 0, bytes, (size_t)end);
	XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes, (size_t)end));
	memfile_put(file, end + 8, digest.digest, sizeof digest.digest);
	seal_sector(file, end);
	free(bytes);
}

/* A repair of that deed that was killed when the image had been marked. */
static struct memdisk *interrupted(const struct world *world, int done, enum deed deed)
{
	for (size_t nth = 1;; nth++) {
		struct memdisk *disk = memdisk_clone(world->known[done]);

		CHECK(kill_at(world, disk, deed, nth));
		if (is_pending(world, disk))
			return disk;
		memdisk_free(disk);
	}
}

/* Neither undoing nor repairing may touch the image. */
static void check_refused(const struct world *world, struct memdisk *disk, const char *why)
{
	struct memdisk *before = memdisk_clone(disk);

	CHECK(undo(world, disk) != GOW_OK);
	CHECK(strstr(error.what, why));
	CHECK(is_like(disk, before));
	memdisk_free(before);
}

static void check_edit(const struct world *world, const struct memdisk *whole, uint64_t field,
                       uint64_t value, const char *why)
{
	struct memdisk *disk = memdisk_clone(whole);
	struct memfile *file = memdisk_file(disk, "image.gow-undo");

	check_about("%llu in the field at %llu", (unsigned long long)value,
	            (unsigned long long)field);
	put64(file, field, value);
	seal_all(file);
	check_refused(world, disk, why);
	memdisk_free(disk);
}

static void edited_undo_files_are_refused(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *whole = interrupted(world, 0, REPAIR), *same = memdisk_clone(whole);
	const uint64_t size = memfile_size(memdisk_file(whole, "image"));
	const uint64_t third = SECTOR + 2 * (RECORD + 4);

	CHECK_EQ(size, get64(memdisk_file(whole, "image.gow-undo"), OLD_SIZE));
	seal_all(memdisk_file(same, "image.gow-undo"));
	CHECK(memfile_equal(memdisk_file(whole, "image.gow-undo"),
	                    memdisk_file(same, "image.gow-undo")));
	check_edit(world, whole, NEW_SIZE, UINT64_MAX, "makes no sense");
	check_edit(world, whole, HEADER_LENGTH, 0, "makes no sense");
	check_edit(world, whole, HEADER_LENGTH, 100, "makes no sense");
	check_edit(world, whole, third, 2, "magic");
	check_edit(world, whole, third, size, "outside");
	/* The image would be cut, or grow without end. */
	put64(memdisk_file(whole, "image.gow-undo"), NEW_SIZE, UINT64_C(1) << 50);
	check_edit(world, whole, OLD_SIZE, UINT64_C(1) << 40, "");
	memfile_resize(memdisk_file(whole, "image"), size + (UINT64_C(1) << 51));
	check_edit(world, whole, OLD_SIZE, size, "");
	memdisk_free(whole);
	memdisk_free(same);
	world_free(world);
}

/* Of what no repair makes, nothing is read. */
static void huge_undo_files_are_refused(void)
{
	const uint64_t huge = UINT64_C(1) << 50;
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *disk = interrupted(world, 0, REPAIR);
	struct memfile *file = memdisk_file(disk, "image.gow-undo");

	put64(file, RECORDS_SIZE, huge);
	seal_sector(file, 0);
	memfile_resize(file, huge + 4 * (uint64_t)SECTOR);
	check_refused(world, disk, "more than a repair");
	memdisk_free(disk);
	world_free(world);
}

/* A layer whose number is the last there can be leaves none for the next. */
static void layers_do_not_run_over(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *disk = memdisk_clone(world->known[0]);

	memfile_put(memdisk_file(disk, "image.gow-undo.2147483647"), 0, "x", 1);
	CHECK_CODE(GOW_ERR_UNSUPPORTED, repair(world, disk), &error);
	CHECK(is_like(disk, world->known[0]));
	memdisk_free(disk);
	world_free(world);
}

/* The change under way may be that of a newer layer which cannot be read: that an older one would
 * fit is no proof, and to lay it over would lose what came between. */
static void an_older_layer_does_not_serve_for_a_damaged_one(void)
{
	struct world *world = world_new(HM_SMALL3, TWICE);
	struct memdisk *disk = interrupted(world, 1, REPAIR_MORE), *before;
	struct memfile *second = memdisk_file(disk, "image.gow-undo.2");
	uint8_t byte;

	memfile_get(second, 700, &byte, 1);
	byte ^= 1;
	memfile_put(second, 700, &byte, 1);
	before = memdisk_clone(disk);
	check_refused(world, disk, "no undo file that can be used");
	CHECK_CODE(GOW_ERR_CORRUPT, repair(world, disk), &error);
	CHECK(is_like(disk, before));
	byte ^= 1;
	memfile_put(second, 700, &byte, 1);
	CHECK_OK(undo(world, disk), &error);
	CHECK_EQ(1, find_known(world, disk));
	memdisk_free(before);
	memdisk_free(disk);
	world_free(world);
}

/* Where the user says that the undo file is to be there are the user's files, too. */
static void files_elsewhere_are_left_alone(void)
{
	struct world *world = world_new(HM_SMALL3, ELSEWHERE);
	struct memdisk *disk = memdisk_clone(world->known[0]);
	uint8_t bytes[4];

	memfile_put(memdisk_file(disk, MEMDIRECTORY_AWAY "1.new"), 0, "mine", 4);
	CHECK_OK(repair(world, disk), &error);
	CHECK(memdirectory_has(disk, MEMDIRECTORY_AWAY "1"));
	CHECK(memdirectory_has(disk, MEMDIRECTORY_AWAY "1.new"));
	memfile_get(memdisk_file(disk, MEMDIRECTORY_AWAY "1.new"), 0, bytes, 4);
	CHECK_BYTES("mine", bytes, 4);
	memdisk_free(disk);
	world_free(world);
}

/* Whatever the guest did since, where the undo would undo it, is not lost. */
static void later_changes_are_not_undone(void)
{
	struct world *world = world_new(HM_SMALL3, MAP);
	struct memdisk *whole = memdisk_clone(world->known[0]);
	struct gow_undo_place place;
	struct gow_undo *layer;
	struct gow_file *image;
	uint64_t size = memfile_size(memdisk_file(world->known[1], "image"));
	uint64_t old_size = memfile_size(memdisk_file(world->known[0], "image"));

	CHECK_OK(repair(world, whole), &error);
	place = (struct gow_undo_place){ memdirectory_open(whole), "image", &world->layout, 1 };
	image = memfile_open(memdisk_file(whole, "image"));
	CHECK_OK(gow_undo_open(&place, 1, false, &layer, &error), &error);
	for (uint64_t at = 0; at < size; at += at < 512 || at > size - 600 ? 1 : 1021) {
		uint8_t now, then;

		memfile_get(memdisk_file(whole, "image"), at, &now, 1);
		memfile_get(memdisk_file(world->known[0], "image"), at, &then, 1);
		if (now == then && at < old_size)
			continue;
		check_about("byte %u", (unsigned)at);
		now ^= 1;
		memfile_put(memdisk_file(whole, "image"), at, &now, 1);
		CHECK_CODE(GOW_ERR_CHANGED, gow_undo_check_done(layer, image, &error),
		           &error);
		now ^= 1;
		memfile_put(memdisk_file(whole, "image"), at, &now, 1);
	}
	memfile_resize(memdisk_file(whole, "image"), size + 1);
	CHECK_CODE(GOW_ERR_CHANGED, gow_undo_check_done(layer, image, &error), &error);
	memfile_resize(memdisk_file(whole, "image"), size);
	CHECK_OK(gow_undo_check_done(layer, image, &error), &error);
	gow_undo_close(layer);
	(void)gow_file_close(image, NULL);
	gow_directory_close(place.directory);
	memdisk_free(whole);
	world_free(world);
}

CHECK_MAIN(CHECK_TEST(repairs_survive_crashes), CHECK_TEST(undoing_survives_crashes),
           CHECK_TEST(every_sync_is_needed),
           CHECK_TEST(killed_and_gone_on_with_it_survives_a_crash),
           CHECK_TEST(a_run_after_a_failed_sync_survives_a_crash),
           CHECK_TEST(killed_twice_and_gone_on_with_it_survives_a_crash), CHECK_TEST(failing_calls_leave_it_whole),
           CHECK_TEST(damaged_undo_files_are_refused),
           CHECK_TEST(edited_undo_files_are_refused), CHECK_TEST(huge_undo_files_are_refused),
           CHECK_TEST(layers_do_not_run_over),
           CHECK_TEST(an_older_layer_does_not_serve_for_a_damaged_one),
           CHECK_TEST(files_elsewhere_are_left_alone),
           CHECK_TEST(later_changes_are_not_undone))
