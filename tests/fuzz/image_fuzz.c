/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damaged images of every made-up layout: judged as by a judge without the library; if sound, read
 * and written by sessions like an array of bytes; if not, salvaged as far as entries lead.
 */
#include "kit/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "journal/open.h"
#include "kit/scene.h"
#include "support/check.h"

static gow_error error;

static void check_judgement(const struct view *view, struct gow_file *file)
{
	uint64_t counts[GOW_PROBLEM_COUNT];
	struct gow_verdict verdict;
	struct gow_unchecked raw;

	view_judge(view, counts);
	CHECK_OK(gow_unchecked_load(file, view->layout, 1, &raw, &error), &error);
	CHECK_OK(gow_judge(&raw, &verdict, &error), &error);
	gow_unchecked_release(&raw);
	for (int i = 0; i < GOW_PROBLEM_COUNT; i++) {
		check_about("%s", gow_problem_get((gow_problem_id)i)->name);
		CHECK_EQ(counts[i], verdict.by_id[i].count);
	}
	check_about("%s", "");
}

static void judge_file(const struct view *view, struct memfile *mem)
{
	struct gow_file *file = memfile_open(mem);

	check_judgement(view, file);
	CHECK_OK(gow_file_close(file, NULL), NULL);
}

static gow_image *open_image(const struct view *view, struct memfile *file,
                             const struct gow_image_policy *policy, int *code)
{
	gow_image *image = NULL;

	*code = gow_image_from_file(memfile_open(file), view->layout, 1, policy, &image, &error);
	return image;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* What the guest sees, by the entries alone. */
static uint8_t *guest_of(const struct view *view)
{
	uint8_t *guest = check_alloc((size_t)view->blocks * BLOCK);

	for (uint64_t i = 0; i < view->blocks; i++)
		view_block(view, i, guest + i * BLOCK);
	return guest;
}

/* Reads all of it in pieces of many sizes. */
static void check_reads(gow_image *image, const uint8_t *guest, struct rng *rng)
{
	static uint8_t bytes[3 * BLOCK];
	const uint64_t size = gow_image_size(image);
	uint64_t at = 0;

	while (at < size) {
		size_t part = 1 + rng_below(rng, sizeof bytes);

		part = size - at < part ? (size_t)(size - at) : part;
		CHECK_OK(gow_image_read(image, at, bytes, part, &error), &error);
		if (fuzz_lies() && !at)
			bytes[0] ^= 1;
		CHECK_BYTES(guest + at, bytes, part);
		at += part;
	}
	CHECK_CODE(GOW_ERR_ARGUMENT, gow_image_read(image, size, bytes, 1, &error), NULL);
}

/* Outside of what may be data there are zeros. */
static void check_holes(gow_image *image, const uint8_t *guest)
{
	static const uint8_t zeros[BLOCK];
	const uint64_t size = gow_image_size(image);
	uint64_t at = 0, start, end;

	while (at < size) {
		CHECK_OK(gow_image_next_data(image, at, &start, &end, &error), &error);
		CHECK(start >= at && end >= start && end <= size);
		for (uint64_t i = at, past = start < end ? start : size; i < past; i += BLOCK)
			CHECK_BYTES(zeros, guest + i, past - i < BLOCK ? (size_t)(past - i) : BLOCK);
		at = start < end ? end : size;
	}
}

static void check_sound(const struct view *view, gow_image *image, struct rng *rng)
{
	uint8_t *guest = guest_of(view);
	gow_digest digest;
	char expected[33];

	CHECK_EQ(view->image.logical_size, gow_image_size(image));
	check_reads(image, guest, rng);
	check_holes(image, guest);
	view_digest(view, expected);
	CHECK_OK(gow_image_digest(image, NULL, &digest, &error), &error);
	CHECK(!strcmp(expected, digest.text));
	free(guest);
}

/* ---- salvage ----------------------------------------------------------------------------- */

static void check_salvage(const struct view *view, struct memfile *file)
{
	const struct gow_image_policy policy = { .salvage = true };
	uint8_t want[BLOCK], have[BLOCK];
	int code;
	gow_image *image = open_image(view, file, &policy, &code);
	uint64_t size;

	if (!image) {
		/* All that may be missing is a size to go by. */
		CHECK(code == GOW_ERR_CORRUPT && !view->valid);
		return;
	}
	size = gow_image_size(image);
	CHECK(!view->valid || size == view->image.logical_size);
	CHECK(size && size % 512 == 0 && size <= view->layout->logical_limit);
	for (uint64_t at = 0; at < size; at += BLOCK) {
		size_t part = size - at < BLOCK ? (size_t)(size - at) : BLOCK;

		CHECK_OK(gow_image_read(image, at, have, part, &error), &error);
		view_block(view, at / BLOCK, want);
		CHECK_BYTES(want, have, part);
	}
	gow_image_close(image);
}

/* ---- sessions ---------------------------------------------------------------------------- */

struct session {
	uint8_t *guest;
	bool written[SCENE_ENTRIES];
	bool changed[SCENE_ENTRIES];
};

/* Writes something; false where the image has no room. */
static bool write_some(struct session *session, gow_image *image, struct input *input)
{
	static uint8_t bytes[3 * BLOCK];
	const uint64_t size = gow_image_size(image);
	struct rng rng = { take_number(input, 1) };
	uint64_t at = (uint64_t)take_below(input, SCENE_ENTRIES) * BLOCK % size;
	size_t count;

	at += take_chance(input, 128) ? take_below(input, BLOCK) : 0;
	at %= size;
	count = take_chance(input, 128) ? 1 + take_below(input, 2 * BLOCK) : BLOCK;
	count = size - at < count ? (size_t)(size - at) : count;
	memset(bytes, 0, count);
	if (take_chance(input, 200)) /* its ends and its middle, which is what code looks at */
		for (size_t i = 0; i < 3; i++)
			bytes[i * (count - 1) / 2] = (uint8_t)(1 + rng_below(&rng, 255));
	if (gow_image_write(image, at, bytes, count, &error)) {
		CHECK_EQ(GOW_ERR_NO_SPACE, error.code);
		return false;
	}
	for (uint64_t i = at / BLOCK; i * BLOCK < at + count; i++) {
		uint64_t from = i * BLOCK > at ? i * BLOCK : at;
		uint64_t past = (i + 1) * BLOCK < at + count ? (i + 1) * BLOCK : at + count;

		session->written[i] = true;
		session->changed[i] |= memcmp(session->guest + from, bytes + (from - at),
		                              (size_t)(past - from)) != 0;
	}
	memcpy(session->guest + at, bytes, count);
	return true;
}

/* Numbers go up by one where something was changed, and nowhere else. */
static void check_numbers(const struct view *old, const struct view *new,
                          const struct session *session)
{
	for (uint32_t i = 0; i < old->layout->map_entries && old->layout->versions_stride; i++) {
		uint32_t was = old->image.versions[i], is = new->image.versions[i];

		check_about("version number of %u: %u, then %u", i, was, is);
		CHECK(is == was || (session->written[i] && is == was + 1));
		CHECK(!session->changed[i] || was == UINT32_MAX || is == was + 1);
	}
}

static void check_session(const struct view *view, struct scene *scene, struct input *input)
{
	const struct gow_image_policy policy = { .write = true };
	struct session session = { .guest = guest_of(view) };
	struct rng rng = { take_number(input, 1) };
	uint32_t writes = take_below(input, 8);
	struct view old, after;
	struct memdisk *kept = memdisk_clone(scene->disk);
	bool room = true;
	int code;
	gow_image *image = open_image(view, scene->file, &policy, &code);

	CHECK(image);
	for (uint32_t i = 0; i < writes && room; i++) {
		room = write_some(&session, image, input);
		if (take_chance(input, 64))
			CHECK_OK(gow_image_flush(image, &error), &error);
	}
	if (room)
		check_reads(image, session.guest, &rng);
	CHECK_OK(gow_image_flush(image, &error), &error);
	gow_image_close(image);
	view_read(&after, view->layout, 1, scene->file);
	judge_file(&after, scene->file);
	if (room) {
		uint64_t counts[GOW_PROBLEM_COUNT];

		view_judge(&after, counts);
		CHECK(!any_corrupt(counts));
		view_read(&old, view->layout, 1, memdisk_file(kept, "image"));
		check_numbers(&old, &after, &session);
		view_release(&old);
		for (uint64_t i = 0; i < after.blocks; i++) {
			uint8_t bytes[BLOCK];

			view_block(&after, i, bytes);
			CHECK_BYTES(session.guest + i * BLOCK, bytes, BLOCK);
		}
	}
	view_release(&after);
	memdisk_free(kept);
	free(session.guest);
}

/* ---- the target -------------------------------------------------------------------------- */

static void check_image(const struct view *view, struct scene *scene, struct input *input)
{
	const struct gow_image_policy policy = { .write = false };
	struct rng rng = { take_number(input, 1) };
	uint64_t counts[GOW_PROBLEM_COUNT];
	gow_image *image;
	int code;

	view_judge(view, counts);
	image = open_image(view, scene->file, &policy, &code);
	CHECK_EQ(any_corrupt(counts) ? GOW_ERR_CORRUPT : GOW_OK, code);
	if (image)
		check_sound(view, image, &rng);
	gow_image_close(image);
	check_salvage(view, scene->file);
	CHECK(scene_is_as_before(scene));
	if (!any_corrupt(counts))
		check_session(view, scene, input);
	CHECK_EQ(0, memdisk_open_files(scene->disk));
}

/* Whether the library takes the same row. */
static void check_row(const struct view *view, const struct gow_layout *rows, struct memfile *mem)
{
	struct gow_file *file = memfile_open(mem);
	struct gow_header header;
	int code = gow_header_read(file, rows, HM_ROWS, &header, &error);

	CHECK_OK(gow_file_close(file, NULL), NULL);
	CHECK_EQ(view->layout ? GOW_OK : GOW_ERR_NOT_GOW, code);
	CHECK(code || header.layout == view->layout);
}

void fuzz_one(struct input *input)
{
	struct gow_layout layout = scene_row(input), rows[HM_ROWS];
	bool far = take_chance(input, 8);
	struct scene scene;
	struct view view;

	/* What the bytes say decides which row it is. */
	for (uint32_t i = 0; i < HM_ROWS; i++)
		rows[i] = hm_layout((enum hm_row)i, layout.map_entries);
	scene_make(&scene, input, &layout);
	scene_damage(&scene, input, far);
	view_read(&view, rows, HM_ROWS, scene.file);
	check_row(&view, rows, scene.file);
	if (view.layout) {
		judge_file(&view, scene.file);
		check_image(&view, &scene, input);
	}
	view_release(&view);
	scene_free(&scene);
}
