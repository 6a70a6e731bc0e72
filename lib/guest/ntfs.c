/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs.c - NTFS: a boot sector, its copy in the volume's last sector, the MFT and its mirror. */
#include <string.h>

#include "guest/guest.h"

enum { SECTOR = 512 };

bool gow_guest_probe_ntfs(const struct gow_guest_disk *disk, struct gow_guest *guest,
                          struct gow_guest_part *part)
{
	uint8_t boot[SECTOR], other[SECTOR];
	uint64_t sectors, cluster;
	uint32_t sector_size;

	if (!gow_guest_read(disk, part->start, boot, SECTOR) ||
	    memcmp(boot + 3, "NTFS    ", 8) != 0)
		return false;
	sector_size = GOW_LE16(boot + 11);
	sectors = GOW_LE64(boot + 40);
	cluster = (uint64_t)boot[13] * sector_size;
	if (sector_size < 256 || sector_size > 4096 || !cluster || !sectors ||
	    sectors > (UINT64_C(1) << 40) / sector_size)
		return false;
	part->filesystem = "ntfs";
	part->filesystem_size = (sectors + 1) * sector_size;
	gow_guest_witness(
		guest, part->start, part->start + sectors * sector_size,
		gow_guest_read(disk, part->start + sectors * sector_size, other, SECTOR) &&
			memcmp(boot, other, SECTOR) == 0);
	for (unsigned at = 48; at <= 56; at += 8) {
		uint64_t place = GOW_LE64(boot + at);

		if (place > sectors || place * boot[13] > sectors)
			continue;
		place = part->start + place * cluster;
		gow_guest_witness(guest, part->start, place,
		                  gow_guest_read(disk, place, other, SECTOR) &&
		                          memcmp(other, "FILE", 4) == 0);
	}
	return true;
}
