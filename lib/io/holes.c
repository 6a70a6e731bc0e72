/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/holes.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"

void gow_hole_map_init(struct gow_hole_map *map, size_t limit)
{
	*map = (struct gow_hole_map){ .limit = limit };
}

void gow_hole_map_release(struct gow_hole_map *map)
{
	free(map->runs);
	map->runs = NULL;
	map->count = map->room = 0;
}

/* Fills short holes, and longer ones each time, until there is as much room again. */
static void coarsen(struct gow_hole_map *map)
{
	struct gow_hole_map_run *runs = map->runs;

	while (map->count > map->limit / 2) {
		size_t kept = 0;

		map->grain = gow_max(GOW_FILE_GRAIN, 2 * map->grain);
		for (size_t i = 1; i < map->count; i++)
			if (runs[i].start - runs[kept].end <= map->grain)
				runs[kept].end = runs[i].end;
			else
				runs[++kept] = runs[i];
		map->count = kept + 1;
	}
}

static int grow(struct gow_hole_map *map, gow_error *error)
{
	const size_t room = map->room ? 2 * map->room : 64;
	struct gow_hole_map_run *grown = realloc(map->runs, room * sizeof *grown);

	if (!grown)
		return gow_fail_memory(error, room * sizeof *grown);
	map->runs = grown;
	map->room = room;
	return GOW_OK;
}

static int add_run(struct gow_hole_map *map, uint64_t start, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	if (map->count && start - map->runs[map->count - 1].end <= map->grain) {
		map->runs[map->count - 1].end = end;
		return GOW_OK;
	}
	if (map->count == map->limit)
		coarsen(map);
	else if (map->count == map->room)
		code = grow(map, error);
	if (!code)
		map->runs[map->count++] = (struct gow_hole_map_run){ start, end };
	return code;
}

int gow_hole_map_add(struct gow_hole_map *map, struct gow_file *file, uint64_t start, uint64_t end,
                     gow_error *error)
{
	while (start < end) {
		uint64_t data, data_end;
		int code = gow_file_next_data(file, start, &data, &data_end, error);

		if (code)
			return code;
		if (data == data_end || data >= end)
			break;
		start = gow_min(data_end, end);
		code = add_run(map, data, start, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

void gow_hole_map_next_data(const struct gow_hole_map *map, uint64_t offset, uint64_t *start,
                            uint64_t *end)
{
	size_t first = 0, past = map->count;

	while (first < past) { /* the first run that does not end before offset */
		size_t middle = first + (past - first) / 2;

		if (map->runs[middle].end <= offset)
			first = middle + 1;
		else
			past = middle;
	}
	*start = *end = offset;
	if (first == map->count)
		return;
	*start = gow_max(offset, map->runs[first].start);
	*end = map->runs[first].end;
}
