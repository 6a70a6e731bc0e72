/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/contents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/monitor.h"
#include "io/remote.h"

/* ---- reading ----------------------------------------------------------------------------- */

static bool read_raw_block(const struct gow_unchecked *unchecked, uint32_t entry, uint64_t inside,
                           void *buf, size_t size)
{
	const struct gow_layout *layout = unchecked->header.layout;

	if (entry == GOW_UNALLOCATED) {
		memset(buf, 0, size);
		return true;
	}
	return entry < unchecked->header.present_blocks &&
	       gow_file_read_padded(unchecked->file,
	                            gow_layout_block_offset(layout, entry) + inside, buf, size,
	                            NULL) == GOW_OK;
}

/* Reads by the map. */
static bool read_raw(const struct gow_unchecked *unchecked, uint64_t offset, void *buf, size_t size)
{
	uint8_t *to = buf;

	while (size) {
		uint64_t block = offset / GOW_BLOCK_SIZE, inside = offset % GOW_BLOCK_SIZE;
		size_t part = (size_t)gow_min(size, GOW_BLOCK_SIZE - inside);

		if (block >= unchecked->header.layout->map_entries ||
		    !read_raw_block(unchecked, unchecked->entries[block], inside, to, part))
			return false;
		to += part;
		offset += part;
		size -= part;
	}
	return true;
}

/* Where what is on the disk is read from: one of the two. */
struct look {
	const struct gow_unchecked *unchecked;
	struct gow_source *source;
	bool failed;
};

static bool read_disk(void *context, uint64_t offset, void *buf, size_t size)
{
	struct look *look = context;
	struct gow_source *source = look->source;
	const struct gow_file *file = source ? source->file : look->unchecked->file;
	size_t got = size;

	/* A server that failed was asked several times, which took seconds. */
	if (look->failed && file && gow_file_is_remote(file))
		return false;
	if (!source)
		look->failed = !read_raw(look->unchecked, offset, buf, size);
	else
		look->failed = source->ops->read(source, offset, buf, size, &got, NULL) != GOW_OK;
	return !look->failed && got == size;
}

void gow_contents_of_unchecked(const struct gow_unchecked *unchecked, uint64_t size,
                               struct gow_guest *guest)
{
	struct look look = { .unchecked = unchecked };
	const struct gow_guest_disk disk = { &look, read_disk, size };

	gow_guest_probe(&disk, guest);
}

/* ---- past the end ------------------------------------------------------------------------ */

uint64_t gow_contents_past_end(const struct gow_guest *guest, uint64_t size)
{
	uint64_t end = gow_max(guest->end, guest->disk_size);

	return end > size ? end : 0;
}

void gow_contents_warn(struct gow_source *source, const gow_monitor *monitor, const char *name)
{
	struct look look = { .source = source };
	const struct gow_guest_disk disk = { &look, read_disk, source->size };
	struct gow_guest *guest;
	uint64_t end;

	if (source->once || source->ops->pull || source->size == GOW_NOWHERE)
		return;
	guest = calloc(1, sizeof *guest);
	if (!guest)
		return;
	gow_guest_probe(&disk, guest);
	end = gow_contents_past_end(guest, source->size);
	if (end)
		gow_note(monitor, GOW_NOTE_WARNING, name,
		         "the disk has %" PRIu64 " bytes, and what is on it reaches to %" PRIu64
		         ": a copy that was cut short, or a part of a split disk",
		         source->size, end);
	free(guest);
}
