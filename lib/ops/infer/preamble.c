/* SPDX-License-Identifier: BSD-2-Clause */
/* preamble.c - what the numbers before the map are: the disk's size, a count, a word. */
#include <ctype.h>
#include <string.h>

#include "ops/infer/infer.h"

/* A field that could be the disk's size. */
struct size_field {
	struct gow_field field;
	uint32_t unit;
	uint64_t size;
};

/* Smaller than the guest's structures, or larger than the map, it cannot be. */
static bool size_fits(const struct gow_candidate *candidate, uint64_t size)
{
	const struct gow_layout *row = &candidate->row;
	uint64_t entries = gow_divide_up(size, GOW_BLOCK_SIZE);

	if (!size || size % 512 || size < candidate->guest.end || size > row->logical_limit)
		return false;
	return entries == row->map_entries || row->map_entries == 1 << 20 ||
	       row->map_entries == 1 << 22;
}

/* How near the end of what the guest has on the disk it is. */
static bool size_is_near(const struct gow_candidate *candidate, uint64_t size)
{
	uint64_t end = candidate->guest.end;

	return end && size - end <= gow_max(end / 8, 4 << 20);
}

static uint64_t tables_start(const struct gow_layout *row)
{
	return gow_layout_has_versions(row) ? gow_min(row->map_offset, row->versions_offset)
	                                    : row->map_offset;
}

/* Better: said by the guest, then in smaller units. */
static bool is_better(const struct gow_candidate *candidate, const struct size_field *one,
                      const struct size_field *other)
{
	bool exact = one->size == candidate->guest.disk_size;
	bool other_exact = other->size == candidate->guest.disk_size;

	if (!other->size || exact != other_exact)
		return !other->size || exact;
	if (size_is_near(candidate, one->size) != size_is_near(candidate, other->size))
		return size_is_near(candidate, one->size);
	return one->unit < other->unit;
}

/* Looks at every place; *sizes: how many different ones would do. */
static struct size_field find_size(const struct gow_infer_work *work,
                                   const struct gow_candidate *candidate, bool *rivals)
{
	static const uint32_t units[] = { 1, 512, GOW_BLOCK_SIZE };
	uint64_t end = gow_min(tables_start(&candidate->row), GOW_PREAMBLE_MAX);
	struct size_field best = { .size = 0 };

	*rivals = false;
	for (uint64_t at = 0; at + 4 <= end; at += 2)
		for (unsigned width = at + 8 <= end ? 8 : 4; width >= 4; width -= 4)
			for (size_t i = 0; i < 3; i++) {
				uint64_t value = gow_load(work->head + at, width,
				                          candidate->row.order);
				struct size_field found = { { (uint32_t)at, (uint8_t)width },
					                    units[i],
					                    value * units[i] };

				if (value > (UINT64_C(1) << 40) / units[i] ||
				    !size_fits(candidate, found.size))
					continue;
				if (best.size && best.size != found.size)
					*rivals = true;
				if (is_better(candidate, &found, &best))
					best = found;
			}
	return best;
}

/* Where block 0 begins at no multiple of a sector, it is not aligned, and nothing but the map's last
 * entry can be before it. */
static bool length_is_exact(const struct gow_layout *row)
{
	uint64_t start = gow_layout_data_start(row);

	return row->map_entries != 1 << 20 && row->map_entries != 1 << 22 && start % 512 &&
	       start == gow_layout_header_end(row);
}

/* A file system without a partition table ends where its disk does; and a map with an entry for each
 * block does. */
static bool size_follows(const struct gow_candidate *candidate)
{
	uint64_t size = candidate->row.fixed_size, end = candidate->guest.end;

	return end && size >= end &&
	       ((!candidate->guest.table && size - end < GOW_BLOCK_SIZE) ||
	        length_is_exact(&candidate->row));
}

/* Without a field: what the guest says, or the least that has room for what it has. */
static void assume_size(struct gow_candidate *candidate)
{
	uint64_t limit = candidate->row.logical_limit;

	candidate->size_is_told = candidate->guest.disk_size && candidate->guest.disk_size <= limit;
	if (candidate->size_is_told)
		candidate->row.fixed_size = candidate->guest.disk_size;
	else if (candidate->guest.end && candidate->guest.end <= limit &&
	         (candidate->row.map_entries == 1 << 20 || candidate->row.map_entries == 1 << 22))
		candidate->row.fixed_size = gow_round_up(candidate->guest.end, GOW_BLOCK_SIZE);
	candidate->row.fixed_size = gow_min(gow_round_up(candidate->row.fixed_size, 512), limit);
	candidate->size_is_sure = candidate->size_is_told;
	candidate->size_is_known = candidate->size_is_told || size_follows(candidate);
}

static bool apart(struct gow_field one, struct gow_field other)
{
	return one.offset + one.width <= other.offset || other.offset + other.width <= one.offset;
}

/* A count only where exactly one place holds it, and no accident could have put it there. */
static void find_count(const struct gow_infer_work *work, struct gow_candidate *candidate)
{
	struct gow_layout *row = &candidate->row;
	uint64_t end = gow_min(tables_start(row), GOW_PREAMBLE_MAX);
	struct gow_field found = { .width = 0 };

	for (uint64_t at = 0; at + 4 <= end && candidate->present >= 64; at += 4) {
		struct gow_field field = { (uint32_t)at, 4 };

		if (gow_load(work->head + at, 4, row->order) != candidate->present ||
		    !apart(field, row->logical_size))
			continue;
		if (found.width)
			return;
		found = field;
	}
	row->block_count = found;
}

/* A word of three letters or more begins the file. */
static void find_magic(const struct gow_infer_work *work, struct gow_layout *row)
{
	struct gow_field field = { 0, GOW_MAGIC_SIZE };
	unsigned letters = 0;

	if (tables_start(row) < GOW_MAGIC_SIZE || !apart(field, row->logical_size) ||
	    (row->block_count.width && !apart(field, row->block_count)))
		return;
	for (size_t i = 0; i < GOW_MAGIC_SIZE; i++)
		letters += isalpha(work->head[i]) != 0;
	if (letters < 3)
		return;
	row->magic_size = GOW_MAGIC_SIZE;
	memcpy(row->magic, work->head, GOW_MAGIC_SIZE);
}

void gow_infer_preamble(const struct gow_infer_work *work, struct gow_candidate *candidate)
{
	struct gow_layout *row = &candidate->row;
	bool rivals;
	struct size_field size = find_size(work, candidate, &rivals);

	candidate->is_short = gow_max(candidate->guest.end, candidate->guest.disk_size) >
	                      row->logical_limit;
	if (size.size) {
		row->logical_size = size.field;
		row->size_unit = size.unit;
		row->fixed_size = 0;
		candidate->size = size.size;
		candidate->size_is_told = candidate->size_is_known = true;
		candidate->size_is_sure = size.size == candidate->guest.disk_size ||
		                          (!rivals &&
		                           (size.unit == 1 || size_is_near(candidate, size.size)));
	} else {
		assume_size(candidate);
		candidate->size = row->fixed_size;
	}
	find_count(work, candidate);
	find_magic(work, row);
	if (row->map_entries != 1 << 20 && row->map_entries != 1 << 22 &&
	    !gow_layout_has_versions(row) && size.size)
		row->per_logical_block = true;
	if (!gow_layout_is_usable(row)) {
		row->magic_size = 0;
		row->block_count.width = 0;
	}
}
