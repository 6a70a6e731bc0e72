/* SPDX-License-Identifier: BSD-2-Clause */
/* picture.c - counting what a picture shows. */
#include "info/picture.h"

#include <stdlib.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static unsigned cell_of(const struct picture_band *band, uint64_t block)
{
	return (unsigned)(block * band->count / band->blocks);
}

/* The first block of the cell after that one. */
static uint64_t cell_end(const struct picture_band *band, unsigned cell)
{
	return ((uint64_t)(cell + 1) * band->blocks + band->count - 1) / band->count;
}

static bool begin_band(struct picture_band *band, uint64_t blocks, unsigned room)
{
	*band = (struct picture_band){ .blocks = blocks, .count = (unsigned)least(blocks, room) };
	band->cells = calloc(band->count + 1u, sizeof *band->cells);
	return band->cells != NULL;
}

/* Which of a cell's counts a run is added to. */
enum kind { ALLOCATED, ZERO };

static void add_run(struct picture_band *band, uint64_t start, uint64_t blocks, enum kind kind)
{
	const uint64_t end = least(start + blocks, band->blocks);

	while (start < end) {
		unsigned cell = cell_of(band, start);
		uint64_t stop = least(end, cell_end(band, cell));

		if (kind == ZERO)
			band->cells[cell].zero += stop - start;
		else
			band->cells[cell].allocated += stop - start;
		start = stop;
	}
}

static struct picture_cell *cell_at(struct picture_band *band, uint64_t block)
{
	return block < band->blocks ? &band->cells[cell_of(band, block)] : NULL;
}

/* ---- gathering --------------------------------------------------------------------------- */

struct gathering {
	struct picture *picture;
	gow_extent last;     /* the one before, with blocks 0 at the start */
	uint64_t last_place; /* the physical block of the last place that was visited */
};

static void add_links(struct picture *picture, const gow_extent *extent)
{
	const struct picture_band *guest = &picture->guest, *file = &picture->file;

	for (uint64_t i = 0; i < extent->blocks; i++) {
		uint64_t logical = extent->logical + i, physical = extent->physical + i;

		if (logical < guest->blocks && physical < file->blocks)
			picture->links[(size_t)cell_of(guest, logical) * file->count +
			               cell_of(file, physical)] = 1;
	}
}

static int add_extent(void *context, const gow_extent *extent)
{
	struct gathering *gathering = context;
	struct picture *picture = gathering->picture;
	const gow_extent *last = &gathering->last;
	bool neighbours = last->blocks && last->logical + last->blocks == extent->logical;

	add_run(&picture->file, extent->physical, extent->blocks, ALLOCATED);
	add_run(&picture->guest, extent->logical, extent->blocks, ALLOCATED);
	if (neighbours && last->physical + last->blocks != extent->physical) {
		struct picture_cell *file = cell_at(&picture->file, extent->physical);
		struct picture_cell *guest = cell_at(&picture->guest, extent->logical);

		if (file)
			file->breaks++;
		if (guest)
			guest->breaks++;
		picture->totals[PICTURE_APART]++;
	}
	if (picture->links)
		add_links(picture, extent);
	gathering->last = *extent;
	return 0;
}

static int add_zeros(void *context, const gow_extent *extent)
{
	struct gathering *gathering = context;

	add_run(&gathering->picture->file, extent->physical, extent->blocks, ZERO);
	add_run(&gathering->picture->guest, extent->logical, extent->blocks, ZERO);
	gathering->picture->totals[PICTURE_ZERO] += extent->blocks;
	return 0;
}

static int add_leak(void *context, const gow_place *place)
{
	struct gathering *gathering = context;
	struct picture_cell *cell = cell_at(&gathering->picture->file, place->physical);

	if (cell)
		cell->leaked++;
	gathering->picture->totals[PICTURE_LEAKED]++;
	return 0;
}

/* A block that has three owners comes twice in a row. */
static int add_shared(void *context, const gow_place *place)
{
	struct gathering *gathering = context;
	struct picture_band *file = &gathering->picture->file, *guest = &gathering->picture->guest;
	struct picture_cell *cell = cell_at(file, place->physical);

	if (cell && gathering->last_place != place->physical) {
		cell->shared++;
		gathering->picture->totals[PICTURE_SHARED]++;
	}
	gathering->last_place = place->physical;
	for (int i = 0; i < 2; i++) {
		cell = cell_at(guest, i ? place->other : place->logical);
		if (cell)
			cell->shared++;
	}
	return 0;
}

int picture_make(gow_check *check, const gow_info *info, unsigned room, bool links,
                 struct picture *picture, gow_error *error)
{
	struct gathering gathering = { .picture = picture, .last_place = GOW_NOWHERE };
	const uint64_t guest = least(info->logical_blocks, info->map_entries);
	int code;

	*picture = (struct picture){ .links = NULL };
	if (!begin_band(&picture->file, info->present_blocks, room) ||
	    !begin_band(&picture->guest, guest, room) ||
	    (links && !(picture->links = calloc(
				(size_t)picture->guest.count * picture->file.count + 1, 1)))) {
		*error = (gow_error){ .code = GOW_ERR_MEMORY,
			              .offset = GOW_NOWHERE,
			              .block = GOW_NOWHERE,
			              .what = "no memory for the picture" };
		return GOW_ERR_MEMORY;
	}
	if (!info->map_readable || info->pending)
		return GOW_OK;
	code = gow_check_each_extent(check, add_extent, &gathering, error);
	if (!code)
		code = gow_check_each_hole(check, add_zeros, &gathering, error);
	if (!code)
		code = gow_check_each_place(check, GOW_SPACE_LEAK, add_leak, &gathering, error);
	if (!code)
		code = gow_check_each_place(check, GOW_MAP_CROSSLINK, add_shared, &gathering,
		                            error);
	return code;
}

void picture_free(struct picture *picture)
{
	free(picture->file.cells);
	free(picture->guest.cells);
	free(picture->links);
}

/* ---- what a cell shows ------------------------------------------------------------------- */

/* A shared block is never to be overlooked; otherwise the cell is what most of its blocks are. */
enum picture_state picture_state_of(const struct picture_cell *cell)
{
	const uint64_t data = cell->allocated - least(cell->allocated, cell->zero);

	if (cell->shared)
		return PICTURE_SHARED;
	if (cell->leaked && cell->leaked >= data && cell->leaked >= cell->zero)
		return PICTURE_LEAKED;
	if (cell->zero > data)
		return PICTURE_ZERO;
	if (!cell->allocated)
		return PICTURE_FREE;
	return cell->breaks * 8 >= cell->allocated ? PICTURE_APART : PICTURE_ORDERED;
}

const char *picture_layout(const gow_info *info, char buffer[PICTURE_LAYOUT])
{
	if (info->foreign)
		(void)snprintf(buffer, PICTURE_LAYOUT, "layout %s", info->layout);
	else
		(void)snprintf(buffer, PICTURE_LAYOUT, "version %u", info->version);
	return buffer;
}

const char *picture_state_name(enum picture_state state)
{
	static const char *const names[PICTURE_STATES] = {
		[PICTURE_FREE] = "not allocated", [PICTURE_ORDERED] = "in order",
		[PICTURE_APART] = "fragmented",   [PICTURE_ZERO] = "zeros",
		[PICTURE_LEAKED] = "leaked",      [PICTURE_SHARED] = "shared",
	};

	return names[state];
}
