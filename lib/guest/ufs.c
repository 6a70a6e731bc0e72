/* SPDX-License-Identifier: BSD-2-Clause */
/* ufs.c - UFS of the BSDs and of Solaris: a superblock at 8 or 64 KiB, by its magic. */
#include "guest/guest.h"

enum { SUPER_SIZE = 2048, MAGIC_AT = 1372, UFS1 = 0x00011954, UFS2 = 0x19540119 };

/* A number of fragments, and the bytes of one; 0 where that is no size. */
static uint64_t size_of(const uint8_t super[SUPER_SIZE], enum gow_order order, uint32_t magic)
{
	uint64_t count = magic == UFS1 ? gow_load32(super + 36, order)
	                               : gow_load(super + 1080, 8, order);
	uint32_t fragment = gow_load32(super + 52, order);

	return fragment && count <= (UINT64_C(1) << 40) / fragment ? count * fragment : 0;
}

bool gow_guest_probe_ufs(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part)
{
	static const struct {
		uint32_t at, magic;
		const char *name;
	} places[] = { { 65536, UFS2, "ufs2" }, { 8192, UFS1, "ufs1" }, { 65536, UFS1, "ufs1" } };
	uint8_t super[SUPER_SIZE];

	(void)guest;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		if (!gow_guest_read(disk, part->start + places[i].at, super, sizeof super))
			continue;
		for (int order = GOW_LITTLE_ENDIAN; order <= GOW_BIG_ENDIAN; order++) {
			if (gow_load32(super + MAGIC_AT, (enum gow_order)order) != places[i].magic)
				continue;
			part->filesystem = places[i].name;
			part->filesystem_size = size_of(super, (enum gow_order)order,
			                                places[i].magic);
			return true;
		}
	}
	return false;
}
