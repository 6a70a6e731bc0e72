/* SPDX-License-Identifier: BSD-2-Clause */
/* ufs.c - UFS of the BSDs and of Solaris: a superblock at 8 or 64 KiB, by its magic. */
#include "guest/guest.h"

enum { SUPER_SIZE = 2048, MAGIC_AT = 1372 };

bool gow_guest_probe_ufs(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part)
{
	static const struct {
		uint32_t at, magic;
		const char *name;
	} places[] = { { 65536, 0x19540119, "ufs2" },
		       { 8192, 0x00011954, "ufs1" },
		       { 65536, 0x00011954, "ufs1" } };
	uint8_t super[SUPER_SIZE];

	(void)guest;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		if (!gow_guest_read(disk, part->start + places[i].at, super, sizeof super))
			continue;
		for (int order = GOW_LITTLE_ENDIAN; order <= GOW_BIG_ENDIAN; order++) {
			if (gow_load32(super + MAGIC_AT, (enum gow_order)order) != places[i].magic)
				continue;
			part->filesystem = places[i].name;
			if (places[i].magic == 0x00011954)
				part->filesystem_size =
					(uint64_t)gow_load32(super + 36, (enum gow_order)order) *
					gow_load32(super + 52, (enum gow_order)order);
			if (part->filesystem_size > UINT64_C(1) << 40)
				part->filesystem_size = 0;
			return true;
		}
	}
	return false;
}
