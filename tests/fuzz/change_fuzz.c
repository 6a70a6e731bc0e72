/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compacting and upgrading in place, cut off anywhere: by a call that fails, or by a crash that
 * leaves some of what was not synced. The guest stays the same, and the next run ends the work.
 */
#include "kit/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kit/scene.h"
#include "ops/inplace/compact.h"
#include "ops/inplace/upgrade.h"
#include "support/check.h"

static gow_error error;

/* ---- cutting off ------------------------------------------------------------------------- */

enum cut { CUT_NONE, CUT_FAIL, CUT_FAIL_FOR_GOOD, CUT_CRASH, CUTS };

struct crash_pick {
	uint32_t left;       /* states to pass over */
	struct memdisk *disk; /* the one picked */
};

static int pick_crash(void *context, struct memfile_crash *crash)
{
	struct crash_pick *pick = context;

	memdisk_free(pick->disk);
	pick->disk = memdisk_clone(crash->disk);
	return pick->left-- == 0;
}

/* Puts the disk into a state that a crash during what was recorded could have left. */
static void crash(struct scene *scene, struct input *input)
{
	const struct memfile_crash_plan plan = { .all_subsets = 3, .random = 2, .torn = 1,
		                                 .seed = take_number(input, 1) };
	struct crash_pick pick = { .left = take_below(input, 200) };

	(void)memdisk_each_crash(scene->disk, &plan, pick_crash, &pick);
	memdisk_free(scene->disk);
	scene->disk = pick.disk;
	scene->file = memdisk_file(scene->disk, "image");
}

/* Does work, and has it cut off; whether it came to its end all the same. */
typedef int (*worker)(struct scene *scene, const void *how);

static int do_and_cut(struct scene *scene, struct input *input, worker work, const void *how)
{
	enum cut cut = (enum cut)take_below(input, CUTS);
	struct memfile_fault fault = { .nth = 1 + take_below(input, 160),
		                       .sys_errno = take_chance(input, 64) ? ENOSPC : EIO,
		                       .partial = take_below(input, 1024),
		                       .for_good = cut == CUT_FAIL_FOR_GOOD };
	static const struct memfile_fault none;
	int code;

	memdisk_record(scene->disk);
	if (cut == CUT_FAIL || cut == CUT_FAIL_FOR_GOOD)
		memdisk_fail(scene->disk, &fault);
	code = work(scene, how);
	CHECK(!memdisk_has_failed(scene->disk) || code || cut == CUT_FAIL);
	memdisk_fail(scene->disk, &none);
	if (cut == CUT_CRASH && !code) {
		crash(scene, input);
		code = GOW_ERR_IO;
	}
	CHECK_EQ(0, memdisk_open_files(scene->disk));
	return code;
}

/* ---- judging ----------------------------------------------------------------------------- */

static bool is_corrupt(const struct view *view)
{
	uint64_t counts[GOW_PROBLEM_COUNT];

	view_judge(view, counts);
	return any_corrupt(counts);
}

static void check_sound_and_same(const struct view *before, struct scene *scene,
                                 const struct gow_layout *layout)
{
	const char *differs;
	struct view now;

	if (fuzz_lies() && before->present)
		memfile_put(scene->file, layout->map_offset, "lies", 4);
	view_read(&now, layout, 1, scene->file);
	CHECK(now.layout);
	CHECK(!is_corrupt(&now));
	differs = views_differ(before, &now);
	if (differs)
		CHECK_FAIL("%s", differs);
	view_release(&now);
}

/* ---- compacting -------------------------------------------------------------------------- */

struct compacting {
	struct gow_layout layout;
	unsigned flags;
	bool dry_run;
	uint32_t batch;
	gow_compact_result *result;
};

static int compact(struct scene *scene, const void *how)
{
	const struct compacting *compacting = how;
	struct gow_lock lock = { .file = NULL };
	struct gow_compact_job job = { .file = memfile_open(scene->file), .lock = &lock,
		                       .rows = &compacting->layout, .row_count = 1,
		                       .flags = compacting->flags,
		                       .dry_run = compacting->dry_run,
		                       .batch_blocks = compacting->batch };
	int code = gow_compact_file(&job, compacting->result, &error);

	CHECK_OK(gow_file_close(job.file, NULL), NULL);
	return code;
}

/* A dry run changes nothing, and says what a real one does. */
static void check_dry_run(struct scene *scene, const struct compacting *how,
                          gow_compact_result *foreseen)
{
	struct compacting dry = *how;

	dry.dry_run = true;
	dry.result = foreseen;
	CHECK_OK(compact(scene, &dry), &error);
	CHECK(scene_is_as_before(scene));
}

static void check_versions(const struct view *old, const struct memfile *file)
{
	struct view new;

	view_read(&new, old->layout, 1, file);
	for (uint32_t i = 0; i < old->layout->map_entries && old->layout->versions_stride; i++)
		CHECK_EQ(old->image.versions[i], new.image.versions[i]);
	view_release(&new);
}

/* Nothing is left to be given back. */
static void check_compacted(const struct view *old, const struct compacting *how,
                            const struct memfile *file)
{
	uint64_t counts[GOW_PROBLEM_COUNT];
	struct view new;

	view_read(&new, old->layout, 1, file);
	view_judge(&new, counts);
	if (!(how->flags & GOW_COMPACT_PUNCH))
		CHECK_EQ(0, counts[GOW_SPACE_LEAK]);
	CHECK_EQ(0, counts[GOW_SPACE_TAIL]);
	view_release(&new);
}

static void fuzz_compact(struct input *input)
{
	gow_compact_result result = { .changed = false }, foreseen;
	struct compacting how = { .layout = scene_row(input), .result = &result };
	struct memdisk *once;
	struct scene scene;
	struct view view;

	how.flags = take_below(input, 4) * GOW_COMPACT_KEEP_ZEROS;
	how.batch = take_below(input, 4);
	scene_make(&scene, input, &how.layout);
	if (take_chance(input, 96))
		scene_damage(&scene, input, false);
	view_read(&view, &how.layout, 1, memdisk_file(scene.before, "image"));
	if (!view.layout || is_corrupt(&view)) {
		CHECK_CODE(view.layout ? GOW_ERR_CORRUPT : GOW_ERR_NOT_GOW, compact(&scene, &how),
		           &error);
		CHECK(scene_is_as_before(&scene));
	} else {
		check_dry_run(&scene, &how, &foreseen);
		if (do_and_cut(&scene, input, compact, &how)) {
			check_sound_and_same(&view, &scene, &how.layout);
			CHECK_OK(compact(&scene, &how), &error);
		} else if (result.written_bytes != foreseen.written_bytes ||
		           result.new_file_size != foreseen.new_file_size ||
		           result.moved_blocks != foreseen.moved_blocks ||
		           result.zero_blocks != foreseen.zero_blocks) {
			CHECK_FAIL("the dry run foresaw something else");
		}
		CHECK_EQ(memfile_size(scene.file), foreseen.new_file_size);
		check_sound_and_same(&view, &scene, &how.layout);
		check_versions(&view, scene.file);
		check_compacted(&view, &how, scene.file);
		once = memdisk_clone(scene.disk);
		CHECK_OK(compact(&scene, &how), &error);
		CHECK(memfile_equal(memdisk_file(once, "image"), scene.file));
		memdisk_free(once);
	}
	view_release(&view);
	scene_free(&scene);
}

/* ---- upgrading --------------------------------------------------------------------------- */

/* A layout whose block 0 begins at `start`, or at the next multiple behind its header. */
static struct gow_layout aligned(enum hm_row row, uint32_t entries, uint32_t start, unsigned version)
{
	struct gow_layout layout = hm_layout(row, entries);

	layout.data_align = start;
	layout.version = version;
	return layout;
}

struct upgrading {
	struct gow_layout rows[2];
	bool rollback;
	gow_upgrade_result *result;
};

/* Ways from one row to another: data shifted by less than a block, or by more, or slots that are
 * moved to the end, or nothing moved at all. */
static void choose_rows(struct upgrading *how, struct input *input)
{
	static const uint32_t starts[] = { 512, 4096, 40960, 65536, 245760, 262144, 276 };
	static const enum hm_row kinds[] = { HM_SMALL1, HM_SMALL2, HM_SMALL3 };
	uint32_t entries = 1 + take_below(input, 20);

	how->rows[0] = aligned(kinds[take_below(input, 3)], entries, starts[take_below(input, 7)], 1);
	how->rows[1] = aligned(kinds[take_below(input, 3)], entries + take_below(input, 5),
	                       starts[take_below(input, 7)], 2);
}

static int upgrade(struct scene *scene, const void *how)
{
	const struct upgrading *upgrading = how;
	struct gow_lock lock = { .file = NULL };
	struct gow_upgrade_job job = { .file = memfile_open(scene->file), .lock = &lock,
		                       .rows = upgrading->rows, .row_count = 2,
		                       .to = &upgrading->rows[1],
		                       .rollback = upgrading->rollback };
	int code = gow_upgrade_file(&job, upgrading->result, &error);

	CHECK_OK(gow_file_close(job.file, NULL), NULL);
	return code;
}

static const struct gow_layout *row_now(const struct upgrading *how, const struct memfile *file,
                                        bool *pending)
{
	struct view view;
	const struct gow_layout *row;

	view_read(&view, how->rows, 2, file);
	CHECK(view.layout);
	row = view.layout;
	*pending = view.image.pending;
	view_release(&view);
	return row;
}

/* What is left of one that was cut off is sound, or can be gone on with, or taken back. What came
 * of that in the end. */
static int end_upgrade(struct scene *scene, struct input *input, const struct view *before,
                       struct upgrading *how)
{
	bool pending;
	const struct gow_layout *row = row_now(how, scene->file, &pending);
	int code;

	if (!pending)
		check_sound_and_same(before, scene, row);
	how->rollback = pending && take_chance(input, 128);
	/* And that may be cut off as well, and one's mind be changed about it. */
	code = do_and_cut(scene, input, upgrade, how);
	if (!code)
		return code;
	(void)row_now(how, scene->file, &pending);
	how->rollback = pending && take_chance(input, 128);
	code = upgrade(scene, how);
	/* Some rows lead nowhere, which shows before anything is changed. */
	CHECK(!code || (code == GOW_ERR_UNSUPPORTED && !pending));
	return code;
}

static void fuzz_upgrade(struct input *input)
{
	gow_upgrade_result result;
	struct upgrading how = { .result = &result };
	const struct gow_layout *row;
	struct scene scene;
	struct view view;
	bool pending;
	int code;

	choose_rows(&how, input);
	if (!gow_layout_is_usable(&how.rows[0]) || !gow_layout_is_usable(&how.rows[1]))
		return;
	scene_make(&scene, input, &how.rows[0]);
	if (take_chance(input, 96))
		scene_damage(&scene, input, false);
	view_read(&view, how.rows, 2, memdisk_file(scene.before, "image"));
	if (!view.layout || is_corrupt(&view)) {
		CHECK_CODE(view.layout ? GOW_ERR_CORRUPT : GOW_ERR_NOT_GOW, upgrade(&scene, &how),
		           &error);
		CHECK(scene_is_as_before(&scene));
	} else {
		code = do_and_cut(&scene, input, upgrade, &how);
		if (code && code != GOW_ERR_UNSUPPORTED)
			code = end_upgrade(&scene, input, &view, &how);
		row = row_now(&how, scene.file, &pending);
		CHECK(!pending);
		CHECK(code == GOW_ERR_UNSUPPORTED || row == &how.rows[how.rollback ? 0 : 1]);
		check_sound_and_same(&view, &scene, row);
		if (code == GOW_ERR_UNSUPPORTED)
			CHECK(scene_is_as_before(&scene));
	}
	view_release(&view);
	scene_free(&scene);
}

void fuzz_one(struct input *input)
{
	if (take_chance(input, 128))
		fuzz_upgrade(input);
	else
		fuzz_compact(input);
}
