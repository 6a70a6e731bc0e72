/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/check/check_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
	MOST = 16, /* blocks of a part, which stay in the cache of a processor */
	AHEAD = 7  /* parts of a file on a server */
};

int gow_check_parts_begin(struct gow_check_parts *parts, gow_check *check, gow_error *error)
{
	const size_t size = (size_t)MOST * GOW_BLOCK_SIZE;
	const size_t ahead = gow_file_begins_ranges(check->file) ? AHEAD : 0;
	/* One more is read, and one is looked at by whoever took it. */
	const size_t room = ahead + 2;

	*parts = (struct gow_check_parts){
		.check = check, .most = MOST, .ahead = ahead, .room = room
	};
	parts->list = calloc(room, sizeof *parts->list);
	parts->memory = malloc(room * size);
	if (!parts->list || !parts->memory)
		return gow_fail_memory(error, room * size);
	for (size_t i = 0; i < room; i++)
		parts->list[i].bytes = parts->memory + i * size;
	return GOW_OK;
}

static struct gow_check_part *part_at(const struct gow_check_parts *parts, size_t i)
{
	return &parts->list[i % parts->room];
}

void gow_check_parts_end(struct gow_check_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++) {
		const struct gow_check_part *part = part_at(parts, parts->first + i);

		if (part->begun)
			gow_file_abandon_range(parts->check->file, &part->range);
	}
	free(parts->list);
	free(parts->memory);
	*parts = (struct gow_check_parts){ .count = 0 };
}

bool gow_check_parts_are_full(const struct gow_check_parts *parts)
{
	return parts->count > parts->ahead;
}

/* What the file has of a run of blocks. */
static struct gow_remote_range range_of(const struct gow_check_parts *parts, uint32_t logical,
                                        uint32_t blocks, uint8_t *bytes)
{
	const struct gow_unchecked *unchecked = &parts->check->unchecked;
	const uint64_t offset = gow_layout_block_offset(unchecked->header.layout,
	                                                unchecked->entries[logical]);
	const uint64_t size = (uint64_t)blocks * GOW_BLOCK_SIZE;
	const size_t there = (size_t)gow_min(size, unchecked->header.file_size - offset);

	memset(bytes + there, 0, (size_t)size - there);
	return (struct gow_remote_range){ offset, there, bytes };
}

void gow_check_parts_plan(struct gow_check_parts *parts, uint32_t logical, uint32_t blocks)
{
	struct gow_check_part *part = part_at(parts, parts->first + parts->count++);

	part->logical = logical;
	part->blocks = blocks;
	part->range = range_of(parts, logical, blocks, part->bytes);
	/* What is short is read with what comes after it in the file. */
	part->begun = parts->ahead && blocks == parts->most;
	if (part->begun)
		gow_file_begin_range(parts->check->file, &part->range);
}

int gow_check_parts_take(struct gow_check_parts *parts, struct gow_check_part **part,
                         gow_error *error)
{
	struct gow_check_part *taken = part_at(parts, parts->first++);
	const struct gow_remote_range *range = &taken->range;

	parts->count--;
	*part = taken;
	return taken->begun ? gow_file_finish_range(parts->check->file, range, error)
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
