/* SPDX-License-Identifier: BSD-2-Clause */
/* sample.c - the ends of a disk, kept while it is copied: a pipe cannot be read twice. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "disk/disk.h"

int gow_sample_new(struct gow_sample *sample, uint64_t size, gow_error *error)
{
	*sample = (struct gow_sample){ .first = calloc(1, GOW_SAMPLE_FIRST) };
	sample->is_fixed = size != GOW_NOWHERE;
	sample->last_offset = sample->is_fixed && size > GOW_SAMPLE_LAST ? size - GOW_SAMPLE_LAST
	                                                                 : 0;
	sample->last = calloc(1, GOW_SAMPLE_LAST);
	if (sample->first && sample->last)
		return GOW_OK;
	gow_sample_release(sample);
	return gow_fail_memory(error, GOW_SAMPLE_FIRST);
}

/* Moves the window so that it ends at end. */
static void move_window(struct gow_sample *sample, uint64_t end)
{
	uint64_t start = end > GOW_SAMPLE_LAST ? end - GOW_SAMPLE_LAST : 0;
	size_t by = (size_t)gow_min(start - gow_min(start, sample->last_offset), GOW_SAMPLE_LAST);

	if (!by)
		return;
	memmove(sample->last, sample->last + by, GOW_SAMPLE_LAST - by);
	memset(sample->last + GOW_SAMPLE_LAST - by, 0, by);
	sample->last_offset = start;
}

/* The part of the bytes that belongs into a place of the disk. */
static void keep(uint8_t *place, uint64_t place_offset, size_t place_size, uint64_t offset,
                 const uint8_t *bytes, size_t size)
{
	uint64_t from = gow_max(offset, place_offset);
	uint64_t to = gow_min(offset + size, place_offset + place_size);

	if (from < to)
		memcpy(place + (from - place_offset), bytes + (from - offset), (size_t)(to - from));
}

void gow_sample_note(struct gow_sample *sample, uint64_t offset, const uint8_t *bytes, size_t size)
{
	keep(sample->first, 0, GOW_SAMPLE_FIRST, offset, bytes, size);
	if (!sample->is_fixed)
		move_window(sample, offset + size);
	keep(sample->last, sample->last_offset, GOW_SAMPLE_LAST, offset, bytes, size);
}

bool gow_sample_read(const struct gow_sample *sample, uint64_t offset, void *buf, size_t size)
{
	if (offset < GOW_SAMPLE_FIRST && size <= GOW_SAMPLE_FIRST - offset) {
		memcpy(buf, sample->first + offset, size);
		return true;
	}
	if (offset < sample->last_offset ||
	    offset - sample->last_offset > GOW_SAMPLE_LAST - gow_min(size, GOW_SAMPLE_LAST))
		return false;
	if (size > GOW_SAMPLE_LAST)
		return false;
	memcpy(buf, sample->last + (offset - sample->last_offset), size);
	return true;
}

void gow_sample_release(struct gow_sample *sample)
{
	free(sample->first);
	free(sample->last);
	*sample = (struct gow_sample){ .first = NULL };
}
