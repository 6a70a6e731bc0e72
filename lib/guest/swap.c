/* SPDX-License-Identifier: BSD-2-Clause */
/* swap.c - a Linux swap area. */
#include <string.h>

#include "guest/guest.h"

enum { PAGE = 4096 };

bool gow_guest_probe_swap(const struct gow_guest_disk *disk, struct gow_guest *guest,
                          struct gow_guest_part *part)
{
	uint8_t page[PAGE];

	(void)guest;
	if (!gow_guest_read(disk, part->start, page, sizeof page) ||
	    memcmp(page + PAGE - 10, "SWAPSPACE2", 10) != 0)
		return false;
	part->filesystem = "swap";
	part->filesystem_size = ((uint64_t)GOW_LE32(page + 1028) + 1) * PAGE;
	return true;
}
