/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 65536 };

struct gow_layout sample_layout(enum hm_row row, uint32_t entries, uint32_t start)
{
	struct gow_layout layout = hm_layout(row, entries);

	layout.data_align = start;
	if (hm_data_start(&layout) != start)
		CHECK_FAIL("a header of %llu bytes does not end before %u",
		           (unsigned long long)hm_header_end(&layout), start);
	return layout;
}

/* ---- making ------------------------------------------------------------------------------ */

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

static void map_blocks(struct sample *sample, const struct sample_plan *plan, struct rng *rng)
{
	uint32_t logical[SAMPLE_BLOCKS];

	shuffle(logical, sample->logical_blocks, rng);
	for (uint32_t p = 0; p < plan->present; p++) {
		bool leaked = sample->allocated == sample->logical_blocks ||
		              rng_chance(rng, plan->leaked);

		sample->content[p] = !rng_chance(rng, plan->zero) ? SAMPLE_DATA
		                     : rng_chance(rng, 50)        ? SAMPLE_ZERO
		                                                  : SAMPLE_HOLE;
		if (leaked) {
			sample->leaked++;
			continue;
		}
		sample->image.map[logical[sample->allocated]] = p;
		sample->image.versions[logical[sample->allocated]] = 1 + rng_below(rng, 9);
		sample->allocated++;
		sample->zeros += sample->content[p] != SAMPLE_DATA;
	}
}

static void write_blocks(struct sample *sample, const struct sample_plan *plan, struct rng *rng)
{
	static uint8_t bytes[BLOCK];

	for (uint32_t p = 0; p < plan->present; p++) {
		if (sample->content[p] == SAMPLE_HOLE)
			continue;
		memset(bytes, 0, sizeof bytes);
		for (size_t i = 0; i < sizeof bytes && sample->content[p] == SAMPLE_DATA; i += 8) {
			uint64_t word = rng_next(rng) | 1;

			memcpy(bytes + i, &word, sizeof word);
		}
		memfile_put(sample->file, hm_data_start(&plan->layout) + (uint64_t)p * BLOCK,
		            bytes, sizeof bytes);
	}
}

void sample_make(struct sample *sample, const struct sample_plan *plan)
{
	const uint32_t entries = plan->layout.map_entries;
	struct rng rng = { plan->seed };
	struct hm_image *image = &sample->image;

	CHECK(entries <= SAMPLE_BLOCKS && plan->present <= SAMPLE_BLOCKS);
	memset(sample, 0, sizeof *sample);
	image->layout = plan->layout;
	image->map = check_alloc(entries * sizeof *image->map);
	image->versions = check_alloc(entries * sizeof *image->versions);
	memset(image->map, 0xff, entries * sizeof *image->map);
	sample->logical_blocks = entries - 3;
	image->logical_size = (uint64_t)sample->logical_blocks * BLOCK - plan->size_odd;
	image->block_count = (uint64_t)((int64_t)plan->present + plan->count);
	image->file_size = plan->present ? hm_data_start(&plan->layout) +
	                                           (uint64_t)plan->present * BLOCK - plan->cut
	                                 : hm_header_end(&plan->layout);
	sample->disk = memdisk_new();
	sample->file = memdisk_file(sample->disk, "image");
	map_blocks(sample, plan, &rng);
	write_blocks(sample, plan, &rng);
	hm_write(image, sample->file);
	sample->guest = check_alloc((size_t)sample->logical_blocks * BLOCK);
	for (uint32_t i = 0; i < sample->logical_blocks; i++)
		if (image->map[i] != HM_NONE)
			memfile_get(sample->file,
			            hm_data_start(&plan->layout) + (uint64_t)image->map[i] * BLOCK,
			            sample->guest + (size_t)i * BLOCK, BLOCK);
	sample->pristine = memdisk_clone(sample->disk);
	memdisk_record(sample->disk);
}

void sample_free(struct sample *sample)
{
	hm_release(&sample->image);
	memdisk_free(sample->disk);
	memdisk_free(sample->pristine);
	free(sample->guest);
}

/* ---- judging ----------------------------------------------------------------------------- */

static uint32_t number_at(const struct memfile *file, uint64_t offset)
{
	uint8_t bytes[4];

	memfile_get(file, offset, bytes, sizeof bytes);
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

/* The rows made by sample_layout have these two where the reference layouts have them. */
bool sample_is_pending(const struct memfile *file)
{
	return number_at(file, 0) == 0x21574f47;
}

uint32_t sample_version(const struct memfile *file)
{
	return number_at(file, 4);
}

static const char *judge_header(const struct sample *sample, const struct hm_image *image,
                                uint64_t present)
{
	bool taken[4 * SAMPLE_BLOCKS] = { false };
	static char text[128];

	if (image->logical_size != sample->image.logical_size)
		return "another logical size";
	for (uint32_t i = 0; i < image->layout.map_entries; i++) {
		uint32_t p = image->map[i];

		if (p == HM_NONE)
			continue;
		if (p >= present || p >= sizeof taken / sizeof *taken || taken[p] ||
		    p >= image->block_count || i >= sample->logical_blocks) {
			(void)snprintf(text, sizeof text, "entry %u names %u of %llu, count %llu", i,
			               p, (unsigned long long)present,
			               (unsigned long long)image->block_count);
			return text;
		}
		taken[p] = true;
	}
	return NULL;
}

static const char *judge_guest(const struct sample *sample, const struct hm_image *image,
                               const struct memfile *file)
{
	static uint8_t bytes[BLOCK];
	static char text[64];

	for (uint32_t i = 0; i < sample->logical_blocks; i++) {
		memset(bytes, 0, sizeof bytes);
		if (image->map[i] != HM_NONE)
			memfile_get(file, hm_data_start(&image->layout) + (uint64_t)image->map[i] * BLOCK,
			            bytes, BLOCK);
		if (memcmp(bytes, sample->guest + (size_t)i * BLOCK, BLOCK) == 0)
			continue;
		(void)snprintf(text, sizeof text, "guest block %u (physical %u) is another", i,
		               image->map[i]);
		return text;
	}
	return NULL;
}

const char *sample_judge(const struct sample *sample, const struct memfile *file,
                         const struct gow_layout *layout, struct hm_image *read)
{
	const uint64_t start = hm_data_start(layout);
	const uint64_t size = memfile_size(file);
	struct hm_image image;
	const char *wrong;

	if (size < hm_header_end(layout))
		return "the header is cut short";
	hm_make(&image, HM_SMALL3, layout->map_entries);
	image.layout = *layout;
	hm_read(&image, file);
	wrong = judge_header(sample, &image,
	                     size > start ? (size - start + BLOCK - 1) / BLOCK : 0);
	if (!wrong)
		wrong = judge_guest(sample, &image, file);
	if (read) {
		memcpy(read->map, image.map, layout->map_entries * sizeof *image.map);
		memcpy(read->versions, image.versions, layout->map_entries * sizeof *image.map);
		read->block_count = image.block_count;
		read->file_size = size;
	}
	hm_release(&image);
	return wrong;
}
