/* SPDX-License-Identifier: BSD-2-Clause */
/* fat.c - FAT12, 16 and 32: a boot sector, FAT32's copy of it, and tables that begin alike. */
#include <string.h>

#include "guest/guest.h"

enum { SECTOR = 512 };

struct fat {
	uint32_t sector, reserved, tables, length;
	uint64_t sectors;
};

static bool parse(const uint8_t boot[SECTOR], struct fat *fat)
{
	fat->sector = GOW_LE16(boot + 11);
	fat->reserved = GOW_LE16(boot + 14);
	fat->tables = boot[16];
	fat->sectors = GOW_LE16(boot + 19) ? GOW_LE16(boot + 19) : GOW_LE32(boot + 32);
	fat->length = GOW_LE16(boot + 22) ? GOW_LE16(boot + 22) : GOW_LE32(boot + 36);
	return boot[510] == 0x55 && boot[511] == 0xaa && (boot[0] == 0xeb || boot[0] == 0xe9) &&
	       (fat->sector == 512 || fat->sector == 1024 || fat->sector == 2048 ||
	        fat->sector == 4096) &&
	       boot[13] && !(boot[13] & (boot[13] - 1)) && fat->reserved && fat->tables >= 1 &&
	       fat->tables <= 2 && fat->sectors && fat->length && boot[21] >= 0xf0 &&
	       fat->reserved + (uint64_t)fat->tables * fat->length < fat->sectors;
}

static const char *kind_of(const uint8_t boot[SECTOR], const struct fat *fat)
{
	uint64_t roots = gow_divide_up((uint64_t)GOW_LE16(boot + 17) * 32, fat->sector);
	uint64_t taken = fat->reserved + (uint64_t)fat->tables * fat->length + roots;
	uint64_t clusters = fat->sectors > taken ? (fat->sectors - taken) / boot[13] : 0;

	if (!GOW_LE16(boot + 22))
		return "fat32";
	return clusters < 4085 ? "fat12" : "fat16";
}

/* Each table begins with the medium's byte and ones. */
static void compare_tables(const struct gow_guest_disk *disk, struct gow_guest *guest,
                           const struct gow_guest_part *part, const struct fat *fat, uint8_t medium)
{
	for (uint32_t i = 0; i < fat->tables; i++) {
		uint64_t at = part->start +
		              (fat->reserved + (uint64_t)i * fat->length) * fat->sector;
		uint8_t start[4];

		gow_guest_witness(guest, part->start, at,
		                  gow_guest_read(disk, at, start, sizeof start) &&
		                          start[0] == medium && start[1] == 0xff);
	}
}

bool gow_guest_probe_fat(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part)
{
	uint8_t boot[SECTOR], copy[SECTOR];
	struct fat fat;
	uint64_t at;

	if (!gow_guest_read(disk, part->start, boot, SECTOR) || !parse(boot, &fat))
		return false;
	part->filesystem = kind_of(boot, &fat);
	part->filesystem_size = fat.sectors * fat.sector;
	compare_tables(disk, guest, part, &fat, boot[21]);
	if (!GOW_LE16(boot + 22) && GOW_LE16(boot + 50) && GOW_LE16(boot + 50) < fat.reserved) {
		at = part->start + (uint64_t)GOW_LE16(boot + 50) * fat.sector;
		gow_guest_witness(guest, part->start, at,
		                  gow_guest_read(disk, at, copy, SECTOR) &&
		                          memcmp(boot, copy, SECTOR) == 0);
	}
	return true;
}
