/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairs of damaged images of every made-up layout: nothing that can be repaired is left, nothing
 * a guest could read has changed, a second repair has nothing to do, and undoing gives the
 * original back byte for byte.
 */
#include "kit/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "kit/scene.h"
#include "ops/repair/change.h"
#include "ops/repair/fix.h"
#include "support/check.h"

static gow_error error;

static int judged_well(void *context, struct gow_file *image, gow_error *why)
{
	const struct gow_plan *plan = context;
	struct gow_verdict verdict;
	struct gow_unchecked raw;
	int code = gow_unchecked_load_as(image, plan->layout, &raw, why);

	if (code)
		return code;
	code = gow_judge(&raw, &verdict, why);
	gow_unchecked_release(&raw);
	/* Cleared before it is filled, and without padding. */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	if (!code && memcmp(&verdict, &plan->foreseen, sizeof verdict) != 0)
		code = GOW_ERR_MISMATCH;
	return code;
}

static struct gow_change change_in(struct scene *scene, const struct gow_layout *layout)
{
	return (struct gow_change){
		.image = memfile_open(scene->file),
		.place = { memdirectory_open(scene->disk), "image", layout, 1 },
		.layout = layout,
	};
}

static void close_change(struct gow_change *change)
{
	gow_undo_close(change->undo);
	(void)gow_file_close(change->image, NULL);
	gow_directory_close(change->place.directory);
}

/* Plans and carries out; *changed tells whether there was anything to do. */
static void repair(struct scene *scene, const struct gow_layout *layout,
                   const gow_repair_options *options, bool *changed)
{
	struct gow_change change = change_in(scene, layout);
	struct gow_plan plan;
	bool pending = false;

	CHECK_OK(gow_plan_make(&plan, change.image, layout, &gow_fix_table, options, &error), &error);
	*changed = !gow_plan_is_empty(&plan);
	CHECK(scene_is_as_before(scene) || !*changed);
	if (*changed)
		CHECK_OK(gow_change_commit(&change, plan.overlay, "fuzz", NULL, judged_well, &plan,
		                           &pending, &error),
		         &error);
	CHECK(!pending);
	gow_plan_release(&plan);
	close_change(&change);
}

static void undo(struct scene *scene, const struct gow_layout *layout)
{
	struct gow_change change = change_in(scene, layout);
	uint32_t *layers;
	size_t count;

	CHECK_OK(gow_undo_layers(&change.place, &layers, &count, &error), &error);
	CHECK_EQ(1, count);
	CHECK_OK(gow_undo_open(&change.place, layers[0], true, &change.undo, &error), &error);
	CHECK(change.undo && change.undo->done);
	CHECK_OK(gow_undo_check_done(change.undo, change.image, &error), &error);
	CHECK_OK(gow_change_roll_back(&change, &error), &error);
	CHECK(!memdirectory_has(scene->disk, "image.gow-undo"));
	free(layers);
	close_change(&change);
}

/* ---- what is right ----------------------------------------------------------------------- */

/* Whether a problem that can be repaired may stay anyway. */
static bool may_stay(const struct view *old, const struct view *new, int id,
                     const uint64_t *counts, const gow_repair_options *options)
{
	uint32_t highest = 0;

	switch (id) {
	case GOW_HEADER_SIZE: /* nobody says it, and no block tells it */
		for (uint32_t i = 0; i < old->layout->map_entries && !old->truncated; i++)
			if (old->image.map[i] < old->present)
				return false;
		return options->size == 0;
	case GOW_JOURNAL_MISSING: /* the last to go */
		if (!(options->flags & GOW_REPAIR_CLEAR_PENDING))
			return true;
		for (int i = 0; i < GOW_PROBLEM_COUNT; i++)
			if (counts[i] && i != id &&
			    gow_problem_get((gow_problem_id)i)->severity == GOW_CORRUPT)
				return true;
		return false;
	case GOW_VERSION_EXHAUSTED:
		return !(options->flags & GOW_REPAIR_RESET_VERSIONS);
	case GOW_VERSION_ZERO:
		for (uint32_t i = 0; i < new->layout->map_entries; i++)
			highest = new->image.versions[i] > highest ? new->image.versions[i] : highest;
		return highest >= UINT32_MAX - 1;
	case GOW_SPACE_LEAK:
		return true;
	default:
		return false;
	}
}

static void check_repaired(const struct view *old, const struct view *new,
                         const gow_repair_options *options)
{
	uint64_t counts[GOW_PROBLEM_COUNT];

	view_judge(new, counts);
	for (int i = 0; i < GOW_PROBLEM_COUNT && options->level == GOW_REPAIR_ALL; i++) {
		check_about("%s", gow_problem_get((gow_problem_id)i)->name);
		CHECK(!counts[i] || may_stay(old, new, i, counts, options));
	}
	check_about("%s", "");
}

/* Whatever an entry led to is there as before. */
static void check_guest(const struct view *old, const struct view *new)
{
	uint8_t before[BLOCK], after[BLOCK];

	if (old->valid && !old->truncated)
		CHECK(new->image.logical_size >= old->image.logical_size);
	for (uint64_t i = 0; i < old->blocks && i < new->blocks && !old->truncated; i++) {
		uint64_t size = old->valid ? old->image.logical_size : new->image.logical_size;

		view_block(old, i, before);
		view_block(new, i, after);
		size -= i * BLOCK;
		check_about("guest block %u", (unsigned)i);
		CHECK_BYTES(before, after, size < BLOCK ? (size_t)size : BLOCK);
	}
}

/* A size that nobody told covers every block that can be had. */
static void check_new_size(const struct view *old, const struct view *new,
                           const gow_repair_options *options)
{
	if (old->valid || old->truncated || !new->valid || options->size)
		return;
	for (uint64_t i = 0; i < old->layout->map_entries; i++)
		if (old->image.map[i] < old->present)
			CHECK(i < new->blocks);
}

static void check_repair(struct scene *scene, const struct view *old,
                         const gow_repair_options *options)
{
	const struct gow_layout layout = *old->layout;
	struct view new;
	bool changed, again;

	repair(scene, &layout, options, &changed);
	if (fuzz_lies())
		memfile_put(scene->file, layout.map_offset, "lies", 4);
	view_read(&new, &layout, 1, scene->file);
	CHECK(new.layout);
	check_repaired(old, &new, options);
	check_guest(old, &new);
	check_new_size(old, &new, options);
	view_release(&new);
	repair(scene, &layout, options, &again);
	CHECK(!again);
	if (changed)
		undo(scene, &layout);
	CHECK(scene_is_as_before(scene));
	CHECK_EQ(0, memdisk_open_files(scene->disk));
}

void fuzz_one(struct input *input)
{
	struct gow_layout layout = scene_row(input);
	gow_repair_options options = {
		.level = take_chance(input, 48) ? GOW_REPAIR_PREEN : GOW_REPAIR_ALL,
		.flags = GOW_REPAIR_CLEAR_PENDING |
		         (take_chance(input, 64) ? GOW_REPAIR_RESET_VERSIONS : 0),
		.size = take_chance(input, 64) ? 512 + 512 * (uint64_t)take_below(input, 65536) : 0,
	};
	struct scene scene;
	struct view view;

	if (options.size > layout.logical_limit)
		options.size = layout.logical_limit;
	scene_make(&scene, input, &layout);
	scene_damage(&scene, input, false);
	view_read(&view, &layout, 1, scene.file);
	if (view.layout)
		check_repair(&scene, &view, &options);
	view_release(&view);
	scene_free(&scene);
}
