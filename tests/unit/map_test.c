/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps: runs of blocks, what is refused, and what can be had of a damaged image. */
#include "image/map.h"

#include <stdlib.h>
#include <string.h>

#include "journal/open.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

enum { BLOCK = 65536 };

static gow_error error;

/* ---- runs -------------------------------------------------------------------------------- */

static void runs_end_where_neighbours_do(void)
{
	const uint32_t none = GOW_UNALLOCATED;
	const uint32_t entries[] = { none, none, 5, 6, 7, 9, 8, none, 0xFFFFFFFE, none, 0, 0, 1 };
	const uint32_t runs[] = { 2, 1, 3, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1 };
	const uint32_t count = sizeof entries / sizeof *entries;
	uint32_t *copy = check_alloc(sizeof entries);
	struct gow_map map = { .entries = copy };

	memcpy(copy, entries, sizeof entries);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t most = 1; most <= count - i; most++) {
			uint32_t physical = 99;

			check_about("entry %u, at most %u", i, most);
			CHECK_EQ(runs[i] < most ? runs[i] : most, gow_entries_run(copy + i, most));
			CHECK_EQ(runs[i] < most ? runs[i] : most, gow_map_run(&map, i, most, &physical));
			CHECK_EQ(entries[i], physical);
		}
	gow_map_release(&map);
	CHECK(!map.entries);
	gow_map_release(&map);
}

/* ---- refusing ---------------------------------------------------------------------------- */

static void corrupt_images_are_refused_with_what_and_where(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct hm_image handmade;
	gow_image *image = NULL;

	hm_make(&handmade, HM_SMALL3, 64);
	handmade.map[7] = 1000;
	handmade.versions[7] = 1;
	hm_write(&handmade, file);
	for (int write = 0; write < 2; write++) {
		const struct gow_image_policy policy = { .write = write };

		CHECK_CODE(GOW_ERR_CORRUPT,
		           gow_image_from_file(memfile_open(file), &handmade.layout, 1, &policy,
		                               &image, &error),
		           &error);
		CHECK(strstr(error.what, "map.range"));
		CHECK_EQ(7, error.block);
		CHECK_EQ(20 + 7 * 4, error.offset);
		CHECK_STR("image", error.file);
		CHECK_EQ(0, memdisk_open_files(disk));
	}
	hm_release(&handmade);
	memdisk_free(disk);
}

/* ---- salvage ----------------------------------------------------------------------------- */

/* By kind, the blocks that were told as lost; and the order in which that happened. */
struct losses {
	bool lost[4][256];
	gow_loss last;
	unsigned kinds_seen;
	uint64_t size;
};

static void hear_loss(void *context, const gow_loss *loss)
{
	struct losses *losses = context;

	CHECK(loss->kind <= GOW_LOSS_BEYOND_SIZE);
	CHECK_EQ(0, loss->start % BLOCK);
	CHECK(loss->length > 0);
	if (losses->kinds_seen >> loss->kind & 1) {
		CHECK_EQ(losses->last.kind, loss->kind);
		CHECK(loss->start >= losses->last.start + losses->last.length);
	}
	losses->kinds_seen |= 1u << loss->kind;
	losses->last = *loss;
	if (loss->kind != GOW_LOSS_BEYOND_SIZE)
		CHECK(loss->start + loss->length <= losses->size);
	for (uint64_t at = loss->start; at < loss->start + loss->length; at += BLOCK)
		losses->lost[loss->kind][at / BLOCK] = true;
}

/* The size as gow-repair would set it: told by the definition. */
static uint64_t mended_size(const struct hm_image *image, uint32_t present)
{
	uint64_t size = 0;

	if (image->logical_size >= 512 && image->logical_size % 512 == 0 &&
	    image->logical_size <= image->layout.logical_limit)
		return image->logical_size;
	for (uint32_t i = 0; i < image->layout.map_entries; i++)
		if (image->map[i] != HM_NONE && image->map[i] < present)
			size = ((uint64_t)i + 1) * BLOCK;
	return size;
}

static void check_salvage(const struct hm_image *image, uint32_t present, uint32_t known)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	const uint64_t size = mended_size(image, present);
	struct losses losses = { .size = size };
	const struct gow_image_policy policy = { .salvage = true, .lost = hear_loss,
		                                 .lost_context = &losses };
	const struct gow_map *map;
	gow_image *made;
	int code;

	hm_write(image, file);
	code = gow_image_from_file(memfile_open(file), &image->layout, 1, &policy, &made, &error);
	if (!size) {
		CHECK_CODE(GOW_ERR_CORRUPT, code, &error);
		CHECK_EQ(0, memdisk_open_files(disk));
		memdisk_free(disk);
		return;
	}
	CHECK_OK(code, &error);
	CHECK_EQ(size, gow_image_size(made));
	map = gow_image_map(made);
	for (uint32_t i = 0; i < image->layout.map_entries; i++) {
		const bool inside = (uint64_t)i * BLOCK < size;
		const bool allocated = i < known && image->map[i] != HM_NONE;
		const bool there = allocated && image->map[i] < present;
		bool shared = false;

		for (uint32_t j = 0; j < known && there; j++)
			shared |= j != i && image->map[j] == image->map[i];
		check_about("%s, entry %u", image->layout.name, i);
		CHECK_EQ(inside && there ? image->map[i] : HM_NONE, map->entries[i]);
		CHECK_EQ(inside && shared, losses.lost[GOW_LOSS_SHARED][i]);
		CHECK_EQ(inside && ((allocated && !there) || i >= known),
		         losses.lost[GOW_LOSS_UNMAPPED][i]);
		CHECK_EQ(!inside && allocated, losses.lost[GOW_LOSS_BEYOND_SIZE][i]);
		if (map->versions)
			CHECK_EQ(image->versions[i], map->versions[i]);
	}
	/* Numbers of which some are cut off are not believed. */
	CHECK_EQ(image->layout.versions_stride && image->file_size >= hm_header_end(&image->layout),
	         map->versions != NULL);
	/* It can be read from end to end. */
	for (uint64_t at = 0; at < size; at += BLOCK) {
		uint8_t byte;

		CHECK_OK(gow_image_read(made, at, &byte, 1, &error), &error);
	}
	gow_image_close(made);
	memdisk_free(disk);
}

static void what_is_left_can_be_had(void)
{
	for (uint64_t seed = 0; seed < 600; seed++) {
		struct rng rng = { seed };
		const uint32_t entries = 1 + rng_below(&rng, 200);
		const uint32_t present = rng_below(&rng, entries + 1);
		struct hm_image image;

		hm_make(&image, (enum hm_row)(seed % HM_ROWS), entries);
		for (uint32_t i = 0; i < entries; i++) {
			image.versions[i] = rng_below(&rng, 5);
			if (rng_chance(&rng, 60))
				image.map[i] = rng_chance(&rng, 90)
				                       ? rng_below(&rng, entries)
				                       : (uint32_t)(0x70000000 + seed);
		}
		image.logical_size = 512 * (1 + (uint64_t)rng_below(&rng, entries * 128));
		if (rng_chance(&rng, 20))
			image.logical_size = rng_chance(&rng, 50) ? 0 : image.layout.logical_limit + 512;
		image.block_count = rng_below(&rng, 60000);
		image.file_size = hm_data_start(&image.layout) + (uint64_t)present * BLOCK;
		check_salvage(&image, present, entries);
		hm_release(&image);
	}
}

/* A header cut anywhere: nothing is left of the data, and the size is kept if it is known. */
static void what_is_left_of_a_header_can_be_had(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct hm_image image;
		struct rng rng = { 5 };

		hm_make(&image, (enum hm_row)row, 40);
		for (uint32_t i = 0; i < 40; i++)
			image.map[i] = rng_chance(&rng, 50) ? HM_NONE : i;
		image.logical_size = 30 * BLOCK - 512;
		for (image.file_size = image.layout.map_offset;
		     image.file_size < hm_header_end(&image.layout); image.file_size++) {
			uint32_t known = 0;

			while (known < 40 &&
			       image.layout.map_offset + known * image.layout.map_stride + 4 <=
			               image.file_size)
				known++;
			check_salvage(&image, 0, known);
		}
		hm_release(&image);
	}
}

static void a_sound_image_is_salvaged_whole(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "image");
	struct losses losses = { .size = 64 * BLOCK };
	const struct gow_image_policy policy = { .salvage = true, .lost = hear_loss,
		                                 .lost_context = &losses };
	struct hm_image handmade;
	gow_image *image;

	hm_make(&handmade, HM_SMALL3, 64);
	handmade.map[3] = 0;
	handmade.versions[3] = 1;
	handmade.block_count = 1;
	handmade.file_size = hm_data_start(&handmade.layout) + BLOCK;
	hm_write(&handmade, file);
	CHECK_OK(gow_image_from_file(memfile_open(file), &handmade.layout, 1, &policy, &image, &error),
	         &error);
	CHECK(!gow_image_is_damaged(image));
	CHECK_EQ(0, losses.kinds_seen);
	gow_image_close(image);
	handmade.map[4] = 0;
	hm_write(&handmade, file);
	CHECK_OK(gow_image_from_file(memfile_open(file), &handmade.layout, 1, &policy, &image, &error),
	         &error);
	CHECK(gow_image_is_damaged(image));
	gow_image_close(image);
	hm_release(&handmade);
	memdisk_free(disk);
}

CHECK_MAIN(CHECK_TEST(runs_end_where_neighbours_do),
           CHECK_TEST(corrupt_images_are_refused_with_what_and_where),
           CHECK_TEST(what_is_left_can_be_had), CHECK_TEST(what_is_left_of_a_header_can_be_had),
           CHECK_TEST(a_sound_image_is_salvaged_whole))
