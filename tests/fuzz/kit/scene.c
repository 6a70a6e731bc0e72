/* SPDX-License-Identifier: BSD-2-Clause */
#include "kit/scene.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "support/check.h"

/* ---- a valid life ----------------------------------------------------------------------- */

struct gow_layout scene_row(struct input *input)
{
	enum hm_row row = (enum hm_row)take_below(input, HM_ROWS);

	return hm_layout(row, 1 + take_below(input, SCENE_ENTRIES));
}

/* A random order of count numbers. */
static void shuffle(uint32_t *numbers, uint32_t count, struct rng *rng)
{
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = i;
	for (uint32_t i = count; i > 1; i--) {
		uint32_t other = rng_below(rng, i);
		uint32_t kept = numbers[i - 1];

		numbers[i - 1] = numbers[other];
		numbers[other] = kept;
	}
}

static void map_blocks(struct scene *scene, struct rng *rng, uint32_t leaked, uint32_t blocks)
{
	struct hm_image *image = &scene->image;
	uint32_t logical[SCENE_ENTRIES];
	uint32_t allocated = 0;

	shuffle(logical, blocks, rng);
	for (uint32_t p = 0; p < scene->physical && allocated < blocks; p++) {
		if (rng_chance(rng, leaked))
			continue;
		image->map[logical[allocated]] = p;
		image->versions[logical[allocated]] = 1 + rng_below(rng, 9);
		allocated++;
	}
}

/* A few bytes at the ends and somewhere between tell one block from another; what is in the rest
 * of it no code looks at. */
static void fill_block(struct scene *scene, uint32_t physical, uint32_t zero, struct rng *rng)
{
	const uint64_t start = hm_data_start(&scene->image.layout) + (uint64_t)physical * BLOCK;
	const uint32_t places[] = { 0, BLOCK - 16, rng_below(rng, BLOCK - 16) };
	static const uint8_t zeros[16];
	uint8_t bytes[16];

	if (rng_chance(rng, zero)) {
		if (rng_chance(rng, 50)) /* written, and no hole */
			memfile_put(scene->file, start + places[2], zeros, sizeof zeros);
		return;
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		rng_fill(rng, bytes, sizeof bytes);
		memfile_put(scene->file, start + places[i], bytes, sizeof bytes);
	}
}

void scene_make(struct scene *scene, struct input *input, const struct gow_layout *layout)
{
	struct hm_image *image = &scene->image;
	struct rng rng = { take_number(input, 2) };
	const uint32_t leaked = take_below(input, 5) * 20, zero = take_below(input, 5) * 20;
	uint32_t blocks;

	hm_make(image, HM_SMALL3, layout->map_entries);
	image->layout = *layout;
	blocks = layout->map_entries - take_below(input, layout->map_entries);
	image->logical_size = (uint64_t)blocks * BLOCK - 512 * (uint64_t)take_below(input, 128);
	scene->physical = take_below(input, SCENE_BLOCKS + 1);
	image->block_count = scene->physical + (take_chance(input, 64) ? take_below(input, 4) : 0);
	image->file_size = scene->physical ? hm_data_start(layout) + (uint64_t)scene->physical * BLOCK
	                                   : hm_header_end(layout);
	if (scene->physical && take_chance(input, 100))
		image->file_size -= take_below(input, BLOCK);
	scene->disk = memdisk_new();
	scene->file = memdisk_file(scene->disk, "image");
	map_blocks(scene, &rng, leaked, blocks);
	for (uint32_t p = 0; p < scene->physical; p++)
		fill_block(scene, p, zero, &rng);
	hm_write(image, scene->file);
	scene->before = memdisk_clone(scene->disk);
}

void scene_settle(struct scene *scene)
{
	memdisk_free(scene->before);
	scene->before = memdisk_clone(scene->disk);
	memdisk_record(scene->disk);
}

void scene_free(struct scene *scene)
{
	hm_release(&scene->image);
	memdisk_free(scene->disk);
	memdisk_free(scene->before);
}

bool scene_is_as_before(const struct scene *scene)
{
	return memfile_equal(memdisk_file(scene->before, "image"), scene->file);
}

/* ---- damage ------------------------------------------------------------------------------ */

static uint32_t any_entry(struct scene *scene, struct input *input)
{
	const struct hm_image *image = &scene->image;
	const uint64_t near[] = { 0, scene->physical, image->block_count, UINT32_MAX,
		                  UINT32_MAX / 2 };

	switch (take_below(input, 4)) {
	case 0:
		return take_below(input, scene->physical + 3);
	case 1:
		return image->map[take_below(input, image->layout.map_entries)];
	case 2:
		return HM_NONE;
	default:
		return (uint32_t)take_near(input, near, 5);
	}
}

static uint64_t any_size(struct scene *scene, struct input *input)
{
	const uint64_t limit = scene->image.layout.logical_limit;
	const uint64_t near[] = { 0, 512, limit, limit + 512, UINT64_MAX, UINT64_C(1) << 63 };

	if (take_chance(input, 128))
		return 512 * (uint64_t)take_below(input, 65536);
	return take_near(input, near, 6);
}

static uint64_t any_length(struct scene *scene, struct input *input, bool far)
{
	const struct gow_layout *layout = &scene->image.layout;
	const uint64_t start = hm_data_start(layout);
	const uint64_t near[] = { start, hm_header_end(layout), layout->map_offset, 0,
		                  scene->image.file_size, start + BLOCK };
	const uint64_t limit = far ? UINT64_C(1) << 44 : start + UINT64_C(64) * BLOCK;
	uint64_t length = take_chance(input, 96)
	                          ? start + (uint64_t)take_below(input, 40) * BLOCK / 2
	                          : take_near(input, near, 6);

	return length < limit ? length : scene->image.file_size;
}

/* One thing that is wrong, in terms of the image. */
static void damage_image(struct scene *scene, struct input *input, bool far)
{
	struct hm_image *image = &scene->image;
	const uint32_t entry = take_below(input, image->layout.map_entries);
	const uint64_t counts[] = { scene->physical, 0, scene->physical + image->layout.map_entries,
		                    UINT32_MAX, UINT64_C(1) << 32 };
	const uint64_t versions[] = { 0, UINT32_MAX, 1 };

	switch (take_below(input, 9)) {
	case 0:
	case 1:
	case 2:
		image->map[entry] = any_entry(scene, input);
		break;
	case 3:
		image->versions[entry] = (uint32_t)take_near(input, versions, 3);
		break;
	case 4:
		image->block_count = take_near(input, counts, 5);
		break;
	case 5:
		image->logical_size = any_size(scene, input);
		break;
	case 6:
		image->file_size = any_length(scene, input, far);
		break;
	case 7:
		image->pending = take_chance(input, 128);
		break;
	default:
		for (uint32_t i = entry; i < image->layout.map_entries; i++)
			image->map[i] = any_entry(scene, input);
		break;
	}
}

/* Bytes anywhere in the header, whatever stands there. */
static void poke(struct scene *scene, struct input *input)
{
	const uint64_t limit = hm_data_start(&scene->image.layout) + 16;
	const uint64_t size = memfile_size(scene->file);
	uint64_t at = take_below(input, (uint32_t)limit);
	uint8_t bytes[4];
	size_t count = 1 + take_below(input, sizeof bytes);

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)take_number(input, 1);
	if (at < size)
		memfile_put(scene->file, at, bytes, size - at < count ? (size_t)(size - at) : count);
}

void scene_damage(struct scene *scene, struct input *input, bool far)
{
	uint32_t damages = take_below(input, 8);
	uint32_t pokes = take_chance(input, 64) ? take_below(input, 4) : 0;

	while (damages--)
		damage_image(scene, input, far);
	hm_write(&scene->image, scene->file);
	while (pokes--)
		poke(scene, input);
	scene_settle(scene);
}

/* ---- reading ----------------------------------------------------------------------------- */

static uint64_t number_at(const struct memfile *file, enum gow_order order, uint64_t offset,
                          unsigned width)
{
	uint8_t bytes[8] = { 0 };
	uint64_t value = 0;

	memfile_get(file, offset, bytes, width);
	for (unsigned i = 0; i < width; i++)
		value = value << 8 | bytes[order == GOW_BIG_ENDIAN ? i : width - 1 - i];
	return value;
}

static uint64_t field_of(const struct view *view, struct gow_field field)
{
	/* A field that the file does not hold in full is 0. */
	return (uint64_t)field.offset + field.width > memfile_size(view->file)
	               ? 0
	               : number_at(view->file, view->layout->order, field.offset, field.width);
}

static bool fits(const struct gow_layout *layout, const struct memfile *file)
{
	const struct gow_field version = layout->version_field;
	uint8_t magic[4];

	memfile_get(file, layout->magic_offset, magic, sizeof magic);
	return (uint64_t)layout->magic_offset + 4 <= memfile_size(file) &&
	       (uint64_t)version.offset + version.width <= memfile_size(file) &&
	       (!memcmp(magic, layout->magic, 4) || !memcmp(magic, layout->magic_pending, 4)) &&
	       number_at(file, layout->order, version.offset, version.width) == layout->version;
}

static void read_tables(struct view *view)
{
	const struct gow_layout *layout = view->layout;
	struct hm_image *image = &view->image;

	for (uint64_t i = 0; i < layout->map_entries; i++) {
		uint32_t stored = (uint32_t)number_at(view->file, layout->order,
		                                      layout->map_offset + i * layout->map_stride, 4);

		image->map[i] = stored == layout->unallocated ? HM_NONE : stored - layout->first_block;
		/* "Block -1" of a row that counts from 1 is no valid block, and no "none". */
		if (image->map[i] == HM_NONE && stored != layout->unallocated)
			image->map[i] = HM_NONE - 1;
		if (layout->versions_stride)
			image->versions[i] = (uint32_t)number_at(
				view->file, layout->order,
				layout->versions_offset + i * layout->versions_stride, 4);
	}
}

void view_read(struct view *view, const struct gow_layout *rows, size_t count,
               const struct memfile *file)
{
	const uint64_t size = memfile_size(file);
	struct hm_image *image = &view->image;
	uint8_t magic[4];
	uint64_t start;

	memset(view, 0, sizeof *view);
	view->file = file;
	for (size_t i = 0; i < count && !view->layout; i++)
		view->layout = fits(&rows[i], file) ? &rows[i] : NULL;
	if (!view->layout)
		return;
	start = hm_data_start(view->layout);
	hm_make(image, HM_SMALL3, view->layout->map_entries);
	image->layout = *view->layout;
	image->file_size = size;
	memfile_get(file, view->layout->magic_offset, magic, sizeof magic);
	image->pending = memcmp(magic, view->layout->magic, 4) != 0;
	image->logical_size = field_of(view, view->layout->logical_size);
	image->block_count = field_of(view, view->layout->block_count);
	view->truncated = size < hm_header_end(view->layout);
	view->valid = image->logical_size && image->logical_size % 512 == 0 &&
	               image->logical_size <= view->layout->logical_limit;
	view->present = size <= start ? 0 : (size - start - 1) / BLOCK + 1;
	for (uint64_t i = 0; i < view->layout->map_entries; i++)
		view->blocks += i * BLOCK < image->logical_size;
	if (!view->truncated)
		read_tables(view);
}

void view_release(struct view *view)
{
	if (view->layout)
		hm_release(&view->image);
}

/* ---- judging ----------------------------------------------------------------------------- */

static bool padding_is_dirty(const struct view *view)
{
	uint64_t end = hm_data_start(view->layout);
	uint8_t byte;

	end = end < view->image.file_size ? end : view->image.file_size;
	for (uint64_t at = hm_header_end(view->layout); at < end; at++) {
		memfile_get(view->file, at, &byte, 1);
		if (byte)
			return true;
	}
	return false;
}

static void judge_preamble(const struct view *view, uint64_t *counts)
{
	const struct hm_image *image = &view->image;

	counts[GOW_JOURNAL_MISSING] = image->pending;
	counts[GOW_HEADER_SIZE] = !view->valid;
	counts[GOW_HEADER_PADDING] = padding_is_dirty(view);
	if (image->block_count <= view->present)
		return;
	counts[image->block_count - view->present > view->layout->map_entries
	               ? GOW_HEADER_COUNT_WILD
	               : GOW_HEADER_COUNT_HIGH] = 1;
}

static void judge_entry(const struct view *view, uint64_t i, uint64_t *counts)
{
	const struct hm_image *image = &view->image;
	const uint32_t p = image->map[i];

	if (view->layout->versions_stride) {
		counts[GOW_VERSION_EXHAUSTED] += image->versions[i] == UINT32_MAX;
		counts[GOW_VERSION_ZERO] += image->versions[i] == 0 && p != HM_NONE;
	}
	if (p == HM_NONE)
		return;
	counts[GOW_MAP_RANGE] += p >= view->present;
	counts[GOW_MAP_BEYOND_SIZE] += view->valid && i * BLOCK >= image->logical_size;
	if (p < view->present && p >= image->block_count)
		counts[GOW_HEADER_COUNT_LOW] = 1;
}

static void judge_block(const struct view *view, uint64_t i, uint64_t *counts)
{
	const struct hm_image *image = &view->image;
	const uint32_t p = image->map[i];
	uint64_t before = 0;

	if (p == HM_NONE || p >= view->present)
		return;
	for (uint64_t j = 0; j < i; j++)
		before += image->map[j] == p;
	counts[GOW_MAP_CROSSLINK] += before == 1;
	if (before)
		return;
	counts[GOW_SPACE_LEAK]--;
	counts[GOW_SPACE_TAIL] += hm_data_start(view->layout) + ((uint64_t)p + 1) * BLOCK >
	                          image->file_size;
}

void view_judge(const struct view *view, uint64_t counts[GOW_PROBLEM_COUNT])
{
	memset(counts, 0, GOW_PROBLEM_COUNT * sizeof *counts);
	counts[GOW_HEADER_TRUNCATED] = view->truncated;
	if (view->truncated)
		return;
	judge_preamble(view, counts);
	counts[GOW_SPACE_LEAK] = view->present;
	for (uint64_t i = 0; i < view->layout->map_entries; i++) {
		judge_entry(view, i, counts);
		judge_block(view, i, counts);
	}
}

bool any_corrupt(const uint64_t counts[GOW_PROBLEM_COUNT])
{
	for (int i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (counts[i] && gow_problem_get((gow_problem_id)i)->severity == GOW_CORRUPT)
			return true;
	return false;
}

/* ---- the guest --------------------------------------------------------------------------- */

void view_block(const struct view *view, uint64_t logical, uint8_t bytes[BLOCK])
{
	const uint32_t p = view->truncated ? HM_NONE : view->image.map[logical];
	uint64_t inside = view->image.logical_size - logical * BLOCK;

	memset(bytes, 0, BLOCK);
	if (p == HM_NONE || p >= view->present)
		return;
	memfile_get(view->file, hm_data_start(view->layout) + (uint64_t)p * BLOCK, bytes, BLOCK);
	if (view->valid && inside < BLOCK)
		memset(bytes + inside, 0, (size_t)(BLOCK - inside));
}

uint64_t view_hash(const struct view *view, uint64_t logical)
{
	uint8_t bytes[BLOCK];

	view_block(view, logical, bytes);
	return XXH3_64bits(bytes, sizeof bytes);
}

static void put_little(uint8_t bytes[8], uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
}

void view_digest(const struct view *view, char text[33])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t list[24 * SCENE_ENTRIES + 8];
	static const uint8_t zeros[BLOCK];
	size_t used = 0;
	uint8_t bytes[BLOCK];
	XXH128_canonical_t hash;

	for (uint64_t i = 0; i < view->blocks; i++) {
		view_block(view, i, bytes);
		if (!memcmp(bytes, zeros, sizeof bytes))
			continue;
		put_little(list + used, i);
		XXH128_canonicalFromHash(&hash, XXH3_128bits(bytes, sizeof bytes));
		memcpy(list + used + 8, hash.digest, 16);
		used += 24;
	}
	put_little(list + used, view->image.logical_size);
	XXH128_canonicalFromHash(&hash, XXH3_128bits(list, used + 8));
	for (unsigned i = 0; i < 16; i++) {
		text[2 * i] = digits[hash.digest[i] >> 4];
		text[2 * i + 1] = digits[hash.digest[i] & 15];
	}
	text[32] = '\0';
}

const char *views_differ(const struct view *a, const struct view *b)
{
	if (!a->layout || !b->layout)
		return "there is no image";
	if (a->image.logical_size != b->image.logical_size)
		return "another logical size";
	for (uint64_t i = 0; i < a->blocks; i++) {
		if (view_hash(a, i) == view_hash(b, i))
			continue;
		check_about("guest block %u", (unsigned)i);
		return "a guest block is another";
	}
	return NULL;
}
