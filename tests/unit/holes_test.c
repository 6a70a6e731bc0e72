/* SPDX-License-Identifier: BSD-2-Clause */
/* Surveys against the files that they are of. */
#include "io/holes.h"

#include "support/check.h"
#include "support/memfile.h"

enum { PAGE = 4096, PAGES = 600 };

static gow_error error;

/* Pages of data and of hole at random; a hole map of all of it, in some parts. */
struct world {
	bool data[PAGES];
	struct memdisk *disk;
	struct gow_file *file;
	struct gow_hole_map map;
};

static void make(struct world *world, uint64_t seed, unsigned share, size_t limit)
{
	struct rng rng = { seed };
	const uint8_t byte = 1;
	uint32_t at = 0;

	*world = (struct world){ .disk = memdisk_new() };
	memfile_resize(memdisk_file(world->disk, "image"), (uint64_t)PAGES * PAGE);
	for (uint32_t i = 0; i < PAGES; i++) {
		world->data[i] = rng_chance(&rng, share);
		if (world->data[i])
			memfile_put(memdisk_file(world->disk, "image"),
			            (uint64_t)i * PAGE + rng_below(&rng, PAGE), &byte, 1);
	}
	world->file = memfile_open(memdisk_file(world->disk, "image"));
	gow_hole_map_init(&world->map, limit);
	while (at < PAGES) {
		uint32_t part = 1 + rng_below(&rng, PAGES - at);

		CHECK_OK(gow_hole_map_add(&world->map, world->file, (uint64_t)at * PAGE,
		                        (uint64_t)(at + part) * PAGE, &error),
		         &error);
		at += part;
	}
}

static void release(struct world *world)
{
	gow_hole_map_release(&world->map);
	CHECK_OK(gow_file_close(world->file, &error), &error);
	memdisk_free(world->disk);
}

static void it_says_what_the_file_says(void)
{
	for (uint64_t seed = 1; seed < 30; seed++) {
		struct world world;

		check_about("seed %u", (unsigned)seed);
		make(&world, seed, (unsigned)seed * 3, PAGES);
		for (uint64_t at = 0; at < (uint64_t)PAGES * PAGE; at += 1021) {
			uint64_t start, end, told_start, told_end;

			CHECK_OK(gow_file_next_data(world.file, at, &start, &end, &error), &error);
			gow_hole_map_next_data(&world.map, at, &told_start, &told_end);
			CHECK_EQ(start, told_start);
			CHECK_EQ(end, told_end);
		}
		release(&world);
	}
}

/* It stays what it was, whatever becomes of the file. */
static void it_does_not_change_with_the_file(void)
{
	struct world world;
	uint64_t start, end;

	make(&world, 1, 0, 64);
	memfile_put(memdisk_file(world.disk, "image"), 5 * PAGE, "x", 1);
	gow_hole_map_next_data(&world.map, 0, &start, &end);
	CHECK_EQ(start, end);
	release(&world);
}

/* With too many runs for it holes are taken for data, the shortest ones first; never the other way
 * round. */
static void many_runs_are_told_in_few(void)
{
	static const size_t limits[] = { 2, 3, 8, 50 };

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct world world;
		uint32_t longest = 0, hole = 0;

		check_about("limit %zu", limits[i]);
		make(&world, 40 + i, 40, limits[i]);
		CHECK(world.map.count && world.map.count <= limits[i]);
		for (uint32_t page = 0; page < PAGES; page++) {
			uint64_t at = (uint64_t)page * PAGE, start, end;

			gow_hole_map_next_data(&world.map, at, &start, &end);
			CHECK(!world.data[page] || (start == at && end > start));
			hole = world.data[page] ? 0 : hole + 1;
			if (hole && start == at && end > start && hole > longest)
				longest = hole;
		}
		CHECK((uint64_t)longest * PAGE <= world.map.grain);
		release(&world);
	}
}

CHECK_MAIN(CHECK_TEST(it_says_what_the_file_says), CHECK_TEST(it_does_not_change_with_the_file),
           CHECK_TEST(many_runs_are_told_in_few))
