/* SPDX-License-Identifier: BSD-2-Clause */
/* New files over a disk that loses power: what convert, -o and --salvage make is there whole under
 * its name, or what stood there before is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/builder.h"
#include "io/draft.h"
#include "ops/repair/repair.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"
#include "support/sample.h"

static gow_error error;

static const struct memfile_crash_plan thorough = {
	.all_subsets = 7, .random = 40, .torn = 1, .seed = 1, .each = CHECK_SAMPLE,
};

/* ---- a new image ------------------------------------------------------------------------- */

#define DEST MEMDIRECTORY_AWAY "new"

/* Three blocks and a header; what a sink and a rewriting do. */
static int build(struct gow_file *file)
{
	const struct gow_layout layout = hm_layout(HM_SMALL3, 16);
	struct gow_builder *builder;
	uint8_t block[65536];
	int code = gow_builder_new(file, &layout, &builder, &error);

	for (uint32_t i = 0; i < 3 && !code; i++) {
		memset(block, (int)i + 1, sizeof block);
		code = gow_builder_append(builder, 2 * (uint64_t)i, block, sizeof block, &error);
	}
	if (!code)
		code = gow_builder_finish(builder, 8 * 65536, NULL, &error);
	gow_builder_free(builder);
	return code;
}

static int make_new(struct memdisk *disk, bool force)
{
	struct gow_directory *directory = memdirectory_open(disk);
	const struct gow_draft_options options = { .force = force, .reach_by = directory };
	struct gow_draft *draft = NULL;
	int code = gow_draft_begin("/new", &options, &draft, &error);

	if (!code)
		code = build(gow_draft_file(draft));
	if (code)
		gow_draft_discard(draft);
	else
		code = gow_draft_publish(draft, &error);
	gow_directory_close(directory);
	return code;
}

struct world {
	struct memdisk *before, *after;
	unsigned states;
};

/* A disk with an old file under the name, or none. */
static struct world world_of(bool force)
{
	struct world world = { .before = memdisk_new() };

	if (force)
		memfile_put(memdisk_file(world.before, DEST), 0, "the old one", 11);
	world.after = memdisk_clone(world.before);
	CHECK_OK(make_new(world.after, force), &error);
	CHECK_EQ(0, memdisk_open_files(world.after));
	return world;
}

static void world_free(struct world *world)
{
	memdisk_free(world->before);
	memdisk_free(world->after);
}

static bool is_like(struct memdisk *disk, struct memdisk *other)
{
	if (!memdirectory_has(disk, DEST) || !memdirectory_has(other, DEST))
		return memdirectory_has(disk, DEST) == memdirectory_has(other, DEST);
	return memfile_equal(memdisk_file(disk, DEST), memdisk_file(other, DEST));
}

static int judge(void *context, struct memfile_crash *crash)
{
	struct world *world = context;

	world->states++;
	return !is_like(crash->disk, world->after) && !is_like(crash->disk, world->before);
}

static void old_or_new(void)
{
	for (int force = 0; force < 2; force++) {
		struct world world = world_of(force);
		struct memdisk *disk = memdisk_clone(world.before);
		struct memfile_crash_plan plan = thorough;

		memdisk_record(disk);
		CHECK_OK(make_new(disk, force), &error);
		CHECK(is_like(disk, world.after));
		CHECK_EQ(0, memdisk_each_crash(disk, &plan, judge, &world));
		CHECK(world.states > 20 / CHECK_SAMPLE);
		/* Without the file's sync some state has a name without its content. */
		plan.each = 0;
		plan.ignore_sync = 1;
		CHECK(memdisk_each_crash(disk, &plan, judge, &world));
		memdisk_free(disk);
		world_free(&world);
	}
}

struct walk {
	struct world *world;
	struct memdisk *disk;
	size_t calls; /* of the whole */
};

static int judge_end(void *context, struct memfile_crash *crash)
{
	struct walk *walk = context;

	return crash->calls == walk->calls && !is_like(crash->disk, walk->world->after);
}

/* That the call returned is a promise: the directory was synced before that. */
static void what_is_published_stays(void)
{
	struct world world = world_of(true);
	struct memdisk *disk = memdisk_clone(world.before);
	struct memfile_crash_plan plan = thorough;
	struct walk walk = { .world = &world };

	memdisk_record(disk);
	CHECK_OK(make_new(disk, true), &error);
	CHECK_EQ(2, memdisk_syncs(disk));
	(void)memdisk_log(disk, &walk.calls);
	plan.each = 0;
	CHECK_EQ(0, memdisk_each_crash(disk, &plan, judge_end, &walk));
	plan.ignore_sync = 2;
	CHECK(memdisk_each_crash(disk, &plan, judge_end, &walk));
	memdisk_free(disk);
	world_free(&world);
}

/* Each call fails in turn, and then the power: a failure leaves what stood there, and no temporary
 * file; only when the name is taken already may the new one be there. */
static void a_call_that_fails_leaves_the_old_one(void)
{
	bool has_failed = true;

	for (size_t nth = 1; has_failed; nth++) {
		for (unsigned lose = 0; lose < MEMFILE_LOSSES && has_failed; lose++) {
			struct world world = world_of(true);
			struct memdisk *disk = memdisk_clone(world.before);
			struct memfile_crash_plan plan = { .all_subsets = 4, .seed = nth };
			int code;

			check_about("call %zu, losing %u", nth, lose);
			memdisk_record(disk);
			memdisk_fail(disk, &(struct memfile_fault){
				.nth = nth, .sys_errno = EIO, .partial = 700, .seed = nth,
				.lose = (enum memfile_loss)lose });
			code = make_new(disk, true);
			has_failed = memdisk_has_failed(disk);
			memdisk_fail(disk, &(struct memfile_fault){ .nth = 0 });
			CHECK_EQ(0, memdisk_open_files(disk));
			if (!code)
				CHECK(is_like(disk, world.after));
			CHECK_EQ(0, memdisk_each_crash(disk, &plan, judge, &world));
			memdisk_free(disk);
			world_free(&world);
		}
	}
}

/* ---- what a repair saves ----------------------------------------------------------------- */

#define SAVED MEMDIRECTORY_AWAY "saved"
#define SAVED_INDEX MEMDIRECTORY_AWAY "saved.index"

static int repair(const struct sample_plan *plan, struct memdisk *disk)
{
	struct gow_lock lock = { .file = NULL };
	const struct gow_repair_target target = {
		.file = memfile_open(memdisk_file(disk, "image")),
		.lock = &lock,
		.place = { memdirectory_open(disk), "image", &plan->layout, 1 },
	};
	const gow_repair_options options = { .level = GOW_REPAIR_ALL, .salvage = "/saved" };
	gow_repair_result result;
	int code = gow_repair_file(&target, &options, &result, &error);

	(void)gow_file_close(target.file, NULL);
	gow_directory_close(target.place.directory);
	return code;
}

struct saving {
	struct memdisk *before, *after;
	unsigned states, changed;
};

/* What no entry names any more is elsewhere, whole, before the image is changed. */
static int judge_saved(void *context, struct memfile_crash *crash)
{
	static const char *const names[] = { SAVED, SAVED_INDEX };
	struct saving *saving = context;
	bool untouched = memfile_equal(memdisk_file(crash->disk, "image"),
	                               memdisk_file(saving->before, "image"));

	saving->states++;
	saving->changed += !untouched;
	for (size_t i = 0; i < 2; i++) {
		if (!memdirectory_has(crash->disk, names[i])) {
			if (!untouched)
				return 1;
			continue;
		}
		if (!memfile_equal(memdisk_file(crash->disk, names[i]),
		                   memdisk_file(saving->after, names[i])))
			return 1;
	}
	return 0;
}

static void what_is_saved_is_durable_first(void)
{
	const struct sample_plan plan = {
		.layout = sample_layout(HM_SMALL3, 40, 4096), .present = 12, .leaked = 30,
		.count = 3, .seed = 5,
	};
	struct memfile_crash_plan crashes = thorough;
	struct sample sample;
	struct saving saving;
	struct memdisk *disk;

	sample_make(&sample, &plan);
	CHECK(sample.leaked > 0);
	saving = (struct saving){ .before = sample.pristine };
	saving.after = memdisk_clone(sample.pristine);
	CHECK_OK(repair(&plan, saving.after), &error);
	CHECK(memdirectory_has(saving.after, SAVED));
	disk = memdisk_clone(sample.pristine);
	memdisk_record(disk);
	CHECK_OK(repair(&plan, disk), &error);
	CHECK_EQ(0, memdisk_open_files(disk));
	crashes.each = 1; /* they are few */
	CHECK_EQ(0, memdisk_each_crash(disk, &crashes, judge_saved, &saving));
	CHECK(saving.states > 20 && saving.changed > 0);
	memdisk_free(disk);
	memdisk_free(saving.after);
	sample_free(&sample);
}

CHECK_MAIN(CHECK_TEST(old_or_new), CHECK_TEST(what_is_published_stays),
           CHECK_TEST(a_call_that_fails_leaves_the_old_one),
           CHECK_TEST(what_is_saved_is_durable_first))
