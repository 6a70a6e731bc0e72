/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records of changes with bytes that are not theirs: undo files, and the trailers of upgrades.
 * Whoever takes such a change back (or resumes it) gives the image exactly what belongs to
 * it, or refuses and touches nothing. With sums put right again, as somebody who means harm would,
 * anything may come of it but a crash.
 */
#include "kit/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "journal/trailer.h"
#include "kit/scene.h"
#include "ops/repair/change.h"
#include "ops/repair/fix.h"
#include "ops/inplace/upgrade.h"
#include "support/check.h"

static gow_error error;

/* ---- damage ------------------------------------------------------------------------------ */

struct damage {
	bool any;    /* bytes are other than they were */
	bool sealed; /* and sums say that they are right */
};

static void put_little(uint8_t *bytes, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

/* Seals a sector of an undo file. */
static void seal_sector(struct memfile *file, uint64_t offset)
{
	uint8_t sector[512];

	memfile_get(file, offset, sector, sizeof sector);
	put_little(sector + 504, XXH3_64bits(sector, 504), 8);
	memfile_put(file, offset, sector, sizeof sector);
}

static void hash128(const struct memfile *file, uint64_t offset, size_t size, uint8_t hash[16])
{
	uint8_t *bytes = check_alloc(size);
	XXH128_canonical_t canonical;

	memfile_get(file, offset, bytes, size);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
	memcpy(hash, canonical.digest, 16);
	free(bytes);
}

/* Other bytes, at most 8, in [from, past). */
static bool poke(struct memfile *file, struct input *input, uint64_t from, uint64_t past,
                 uint64_t *where)
{
	const uint64_t near[] = { 0, memfile_size(file), UINT64_MAX, UINT64_C(1) << 63, 512 };
	unsigned width = 1u << take_below(input, 4);
	uint64_t value, at = from + take_below(input, (uint32_t)(past - from));
	uint8_t old[8], new[8];

	/* Fields stand at multiples of their width. */
	at -= take_chance(input, 200) ? at % width : 0;
	if (at < from || at + width > past)
		return false;
	memfile_get(file, at, old, width);
	value = take_near(input, near, 5);
	put_little(new, value, width);
	memfile_put(file, at, new, width);
	*where = at;
	return memcmp(old, new, width) != 0;
}

/* ---- undo files -------------------------------------------------------------------------- */

static uint64_t little(const struct memfile *file, uint64_t offset)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	memfile_get(file, offset, bytes, sizeof bytes);
	for (unsigned i = 8; i > 0; i--)
		value = value << 8 | bytes[i - 1];
	return value;
}

/* Puts the sum of every record right, as far as records can be told. */
static void seal_records(struct memfile *file, uint64_t past)
{
	uint64_t at = 512;

	while (at + 32 <= past) {
		uint64_t length = little(file, at + 8) & UINT32_MAX;
		uint8_t *bytes, sum[8];

		if (length > past - at - 32)
			return;
		bytes = check_alloc(24 + (size_t)length);
		memfile_get(file, at, bytes, 24);
		memfile_get(file, at + 32, bytes + 24, (size_t)length);
		put_little(sum, XXH3_64bits(bytes, 24 + (size_t)length), 8);
		memfile_put(file, at + 24, sum, sizeof sum);
		free(bytes);
		at += 32 + length;
	}
}

/* The first sector, the end, and what came later: so many of done and back. */
static void seal_sectors(struct memfile *file, unsigned marks)
{
	const uint64_t end = memfile_size(file) - 1536;
	uint8_t digest[16];

	seal_sector(file, 0);
	hash128(file, 0, (size_t)end, digest);
	for (unsigned i = 0; i <= marks; i++) {
		memfile_put(file, end + UINT64_C(512) * i + 8, digest, sizeof digest);
		seal_sector(file, end + UINT64_C(512) * i);
	}
}

/* gow-undo(5): the layout, the records, and all of the above. */
static void seal_undo(struct memfile *file, bool done)
{
	const uint64_t size = memfile_size(file);
	uint8_t digest[16];

	if (size < 2048 || size > 1 << 22)
		return;
	if ((little(file, 8) & UINT32_MAX) == 2) {
		hash128(file, 328, 112, digest);
		memfile_put(file, 440, digest, sizeof digest);
	}
	seal_records(file, size - 1536);
	seal_sectors(file, done);
}

/* Writes the file as older programs did: format 1, without the layout. */
static void make_old_undo(struct memfile *file)
{
	static const uint8_t none[128];
	const uint64_t end = memfile_size(file) - 1536;
	uint8_t format[4];
	unsigned marks = 0;

	while (marks < 2 && little(file, end + 512 * (UINT64_C(1) + marks)))
		marks++;
	put_little(format, 1, 4);
	memfile_put(file, 8, format, sizeof format);
	memfile_put(file, 328, none, sizeof none);
	seal_sectors(file, marks);
}

/* In its place a pointer to one elsewhere, which is not there. */
static void point(struct memfile *file, struct input *input)
{
	static const char letters[] = "/.ab\n\200";
	size_t length = take_below(input, 4200), at = 12;
	uint8_t bytes[12 + 4200] = { 'G', 'O', 'W', '-', 'L', 'I', 'N', 'K' };
	uint64_t said = take_chance(input, 32) ? take_number(input, 4) : length;
	struct rng rng = { length };

	put_little(bytes + 8, said, 4);
	for (; at < 12 + length; at++)
		bytes[at] = (uint8_t)letters[at == 12 ? 0 : rng_below(&rng, sizeof letters - 1)];
	memfile_resize(file, 0);
	memfile_put(file, 0, bytes, at);
	put_little(bytes, XXH3_64bits(bytes, at), 8);
	memfile_put(file, at, bytes, 8);
}

static struct damage damage_undo(struct memfile *file, struct input *input, bool done)
{
	struct damage damage = { .sealed = take_chance(input, 96) };
	uint32_t pokes = take_below(input, 4);
	uint64_t size = memfile_size(file), where;

	while (pokes--)
		damage.any |= poke(file, input, 0, take_chance(input, 128) ? 512 : size, &where);
	if (take_chance(input, 24)) {
		memfile_resize(file, take_below(input, (uint32_t)size + 600));
		damage.any |= memfile_size(file) != size;
	}
	if (take_chance(input, 8)) {
		point(file, input);
		return (struct damage){ .any = true };
	}
	damage.sealed &= damage.any;
	if (damage.sealed)
		seal_undo(file, done);
	return damage;
}

static int accept(void *context, struct gow_file *image, gow_error *why)
{
	(void)context;
	(void)image;
	(void)why;
	return GOW_OK;
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

/* Repairs, or has that cut off by a call that fails for good; false where there is nothing to do. */
static bool repair(struct scene *scene, const struct gow_layout *layout, size_t nth)
{
	static const struct memfile_fault none;
	const struct memfile_fault fault = { .nth = nth, .sys_errno = EIO, .for_good = true };
	const gow_repair_options options = { .level = GOW_REPAIR_ALL };
	struct gow_change change = change_in(scene, layout);
	struct gow_plan plan;
	bool pending, any;

	CHECK_OK(gow_plan_make(&plan, change.image, layout, &gow_fix_table, &options, &error),
	         &error);
	any = !gow_plan_is_empty(&plan);
	memdisk_fail(scene->disk, &fault);
	if (any)
		(void)gow_change_commit(&change, plan.overlay, "fuzz", NULL, accept, NULL, &pending,
		                        &error);
	memdisk_fail(scene->disk, &none);
	gow_plan_release(&plan);
	close_change(&change);
	return any;
}

static bool is_pending(const struct memfile *file, const struct gow_layout *layout)
{
	uint8_t magic[4];

	memfile_get(file, layout->magic_offset, magic, sizeof magic);
	return memcmp(magic, layout->magic_pending, sizeof magic) == 0;
}

/* As gow_repair and gow_repair_undo go about it. */
static int take_back(struct scene *scene, const struct gow_layout *layout, bool known)
{
	struct gow_change change = change_in(scene, layout);
	struct gow_undo_search found = { .undo = NULL };
	int code = GOW_OK;

	change.place.row_count = known;
	if (is_pending(scene->file, layout))
		code = gow_undo_find(&change.place, change.image, true, &found, &error);
	change.undo = found.undo;
	/* A repair that is over may have left the mark that it found. */
	if (!code && !change.undo) {
		code = gow_undo_open(&change.place, 1, true, &change.undo, &error);
		if (!code)
			code = gow_undo_check_done(change.undo, change.image, &error);
	}
	if (!code && change.undo) {
		change.layout = change.undo->layout;
		code = gow_change_roll_back(&change, &error);
	}
	close_change(&change);
	return code;
}

static void fuzz_undo(struct input *input)
{
	struct gow_layout layout = scene_row(input);
	size_t nth = take_chance(input, 128) ? 1 + take_below(input, 80) : 0;
	struct scene scene;
	struct view view;

	scene_make(&scene, input, &layout);
	scene_damage(&scene, input, false);
	view_read(&view, &layout, 1, scene.file);
	if (view.layout && repair(&scene, &layout, nth) &&
	    memdirectory_has(scene.disk, "image.gow-undo")) {
		struct memfile *file = memdisk_file(scene.disk, "image.gow-undo");
		bool known = !take_chance(input, 64), old = known && take_chance(input, 64);
		struct memdisk *left;
		struct damage damage;
		int code;

		if (old)
			make_old_undo(file);
		damage = damage_undo(file, input, !is_pending(scene.file, &layout));
		left = memdisk_clone(scene.disk);
		code = take_back(&scene, &layout, known);

		if (fuzz_lies())
			memfile_put(scene.file, 0, "lies", 4);
		if (!damage.any && !nth)
			CHECK_OK(code, &error);
		if (code)
			CHECK(damage.sealed ||
			      memfile_equal(memdisk_file(left, "image"), scene.file));
		else
			CHECK(damage.sealed || scene_is_as_before(&scene));
		memdisk_free(left);
	}
	CHECK_EQ(0, memdisk_open_files(scene.disk));
	view_release(&view);
	scene_free(&scene);
}

/* ---- trailers ---------------------------------------------------------------------------- */

enum { SECTOR = GOW_TRAILER_SECTOR };

struct upgrading {
	struct gow_layout rows[2];
};

static int upgrade(struct scene *scene, const struct upgrading *how, bool rollback)
{
	struct gow_lock lock = { .file = NULL };
	gow_upgrade_result result;
	struct gow_upgrade_job job = { .file = memfile_open(scene->file),
		                       .lock = &lock,
		                       .rows = how->rows,
		                       .row_count = 2,
		                       .to = &how->rows[1],
		                       .rollback = rollback };
	int code = gow_upgrade_file(&job, &result, &error);

	CHECK_OK(gow_file_close(job.file, NULL), NULL);
	return code;
}

static void choose_rows(struct upgrading *how, struct input *input)
{
	static const uint32_t starts[][2] = {
		{ 512, 40960 }, { 4096, 245760 }, { 65536, 262144 }, { 4096, 4096 }
	};
	uint32_t which = take_below(input, 4);

	how->rows[0] = hm_layout(take_chance(input, 128) ? HM_SMALL3 : HM_SMALL2, 16);
	how->rows[1] = hm_layout(HM_SMALL3, 20);
	for (unsigned i = 0; i < 2; i++) {
		how->rows[i].data_align = starts[which][i];
		how->rows[i].version = i + 1;
	}
}

/* gow-trailer(5): where the parts of a trailer are. The one of format 1 has no gaps. */
struct parts {
	uint64_t header, size; /* the copy of the old header */
	uint64_t cursors[2], footer;
};

static struct parts find_parts(const struct memfile *file)
{
	struct parts parts = { .footer = memfile_size(file) - SECTOR };
	uint64_t step = (little(file, parts.footer + 8) & UINT32_MAX) == 1 ? SECTOR : 2 * SECTOR;

	for (unsigned i = 0; i < 2; i++)
		parts.cursors[i] = parts.footer - (2 - i) * step;
	parts.header = little(file, parts.footer + 40);
	parts.size = little(file, parts.footer + 48);
	return parts;
}

/* Puts the sums right: of the footer, and in both cursors whose they are. */
static void seal_trailer(struct memfile *file, const struct parts *parts)
{
	const uint64_t sum_at = SECTOR - 16;
	uint8_t owner[16], hash[16];

	hash128(file, parts->footer, SECTOR - 16, owner);
	memfile_put(file, parts->footer + sum_at, owner, sizeof owner);
	for (unsigned i = 0; i < 2; i++) {
		memfile_put(file, parts->cursors[i] + 48, owner, sizeof owner);
		hash128(file, parts->cursors[i], SECTOR - 16, hash);
		memfile_put(file, parts->cursors[i] + sum_at, hash, sizeof hash);
	}
}

static void copy_sector(struct memfile *file, uint64_t from, uint64_t to)
{
	uint8_t bytes[SECTOR];

	memfile_get(file, from, bytes, SECTOR);
	memfile_put(file, to, bytes, SECTOR);
}

/* Writes the record as older programs did: format 1, without gaps and layouts. A cursor that was
 * torn stays torn, wherever its sum stands. */
static void make_old(struct memfile *file)
{
	static const uint8_t none[SECTOR - 16 - 128];
	const struct parts now = find_parts(file);
	const uint64_t footer = now.footer - UINT64_C(3) * SECTOR;
	struct parts old = { .cursors = { footer - UINT64_C(2) * SECTOR, footer - SECTOR },
		             .footer = footer };
	uint8_t format[4], sum[16];
	bool whole[2];

	for (unsigned i = 0; i < 2; i++) {
		uint8_t said[16];

		hash128(file, now.cursors[i], SECTOR - 16, sum);
		memfile_get(file, now.cursors[i] + SECTOR - 16, said, sizeof said);
		whole[i] = memcmp(sum, said, sizeof sum) == 0;
		copy_sector(file, now.cursors[i], old.cursors[i]);
	}
	copy_sector(file, now.footer, old.footer);
	put_little(format, 1, 4);
	memfile_put(file, old.footer + 8, format, sizeof format);
	memfile_put(file, old.footer + 128, none, sizeof none);
	memfile_resize(file, old.footer + SECTOR);
	seal_trailer(file, &old);
	for (unsigned i = 0; i < 2; i++)
		if (!whole[i])
			memfile_put(file, old.cursors[i], none, 8);
}

/* Where the next poke goes: into one of the parts, mostly where fields are. */
static bool poke_trailer(struct memfile *file, struct input *input, const struct parts *parts)
{
	const uint64_t starts[] = { parts->header, parts->cursors[0], parts->cursors[1],
		                    parts->footer };
	uint32_t part = take_below(input, 4);
	uint64_t past = starts[part] + (part ? 128 : parts->size), where;

	if (part && take_chance(input, 64))
		past = starts[part] + (take_chance(input, 128) ? 360 : SECTOR);
	return poke(file, input, starts[part], past, &where);
}

static struct damage damage_trailer(struct memfile *file, struct input *input)
{
	const struct parts parts = find_parts(file);
	struct damage damage = { .sealed = take_chance(input, 96) };
	uint32_t pokes = take_below(input, 4);

	while (pokes--)
		damage.any |= poke_trailer(file, input, &parts);
	damage.sealed &= damage.any;
	if (damage.sealed)
		seal_trailer(file, &parts);
	return damage;
}

static void check_upgraded(const struct view *before, const struct upgrading *how,
                           const struct scene *scene)
{
	uint64_t counts[GOW_PROBLEM_COUNT];
	const char *differs;
	struct view now;

	view_read(&now, how->rows, 2, scene->file);
	CHECK(now.layout == &how->rows[1]);
	view_judge(&now, counts);
	CHECK(!any_corrupt(counts));
	differs = views_differ(before, &now);
	if (differs)
		CHECK_FAIL("%s", differs);
	view_release(&now);
}

/*
 * Whatever is damaged, the guest is what it was, or nothing is touched: of two cursors either is
 * good enough.
 */
static void fuzz_damaged_trailer(struct scene *scene, struct input *input, const struct view *view,
                                 const struct upgrading *how)
{
	struct damage damage = damage_trailer(scene->file, input);
	struct memdisk *left = memdisk_clone(scene->disk);
	bool rollback = take_chance(input, 128);
	int code = upgrade(scene, how, rollback);

	if (fuzz_lies())
		memfile_put(scene->file, 0, "lies", 4);
	CHECK(!code || damage.any);
	if (!damage.sealed) {
		if (code)
			CHECK(memfile_equal(memdisk_file(left, "image"), scene->file));
		else if (rollback)
			CHECK(scene_is_as_before(scene));
		else
			check_upgraded(view, how, scene);
	}
	memdisk_free(left);
}

static void fuzz_trailer(struct input *input)
{
	static const struct memfile_fault none;
	struct memfile_fault fault = { .sys_errno = EIO,
		                       .for_good = true,
		                       .kinds = 1u << MEMFILE_WRITE | 1u << MEMFILE_SYNC };
	struct upgrading how;
	struct scene scene;
	struct view view;
	uint64_t counts[GOW_PROBLEM_COUNT];

	choose_rows(&how, input);
	fault.nth = 1 + take_below(input, 120);
	scene_make(&scene, input, &how.rows[0]);
	view_read(&view, how.rows, 2, memdisk_file(scene.before, "image"));
	view_judge(&view, counts);
	CHECK(!any_corrupt(counts));
	memdisk_fail(scene.disk, &fault);
	(void)upgrade(&scene, &how, false);
	memdisk_fail(scene.disk, &none);
	if (is_pending(scene.file, &how.rows[0])) {
		if (take_chance(input, 64))
			make_old(scene.file);
		fuzz_damaged_trailer(&scene, input, &view, &how);
	}
	view_release(&view);
	scene_free(&scene);
}

void fuzz_one(struct input *input)
{
	if (take_chance(input, 128))
		fuzz_trailer(input);
	else
		fuzz_undo(input);
}
