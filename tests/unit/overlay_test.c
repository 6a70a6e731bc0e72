/* SPDX-License-Identifier: BSD-2-Clause */
/* Overlays against plain arrays: whatever is laid over a file, it reads as if it were there. */
#include "io/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/memfile.h"

enum { SIZE = 3000, CALLS = 4000 };

static gow_error error;

struct model {
	uint8_t bytes[SIZE];
	uint8_t base[SIZE];
	uint64_t size;
	uint64_t base_end; /* what a copy still finds of the base */
};

static void change(struct gow_file *overlay, struct model *model, struct rng *rng)
{
	uint32_t offset = rng_below(rng, SIZE);
	uint32_t length = rng_below(rng, rng_chance(rng, 70) ? 12 : SIZE - offset + 1);
	uint32_t source = rng_below(rng, SIZE);
	bool grows = true;

	length = length > SIZE - offset ? SIZE - offset : length;
	switch (rng_below(rng, 5)) {
	case 0:
	case 1:
		rng_fill(rng, model->bytes + offset, length);
		CHECK_OK(gow_file_write(overlay, offset, model->bytes + offset, length, &error),
		         &error);
		break;
	case 2:
		memset(model->bytes + offset, 0, length);
		CHECK_OK(gow_file_zero(overlay, offset, length, &error), &error);
		break;
	case 3:
		for (uint32_t i = 0; i < length; i++)
			model->bytes[offset + i] = source + i < model->base_end && source + i < SIZE
			                                   ? model->base[source + i]
			                                   : 0;
		CHECK_OK(gow_overlay_copy(overlay, offset, source, length, &error), &error);
		break;
	default:
		grows = false;
		if (!rng_chance(rng, 10))
			break;
		CHECK_OK(gow_file_truncate(overlay, offset, &error), &error);
		memset(model->bytes + offset, 0, SIZE - offset);
		model->size = offset;
		model->base_end = offset < model->base_end ? offset : model->base_end;
		/* Copies from the part of the base that is cut off lose it, too. */
		break;
	}
	if (grows && length && offset + length > model->size)
		model->size = offset + length;
}

static void compare(struct gow_file *overlay, const struct model *model, struct rng *rng)
{
	uint32_t offset = rng_below(rng, SIZE + 10);
	uint32_t length = rng_below(rng, SIZE);
	uint8_t bytes[SIZE];
	uint64_t size;
	size_t got, there;

	CHECK_OK(gow_file_size(overlay, &size, &error), &error);
	CHECK_EQ(model->size, size);
	there = offset < size ? (size_t)(size - offset) : 0;
	there = there > length ? length : there;
	CHECK_OK(gow_file_read(overlay, offset, bytes, length, &got, &error), &error);
	CHECK_EQ(there, got);
	if (got)
		CHECK_BYTES(model->bytes + offset, bytes, got);
}

/* Every byte that is not in a run of data is zero, and the runs come to an end. */
static void compare_data(struct gow_file *overlay, const struct model *model)
{
	uint64_t at = 0, start, end;

	do {
		CHECK_OK(gow_file_next_data(overlay, at, &start, &end, &error), &error);
		for (uint64_t i = at; i < (start == end ? model->size : start); i++)
			CHECK_EQ(0, model->bytes[i]);
		at = end;
	} while (start != end);
}

static void reads_like_an_array(void)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct memdisk *disk = memdisk_new();
		struct memfile *file = memdisk_file(disk, "base");
		struct memdisk *before;
		struct model *model = check_alloc(sizeof *model);
		struct rng rng = { seed };
		struct gow_file *base, *overlay;

		check_about("seed %u", (unsigned)seed);
		model->size = model->base_end = SIZE / 2;
		rng_fill(&rng, model->base, SIZE / 2);
		memcpy(model->bytes, model->base, SIZE);
		memfile_put(file, 0, model->base, SIZE / 2);
		before = memdisk_clone(disk);
		base = memfile_open(file);
		CHECK_OK(gow_overlay_new(base, &overlay, &error), &error);
		/* What is copied is fixed when it is read, so the base is cut only before that. */
		for (int i = 0; i < CALLS; i++) {
			uint64_t base_end = model->base_end;

			change(overlay, model, &rng);
			if (model->base_end < base_end)
				break;
			compare(overlay, model, &rng);
			if (i % 64 == 0)
				compare_data(overlay, model);
		}
		CHECK(memfile_equal(file, memdisk_file(before, "base")));
		gow_overlay_own_base(overlay);
		CHECK_OK(gow_file_close(overlay, &error), &error);
		CHECK_EQ(0, memdisk_open_files(disk));
		memdisk_free(before);
		memdisk_free(disk);
		free(model);
	}
}

/* What was cut off does not come back when the overlay grows again. */
static void what_was_cut_stays_cut(void)
{
	enum { LENGTH = 20000, CUT = 5000 };
	struct memdisk *disk = memdisk_new();
	struct memfile *file = memdisk_file(disk, "base");
	uint8_t bytes[LENGTH], back[LENGTH];
	struct gow_file *overlay;

	memset(bytes, 1, sizeof bytes);
	memfile_put(file, 0, bytes, LENGTH);
	CHECK_OK(gow_overlay_new(memfile_open(file), &overlay, &error), &error);
	gow_overlay_own_base(overlay);
	CHECK_OK(gow_file_truncate(overlay, CUT, &error), &error);
	CHECK_OK(gow_file_truncate(overlay, LENGTH, &error), &error);
	memset(bytes + CUT, 0, LENGTH - CUT);
	CHECK_OK(gow_file_read_all(overlay, 0, back, LENGTH, &error), &error);
	CHECK_BYTES(bytes, back, LENGTH);
	/* Nor by a copy of its place. */
	CHECK_OK(gow_overlay_copy(overlay, LENGTH - CUT, CUT - 1, CUT, &error), &error);
	bytes[LENGTH - CUT] = 1;
	CHECK_OK(gow_file_read_all(overlay, 0, back, LENGTH, &error), &error);
	CHECK_BYTES(bytes, back, LENGTH);
	CHECK_OK(gow_file_close(overlay, &error), &error);
	memdisk_free(disk);
}

struct seen {
	uint64_t past;
	unsigned pieces;
};

static int look(void *context, const struct gow_piece *piece, gow_error *why)
{
	struct seen *seen = context;

	(void)why;
	CHECK(piece->offset >= seen->past && piece->length > 0);
	seen->past = piece->offset + piece->length;
	seen->pieces++;
	return GOW_OK;
}

/* Copies of one size that follow each other are kept as runs: by a rule, by a list, broken off, and
 * cut anywhere. */
static void runs_of_copies_read_like_copies(void)
{
	enum { UNIT = 8, COPIES = 3000, LENGTH = UNIT * COPIES, BASE = 4096 };
	static uint8_t base[BASE], expected[LENGTH], bytes[LENGTH];

	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct memdisk *disk = memdisk_new();
		struct memfile *file = memdisk_file(disk, "base");
		struct rng rng = { seed };
		struct seen seen = { 0, 0 };
		struct gow_file *overlay;
		uint64_t source = 0, stride = 0;

		check_about("seed %u", (unsigned)seed);
		rng_fill(&rng, base, BASE);
		memfile_put(file, 0, base, BASE);
		CHECK_OK(gow_overlay_new(memfile_open(file), &overlay, &error), &error);
		gow_overlay_own_base(overlay);
		for (uint32_t i = 0; i < COPIES; i++) {
			if (rng_chance(&rng, (unsigned)seed))
				stride = rng_chance(&rng, 90) ? UNIT * rng_below(&rng, 3) : 3;
			source = source + stride + UNIT > BASE ? 0 : source + stride;
			memcpy(expected + i * UNIT, base + source, UNIT);
			CHECK_OK(gow_overlay_copy(overlay, i * UNIT, source, UNIT, &error), &error);
		}
		for (int i = 0; i < 60; i++) {
			uint32_t at = rng_below(&rng, LENGTH);
			uint32_t length = rng_below(&rng, rng_chance(&rng, 80) ? 30 : 2000);

			length = length > LENGTH - at ? LENGTH - at : length;
			memset(expected + at, i % 2 ? i : 0, length);
			CHECK_OK(i % 2 ? gow_file_write(overlay, at, expected + at, length, &error)
			               : gow_file_zero(overlay, at, length, &error),
			         &error);
			CHECK_OK(gow_file_read_all(overlay, 0, bytes, LENGTH, &error), &error);
			CHECK_BYTES(expected, bytes, LENGTH);
		}
		CHECK_OK(gow_overlay_each(overlay, look, &seen, &error), &error);
		CHECK_EQ(LENGTH, seen.past);
		CHECK_OK(gow_file_close(overlay, &error), &error);
		memdisk_free(disk);
	}
}

static void pieces_ascend_and_never_overlap(void)
{
	struct memdisk *disk = memdisk_new();
	struct gow_file *base = memfile_open(memdisk_file(disk, "base"));
	struct rng rng = { 3 };
	struct seen seen = { 0, 0 };
	struct gow_file *overlay;

	CHECK_OK(gow_overlay_new(base, &overlay, &error), &error);
	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t at = rng_below(&rng, 400000);

		CHECK_OK(gow_file_write(overlay, at, &i, rng_below(&rng, 5), &error), &error);
	}
	CHECK_OK(gow_overlay_each(overlay, look, &seen, &error), &error);
	CHECK(seen.pieces > 1000);
	CHECK_OK(gow_file_close(overlay, &error), &error);
	CHECK_OK(gow_file_close(base, &error), &error);
	memdisk_free(disk);
}

CHECK_MAIN(CHECK_TEST(reads_like_an_array), CHECK_TEST(what_was_cut_stays_cut),
           CHECK_TEST(runs_of_copies_read_like_copies),
           CHECK_TEST(pieces_ascend_and_never_overlap))
