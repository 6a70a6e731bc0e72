/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/check/check_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"

enum {
	KNOWN = 3, /* parts that tell how quick a server is */
	/* Blocks that are poured at most, before the monitor is asked. */
	POURED = 64 * GOW_CHECK_PART_MOST
};

/* Whoever waits longer for the parts that were begun, on average, has a slow server, of which more are
 * begun ahead. Of a quick one they would only take room in the cache. */
static const double quick = 0.002; /* seconds */

int gow_check_parts_begin(struct gow_check_parts *parts, gow_check *check, gow_error *error)
{
	const size_t size = (size_t)GOW_CHECK_PART_MOST * GOW_BLOCK_SIZE;

	*parts = (struct gow_check_parts){ .check = check,
		                           .ahead = gow_file_begins_ranges(check->file) ? 1 : 0,
		                           .pours = gow_file_pours(check->file) };
	parts->memory = malloc(GOW_CHECK_PARTS_ROOM * size);
	if (!parts->memory)
		return gow_fail_memory(error, GOW_CHECK_PARTS_ROOM * size);
	for (size_t i = 0; i < GOW_CHECK_PARTS_ROOM; i++)
		parts->idle[parts->idle_count++] = parts->memory + i * size;
	return GOW_OK;
}

static struct gow_check_part *part_at(struct gow_check_parts *parts, size_t i)
{
	return &parts->list[i % GOW_CHECK_PARTS_ROOM];
}

void gow_check_parts_end(struct gow_check_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++) {
		const struct gow_check_part *part = part_at(parts, parts->first + i);

		if (part->begun)
			gow_file_abandon_range(parts->check->file, &part->range);
	}
	free(parts->memory);
	*parts = (struct gow_check_parts){ .count = 0 };
}

bool gow_check_parts_are_full(const struct gow_check_parts *parts)
{
	return parts->count > parts->ahead;
}

/* What the file has of a run of blocks, which it may end in. */
static struct gow_remote_range place_of(const struct gow_check_parts *parts, uint32_t logical,
                                        uint32_t blocks)
{
	const struct gow_unchecked *unchecked = &parts->check->unchecked;
	const uint64_t offset = gow_layout_block_offset(unchecked->header.layout,
	                                                unchecked->entries[logical]);
	const uint64_t size = (uint64_t)blocks * GOW_BLOCK_SIZE;

	return (struct gow_remote_range){ .offset = offset,
		                          .size = (size_t)gow_min(
						  size, unchecked->header.file_size - offset) };
}

/* The same to be read to its bytes; the rest of them is zeros. */
static struct gow_remote_range range_of(const struct gow_check_parts *parts, uint32_t logical,
                                        uint32_t blocks, uint8_t *bytes)
{
	struct gow_remote_range range = place_of(parts, logical, blocks);

	memset(bytes + range.size, 0, (size_t)blocks * GOW_BLOCK_SIZE - range.size);
	range.buf = bytes;
	return range;
}

void gow_check_parts_plan(struct gow_check_parts *parts, uint32_t logical, uint32_t blocks)
{
	struct gow_check_part *part = part_at(parts, parts->first + parts->count++);

	part->logical = logical;
	part->blocks = blocks;
	part->bytes = parts->idle[--parts->idle_count];
	part->range = range_of(parts, logical, blocks, part->bytes);
	/* What is short is read with what comes after it in the file. */
	part->begun = parts->ahead && blocks == GOW_CHECK_PART_MOST;
	if (part->begun)
		gow_file_begin_range(parts->check->file, &part->range);
}

/* Learns from what took so many seconds for each part. */
static void learn(struct gow_check_parts *parts, double seconds)
{
	parts->known++;
	parts->waited += (seconds - parts->waited) / 8;
	if (parts->waited > quick && parts->ahead < GOW_CHECK_PARTS_AHEAD)
		parts->ahead++;
}

static int finish(struct gow_check_parts *parts, const struct gow_remote_range *range,
                  gow_error *error)
{
	const double begun = gow_clock();
	const int code = gow_file_finish_range(parts->check->file, range, error);

	learn(parts, gow_clock() - begun);
	return code;
}

int gow_check_parts_take(struct gow_check_parts *parts, struct gow_check_part **part,
                         gow_error *error)
{
	struct gow_check_part *taken = part_at(parts, parts->first++);
	const struct gow_remote_range *range = &taken->range;

	if (parts->taken)
		parts->idle[parts->idle_count++] = parts->taken;
	parts->taken = taken->bytes;
	parts->count--;
	*part = taken;
	return taken->begun ? finish(parts, range, error)
	                    : gow_file_read_all(parts->check->file, range->offset, range->buf,
	                                        range->size, error);
}

int gow_check_part_read_block(const struct gow_check_parts *parts, struct gow_check_part *part,
                              uint32_t block, gow_error *error)
{
	const struct gow_remote_range range = range_of(
		parts, part->logical + block, 1, part->bytes + (size_t)block * GOW_BLOCK_SIZE);

	return gow_file_read_all(parts->check->file, range.offset, range.buf, range.size, error);
}

/* ---- as it comes -------------------------------------------------------------------------- */

bool gow_check_parts_may_pour(const struct gow_check_parts *parts, uint32_t run)
{
	return parts->pours && parts->ahead == 1 && parts->known >= KNOWN &&
	       run >= 2 * GOW_CHECK_PART_MOST;
}

/* Blocks that are put together, in turn in the two places of a memory. */
struct pour {
	struct gow_check_part part; /* the block that comes */
	uint8_t *room;
	size_t filled; /* bytes of it */
	gow_check_part_visitor visit;
	void *context;
	int code; /* the visitor's first other than GOW_OK; after that nothing is visited */
	gow_error error;
};

static void visit_block(struct pour *pour)
{
	if (!pour->code)
		pour->code = pour->visit(pour->context, &pour->part, &pour->error);
	pour->part.logical++;
	pour->part.bytes = pour->room + (size_t)(pour->part.logical % 2) * GOW_BLOCK_SIZE;
	pour->filled = 0;
}

static void take_bytes(void *context, const void *bytes, size_t size)
{
	struct pour *pour = context;
	const uint8_t *from = bytes;

	while (size) {
		const size_t part = (size_t)gow_min(size, GOW_BLOCK_SIZE - pour->filled);

		memcpy(pour->part.bytes + pour->filled, from, part);
		pour->filled += part;
		from += part;
		size -= part;
		if (pour->filled == GOW_BLOCK_SIZE)
			visit_block(pour);
	}
}

int gow_check_parts_pour(struct gow_check_parts *parts, uint32_t logical, uint32_t run,
                         gow_check_part_visitor visit, void *context, uint32_t *done,
                         gow_error *error)
{
	uint8_t *room = parts->idle[parts->idle_count - 1];
	struct pour pour = { .part = { .logical = logical,
		                       .blocks = 1,
		                       .bytes = room + (size_t)(logical % 2) * GOW_BLOCK_SIZE },
		             .room = room,
		             .visit = visit,
		             .context = context };
	const uint32_t blocks = (uint32_t)gow_min(run, POURED);
	const struct gow_remote_range range = place_of(parts, logical, blocks);
	const double begun = gow_clock();
	int code = gow_file_pour(parts->check->file, range.offset, range.size, take_bytes, &pour,
	                         error);

	learn(parts, (gow_clock() - begun) * GOW_CHECK_PART_MOST / blocks);
	/* The file may end in its last block. */
	if (!code && pour.filled) {
		memset(pour.part.bytes + pour.filled, 0, GOW_BLOCK_SIZE - pour.filled);
		visit_block(&pour);
	}
	*done = pour.part.logical - logical;
	if (pour.code) {
		if (error)
			*error = pour.error;
		return pour.code;
	}
	if (code == GOW_ERR_IO) {
		parts->pours = false;
		return GOW_OK;
	}
	return code;
}
