/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/header.h"
#include "image/validate.h"

static int named(const struct gow_packed_image *image, int code, gow_error *error)
{
	return gow_unpack_name(&image->member->entries->unpack, code, error);
}

/* ---- reading ----------------------------------------------------------------------------- */

void gow_packed_image_next_data(const struct gow_packed_image *image, uint64_t offset,
                                uint64_t *start, uint64_t *end)
{
	/* A reader asks anew for each piece, and a run may be as long as the disk. */
	enum { RUN_MOST = 64 };
	const struct gow_map *map = &image->map;
	uint32_t at = (uint32_t)gow_divide_up(offset, GOW_BLOCK_SIZE), first;

	if (offset % GOW_BLOCK_SIZE && map->entries[at - 1] != GOW_UNALLOCATED)
		at--;
	while (at < map->logical_blocks && map->entries[at] == GOW_UNALLOCATED)
		at++;
	*start = gow_min(gow_max(offset, (uint64_t)at * GOW_BLOCK_SIZE), map->logical_size);
	for (first = at; at < map->logical_blocks && at - first < RUN_MOST; at++)
		if (map->entries[at] == GOW_UNALLOCATED)
			break;
	*end = gow_max(*start, gow_min((uint64_t)at * GOW_BLOCK_SIZE, map->logical_size));
}

/* Reads from a physical block on; after the end of the file there are zeros. */
static int read_blocks(struct gow_packed_image *image, uint32_t physical, uint8_t *buf, size_t size,
                       gow_error *error)
{
	uint64_t got;
	int code = gow_member_pass_to(
		image->member, gow_layout_block_offset(image->map.layout, physical), NULL, error);

	if (!code)
		code = gow_member_read(image->member, buf, size, &got, error);
	if (!code)
		memset(buf + got, 0, size - (size_t)got);
	return code;
}

int gow_packed_image_read(struct gow_packed_image *image, uint64_t offset, void *buf, size_t size,
                          gow_error *error)
{
	uint8_t *byte = buf;
	int code = GOW_OK;

	for (size_t at = 0; at < size && !code; at += GOW_BLOCK_SIZE)
		code = read_blocks(image, image->map.entries[(offset + at) / GOW_BLOCK_SIZE],
		                   byte + at, (size_t)gow_min(size - at, GOW_BLOCK_SIZE), error);
	return code;
}

/* The next run of blocks that are neighbours in the file and for the guest. */
int gow_packed_image_pull(struct gow_packed_image *image, uint64_t *offset, void *buf, size_t size,
                          size_t *got, gow_error *error)
{
	const uint32_t *owners = image->owners;
	uint32_t first, blocks = 1;

	while (image->physical < image->present && owners[image->physical] == GOW_UNALLOCATED)
		image->physical++;
	*got = 0;
	if (image->physical == image->present)
		return GOW_OK;
	first = image->physical;
	while (blocks < size / GOW_BLOCK_SIZE && first + blocks < image->present &&
	       owners[first + blocks] == owners[first] + blocks)
		blocks++;
	image->physical += blocks;
	*offset = (uint64_t)owners[first] * GOW_BLOCK_SIZE;
	*got = (size_t)gow_min((uint64_t)blocks * GOW_BLOCK_SIZE,
	                       image->map.logical_size - *offset);
	return read_blocks(image, first, buf, *got, error);
}

/* ---- the header -------------------------------------------------------------------------- */

/* Copies the member's bytes up to end to the file that stands for it while it is judged. */
static int keep_header(struct gow_packed_image *image, uint64_t end, gow_error *error)
{
	struct gow_member *member = image->member;
	uint8_t *buffer = malloc(GOW_MEMBER_BYTES);
	uint64_t got = GOW_MEMBER_BYTES;
	int code = buffer ? GOW_OK : gow_fail_memory(error, GOW_MEMBER_BYTES);

	while (!code && member->position < end && got) {
		uint64_t at = member->position;

		code = gow_member_read(member, buffer, gow_min(end - at, GOW_MEMBER_BYTES), &got,
		                       error);
		if (!code && !gow_is_zero(buffer, (size_t)got))
			code = gow_file_write(image->header, at, buffer, (size_t)got, error);
	}
	free(buffer);
	return code;
}

/* The header as that of a file of so many bytes, unchecked. */
static int load_header(struct gow_packed_image *image, uint64_t size,
                       struct gow_unchecked *unchecked, gow_error *error)
{
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(image->layouts, &count);
	int code = gow_file_truncate(image->header, size, error);

	return code ? code : gow_unchecked_load(image->header, rows, count, unchecked, error);
}

/* Judges the header as that of a file of so many bytes; gives its map if it is sound. */
static int judge_header(struct gow_packed_image *image, uint64_t size, struct gow_map *map,
                        gow_error *error)
{
	struct gow_unchecked unchecked = { .entries = NULL };
	int code = load_header(image, size, &unchecked, error);

	if (!code)
		code = gow_map_judge(&unchecked, GOW_NUMBERS_ALL, map, error);
	gow_unchecked_release(&unchecked);
	return code;
}

/* How many blocks an image of unknown size must have at least, by all that its header says. Without
 * a field for it the count follows from the size, and says nothing. */
static uint32_t implied_blocks(const struct gow_unchecked *unchecked)
{
	uint32_t blocks = unchecked->header.layout->block_count.width
	                          ? unchecked->header.block_count
	                          : 0;

	for (uint32_t i = 0; i < unchecked->header.layout->map_entries; i++)
		if (unchecked->entries[i] != GOW_UNALLOCATED && unchecked->entries[i] >= blocks)
			blocks = unchecked->entries[i] + 1;
	return blocks;
}

/* The size that a member of unknown size is taken to have. */
static int guess_size(struct gow_packed_image *image, const struct gow_layout *layout,
                      uint64_t limit, uint64_t *size, gow_error *error)
{
	struct gow_unchecked unchecked = { .entries = NULL };
	int code = load_header(image, limit, &unchecked, error);

	if (code)
		return code;
	*size = gow_min(limit, gow_layout_block_offset(layout, implied_blocks(&unchecked)));
	gow_unchecked_release(&unchecked);
	return GOW_OK;
}

/* Which logical block each physical one is; whether they come in the guest's order. */
static int find_owners(struct gow_packed_image *image, gow_error *error)
{
	const struct gow_map *map = &image->map;
	uint32_t next = 0;
	int code;

	image->present = gow_present_blocks(map->layout, map->file_size);
	code = gow_alloc_table((size_t)image->present + 1, &image->owners, error);
	if (code)
		return code;
	memset(image->owners, 0xff, image->present * sizeof *image->owners);
	image->in_order = true;
	for (uint32_t i = 0; i < map->logical_blocks; i++) {
		uint32_t physical = map->entries[i];

		if (physical == GOW_UNALLOCATED)
			continue;
		image->in_order = image->in_order && physical >= next;
		next = physical + 1;
		image->owners[physical] = i;
	}
	return GOW_OK;
}

/* Reads and judges the header of an image of that layout; its first bytes have been kept. */
static int begin(struct gow_packed_image *image, const struct gow_layout *layout, gow_error *error)
{
	struct gow_member *member = image->member;
	/* As many blocks may have leaked as there can be at all. */
	uint64_t limit = gow_layout_block_offset(layout, 2 * (uint64_t)layout->map_entries);
	uint64_t size = member->size;
	int code;

	member->limit = limit;
	if (size != GOW_NOWHERE && size > limit) {
		code = gow_fail(error, GOW_ERR_LIMIT,
		                "says that it has %" PRIu64 " bytes, more than an image of the "
		                "layout %s can (%" PRIu64 ")",
		                size, layout->name, limit);
		return named(image, code, error);
	}
	/* A small header ends before these, and the first block has begun. */
	gow_member_take_back(member);
	code = keep_header(image, gow_layout_data_start(layout), error);
	if (!code && member->position < gow_layout_header_end(layout))
		size = member->position; /* cut short: the validator says so */
	else if (!code && size == GOW_NOWHERE)
		code = guess_size(image, layout, limit, &size, error);
	if (!code)
		code = judge_header(image, size, &image->map, error);
	if (!code)
		code = find_owners(image, error);
	if (!code && member->size != GOW_NOWHERE) {
		(void)gow_file_close(image->header, NULL);
		image->header = NULL;
	}
	return code;
}

/* ---- life -------------------------------------------------------------------------------- */

int gow_packed_image_open(struct gow_packed_image *image, struct gow_member *member,
                          const struct gow_layouts *layouts, bool *is_image, gow_error *error)
{
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(layouts, &count);
	struct gow_header header;
	int code;

	image->member = member;
	image->layouts = layouts;
	code = gow_file_in_memory(member->entries->unpack.name, &image->header, error);
	if (!code)
		code = gow_file_write(image->header, 0, member->first, member->first_size, error);
	if (!code)
		code = gow_header_has_magic(image->header, rows, count, is_image, error);
	*is_image = *is_image || layouts->given;
	if (code || !*is_image)
		return code;
	code = gow_header_read(image->header, rows, count, &header, error);
	/* The record that would finish or roll back such a change is elsewhere. */
	if (!code && header.pending)
		code = named(image,
		             gow_fail(error, GOW_ERR_CORRUPT,
		                      "is in the middle of an in-place change; unpack it, and see "
		                      "gow-repair"),
		             error);
	return code ? code : begin(image, header.layout, error);
}

int gow_packed_image_end(struct gow_packed_image *image, gow_error *error)
{
	struct gow_map map = { .entries = NULL };
	int code;

	if (!image->header)
		return GOW_OK;
	code = judge_header(image, image->member->position, &map, error);
	gow_map_release(&map);
	return code;
}

void gow_packed_image_release(struct gow_packed_image *image)
{
	gow_map_release(&image->map);
	(void)gow_file_close(image->header, NULL);
	free(image->owners);
}
