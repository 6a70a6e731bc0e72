/* SPDX-License-Identifier: BSD-2-Clause */
/* The validator against a judge that is slow, simple, and written from gow(5) alone. */
#include "image/validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/posix.h"
#include "support/check.h"
#include "support/handmade.h"
#include "support/memfile.h"

static gow_error error;

/* ---- lists of places --------------------------------------------------------------------- */

struct place_list {
	gow_place *places;
	uint64_t *runs;
	size_t count, room;
};

struct report {
	struct place_list by_id[GOW_PROBLEM_COUNT];
};

static void add_place(struct report *report, gow_problem_id id, gow_place place, uint64_t run)
{
	struct place_list *list = &report->by_id[id];

	/* Two runs of leaked blocks that touch are one, wherever the walk has its seams. */
	if (id == GOW_SPACE_LEAK && list->count &&
	    list->places[list->count - 1].physical + list->runs[list->count - 1] ==
	            place.physical) {
		list->runs[list->count - 1] += run;
		return;
	}
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->places = realloc(list->places, list->room * sizeof *list->places);
		list->runs = realloc(list->runs, list->room * sizeof *list->runs);
		CHECK(list->places && list->runs);
	}
	list->places[list->count] = place;
	list->runs[list->count++] = run;
}

static void release_report(struct report *report)
{
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		free(report->by_id[i].places);
		free(report->by_id[i].runs);
	}
	memset(report, 0, sizeof *report);
}

static int collect(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	add_place(context, id, *place, run);
	return 0;
}

/* ---- the naive judge --------------------------------------------------------------------- */

#define AT(...) ((gow_place){ __VA_ARGS__ })

struct naive {
	const struct hm_image *image;
	struct report *report;
	uint64_t present;
	uint64_t allocated, leaked;
};

static uint64_t block_at(const struct naive *naive, uint64_t physical)
{
	return hm_data_start(&naive->image->layout) + physical * 65536;
}

static uint64_t entry_at(const struct naive *naive, uint64_t logical)
{
	return naive->image->layout.map_offset + logical * naive->image->layout.map_stride;
}

static void naive_header(struct naive *naive, uint64_t first_dirty)
{
	const struct hm_image *image = naive->image;
	const uint64_t none = GOW_NOWHERE;

	if (image->pending)
		add_place(naive->report, GOW_JOURNAL_MISSING,
		          AT(none, none, image->layout.magic_offset, none), 1);
	if (image->logical_size == 0 || image->logical_size % 512 != 0 ||
	    image->logical_size > image->layout.logical_limit)
		add_place(naive->report, GOW_HEADER_SIZE,
		          AT(none, none, image->layout.logical_size.offset, none), 1);
	if (image->block_count > naive->present + image->layout.map_entries)
		add_place(naive->report, GOW_HEADER_COUNT_WILD,
		          AT(none, none, image->layout.block_count.offset, none), 1);
	else if (image->block_count > naive->present)
		add_place(naive->report, GOW_HEADER_COUNT_HIGH,
		          AT(none, none, image->layout.block_count.offset, none), 1);
	if (first_dirty != none)
		add_place(naive->report, GOW_HEADER_PADDING, AT(none, none, first_dirty, none), 1);
}

static void naive_entries(struct naive *naive)
{
	const struct hm_image *image = naive->image;
	const bool invalid = naive->report->by_id[GOW_HEADER_SIZE].count != 0;
	bool low = false;

	for (uint64_t i = 0; i < image->layout.map_entries; i++) {
		const uint64_t p = image->map[i];
		const uint64_t number_at = image->layout.versions_offset +
		                           i * image->layout.versions_stride;

		if (image->layout.versions_stride && image->versions[i] == 0xFFFFFFFF)
			add_place(naive->report, GOW_VERSION_EXHAUSTED,
			          AT(i, p == HM_NONE ? GOW_NOWHERE : p, number_at, GOW_NOWHERE), 1);
		if (p == HM_NONE)
			continue;
		naive->allocated++;
		if (p >= naive->present)
			add_place(naive->report, GOW_MAP_RANGE,
			          AT(i, p, entry_at(naive, i), GOW_NOWHERE), 1);
		if (p < naive->present && p >= image->block_count && !low) {
			add_place(naive->report, GOW_HEADER_COUNT_LOW,
			          AT(i, p, image->layout.block_count.offset, GOW_NOWHERE), 1);
			low = true;
		}
		/* Beyond the size: this block has no byte of the disk. */
		if (!invalid && i * 65536 >= image->logical_size)
			add_place(naive->report, GOW_MAP_BEYOND_SIZE,
			          AT(i, p, entry_at(naive, i), GOW_NOWHERE), 1);
		if (image->layout.versions_stride && image->versions[i] == 0)
			add_place(naive->report, GOW_VERSION_ZERO, AT(i, p, number_at, GOW_NOWHERE),
			          1);
	}
}

static void naive_blocks(struct naive *naive)
{
	const struct hm_image *image = naive->image;

	for (uint64_t p = 0; p < naive->present; p++) {
		uint64_t first = GOW_NOWHERE;
		bool shared = false;

		for (uint64_t i = 0; i < image->layout.map_entries; i++) {
			if (image->map[i] != p)
				continue;
			if (first == GOW_NOWHERE) {
				first = i;
				continue;
			}
			add_place(naive->report, GOW_MAP_CROSSLINK,
			          AT(first, p, block_at(naive, p), i), !shared);
			shared = true;
		}
		if (first == GOW_NOWHERE) {
			add_place(naive->report, GOW_SPACE_LEAK,
			          AT(GOW_NOWHERE, p, block_at(naive, p), GOW_NOWHERE), 1);
			naive->leaked++;
		} else if (p + 1 == naive->present &&
		           block_at(naive, p) + 65536 > image->file_size) {
			add_place(naive->report, GOW_SPACE_TAIL,
			          AT(first, p, block_at(naive, p), GOW_NOWHERE), 1);
		}
	}
}

static void judge_naively(struct naive *naive, uint64_t first_dirty)
{
	if (naive->image->file_size < hm_header_end(&naive->image->layout)) {
		add_place(naive->report, GOW_HEADER_TRUNCATED,
		          AT(GOW_NOWHERE, GOW_NOWHERE, naive->image->file_size, GOW_NOWHERE), 1);
		return;
	}
	while (block_at(naive, naive->present) < naive->image->file_size)
		naive->present++;
	naive_header(naive, first_dirty);
	naive_entries(naive);
	naive_blocks(naive);
}

/* ---- comparing --------------------------------------------------------------------------- */

static void compare(const struct report *want, const struct report *have)
{
	for (gow_problem_id id = 0; id < GOW_PROBLEM_COUNT; id++) {
		const struct place_list *a = &want->by_id[id], *b = &have->by_id[id];
		const char *name = gow_problem_get(id)->name;

		if (a->count != b->count)
			CHECK_FAIL("%s: %zu places, not %zu", name, b->count, a->count);
		for (size_t i = 0; i < a->count; i++) {
			const gow_place *p = &a->places[i], *q = &b->places[i];

			if (p->logical != q->logical || p->physical != q->physical ||
			    p->offset != q->offset || p->other != q->other ||
			    a->runs[i] != b->runs[i])
				CHECK_FAIL(
					"%s: place %zu is %llx %llx %llx %llx run %llu, not "
					"%llx %llx %llx %llx run %llu",
					name, i, (unsigned long long)q->logical,
					(unsigned long long)q->physical,
					(unsigned long long)q->offset, (unsigned long long)q->other,
					(unsigned long long)b->runs[i],
					(unsigned long long)p->logical,
					(unsigned long long)p->physical,
					(unsigned long long)p->offset, (unsigned long long)p->other,
					(unsigned long long)a->runs[i]);
		}
	}
}

static void compare_verdict(const struct report *want, const struct gow_verdict *verdict,
                            const struct naive *naive)
{
	const gow_finding *first[2] = { NULL, NULL };

	for (gow_problem_id id = 0; id < GOW_PROBLEM_COUNT; id++) {
		const struct place_list *list = &want->by_id[id];
		const gow_finding *finding = &verdict->by_id[id];
		uint64_t count = 0;

		for (size_t i = 0; i < list->count; i++)
			count += list->runs[i];
		CHECK_EQ(count, finding->count);
		if (!list->count) {
			CHECK(!finding->problem);
			continue;
		}
		CHECK(finding->problem == gow_problem_get(id));
		CHECK_BYTES(&list->places[0], &finding->first, sizeof finding->first);
		if (!first[finding->problem->severity])
			first[finding->problem->severity] = finding;
	}
	CHECK(gow_verdict_first(verdict, GOW_ADVISORY) == first[GOW_ADVISORY]);
	CHECK(gow_verdict_first(verdict, GOW_CORRUPT) == first[GOW_CORRUPT]);
	CHECK_EQ(naive->allocated, verdict->tally.allocated);
	CHECK_EQ(naive->leaked, verdict->tally.leaked);
}

/* Pairs of neighbours that are both allocated, and how many of them are apart in the file. */
static struct gow_neighbours naive_neighbours(const struct hm_image *image)
{
	struct gow_neighbours sum = { 0, 0 };

	for (uint32_t i = 1; i < image->layout.map_entries; i++) {
		if (image->map[i - 1] == GOW_UNALLOCATED || image->map[i] == GOW_UNALLOCATED)
			continue;
		sum.pairs++;
		sum.apart += image->map[i] != image->map[i - 1] + 1;
	}
	return sum;
}

/* Who has the map in memory when it is judged. */
enum way {
	WAY_UNLOADED, /* nobody: it is judged as it is read */
	WAY_LOADED,
	WAYS
};

/* Exactly what was asked for: the disk's entries, and so many numbers. */
static void check_tables(const struct gow_tables *tables, enum gow_numbers numbers,
                         const struct gow_unchecked *raw, const struct hm_image *image)
{
	const struct gow_layout *layout = &image->layout;
	const uint64_t blocks = raw->header.logical_blocks < layout->map_entries
	                                ? raw->header.logical_blocks
	                                : layout->map_entries;
	const uint64_t count = numbers == GOW_NUMBERS_ALL ? layout->map_entries : blocks;
	const bool has_numbers = layout->versions_stride && numbers != GOW_NUMBERS_NONE && count;

	CHECK(!tables->entries == raw->header.truncated);
	CHECK(!tables->versions == !(has_numbers && !raw->header.truncated));
	for (uint64_t i = 0; tables->entries && i < blocks; i++)
		CHECK_EQ(image->map[i], tables->entries[i]);
	for (uint64_t i = 0; tables->versions && i < count; i++)
		CHECK_EQ(image->versions[i], tables->versions[i]);
}

static void judge_filling(const struct gow_unchecked *raw, const struct report *want,
                          const struct naive *naive)
{
	for (enum gow_numbers numbers = 0; numbers <= GOW_NUMBERS_NONE; numbers++) {
		struct gow_tables tables;
		struct gow_verdict verdict;

		CHECK_OK(gow_judge_filling(raw, numbers, &tables, &verdict, &error), &error);
		compare_verdict(want, &verdict, naive);
		check_tables(&tables, numbers, raw, naive->image);
		free(tables.entries);
		free(tables.versions);
	}
}

static void judge_by(enum way way, struct gow_file *file, const struct report *want,
                     const struct naive *naive)
{
	const struct hm_image *image = naive->image;
	const struct gow_neighbours neighbours = naive_neighbours(image);
	struct report have = { 0 };
	struct gow_verdict verdict;
	struct gow_tally tally;
	struct gow_unchecked raw;

	CHECK_OK(gow_unchecked_begin(file, &image->layout, 1, &raw, &error), &error);
	if (way == WAY_LOADED)
		CHECK_OK(gow_unchecked_need_entries(&raw, &error), &error);
	CHECK(!raw.entries == (way != WAY_LOADED || raw.header.truncated));
	CHECK_OK(gow_validate(&raw, collect, &have, &tally, &error), &error);
	compare(want, &have);
	CHECK_EQ(naive->allocated, tally.allocated);
	CHECK_EQ(naive->leaked, tally.leaked);
	if (tally.walked) {
		CHECK_EQ(neighbours.pairs, tally.neighbours.pairs);
		CHECK_EQ(neighbours.apart, tally.neighbours.apart);
	}
	CHECK_OK(gow_judge(&raw, &verdict, &error), &error);
	compare_verdict(want, &verdict, naive);
	judge_filling(&raw, want, naive);
	CHECK(!raw.entries == (way != WAY_LOADED || raw.header.truncated));
	CHECK_OK(gow_unchecked_need_entries(&raw, &error), &error);
	CHECK(!raw.entries == raw.header.truncated);
	gow_unchecked_release(&raw);
	release_report(&have);
}

/* The same judgement whatever of it is in memory. */
static void judge_every_way(struct gow_file *file, const struct report *want,
                            const struct naive *naive)
{
	for (enum way way = 0; way < WAYS; way++)
		judge_by(way, file, want, naive);
}

/* first_dirty: where a byte of the padding is not zero, or GOW_NOWHERE. Adds up in seen what
 * was found, so that a test can tell whether it met everything. */
static void check_image(const struct hm_image *image, uint64_t first_dirty, uint64_t *seen)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file;
	struct report want = { 0 };
	struct naive naive = { .image = image, .report = &want };

	hm_write(image, mem);
	if (first_dirty != GOW_NOWHERE)
		memfile_put(mem, first_dirty, "\1", 1);
	CHECK_EQ(image->file_size, memfile_size(mem));
	judge_naively(&naive, first_dirty);
	file = memfile_open(mem);
	judge_every_way(file, &want, &naive);
	for (size_t i = 0; seen && i < GOW_PROBLEM_COUNT; i++)
		seen[i] += want.by_id[i].count;
	CHECK_OK(gow_file_close(file, &error), &error);
	memdisk_free(disk);
	release_report(&want);
}

/* ---- random images ----------------------------------------------------------------------- */

static uint64_t fit(uint64_t value, unsigned width)
{
	return width >= 8 ? value : value & ((UINT64_C(1) << 8 * width) - 1);
}

/* An entry that means a block, and a value that only a bug or damage would leave there. */
static uint32_t wild_entry(struct rng *rng, const struct hm_image *image, uint32_t present)
{
	const uint32_t edges[] = { 0,
		                   present - 1,
		                   present,
		                   present + 1,
		                   (uint32_t)image->block_count,
		                   0x7FFFFFFF,
		                   0xFFFFFFEF,
		                   0xFFFFFFFD,
		                   (uint32_t)rng_next(rng) };
	uint32_t value;

	do
		value = edges[rng_below(rng, sizeof edges / sizeof *edges)];
	while (value >= 0xFFFFFFF0 && value != 0xFFFFFFFD);
	/* That one means "none" in a made-up row. */
	return hm_stored(&image->layout, value) == image->layout.unallocated ? 0 : value;
}

static void random_map(struct rng *rng, struct hm_image *image, uint32_t present)
{
	const uint32_t entries = image->layout.map_entries;
	const uint32_t filled = rng_below(rng, 101);
	const uint32_t faults = rng_chance(rng, 40) ? 0 : rng_below(rng, 1 + entries / 4);
	uint32_t next = 0;

	for (uint32_t i = 0; i < entries; i++) {
		image->versions[i] = rng_chance(rng, 97) ? 1 + rng_below(rng, 9) : 0;
		image->map[i] = HM_NONE;
		if (next < present && rng_chance(rng, filled)) {
			next += rng_chance(rng, 95) ? 0 : rng_below(rng, 3); /* leaks */
			if (next < present)
				image->map[i] = next++;
		}
		if (image->map[i] != HM_NONE && image->versions[i] == 0 && rng_chance(rng, 80))
			image->versions[i] = 1;
		if (rng_chance(rng, 1))
			image->versions[i] = 0xFFFFFFFF;
	}
	for (uint32_t n = entries; n > 1; n--) { /* shuffle */
		uint32_t other = rng_below(rng, n), kept = image->map[n - 1];

		image->map[n - 1] = image->map[other];
		image->map[other] = kept;
	}
	for (uint32_t n = 0; n < faults; n++) {
		uint32_t at = rng_below(rng, entries);

		switch (rng_below(rng, 3)) {
		case 0: /* another's block */
			image->map[at] = image->map[rng_below(rng, entries)];
			break;
		case 1:
			image->map[at] = wild_entry(rng, image, present);
			break;
		default:
			image->map[at] = HM_NONE;
			break;
		}
	}
}

static void random_image(uint64_t seed, uint32_t entries, uint64_t *seen)
{
	struct rng rng = { seed };
	const enum hm_row row = (enum hm_row)rng_below(&rng, HM_ROWS);
	struct hm_image image;
	const struct gow_layout *layout = &image.layout;
	uint64_t header_end, data_start, dirty = GOW_NOWHERE;
	uint32_t present = rng_below(&rng, entries + entries / 2 + 1);

	hm_make(&image, row, entries);
	check_about("seed %llu, %s", (unsigned long long)seed, hm_name(row));
	header_end = hm_header_end(layout);
	data_start = hm_data_start(layout);
	image.file_size = data_start + (uint64_t)present * 65536;
	if (present && rng_chance(&rng, 30))
		image.file_size -= rng_chance(&rng, 30) ? 65535 : 1 + rng_below(&rng, 65535);
	if (rng_chance(&rng, 5)) { /* at the header's end, or in the padding */
		image.file_size = header_end +
		                  rng_below(&rng, (uint32_t)(data_start - header_end) + 1);
		present = 0;
	} else if (rng_chance(&rng, 2)) {
		/* Magic and version have to be there. */
		uint32_t least = (uint32_t)(layout->magic_offset + 4);

		least = layout->version_field.offset + layout->version_field.width > least
		                ? layout->version_field.offset + layout->version_field.width
		                : least;
		image.file_size = least + rng_below(&rng, (uint32_t)header_end - least);
		present = 0;
	}
	if (rng_chance(&rng, 60))
		image.logical_size = 512 * (1 + (uint64_t)rng_below(&rng, entries * 128));
	if (rng_chance(&rng, 8)) {
		const uint64_t sizes[] = { 0,
			                   1,
			                   511,
			                   513,
			                   layout->logical_limit + 512,
			                   layout->logical_limit + 1,
			                   UINT64_MAX,
			                   UINT64_MAX - 511 };

		image.logical_size = sizes[rng_below(&rng, 8)];
	}
	image.block_count = present;
	if (rng_chance(&rng, 40)) {
		const uint64_t counts[] = { 0,           present / 2,         present - 1,
			                    present + 1, present + entries,   present + entries + 1,
			                    UINT32_MAX,  rng_next(&rng) >> 32 };

		image.block_count = (uint32_t)counts[rng_below(&rng, 8)];
	}
	image.logical_size = fit(image.logical_size, layout->logical_size.width);
	image.block_count = fit(image.block_count, layout->block_count.width);
	image.pending = rng_chance(&rng, 2);
	random_map(&rng, &image, present);
	if (rng_chance(&rng, 10) && data_start > header_end && image.file_size > header_end) {
		uint64_t end = image.file_size < data_start ? image.file_size : data_start;

		dirty = header_end + rng_below(&rng, (uint32_t)(end - header_end));
	}
	check_image(&image, dirty, seen);
	hm_release(&image);
}

static void random_images_are_judged_alike(void)
{
	uint64_t seen[GOW_PROBLEM_COUNT] = { 0 };

	for (uint64_t seed = 0; seed < 6000; seed++)
		random_image(seed, seed % 3 ? 64 : 65 + (uint32_t)(seed % 100), seen);
	/* A judge that was never asked is no judge. */
	for (gow_problem_id id = 0; id < GOW_PROBLEM_COUNT; id++) {
		bool needs_data = id == GOW_DATA_UNREADABLE || id == GOW_DATA_MISMATCH ||
		                  id == GOW_JOURNAL_PENDING;

		check_about("%s", gow_problem_get(id)->name);
		CHECK(needs_data ? seen[id] == 0 : seen[id] > 10);
	}
}

static void larger_images_are_judged_alike(void)
{
	for (uint64_t seed = 0; seed < 12; seed++)
		random_image(1000000 + seed, seed < 4 ? 4096 : 1000 + (uint32_t)seed, NULL);
}

/* Every length that a header can be cut to. */
static void every_truncation_is_the_only_finding(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		struct hm_image image;
		uint64_t least;

		hm_make(&image, (enum hm_row)row, 64);
		least = image.layout.magic_offset + 4;
		if (least < image.layout.version_field.offset + image.layout.version_field.width)
			least = image.layout.version_field.offset +
			        image.layout.version_field.width;
		for (uint64_t size = least; size <= hm_header_end(&image.layout); size++) {
			uint64_t seen[GOW_PROBLEM_COUNT] = { 0 };

			image.file_size = size;
			check_about("%s, %llu bytes", hm_name((enum hm_row)row),
			            (unsigned long long)size);
			check_image(&image, GOW_NOWHERE, seen);
			for (gow_problem_id id = 0; id < GOW_PROBLEM_COUNT; id++)
				CHECK_EQ(id == GOW_HEADER_TRUNCATED &&
				                 size < hm_header_end(&image.layout),
				         seen[id]);
		}
		hm_release(&image);
	}
}

/* A sound image that uses all there is. */
static void full_image_is_clean(void)
{
	for (int row = 0; row < HM_ROWS; row++) {
		uint64_t seen[GOW_PROBLEM_COUNT] = { 0 };
		struct hm_image image;

		hm_make(&image, (enum hm_row)row, 256);
		for (uint32_t i = 0; i < 256; i++) {
			image.map[i] = i * 77 % 256;
			image.versions[i] = 1 + i;
		}
		image.block_count = 256;
		image.file_size = hm_data_start(&image.layout) + 256 * 65536;
		check_about("%s", hm_name((enum hm_row)row));
		check_image(&image, GOW_NOWHERE, seen);
		for (gow_problem_id id = 0; id < GOW_PROBLEM_COUNT; id++)
			CHECK_EQ(0, seen[id]);
		hm_release(&image);
	}
}

/* A map full of any one value. */
static void uniform_maps_are_judged_alike(void)
{
	static const uint32_t values[] = {
		0, 1, 63, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFEF, HM_NONE
	};

	for (int row = 0; row < HM_ROWS; row++)
		for (size_t v = 0; v < sizeof values / sizeof *values; v++)
			for (uint32_t present = 0; present < 3; present++) {
				struct hm_image image;

				hm_make(&image, (enum hm_row)row, 200);
				for (uint32_t i = 0; i < 200; i++)
					image.map[i] = values[v];
				image.block_count = present;
				image.file_size = hm_data_start(&image.layout) +
				                  present * 32 * 65536;
				check_about("%s, all %#x", hm_name((enum hm_row)row), values[v]);
				check_image(&image, GOW_NOWHERE, NULL);
				hm_release(&image);
			}
}

/* ---- files of many windows --------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* What the naive judge says of blocks, for a file with too many to look at each. */
static void sparse_blocks(struct naive *naive)
{
	const struct hm_image *image = naive->image;
	const uint32_t entries = image->layout.map_entries;
	uint32_t *sorted = check_alloc(entries * sizeof *sorted);
	uint64_t next = 0; /* the first block that nothing was said about */

	memcpy(sorted, image->map, entries * sizeof *sorted);
	qsort(sorted, entries, sizeof *sorted, by_number);
	for (uint32_t n = 0; n <= entries; n++) {
		uint64_t p = n < entries && sorted[n] < naive->present ? sorted[n] : naive->present;
		uint64_t first = GOW_NOWHERE;
		bool shared = false;

		if (p > next) {
			add_place(naive->report, GOW_SPACE_LEAK,
			          AT(GOW_NOWHERE, next, block_at(naive, next), GOW_NOWHERE),
			          p - next);
			naive->leaked += p - next;
		}
		if (p == naive->present)
			break;
		for (uint64_t i = 0; i < entries && p >= next; i++) {
			if (image->map[i] != p)
				continue;
			if (first != GOW_NOWHERE)
				add_place(naive->report, GOW_MAP_CROSSLINK,
				          AT(first, p, block_at(naive, p), i), !shared);
			shared = first != GOW_NOWHERE;
			first = first == GOW_NOWHERE ? i : first;
		}
		if (p >= next && p + 1 == naive->present &&
		    block_at(naive, p) + 65536 > image->file_size)
			add_place(naive->report, GOW_SPACE_TAIL,
			          AT(first, p, block_at(naive, p), GOW_NOWHERE), 1);
		next = p + 1;
	}
	free(sorted);
}

static void check_huge(enum hm_row row, uint64_t present, uint32_t cut, uint64_t seed)
{
	enum { ENTRIES = 512 };
	const uint64_t window = UINT64_C(1) << 25;
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct report want = { 0 }, have = { 0 };
	struct rng rng = { seed };
	struct gow_tally tally;
	struct gow_unchecked raw;
	struct hm_image image;
	struct naive naive = { .image = &image, .report = &want, .present = present };

	check_about("%s, %llu blocks less %u bytes", hm_name(row), (unsigned long long)present,
	            cut);
	hm_make(&image, row, ENTRIES);
	image.block_count = fit(present, image.layout.block_count.width);
	image.file_size = hm_data_start(&image.layout) + present * 65536 - cut;
	for (uint32_t i = 0; i < ENTRIES; i++) {
		/* Around the borders of the windows, with many that meet. */
		uint64_t border = window * rng_below(&rng, (uint32_t)(present / window) + 1);
		uint64_t p = border + rng_below(&rng, 9) - 4;

		image.versions[i] = 1;
		if (rng_chance(&rng, 20))
			p = present - 1 - rng_below(&rng, 3);
		if (p < 0xFFFFFFF0)
			image.map[i] = (uint32_t)p;
	}
	hm_write(&image, mem);
	naive_header(&naive, GOW_NOWHERE);
	naive_entries(&naive);
	sparse_blocks(&naive);
	CHECK_OK(gow_unchecked_begin(file, &image.layout, 1, &raw, &error), &error);
	CHECK_EQ(present, raw.header.present_blocks);
	CHECK_OK(gow_validate(&raw, collect, &have, &tally, &error), &error);
	compare(&want, &have);
	CHECK(want.by_id[GOW_MAP_CROSSLINK].count > 10);
	CHECK(want.by_id[GOW_SPACE_LEAK].count > 0);
	CHECK_EQ(naive.leaked, tally.leaked);
	gow_unchecked_release(&raw);
	CHECK_OK(gow_file_close(file, &error), &error);
	hm_release(&image);
	memdisk_free(disk);
	release_report(&want);
	release_report(&have);
}

static void windows_have_no_seams(void)
{
	const uint64_t window = UINT64_C(1) << 25;

	check_huge(HM_SMALL3, window - 1, 1, 1);
	check_huge(HM_SMALL3, window, 0, 2);
	check_huge(HM_SMALL1, window + 1, 65535, 3);
	check_huge(HM_SMALL1, 3 * window - 1, 100, 4);
	check_huge(HM_WIDE, 3 * window + 5, 0, 5);
	check_huge(HM_BIG, 4 * window, 1, 6);
}

/* ---- several threads ----------------------------------------------------------------------- */

/* Runs that reach over the borders of pieces and shares, wherever those are, with some of the blocks
 * named twice. */
static void fill_borders(struct rng *rng, struct hm_image *image, uint32_t present)
{
	enum { PIECE = 8192, AROUND = 3 };
	const uint32_t entries = image->layout.map_entries;
	uint32_t next = 0;

	for (uint32_t border = PIECE; border < entries; border += PIECE)
		for (uint32_t i = border - AROUND; i < border + AROUND && i < entries; i++) {
			image->map[i] = rng_chance(rng, 2) ? rng_below(rng, present) : next++;
			image->versions[i] = 1 + rng_below(rng, 1000);
			if (rng_chance(rng, 1))
				image->versions[i] = rng_chance(rng, 50) ? 0 : 0xFFFFFFFF;
			next += rng_chance(rng, 10);
		}
}

/* An image of a large map, as a real file. */
static struct gow_file *real_file(const struct memfile *mem)
{
	const uint64_t size = memfile_size(mem);
	enum { PART = 1 << 20 };
	uint8_t *bytes = check_alloc(PART);
	struct gow_file *file;
	int fd = memfd_create("image", 0);

	CHECK(fd >= 0);
	for (uint64_t at = 0; at < size; at += PART) {
		const size_t part = (size_t)(size - at < PART ? size - at : PART);

		memfile_get(mem, at, bytes, part);
		CHECK_EQ(part, pwrite(fd, bytes, part, (off_t)at));
	}
	free(bytes);
	CHECK_OK(gow_file_from_fd(fd, "image", &file, &error), &error);
	return file;
}

static void check_shared_work(enum hm_row row, uint32_t entries, bool sound, uint64_t seed)
{
	enum { PRESENT = 1500 };
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct rng rng = { seed };
	struct report want = { 0 };
	struct hm_image image;
	struct naive naive = { .image = &image, .report = &want, .present = PRESENT };
	struct gow_file *files[2];

	check_about("%s, %u entries, seed %llu", hm_name(row), entries, (unsigned long long)seed);
	hm_make(&image, row, entries);
	image.block_count = PRESENT;
	image.file_size = hm_data_start(&image.layout) + (uint64_t)PRESENT * 65536;
	if (sound)
		for (uint32_t i = 0; i < PRESENT; i++) {
			const uint32_t at = (uint32_t)((uint64_t)i * entries / PRESENT);

			image.map[at] = PRESENT - 1 - i;
			image.versions[at] = 1 + i;
		}
	else
		fill_borders(&rng, &image, PRESENT);
	hm_write(&image, mem);
	naive_header(&naive, GOW_NOWHERE);
	naive_entries(&naive);
	sparse_blocks(&naive);
	files[0] = memfile_open(mem); /* read by one thread, and judged by several once it is */
	files[1] = real_file(mem);
	for (size_t i = 0; i < 2; i++) {
		judge_every_way(files[i], &want, &naive);
		(void)gow_file_doubt(files[i], true);
		judge_every_way(files[i], &want, &naive);
		CHECK_OK(gow_file_close(files[i], &error), &error);
	}
	hm_release(&image);
	memdisk_free(disk);
	release_report(&want);
}

static void shares_have_no_seams(void)
{
	const uint32_t share = 1 << 18;

	check_shared_work(HM_SMALL3, 2 * share, true, 1);
	check_shared_work(HM_SMALL3, 2 * share, false, 2);
	check_shared_work(HM_SMALL1, 4 * share + 1, false, 3);
	check_shared_work(HM_WIDE, 3 * share - 1, false, 4);
	check_shared_work(HM_BIG, 2 * share + 8191, true, 5);
}

/* The file is cut while it is judged: the part that another thread was to read is not there. */
static void failing_share_is_told(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct hm_image image;

	hm_make(&image, HM_SMALL1, 1 << 20);
	hm_write(&image, mem);
	for (unsigned quarter = 1; quarter < 4; quarter++) {
		const uint64_t cut = image.layout.map_offset + (UINT64_C(1) << 20) * quarter + 2;
		struct gow_file *file = real_file(mem);
		struct gow_tables tables;
		struct gow_verdict verdict;
		struct gow_unchecked raw;

		check_about("quarter %u", quarter);
		CHECK_OK(gow_unchecked_begin(file, &image.layout, 1, &raw, &error), &error);
		CHECK_OK(gow_file_truncate(file, cut, &error), &error);
		CHECK_CODE(GOW_ERR_CHANGED, gow_judge(&raw, &verdict, &error), &error);
		CHECK_EQ(cut, error.offset);
		CHECK_CODE(GOW_ERR_CHANGED,
		           gow_judge_filling(&raw, GOW_NUMBERS_ALL, &tables, &verdict, &error),
		           &error);
		CHECK_EQ(cut, error.offset);
		CHECK(!tables.entries && !tables.versions);
		gow_unchecked_release(&raw);
		CHECK_OK(gow_file_close(file, &error), &error);
	}
	hm_release(&image);
	memdisk_free(disk);
}

static void file_of_eight_exbibytes_is_judged(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct hm_image image;
	struct gow_verdict verdict;
	struct gow_unchecked raw;

	hm_make(&image, HM_SMALL3, 64);
	image.file_size = INT64_MAX;
	image.block_count = UINT32_MAX;
	image.map[0] = 0xFFFFFFFE;
	image.map[1] = 0xFFFFFFFE;
	image.map[2] = 5;
	image.versions[0] = image.versions[1] = image.versions[2] = 1;
	hm_write(&image, mem);
	CHECK_OK(gow_unchecked_load(file, &image.layout, 1, &raw, &error), &error);
	CHECK_EQ(UINT32_MAX, raw.header.present_blocks);
	CHECK_OK(gow_judge(&raw, &verdict, &error), &error);
	CHECK_EQ(1, verdict.by_id[GOW_MAP_CROSSLINK].count);
	CHECK_EQ(0xFFFFFFFE, verdict.by_id[GOW_MAP_CROSSLINK].first.physical);
	CHECK_EQ(UINT64_C(0xFFFFFFFF) - 2, verdict.by_id[GOW_SPACE_LEAK].count);
	CHECK_EQ(0, verdict.by_id[GOW_SPACE_LEAK].first.physical);
	CHECK_EQ(UINT64_C(0xFFFFFFFF) - 2, verdict.tally.leaked);
	CHECK_EQ(0, verdict.by_id[GOW_MAP_RANGE].count);
	CHECK_EQ(0, verdict.by_id[GOW_SPACE_TAIL].count);
	gow_unchecked_release(&raw);
	CHECK_OK(gow_file_close(file, &error), &error);
	hm_release(&image);
	memdisk_free(disk);
}

/* ---- how the walk ends ------------------------------------------------------------------- */

/* A small image with every kind of trouble that can stand side by side. */
static void make_troubled(struct hm_image *image, struct memfile *mem)
{
	hm_make(image, HM_SMALL3, 64);
	image->map[0] = image->map[1] = image->map[2] = 3;
	image->map[5] = 100;
	image->map[6] = 9;
	image->map[60] = 7;
	image->versions[9] = 0xFFFFFFFF;
	image->logical_size = 40 * 65536;
	image->block_count = 4;
	image->pending = true;
	image->file_size = hm_data_start(&image->layout) + 10 * 65536 - 9;
	hm_write(image, mem);
	memfile_put(mem, hm_header_end(&image->layout) + 3, "x", 1);
}

struct stop {
	size_t after, seen;
};

static int stop_after(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	struct stop *stop = context;

	(void)id;
	(void)place;
	(void)run;
	return ++stop->seen == stop->after ? 77 : 0;
}

static void visitor_ends_the_walk_anywhere(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct hm_image image;
	struct stop stop = { 0, 0 };
	struct gow_unchecked raw;
	size_t all;

	make_troubled(&image, mem);
	CHECK_OK(gow_unchecked_load(file, &image.layout, 1, &raw, &error), &error);
	CHECK_OK(gow_validate(&raw, stop_after, &stop, NULL, &error), &error);
	all = stop.seen;
	CHECK(all > 12);
	for (size_t n = 1; n <= all; n++) {
		stop = (struct stop){ n, 0 };
		CHECK_EQ(77, gow_validate(&raw, stop_after, &stop, NULL, &error));
		CHECK_EQ(n, stop.seen);
	}
	gow_unchecked_release(&raw);
	CHECK_OK(gow_file_close(file, &error), &error);
	hm_release(&image);
	memdisk_free(disk);
}

static void every_failing_call_is_told(void)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *mem = memdisk_file(disk, "image");
	struct gow_file *file = memfile_open(mem);
	struct hm_image image;
	bool failed = true, looked = false;

	make_troubled(&image, mem);
	for (int kind = 0; kind < 2; kind++) {
		const int sys_errno = kind ? 0 : EIO; /* 0: the file has become shorter */

		for (size_t n = 1; failed; n++) {
			struct gow_verdict verdict;
			struct gow_unchecked raw;
			int code;

			check_about("call %zu, errno %d", n, sys_errno);
			memdisk_fail(disk,
			             &(struct memfile_fault){ .nth = n, .sys_errno = sys_errno });
			code = gow_unchecked_load(file, &image.layout, 1, &raw, &error);
			if (!code) {
				code = gow_judge(&raw, &verdict, &error);
				gow_unchecked_release(&raw);
			}
			failed = memdisk_has_failed(disk);
			/* Where a record of an upgrade may end: what cannot be read is no record. */
			if (failed && sys_errno && !code && !looked)
				looked = true;
			else if (failed && sys_errno)
				CHECK_CODE(GOW_ERR_IO, code, &error);
			else if (!failed)
				CHECK_OK(code, &error);
			else /* the preamble, and the end of the file, are read with room to spare */
				CHECK(code != GOW_OK || n <= 3);
			if (code) {
				CHECK_EQ(code, error.code);
				CHECK_STR("image", error.file);
			}
		}
		failed = true;
	}
	CHECK_OK(gow_file_close(file, &error), &error);
	hm_release(&image);
	memdisk_free(disk);
}

static void verdicts_add_up(void)
{
	const gow_place first = AT(1, 2, 3, 4), second = AT(5, 6, 7, 8);
	struct gow_verdict verdict = { 0 };

	CHECK(!gow_verdict_first(&verdict, GOW_CORRUPT));
	gow_verdict_add(&verdict, GOW_DATA_UNREADABLE, &first, 1);
	gow_verdict_add(&verdict, GOW_DATA_UNREADABLE, &second, 2);
	CHECK_EQ(3, verdict.by_id[GOW_DATA_UNREADABLE].count);
	CHECK_BYTES(&first, &verdict.by_id[GOW_DATA_UNREADABLE].first, sizeof first);
	CHECK(gow_verdict_first(&verdict, GOW_CORRUPT) == &verdict.by_id[GOW_DATA_UNREADABLE]);
	CHECK(!gow_verdict_first(&verdict, GOW_ADVISORY));
}

/* ---- the catalogue ----------------------------------------------------------------------- */

static void catalogue_is_that_of_the_format(void)
{
	static const struct {
		const char *name, *severity;
	} rows[] = {
		{ "header.size", "corrupt" },        { "header.truncated", "corrupt" },
		{ "header.count-low", "corrupt" },   { "header.count-high", "advisory" },
		{ "header.count-wild", "corrupt" },  { "header.padding", "advisory" },
		{ "map.range", "corrupt" },          { "map.crosslink", "corrupt" },
		{ "map.beyond-size", "corrupt" },    { "space.leak", "advisory" },
		{ "space.tail", "advisory" },        { "version.zero", "advisory" },
		{ "version.exhausted", "advisory" }, { "journal.pending", "corrupt" },
		{ "journal.missing", "corrupt" },    { "data.unreadable", "corrupt" },
		{ "data.mismatch", "corrupt" },
	};
	const size_t count = sizeof rows / sizeof *rows;

	CHECK_EQ(count, GOW_PROBLEM_COUNT);
	for (size_t i = 0; i < count; i++) {
		const gow_problem *problem = gow_problem_get((gow_problem_id)i);

		check_about("%s", rows[i].name);
		CHECK(problem);
		CHECK_EQ(i, problem->id);
		CHECK_STR(rows[i].name, problem->name);
		CHECK_STR(rows[i].severity, gow_severity_name(problem->severity));
		CHECK(problem->unit[0] && problem->title[0] && problem->about[0]);
		CHECK(!problem->fix || problem->fix[0]);
	}
	CHECK(!gow_problem_get((gow_problem_id)count));
	CHECK(!gow_problem_get((gow_problem_id)-1));
}

CHECK_MAIN(CHECK_TEST(random_images_are_judged_alike), CHECK_TEST(larger_images_are_judged_alike),
           CHECK_TEST(every_truncation_is_the_only_finding), CHECK_TEST(full_image_is_clean),
           CHECK_TEST(uniform_maps_are_judged_alike), CHECK_TEST(windows_have_no_seams),
           CHECK_TEST(file_of_eight_exbibytes_is_judged),
           CHECK_TEST(visitor_ends_the_walk_anywhere), CHECK_TEST(shares_have_no_seams),
           CHECK_TEST(failing_share_is_told), CHECK_TEST(every_failing_call_is_told),
           CHECK_TEST(verdicts_add_up), CHECK_TEST(catalogue_is_that_of_the_format))
