/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/contents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/monitor.h"

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

static bool read_raw(void *context, uint64_t offset, void *buf, size_t size)
{
	const struct gow_unchecked *unchecked = context;
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

void gow_contents_of_unchecked(const struct gow_unchecked *unchecked, uint64_t size,
                               struct gow_guest *guest)
{
	const struct gow_guest_disk disk = { (void *)unchecked, read_raw, size };

	gow_guest_probe(&disk, guest);
}

static bool read_source(void *context, uint64_t offset, void *buf, size_t size)
{
	struct gow_source *source = context;
	size_t got;

	return source->ops->read(source, offset, buf, size, &got, NULL) == GOW_OK && got == size;
}

/* ---- past the end ------------------------------------------------------------------------ */

uint64_t gow_contents_past_end(const struct gow_guest *guest, uint64_t size)
{
	uint64_t end = gow_max(guest->end, guest->disk_size);

	return end > size ? end : 0;
}

void gow_contents_warn(struct gow_source *source, const gow_monitor *monitor, const char *name)
{
	const struct gow_guest_disk disk = { source, read_source, source->size };
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
