/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of fixes against the catalogue, and what repairing does to images at random. */
#include <stdlib.h>
#include <string.h>

#include "ops/repair/fix.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

static gow_error error;

static void every_problem_has_its_row(void)
{
	unsigned turns[GOW_PROBLEM_COUNT] = { 0 };

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		const struct gow_fix *fix = &gow_fixes[i];
		const gow_problem *problem = gow_problem_get((gow_problem_id)i);

		check_about("%s", problem->name);
		CHECK_EQ(i, fix->id);
		CHECK((fix->plan == NULL) == (fix->why_none != NULL));
		/* What is said to be repaired is, or there is something else to be done. */
		if (fix->plan)
			CHECK(problem->fix != NULL);
		if (!problem->fix)
			CHECK(fix->plan == NULL && !fix->preen);
		CHECK(gow_fix_order[i] < GOW_PROBLEM_COUNT);
		turns[gow_fix_order[i]]++;
	}
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		CHECK_EQ(1, turns[i]);
}

/* What gow-repair -p may do at boot, with nobody there to judge: it loses nothing, whatever the image
 * holds. A problem more in this list is a decision, and not a change of the code. */
static void preen_does_what_loses_nothing(void)
{
	static const bool safe[GOW_PROBLEM_COUNT] = {
		[GOW_HEADER_COUNT_LOW] = true,  [GOW_HEADER_COUNT_HIGH] = true,
		[GOW_HEADER_COUNT_WILD] = true, [GOW_HEADER_PADDING] = true,
		[GOW_SPACE_TAIL] = true,        [GOW_VERSION_ZERO] = true,
		[GOW_JOURNAL_PENDING] = true,
	};

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		check_about("%s", gow_problem_get((gow_problem_id)i)->name);
		CHECK_EQ(safe[i], gow_fixes[i].preen);
	}
}

/* ---- damage at random -------------------------------------------------------------------- */

enum { ENTRIES = 40, BLOCKS = 12 };

static uint32_t any_entry(struct rng *rng)
{
	if (rng_chance(rng, 40))
		return HM_NONE;
	return rng_chance(rng, 90) ? rng_below(rng, BLOCKS + 3) : 100000 + rng_below(rng, 5);
}

static void damage(struct hm_image *image, struct rng *rng)
{
	uint64_t data_start = hm_data_start(&image->layout);

	for (uint32_t i = 0; i < ENTRIES; i++) {
		image->map[i] = any_entry(rng);
		image->versions[i] = rng_chance(rng, 5) ? UINT32_MAX : rng_below(rng, 4);
	}
	image->logical_size = rng_chance(rng, 20) ? rng_below(rng, 3) * 511
	                                          : 512 * (1 + (uint64_t)rng_below(rng, 5000));
	image->block_count = rng_below(rng, 4 * BLOCKS);
	image->pending = rng_chance(rng, 20);
	image->file_size = data_start + BLOCKS * UINT64_C(65536) - rng_below(rng, 3) * 1000;
	if (rng_chance(rng, 10))
		image->file_size = rng_below(rng, (uint32_t)data_start) | 128;
}

/* What a guest reads in a block that is in the file: the sum of its place's bytes. */
static bool same_block(const struct hm_image *image, uint32_t physical, struct gow_file *after,
                       const struct gow_layout *layout, uint32_t now)
{
	static uint8_t a[65536], b[65536];
	uint64_t offset = hm_data_start(layout);

	(void)image;
	CHECK_OK(gow_file_read_padded(after, offset + now * UINT64_C(65536), a, sizeof a, &error),
	         &error);
	memset(b, 0, sizeof b);
	/* Each block is filled with its own number. */
	for (size_t i = 0; i < sizeof b; i++) {
		uint64_t at = offset + physical * UINT64_C(65536) + i;

		b[i] = at < image->file_size ? (uint8_t)(physical + 1) : 0;
	}
	return memcmp(a, b, sizeof a) == 0;
}

static void check_guest(const struct hm_image *image, const struct gow_plan *plan)
{
	const struct gow_unchecked *raw = &plan->unchecked;
	uint64_t data_start = hm_data_start(&image->layout);
	bool cut = image->file_size < hm_header_end(&image->layout);

	for (uint32_t i = 0; i < ENTRIES && raw->entries && !cut; i++) {
		uint32_t was = image->map[i], now = raw->entries[i];

		if (was == HM_NONE || data_start + was * UINT64_C(65536) >= image->file_size)
			CHECK_EQ(GOW_UNALLOCATED, now);
		else if (now == GOW_UNALLOCATED)
			CHECK(i >= raw->header.logical_blocks);
		else
			CHECK(same_block(image, was, plan->overlay, &image->layout, now));
	}
}

static void fix_one(enum hm_row row, uint64_t seed)
{
	static const gow_repair_options options = { .level = GOW_REPAIR_ALL,
		                                     .flags = GOW_REPAIR_CLEAR_PENDING };
	struct memdisk *disk = memdisk_new(), *before;
	struct memfile *file = memdisk_file(disk, "image");
	struct rng rng = { seed };
	struct hm_image image;
	struct gow_plan plan, again;
	struct gow_file *base;

	check_about("%s, seed %u", hm_name(row), (unsigned)seed);
	hm_make(&image, row, ENTRIES);
	damage(&image, &rng);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint8_t block[65536];

		memset(block, (int)i + 1, sizeof block);
		memfile_put(file, hm_data_start(&image.layout) + i * UINT64_C(65536), block,
		            sizeof block);
	}
	hm_write(&image, file);
	before = memdisk_clone(disk);
	base = memfile_open(file);
	CHECK_OK(gow_plan_make(&plan, base, &image.layout, &gow_fix_table, &options, &error), &error);
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		/* All that can be repaired is, unless it says why not; no fix fails in silence. */
		if (plan.foreseen.by_id[i].problem)
			CHECK(plan.why_left[i] != NULL);
		if (plan.foreseen.by_id[i].problem && i != GOW_HEADER_SIZE &&
		    i != GOW_JOURNAL_MISSING)
			CHECK(!gow_fixes[i].plan || i == GOW_VERSION_ZERO ||
			      i == GOW_VERSION_EXHAUSTED);
	}
	check_guest(&image, &plan);
	/* A plan for the image as the plan leaves it is empty. */
	CHECK_OK(gow_plan_make(&again, plan.overlay, &image.layout, &gow_fix_table, &options, &error), &error);
	CHECK(gow_plan_is_empty(&again));
	CHECK(memfile_equal(file, memdisk_file(before, "image")));
	gow_plan_release(&again);
	gow_plan_release(&plan);
	CHECK_OK(gow_file_close(base, &error), &error);
	hm_release(&image);
	memdisk_free(before);
	memdisk_free(disk);
}

static void any_damage_is_mended_without_loss(void)
{
	for (enum hm_row row = 0; row < HM_ROWS; row++)
		for (uint64_t seed = 1; seed <= 60; seed++)
			fix_one(row, seed * 7 + row);
}

CHECK_MAIN(CHECK_TEST(every_problem_has_its_row),
           CHECK_TEST(preen_does_what_loses_nothing),
           CHECK_TEST(any_damage_is_mended_without_loss))
