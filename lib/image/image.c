/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/state.h"
#include "io/remote.h"

/* ---- life -------------------------------------------------------------------------------- */

int gow_image_make(struct gow_file *file, struct gow_map *map, bool damaged, gow_image **image,
                   gow_error *error)
{
	gow_image *made = calloc(1, sizeof *made);

	if (!made) {
		gow_map_release(map);
		(void)gow_file_close(file, NULL);
		return gow_fail_memory(error, sizeof *made);
	}
	made->file = file;
	made->map = *map;
	made->damaged = damaged;
	*image = made;
	return GOW_OK;
}

void gow_image_close(gow_image *image)
{
	if (!image)
		return;
	gow_map_release(&image->map);
	if (image->session)
		image->session->free(image->session);
	/* Whatever is to be kept was flushed, and checked there. */
	(void)gow_file_close(image->file, NULL);
	gow_layouts_free(image->layouts);
	free(image);
}

void gow_image_own_layouts(gow_image *image, struct gow_layouts *layouts)
{
	image->layouts = layouts;
}

/* ---- what it is -------------------------------------------------------------------------- */

uint64_t gow_image_size(const gow_image *image)
{
	return image->map.logical_size;
}

unsigned gow_image_version(const gow_image *image)
{
	return image->map.layout->version;
}

const struct gow_map *gow_image_map(const gow_image *image)
{
	return &image->map;
}

struct gow_file *gow_image_file(const gow_image *image)
{
	return image->file;
}

struct gow_lock *gow_image_lock(gow_image *image)
{
	return &image->lock;
}

bool gow_image_is_damaged(const gow_image *image)
{
	return image->damaged;
}

/* ---- reading ----------------------------------------------------------------------------- */

int gow_image_check_range(const gow_image *image, uint64_t offset, uint64_t size, gow_error *error)
{
	if (offset <= image->map.logical_size && size <= image->map.logical_size - offset)
		return GOW_OK;
	return gow_fail_at_offset(error,
	                          gow_fail(error, GOW_ERR_ARGUMENT,
	                                   "%llu guest bytes reach past the end of the disk",
	                                   (unsigned long long)size),
	                          offset);
}

/* Whether a session holds bytes that are not in the file. */
static bool holds_any(const gow_image *image)
{
	return image->session && gow_held_any(image->session->held);
}

/* Of a file on a server, so many runs are fetched together; longer ones are read ahead. */
enum { GATHER_MOST = 64, GATHER_RUN = 2 * GOW_BLOCK_SIZE };

/* What is past the end of the file reads as zeros. */
static struct gow_remote_range clip(const gow_image *image, uint64_t file_size, uint32_t physical,
                                    uint32_t inside, uint8_t *to, size_t size)
{
	const uint64_t at = gow_layout_block_offset(image->map.layout, physical) + inside;
	const uint64_t there = at < file_size ? gow_min(file_size - at, size) : 0;

	memset(to + there, 0, size - (size_t)there);
	return (struct gow_remote_range){ at, (size_t)there, to };
}

/* Finds the runs of a guest range, which may be many and short, and fetches them together.
 * *gathered is false where that is not worth it. */
static int read_gathered(const gow_image *image, uint64_t offset, uint8_t *to, size_t size,
                         bool *gathered, gow_error *error)
{
	struct gow_remote_range ranges[GATHER_MOST];
	const size_t all = size;
	size_t count = 0;
	uint64_t file_size;
	int code = gow_file_size(image->file, &file_size, error);

	*gathered = false;
	while (!code && size && count < GATHER_MOST) {
		const uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		const uint32_t most = (uint32_t)gow_divide_up((uint64_t)inside + size,
		                                              GOW_BLOCK_SIZE);
		uint32_t physical;
		const uint32_t run = gow_map_run(&image->map, (uint32_t)(offset / GOW_BLOCK_SIZE),
		                                 most, &physical);
		const size_t part = (size_t)gow_min(size, (uint64_t)run * GOW_BLOCK_SIZE - inside);

		if (physical == GOW_UNALLOCATED)
			memset(to, 0, part);
		else
			ranges[count++] = clip(image, file_size, physical, inside, to, part);
		to += part;
		offset += part;
		size -= part;
	}
	if (code || size || count < 2 || all / count > GATHER_RUN)
		return code;
	*gathered = true;
	return gow_file_read_gathered(image->file, ranges, count, error);
}

int gow_image_read(const gow_image *image, uint64_t offset, void *buf, size_t size,
                   gow_error *error)
{
	const uint64_t start = offset;
	uint8_t *byte = buf;
	bool gathered = false;
	int code = gow_image_check_range(image, offset, size, error);

	if (!code && size > GOW_BLOCK_SIZE && gow_file_is_remote(image->file))
		code = read_gathered(image, offset, buf, size, &gathered, error);
	if (gathered)
		return code;
	while (!code && size) {
		uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		uint32_t most = (uint32_t)gow_divide_up((uint64_t)inside + size, GOW_BLOCK_SIZE);
		uint32_t physical;
		uint32_t run = gow_map_run(&image->map, logical, most, &physical);
		size_t part = (size_t)gow_min(size, (uint64_t)run * GOW_BLOCK_SIZE - inside);

		if (physical == GOW_UNALLOCATED)
			memset(byte, 0, part);
		else
			code = gow_file_read_padded(
				image->file,
				gow_layout_block_offset(image->map.layout, physical) + inside, byte,
				part, error);
		if (code)
			code = gow_fail_at_block(error, code, logical);
		byte += part;
		offset += part;
		size -= part;
	}
	if (!code && holds_any(image))
		gow_held_overlay(image->session->held, start, buf, (size_t)(offset - start));
	return code;
}

/* So many blocks of a run are looked at in one go: whoever reads it piece by piece asks anew for
 * each, and a run may be as long as the disk. */
enum { RUN_MOST = 4096 };

/* The next data of a run of allocated blocks in the file. What a session holds may be where the
 * file has a hole. */
static int next_in_file(gow_image *image, uint64_t offset, uint64_t end, uint64_t *start,
                        uint64_t *data_end, gow_error *error)
{
	int code;

	*start = offset;
	*data_end = end;
	if (holds_any(image))
		return GOW_OK;
	code = gow_file_next_data(image->file, offset, start, data_end, error);
	if (!code && (*start >= *data_end || *start >= end))
		*start = *data_end = end;
	*data_end = gow_min(*data_end, end);
	return code;
}

/* On a server, runs that follow each other in the guest's disk are fetched together, wherever they
 * are in the file: the end of the run at offset, with those behind it. */
static uint64_t extend_run(const gow_image *image, uint64_t offset)
{
	const struct gow_map *map = &image->map;

	for (unsigned i = 0; i < GATHER_MOST && offset < map->logical_size; i++) {
		const uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		uint32_t physical;
		const uint32_t most = (uint32_t)gow_min(map->logical_blocks - logical, RUN_MOST);
		const uint32_t run = gow_map_run(map, logical, most, &physical);

		if (physical == GOW_UNALLOCATED)
			break;
		offset = ((uint64_t)logical + run) * GOW_BLOCK_SIZE;
	}
	return gow_min(offset, map->logical_size);
}

int gow_image_next_data(gow_image *image, uint64_t offset, uint64_t *start, uint64_t *end,
                        gow_error *error)
{
	const struct gow_map *map = &image->map;

	while (offset < map->logical_size) {
		uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		uint64_t inside = offset % GOW_BLOCK_SIZE;
		uint32_t physical;
		uint32_t most = (uint32_t)gow_min(map->logical_blocks - logical, RUN_MOST);
		uint32_t run = gow_map_run(map, logical, most, &physical);
		uint64_t run_end = ((uint64_t)logical + run) * GOW_BLOCK_SIZE;
		uint64_t in_file, data_start, data_end;
		int code;

		if (physical == GOW_UNALLOCATED) {
			offset = run_end;
			continue;
		}
		in_file = gow_layout_block_offset(map->layout, physical) + inside;
		code = next_in_file(image, in_file, in_file + (run_end - offset), &data_start,
		                    &data_end, error);
		if (code)
			return code;
		*start = offset + (data_start - in_file);
		*end = gow_min(offset + (data_end - in_file), map->logical_size);
		if (*start < *end) {
			if (*end == run_end && gow_file_is_remote(image->file))
				*end = extend_run(image, run_end);
			return GOW_OK;
		}
		offset = run_end;
	}
	*start = *end = map->logical_size;
	return GOW_OK;
}

/* ---- extents ----------------------------------------------------------------------------- */

/* The extent that begins at offset, no longer than up to end. */
static int find_extent(gow_image *image, uint64_t offset, uint64_t end, gow_guest_extent *extent,
                       gow_error *error)
{
	const struct gow_map *map = &image->map;
	const uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
	const uint32_t most = (uint32_t)gow_min(map->logical_blocks - logical, RUN_MOST);
	uint32_t physical;
	const uint32_t run = gow_map_run(map, logical, most, &physical);
	const uint64_t past = gow_min(end, ((uint64_t)logical + run) * GOW_BLOCK_SIZE);
	uint64_t in_file, start, data_end;
	int code;

	*extent = (gow_guest_extent){ .offset = offset, .size = past - offset };
	if (physical == GOW_UNALLOCATED)
		return GOW_OK;
	extent->allocated = true;
	in_file = gow_layout_block_offset(map->layout, physical) + offset % GOW_BLOCK_SIZE;
	code = next_in_file(image, in_file, in_file + (past - offset), &start, &data_end, error);
	extent->data = start == in_file;
	extent->size = (start == in_file ? data_end : start) - in_file;
	return code;
}

int gow_image_each_extent(gow_image *image, uint64_t offset, uint64_t size,
                          gow_guest_extent_visitor visit, void *context, gow_error *error)
{
	const uint64_t end = offset + size;
	gow_guest_extent held = { .size = 0 }, next;
	int code = gow_image_check_range(image, offset, size, error);

	while (!code && offset < end) {
		code = find_extent(image, offset, end, &next, error);
		if (code)
			return code;
		offset += next.size;
		if (held.size && held.allocated == next.allocated && held.data == next.data) {
			held.size += next.size;
			continue;
		}
		code = held.size ? visit(context, &held) : GOW_OK;
		held = next;
	}
	return !code && held.size ? visit(context, &held) : code;
}
