/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/open.h"

enum { BLOCK = 65536 };

static gow_error history_error;

static uint64_t block_end(const struct history *history, uint32_t block)
{
	uint64_t end = ((uint64_t)block + 1) * BLOCK;

	return end < history->size ? end : history->size;
}

static bool all_zeros(const uint8_t *bytes, uint64_t size)
{
	/* Each byte equals its neighbour, and the first is zero. */
	return !size || (!bytes[0] && memcmp(bytes, bytes + 1, (size_t)size - 1) == 0);
}

static void note_moment(struct history *history, size_t calls_before, size_t calls_after)
{
	struct moment *grown = realloc(history->moments,
	                               (history->moment_count + 1) * sizeof *grown);
	struct moment *moment;

	CHECK(grown);
	history->moments = grown;
	moment = &grown[history->moment_count++];
	moment->calls_before = calls_before;
	moment->calls_after = calls_after;
	moment->no_room = false;
	moment->bytes = check_alloc((size_t)history->size);
	memcpy(moment->bytes, history->bytes, (size_t)history->size);
	memcpy(moment->allocated, history->allocated, sizeof moment->allocated);
	memcpy(moment->versions, history->versions, sizeof moment->versions);
}

static void forget(struct history *history)
{
	for (size_t i = 0; i < history->moment_count; i++)
		free(history->moments[i].bytes);
	for (size_t i = 0; i < history->deed_count; i++)
		free(history->deeds[i].bytes);
	free(history->moments);
	free(history->deeds);
	history->moments = NULL;
	history->deeds = NULL;
	history->moment_count = history->deed_count = 0;
}

static size_t calls_of(const struct history *history)
{
	size_t count;

	(void)memdisk_log(history->disk, &count);
	return count;
}

/* ---- the beginning ----------------------------------------------------------------------- */

void history_begin(struct history *history, enum hm_row row, uint32_t blocks, struct rng *rng)
{
	struct hm_image *image = &history->start;
	uint32_t next = rng_below(rng, 2), last = HM_NONE;

	memset(history, 0, sizeof *history);
	if (blocks > HISTORY_BLOCKS)
		CHECK_FAIL("a history has no more than %d blocks", HISTORY_BLOCKS);
	hm_make(image, row, blocks + rng_below(rng, 70));
	history->blocks = blocks;
	image->logical_size = (uint64_t)blocks * BLOCK - 512 * (uint64_t)rng_below(rng, 128);
	history->size = image->logical_size;
	history->bytes = check_alloc((size_t)history->size);
	history->disk = memdisk_new();
	history->file = memdisk_file(history->disk, "image");
	for (uint32_t i = 0; i < blocks; i++) {
		/* Any order: not that of the guest's blocks. */
		uint32_t block = blocks % 7 ? (i * 7 + 3) % blocks : i;
		uint64_t start = (uint64_t)block * BLOCK;

		image->versions[block] = rng_below(rng, 4);
		if (rng_chance(rng, 45)) {
			if (rng_chance(rng, 10))
				next++; /* a leak */
			rng_fill(rng, history->bytes + start,
			         (size_t)(block_end(history, block) - start));
			memfile_put(history->file,
			            hm_data_start(&image->layout) + (uint64_t)next * BLOCK,
			            history->bytes + start,
			            (size_t)(block_end(history, block) - start));
			image->map[block] = next++;
			image->versions[block] += 1;
			history->allocated[block] = true;
			last = block;
		}
		if (rng_chance(rng, 8))
			image->versions[block] = UINT32_MAX;
	}
	image->block_count = next;
	image->file_size = hm_data_start(&image->layout) + (uint64_t)next * BLOCK;
	/* A session that ended before its flush, or between count and data. */
	if (rng_chance(rng, 30))
		image->file_size += 2 * BLOCK - 700;
	else if (rng_chance(rng, 30))
		image->block_count += 3;
	else if (last != HM_NONE && rng_chance(rng, 50)) { /* its last block is cut short */
		enum { CUT = 12345 };
		uint64_t cut = (uint64_t)last * BLOCK + BLOCK - CUT;

		image->file_size -= CUT;
		if (cut < block_end(history, last))
			memset(history->bytes + cut, 0, (size_t)(block_end(history, last) - cut));
		history->expected_findings |= 1u << GOW_SPACE_TAIL;
	}
	history->expected_findings |= 1u << GOW_VERSION_EXHAUSTED | 1u << GOW_SPACE_LEAK |
	                              1u << GOW_HEADER_COUNT_HIGH;
	hm_write(image, history->file);
	for (uint32_t i = 0; i < blocks; i++)
		history->versions[i] = image->layout.versions_stride ? image->versions[i] : 0;
}

void history_free(struct history *history)
{
	if (history->image)
		gow_image_close(history->image);
	forget(history);
	free(history->bytes);
	hm_release(&history->start);
	memdisk_free(history->disk);
	memset(history, 0, sizeof *history);
}

void history_open(struct history *history)
{
	const struct gow_image_policy policy = { .write = true };

	forget(history);
	memset(history->changed, 0, sizeof history->changed);
	memset(history->raised, 0, sizeof history->raised);
	memdisk_record(history->disk);
	note_moment(history, 0, 0);
	CHECK_OK(gow_image_from_file(memfile_open(history->file), &history->start.layout, 1, &policy,
	                             &history->image, &history_error),
	         &history_error);
	CHECK_EQ(history->size, gow_image_size(history->image));
}

/* A session that ended kept of a block what the file says. */
static void adopt_block(struct history *history, gow_image *image, uint32_t block)
{
	const struct gow_map *map = gow_image_map(image);
	const uint64_t start = (uint64_t)block * BLOCK;

	CHECK_OK(gow_image_read(image, start, history->bytes + start,
	                        (size_t)(block_end(history, block) - start), &history_error),
	         &history_error);
	history->allocated[block] = map->entries[block] != GOW_UNALLOCATED;
	history->versions[block] = map->versions ? map->versions[block] : 0;
}

void history_close(struct history *history)
{
	const struct gow_image_policy policy = { .write = false };
	gow_image *image;

	gow_image_close(history->image);
	history->image = NULL;
	CHECK_EQ(0, memdisk_open_files(history->disk));
	CHECK_OK(gow_image_from_file(memfile_open(history->file), &history->start.layout, 1, &policy,
	                             &image, &history_error),
	         &history_error);
	for (uint32_t i = 0; i < history->blocks; i++)
		if (history->changed[i])
			adopt_block(history, image, i);
	gow_image_close(image);
}

/* ---- deeds ------------------------------------------------------------------------------- */

static void note_deed(struct history *history, size_t calls_before, uint64_t offset,
                      const void *bytes, size_t size)
{
	struct deed *grown = realloc(history->deeds, (history->deed_count + 1) * sizeof *grown);
	struct deed *deed;

	CHECK(grown);
	history->deeds = grown;
	deed = &grown[history->deed_count++];
	*deed = (struct deed){ calls_before, history->moment_count - 1, offset, size,
		               check_alloc(size) };
	if (size)
		memcpy(deed->bytes, bytes, size);
}

static void raise_version(struct history *history, uint32_t block)
{
	if (history->raised[block] || !history->start.layout.versions_stride)
		return;
	history->raised[block] = true;
	if (history->versions[block] != UINT32_MAX)
		history->versions[block]++;
}

/* What a write that succeeds does, by the rules of the format. */
static void apply(struct history *history, uint64_t offset, const uint8_t *bytes, size_t size)
{
	memcpy(history->bytes + offset, bytes, size);
	while (size) {
		uint32_t block = (uint32_t)(offset / BLOCK);
		size_t part = (size_t)(block_end(history, block) - offset);

		part = size < part ? size : part;
		if (history->allocated[block] || !all_zeros(bytes, part)) {
			raise_version(history, block);
			history->changed[block] = true;
			history->allocated[block] = true;
		}
		offset += part;
		bytes += part;
		size -= part;
	}
}

/* After a write that failed the image tells how far it came; it may not be further than the write
 * went, nor elsewhere. */
static void adopt(struct history *history, const struct deed *deed)
{
	const struct gow_map *map = gow_image_map(history->image);
	uint8_t *now = check_alloc(deed->size);

	if (gow_image_read(history->image, deed->offset, now, deed->size, NULL)) {
		free(now);
		return; /* everything fails: there will be no flush either */
	}
	for (size_t i = 0; i < deed->size; i++)
		CHECK(now[i] == deed->bytes[i] || now[i] == history->bytes[deed->offset + i]);
	memcpy(history->bytes + deed->offset, now, deed->size);
	free(now);
	for (uint32_t i = 0; i < history->blocks; i++) {
		bool allocated = map->entries[i] != GOW_UNALLOCATED;

		history->changed[i] = true;
		history->allocated[i] = allocated;
		if (!map->versions)
			continue;
		history->raised[i] = map->versions[i] != history->moments[0].versions[i];
		history->versions[i] = map->versions[i];
	}
}

int history_try_write(struct history *history, uint64_t offset, const void *bytes, size_t size,
                      gow_error *error)
{
	size_t calls = calls_of(history);
	int code;

	note_deed(history, calls, offset, bytes, size);
	code = gow_image_write(history->image, offset, bytes, size, error);
	if (!code && size)
		apply(history, offset, bytes, size);
	if (code && size) {
		history->deeds[history->deed_count - 1].moment = SIZE_MAX;
		adopt(history, &history->deeds[history->deed_count - 1]);
	}
	return code;
}

int history_try_flush(struct history *history, gow_error *error)
{
	size_t calls = calls_of(history);
	int code = gow_image_flush(history->image, error);

	/* A flush that failed may have come through, too: as one that never ended. */
	note_moment(history, calls, code ? SIZE_MAX : calls_of(history));
	history->moments[history->moment_count - 1].no_room = code == GOW_ERR_NO_SPACE;
	if (!code)
		memset(history->changed, 0, sizeof history->changed);
	return code;
}

/* Zeros in whole blocks take them away; in parts of blocks they are written, or not. */
static void clear(struct history *history, uint64_t offset, uint64_t size, bool parts)
{
	static const uint8_t zeros[BLOCK];

	while (size) {
		uint32_t block = (uint32_t)(offset / BLOCK);
		uint64_t rest = block_end(history, block) - offset;
		uint64_t part = size < rest ? size : rest;

		note_deed(history, calls_of(history), offset, zeros, (size_t)part);
		if (!(offset % BLOCK) && part == rest) {
			if (!all_zeros(history->bytes + offset, part))
				raise_version(history, block);
			history->changed[block] |= history->allocated[block];
			history->allocated[block] = false;
			memset(history->bytes + offset, 0, (size_t)part);
		} else if (parts) {
			apply(history, offset, zeros, (size_t)part);
		}
		offset += part;
		size -= part;
	}
}

void history_zero(struct history *history, uint64_t offset, uint64_t size)
{
	clear(history, offset, size, true);
	CHECK_OK(gow_image_zero(history->image, offset, size, &history_error), &history_error);
}

void history_discard(struct history *history, uint64_t offset, uint64_t size)
{
	clear(history, offset, size, false);
	CHECK_OK(gow_image_discard(history->image, offset, size, &history_error), &history_error);
}

void history_clear_random(struct history *history, struct rng *rng, uint32_t blocks_at_most)
{
	uint64_t offset = rng_next(rng) % (history->size + 1);
	uint64_t size = rng_next(rng) % ((uint64_t)blocks_at_most * BLOCK + 1);

	if (rng_chance(rng, 60)) {
		offset -= offset % BLOCK;
		size = gow_round_up(size, BLOCK);
	}
	size = gow_min(size, history->size - offset);
	if (rng_chance(rng, 50))
		history_zero(history, offset, size);
	else
		history_discard(history, offset, size);
}

void history_write(struct history *history, uint64_t offset, const void *bytes, size_t size)
{
	CHECK_OK(history_try_write(history, offset, bytes, size, &history_error), &history_error);
}

void history_flush(struct history *history)
{
	CHECK_OK(history_try_flush(history, &history_error), &history_error);
}

void history_write_random(struct history *history, struct rng *rng, uint32_t blocks_at_most)
{
	static uint8_t bytes[8 * BLOCK];
	uint64_t offset = rng_next(rng) % (history->size + 1);
	uint64_t size = rng_next(rng) % ((uint64_t)blocks_at_most * BLOCK + 1);

	switch (rng_below(rng, 4)) {
	case 0: /* whole blocks */
		offset -= offset % BLOCK;
		size = gow_round_up(size, BLOCK);
		break;
	case 1: /* to the end of the disk */
		offset = history->size > size ? history->size - size : 0;
		break;
	case 2: /* little */
		size = rng_below(rng, 3000);
		break;
	default:
		break;
	}
	size = gow_min(gow_min(size, sizeof bytes), history->size - offset);
	if (rng_chance(rng, 25)) {
		memset(bytes, 0, (size_t)size);
	} else {
		rng_fill(rng, bytes, (size_t)size);
		if (rng_chance(rng, 40) && size > BLOCK) /* a block of zeros among others */
			memset(bytes + rng_below(rng, (uint32_t)size - BLOCK), 0, BLOCK);
	}
	history_write(history, offset, bytes, (size_t)size);
}

struct extents {
	const struct history *history;
	uint64_t at;
};

static int check_extent(void *context, const gow_guest_extent *extent)
{
	struct extents *extents = context;
	const struct history *history = extents->history;
	const uint64_t end = extent->offset + extent->size;

	CHECK_EQ(extents->at, extent->offset);
	CHECK(extent->size && end <= history->size);
	CHECK(extent->data || all_zeros(history->bytes + extent->offset, extent->size));
	CHECK(extent->allocated || !extent->data);
	for (uint64_t at = extent->offset; at < end; at += BLOCK - at % BLOCK)
		CHECK_EQ(history->allocated[at / BLOCK], extent->allocated);
	extents->at = end;
	return 0;
}

void history_check_reads(struct history *history)
{
	struct extents extents = { history, history->size / 3 };
	uint8_t *bytes = check_alloc((size_t)history->size);

	memset(bytes, 0xA5, (size_t)history->size);
	CHECK_OK(gow_image_read(history->image, 0, bytes, (size_t)history->size, &history_error),
	         &history_error);
	CHECK_BYTES(history->bytes, bytes, (size_t)history->size);
	free(bytes);
	CHECK_OK(gow_image_each_extent(history->image, extents.at, history->size - extents.at,
	                               check_extent, &extents, &history_error),
	         &history_error);
	CHECK_EQ(history->size, extents.at);
	for (uint32_t i = 0; i < history->blocks; i++)
		CHECK_EQ(history->allocated[i],
		         gow_image_map(history->image)->entries[i] != GOW_UNALLOCATED);
}

/* ---- judging ----------------------------------------------------------------------------- */

static char verdict_text[256];

static const char *wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static const char *wrong(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(verdict_text, sizeof verdict_text, fmt, args);
	va_end(args);
	return verdict_text;
}

/* The last flush that was over after so many calls. */
static const struct moment *find_flushed(const struct history *history, size_t calls)
{
	const struct moment *last = &history->moments[0];

	for (size_t i = 1; i < history->moment_count; i++)
		if (history->moments[i].calls_after <= calls)
			last = &history->moments[i];
	return last;
}

/* Whether the block is as a flush that had begun, and was not over, was to make it. */
static bool is_of_a_flush(const struct history *history, const struct moment *flushed,
                          size_t calls, uint64_t start, const uint8_t *bytes, uint64_t size)
{
	for (const struct moment *m = flushed + 1; m < history->moments + history->moment_count; m++)
		if (m->calls_before < calls && memcmp(bytes, m->bytes + start, (size_t)size) == 0)
			return true;
	return false;
}

/* Whether a flush that failed may have mapped the block: it is none that is new any more. */
static bool was_mapped(const struct history *history, const struct moment *flushed, size_t calls,
                       uint32_t block)
{
	for (const struct moment *m = flushed + 1; m < history->moments + history->moment_count; m++)
		if (m->no_room && m->calls_before < calls && m->allocated[block])
			return true;
	return false;
}

/* Whether byte could have come there by a write after the flush. */
static bool is_of_a_deed(const struct history *history, const struct moment *flushed, size_t calls,
                         uint64_t at, uint8_t byte)
{
	for (size_t i = 0; i < history->deed_count; i++) {
		const struct deed *deed = &history->deeds[i];

		if (deed->moment >= (size_t)(flushed - history->moments) &&
		    deed->calls_before < calls && at >= deed->offset &&
		    at - deed->offset < deed->size && deed->bytes[at - deed->offset] == byte)
			return true;
	}
	return false;
}

static const char *judge_content(const struct history *history, const struct moment *flushed,
                                 size_t calls, uint32_t block, const uint8_t *bytes)
{
	const uint64_t start = (uint64_t)block * BLOCK;
	const uint64_t size = block_end(history, block) - start;

	if (memcmp(bytes, flushed->bytes + start, (size_t)size) == 0)
		return NULL;
	if (!flushed->allocated[block] && !was_mapped(history, flushed, calls, block)) {
		/* A new block is there or not, and never a part of it. */
		if (is_of_a_flush(history, flushed, calls, start, bytes, size))
			return NULL;
		return wrong("new block %u is neither zeros nor what was written", block);
	}
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != flushed->bytes[start + i] &&
		    !is_of_a_deed(history, flushed, calls, start + i, bytes[i]))
			return wrong("block %u, byte %llu: neither flushed nor written since", block,
			             (unsigned long long)i);
	return NULL;
}

static const char *judge_version(const struct history *history, const struct moment *flushed,
                                 uint32_t block, uint32_t version, bool changed)
{
	const uint32_t before = history->moments[0].versions[block];

	if (version < flushed->versions[block])
		return wrong("block %u: number %u, and %u was flushed", block, version,
		             flushed->versions[block]);
	if (before == UINT32_MAX)
		return version == before ? NULL : wrong("block %u: its number wrapped", block);
	if (version > before + 1)
		return wrong("block %u: number %u went up more than once from %u", block, version,
		             before);
	if (changed && version == before)
		return wrong("block %u changed, and its number %u did not", block, version);
	return NULL;
}

static const char *judge_findings(const struct history *history, struct gow_file *file)
{
	const char *result = NULL;
	struct gow_verdict verdict;
	struct gow_unchecked raw;

	if (gow_unchecked_load(file, &history->start.layout, 1, &raw, &history_error))
		return wrong("cannot be loaded: %.200s", history_error.what);
	if (gow_judge(&raw, &verdict, &history_error))
		result = wrong("cannot be judged: %.200s", history_error.what);
	for (size_t i = 0; i < GOW_PROBLEM_COUNT && !result; i++)
		if (verdict.by_id[i].problem && !(history->expected_findings >> i & 1))
			result = wrong("%s", verdict.by_id[i].problem->name);
	gow_unchecked_release(&raw);
	return result;
}

static const char *judge_image(const struct history *history, gow_image *image, size_t calls)
{
	const struct gow_map *map = gow_image_map(image);
	const struct moment *flushed = find_flushed(history, calls);
	uint8_t *bytes = check_alloc((size_t)history->size);
	const char *result = NULL;

	if (gow_image_size(image) != history->size)
		result = wrong("its size changed");
	else if (gow_image_read(image, 0, bytes, (size_t)history->size, &history_error))
		result = wrong("cannot be read: %.200s", history_error.what);
	for (uint32_t i = 0; i < history->blocks && !result; i++) {
		const uint64_t start = (uint64_t)i * BLOCK;
		const bool changed = memcmp(bytes + start, history->moments[0].bytes + start,
		                            (size_t)(block_end(history, i) - start)) != 0;

		result = judge_content(history, flushed, calls, i, bytes + start);
		if (!result && map->versions)
			result = judge_version(history, flushed, i, map->versions[i], changed);
	}
	free(bytes);
	return result;
}

const char *history_judge(const struct history *history, struct memfile *file, size_t calls)
{
	const struct gow_image_policy policy = { .write = false };
	struct gow_file *handle = memfile_open(file);
	const char *result = judge_findings(history, handle);
	gow_image *image;

	if (result) {
		(void)gow_file_close(handle, NULL);
		return result;
	}
	if (gow_image_from_file(handle, &history->start.layout, 1, &policy, &image, &history_error))
		return wrong("cannot be opened: %.200s", history_error.what);
	result = judge_image(history, image, calls);
	gow_image_close(image);
	return result;
}

const char *history_judge_crash(const struct history *history, const struct memfile_crash *crash)
{
	struct memfile *file = memdisk_file(crash->disk, "image");
	const char *result = history_judge(history, file, crash->calls);

	/* A flush that was over before the crash, though nothing on the disk shows it. */
	for (size_t i = 1; i < history->moment_count && !result; i++)
		if (history->moments[i].calls_after > crash->calls &&
		    history->moments[i].calls_after <= crash->calls_latest)
			result = history_judge(history, file, history->moments[i].calls_after);
	return result;
}
