/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damaged images of the reference layouts, in real files and through the public functions alone:
 * judged, repaired and restored, compacted, upgraded, salvaged. What must come of it is told from
 * the file's bytes by the format's description.
 */
#include "kit/fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "gow.h"
#include "kit/directory.h"
#include "kit/packing.h"
#include "support/check.h"

enum { BLOCK = 65536, FEW = 300 };

static gow_error error;
static const char image[] = "image.gow", raw[] = "disk.raw";

/* ---- what a file says -------------------------------------------------------------------- */

/* A guest block that is not all zeros. */
struct block {
	uint64_t logical, sum;
};

struct facts {
	bool known;     /* magic and version are there */
	bool corrupt, valid;
	bool many;      /* so many entries that to look at each block takes too long */
	unsigned version;
	uint64_t size, start, present;
	uint32_t entries, allocated;
	struct block blocks[FEW];
	uint32_t count;
};

static uint64_t little(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = width; i > 0; i--)
		value = value << 8 | bytes[i - 1];
	return value;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Entries that share a block, out of a short list. */
static bool has_twins(uint32_t *list, uint32_t count)
{
	qsort(list, count, sizeof *list, by_number);
	for (uint32_t i = 1; i < count; i++)
		if (list[i] == list[i - 1])
			return true;
	return false;
}

static void add_block(struct facts *facts, int fd, uint64_t logical, uint32_t physical)
{
	static const uint8_t zeros[BLOCK];
	uint8_t bytes[BLOCK] = { 0 };
	const uint64_t inside = facts->size - logical * BLOCK;

	(void)!pread(fd, bytes, BLOCK, (off_t)(facts->start + (uint64_t)physical * BLOCK));
	if (facts->valid && inside < BLOCK)
		memset(bytes + inside, 0, (size_t)(BLOCK - inside));
	if (!memcmp(bytes, zeros, BLOCK))
		return;
	facts->blocks[facts->count++] =
		(struct block){ logical, XXH3_64bits(bytes, sizeof bytes) };
}

static void judge_map(struct facts *facts, const uint32_t *map, uint64_t count, int fd)
{
	uint32_t present[FEW] = { 0 }, found = 0;

	for (uint32_t i = 0; i < facts->entries; i++) {
		uint32_t p = map[i];

		if (p == UINT32_MAX)
			continue;
		facts->allocated++;
		facts->corrupt |= p >= facts->present || p >= count ||
		                  (uint64_t)i * BLOCK >= facts->size;
		if (found == FEW || p >= facts->present)
			continue;
		present[found++] = p;
		if (!facts->valid || (uint64_t)i * BLOCK < facts->size)
			add_block(facts, fd, i, p);
	}
	facts->many = facts->allocated >= FEW;
	facts->corrupt |= !facts->many && has_twins(present, found);
}

static void read_map(struct facts *facts, const uint8_t *head, int fd)
{
	static const uint64_t limits[] = { UINT64_C(1) << 36, UINT64_C(1) << 38, UINT64_C(1) << 38 };
	const uint64_t length = (uint64_t)lseek(fd, 0, SEEK_END), count = little(head + 16, 4);
	const size_t bytes = facts->entries * sizeof(uint32_t);
	uint32_t *map = check_alloc(bytes);

	CHECK(pread(fd, map, bytes, 20) == (ssize_t)bytes);
	facts->size = little(head + 8, 8);
	facts->present = length <= facts->start ? 0 : (length - facts->start - 1) / BLOCK + 1;
	facts->valid = facts->size && facts->size % 512 == 0 &&
	                facts->size <= limits[facts->version - 1];
	facts->corrupt |= !facts->valid || count > facts->present + facts->entries;
	judge_map(facts, map, count, fd);
	free(map);
}

static void read_facts(struct facts *facts, const char *name)
{
	static const uint64_t starts[] = { 4194324, 16777728, 33554944 };
	static const uint64_t ends[] = { 4194324, 16777236, 33554452 };
	uint8_t head[20] = { 0 };
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	memset(facts, 0, sizeof *facts);
	if (pread(fd, head, sizeof head, 0) >= 8 && !memcmp(head, "GOW", 3) &&
	    (head[3] == 0 || head[3] == '!') && little(head + 4, 4) - 1 < 3) {
		facts->known = true;
		facts->version = (unsigned)little(head + 4, 4);
		facts->start = starts[facts->version - 1];
		facts->entries = facts->version == 1 ? 1 << 20 : 1 << 22;
		facts->corrupt = directory_length(name) < ends[facts->version - 1] ||
		                 head[3] == '!';
		if (directory_length(name) >= ends[facts->version - 1])
			read_map(facts, head, fd);
	}
	(void)close(fd);
}

/* The same blocks are in both, as far as both disks go. */
static void check_guest(const struct facts *old, const struct facts *new)
{
	const uint64_t size = old->valid && old->size < new->size ? old->size : new->size;
	uint32_t at = 0;

	for (uint32_t i = 0; i < old->count && old->blocks[i].logical * BLOCK < size; i++, at++) {
		check_about("guest block %u", (unsigned)old->blocks[i].logical);
		CHECK(at < new->count && old->blocks[i].logical == new->blocks[at].logical);
		CHECK_EQ(old->blocks[i].sum, new->blocks[at].sum);
	}
	check_about("%s", "");
	CHECK(at == new->count || new->blocks[at].logical * BLOCK >= size);
}

/* ---- what is done with it ---------------------------------------------------------------- */

struct deed {
	struct input *input;
	struct facts before;
	uint64_t hash;
};

/* Whether gow-check finds it sound; advisory findings do not count. */
static bool is_sound(bool *unrepaired)
{
	const gow_finding *findings;
	gow_check *check;
	size_t count;
	bool sound;

	CHECK_OK(gow_check_open(image, NULL, &check, &error), &error);
	sound = gow_check_count(check, GOW_CORRUPT) == 0;
	count = gow_check_findings(check, &findings);
	*unrepaired = false;
	for (size_t i = 0; i < count; i++)
		/* A size that nothing tells is left, and a mark that depends on it. */
		*unrepaired |= findings[i].problem->severity == GOW_CORRUPT &&
		             findings[i].problem->id != GOW_HEADER_SIZE &&
		             findings[i].problem->id != GOW_JOURNAL_MISSING;
	gow_check_close(check);
	return sound;
}

static int stop_soon(void *context, const gow_place *place)
{
	unsigned *left = context;

	(void)place;
	return (*left)-- == 0;
}

static int see_extent(void *context, const gow_extent *extent)
{
	uint64_t *past = context;

	CHECK(extent->blocks && extent->logical >= *past);
	*past = extent->logical + extent->blocks;
	return 0;
}

static void look_at(struct deed *deed)
{
	const struct facts *facts = &deed->before;
	unsigned left = 1000;
	uint64_t past = 0;
	gow_check *check;
	gow_digest digest;
	gow_info info = { .struct_size = sizeof info };
	int code;

	CHECK_OK(gow_check_open(image, NULL, &check, &error), &error);
	if (!facts->many)
		CHECK_EQ(facts->corrupt, gow_check_count(check, GOW_CORRUPT) != 0);
	CHECK_OK(gow_check_info(check, &info, &error), &error);
	CHECK_EQ(facts->allocated, info.allocated_blocks);
	CHECK_EQ(facts->size, info.map_readable ? info.logical_size : facts->size);
	for (int i = 0; i < GOW_PROBLEM_COUNT; i++) {
		code = gow_check_each_place(check, (gow_problem_id)i, stop_soon, &left, &error);
		CHECK(!code || code == GOW_ERR_STOPPED);
	}
	CHECK_OK(gow_check_each_extent(check, see_extent, &past, &error), &error);
	if (!facts->many)
		CHECK_OK(gow_check_digest(check, NULL, &digest, &error), &error);
	gow_check_close(check);
	CHECK_EQ(deed->hash, directory_hash(image));
}

static void repair(struct deed *deed)
{
	const gow_repair_options options = { .struct_size = sizeof options,
		                             .level = take_chance(deed->input, 64)
		                                              ? GOW_REPAIR_PREEN
		                                              : GOW_REPAIR_ALL };
	const gow_undo_options undo = { .struct_size = sizeof undo };
	static gow_repair_result result = { .struct_size = sizeof result };
	gow_undo_result undone = { .struct_size = sizeof undone };
	struct facts after;
	bool unrepaired;

	CHECK_OK(gow_repair(image, &options, &result, &error), &error);
	read_facts(&after, image);
	(void)is_sound(&unrepaired);
	CHECK(!unrepaired || options.level == GOW_REPAIR_PREEN);
	check_guest(&deed->before, &after);
	CHECK_EQ(result.changed, deed->hash != directory_hash(image));
	if (!result.changed)
		return;
	CHECK_OK(gow_repair_undo(image, &undo, &undone, &error), &error);
	CHECK_EQ(deed->hash, directory_hash(image));
	CHECK_EQ(1, directory_count());
}

static int compact(const struct deed *deed)
{
	const gow_compact_options options = { .struct_size = sizeof options,
		                              .flags = take_below(deed->input, 4) *
		                                       GOW_COMPACT_KEEP_ZEROS };
	gow_compact_result result = { .struct_size = sizeof result };

	return gow_compact(image, &options, &result, &error);
}

static int upgrade(const struct deed *deed)
{
	const gow_upgrade_options options = { .struct_size = sizeof options,
		                              .to = deed->before.version +
		                                    take_below(deed->input,
		                                               4 - deed->before.version) };
	gow_upgrade_result result = { .struct_size = sizeof result };

	return gow_upgrade(image, &options, &result, &error);
}

/* A sound image stays the same to its guest; another is refused and stays what it is. */
static void change(struct deed *deed, int (*work)(const struct deed *deed))
{
	struct facts after;
	bool unrepaired;
	int code;

	code = work(deed);
	if (deed->before.corrupt) {
		CHECK_EQ(GOW_ERR_CORRUPT, code);
		CHECK_EQ(deed->hash, directory_hash(image));
		return;
	}
	if (code == GOW_ERR_UNSUPPORTED) { /* longer than entries reach */
		CHECK_EQ(deed->hash, directory_hash(image));
		return;
	}
	CHECK_OK(code, &error);
	read_facts(&after, image);
	CHECK(is_sound(&unrepaired) && !after.corrupt);
	CHECK_EQ(deed->before.size, after.size);
	check_guest(&deed->before, &after);
}

/* What can be had of it, as a raw disk. */
static void salvage(struct deed *deed)
{
	const gow_convert_options options = { .struct_size = sizeof options,
		                              .flags = GOW_CONVERT_SALVAGE,
		                              .dest_format = GOW_FORMAT_RAW };
	const struct facts *facts = &deed->before;
	uint8_t bytes[BLOCK];
	gow_convert_result result = { .struct_size = sizeof result };
	int fd, code = gow_convert(image, raw, &options, &result, &error);

	CHECK_EQ(code ? 1 : 2, directory_count());
	CHECK_EQ(deed->hash, directory_hash(image));
	if (code) {
		CHECK(facts->corrupt);
		return;
	}
	fd = open(raw, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(result.logical_size, directory_length(raw));
	for (uint32_t i = 0; i < facts->count; i++) {
		uint64_t at = facts->blocks[i].logical * BLOCK;

		memset(bytes, 0, sizeof bytes);
		CHECK(at >= result.logical_size || pread(fd, bytes, BLOCK, (off_t)at) > 0);
		CHECK(at >= result.logical_size ||
		      XXH3_64bits(bytes, sizeof bytes) == facts->blocks[i].sum);
	}
	CHECK(!close(fd));
}

static void refuse(void)
{
	const gow_repair_options options = { .struct_size = sizeof options,
		                             .level = GOW_REPAIR_ALL };
	static gow_repair_result result = { .struct_size = sizeof result };
	gow_check *check;

	CHECK_CODE(GOW_ERR_NOT_GOW, gow_check_open(image, NULL, &check, &error), &error);
	CHECK_CODE(GOW_ERR_NOT_GOW, gow_repair(image, &options, &result, &error), &error);
}

void fuzz_one(struct input *input)
{
	uint32_t what = take_below(input, 5);
	struct input chances = { input->at, input->left < 2 ? input->left : 2 };
	struct deed deed = { .input = &chances };

	(void)take_number(input, 2);
	directory_clear();
	directory_unpack(image, input, UINT64_C(1) << 42);
	deed.hash = directory_hash(image);
	read_facts(&deed.before, image);
	if (fuzz_lies())
		deed.before.corrupt = !deed.before.corrupt;
	if (!deed.before.known)
		refuse();
	else if (what == 0 || deed.before.many)
		look_at(&deed);
	else if (what == 1)
		repair(&deed);
	else if (what == 2)
		change(&deed, compact);
	else if (what == 3)
		change(&deed, upgrade);
	else
		salvage(&deed);
}

/* ---- mutating ---------------------------------------------------------------------------- */

/* Where something stands that decides. */
static uint32_t any_place(struct rng *rng)
{
	static const uint32_t fields[] = { 0, 4, 8, 12, 16 };
	static const uint32_t tables[] = { 20, 20, 20, 16777236, 4194320, 16777232, 33554448 };
	uint32_t base;

	if (rng_chance(rng, 20))
		return fields[rng_below(rng, 5)] + (rng_chance(rng, 10) ? rng_below(rng, 4) : 0);
	base = tables[rng_below(rng, 7)];
	return base + 4 * rng_below(rng, rng_chance(rng, 80) ? 8 : 1 << 20);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned seed)
{
	static const uint64_t lengths[] = { 20, 4194324, 16777236, 16777728, 33554452, 33554944 };
	static const uint32_t values[] = { 0, 1, 2, 3, 4, 0xffffffff, 0xfffffffe, 0x10000, 0x200 };
	struct rng rng = { seed };
	uint32_t value = values[rng_below(&rng, 9)];
	uint8_t little_value[4];

	if (rng_chance(&rng, 30))
		value = (uint32_t)rng_next(&rng);
	for (unsigned i = 0; i < 4; i++)
		little_value[i] = (uint8_t)(value >> 8 * i);
	if (rng_chance(&rng, 20))
		return LLVMFuzzerMutate(bytes, size, max_size);
	if (size && rng_chance(&rng, 20)) {
		bytes[0] = (uint8_t)rng_below(&rng, 5);
		return size;
	}
	if (rng_chance(&rng, 15))
		return pack_length(bytes, size, max_size,
		                   lengths[rng_below(&rng, 6)] +
		                           (uint64_t)rng_below(&rng, 4) * (BLOCK / 2 + rng_below(&rng, 3)));
	return pack_patch(bytes, size, max_size, any_place(&rng), little_value, 4);
}
