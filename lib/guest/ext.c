/* SPDX-License-Identifier: BSD-2-Clause */
/* ext.c - ext2, ext3 and ext4: a superblock, and its copies in groups 1, 3, 5, 7 and 9. */
#include <string.h>

#include "guest/guest.h"

enum { SUPER_AT = 1024, SUPER_SIZE = 1024 };

static const char *kind_of(const uint8_t super[SUPER_SIZE])
{
	if (GOW_LE32(super + 96) & 0x2c0) /* extents, 64 bit, flexible groups */
		return "ext4";
	return GOW_LE32(super + 92) & 4 ? "ext3" : "ext2"; /* a journal */
}

static bool is_super(const uint8_t super[SUPER_SIZE])
{
	return GOW_LE16(super + 56) == 0xef53 && GOW_LE32(super + 24) <= 6 &&
	       GOW_LE32(super + 32) && GOW_LE32(super + 4) && GOW_LE32(super + 40);
}

static void find_copies(const struct gow_guest_disk *disk, struct gow_guest *guest,
                        const struct gow_guest_part *part, const uint8_t super[SUPER_SIZE],
                        uint64_t blocks)
{
	static const unsigned groups[] = { 1, 3, 5, 7, 9 };
	uint64_t block = UINT64_C(1024) << GOW_LE32(super + 24);

	if (GOW_LE32(super + 92) & 0x200) /* copies in two groups of its own choice */
		return;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		uint64_t at = (uint64_t)groups[i] * GOW_LE32(super + 32) + GOW_LE32(super + 20);
		uint8_t copy[SUPER_SIZE];
		bool found;

		if (at >= blocks)
			return;
		found = gow_guest_read(disk, part->start + at * block, copy, sizeof copy) &&
		        is_super(copy) && memcmp(super + 104, copy + 104, 16) == 0 &&
		        GOW_LE16(copy + 90) == groups[i];
		gow_guest_witness(guest, part->start, part->start + at * block, found);
	}
}

bool gow_guest_probe_ext(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part)
{
	uint8_t super[SUPER_SIZE];
	uint64_t blocks;

	if (!gow_guest_read(disk, part->start + SUPER_AT, super, sizeof super) || !is_super(super))
		return false;
	blocks = GOW_LE32(super + 4);
	if (GOW_LE32(super + 96) & 0x80)
		blocks |= (uint64_t)GOW_LE32(super + 0x150) << 32;
	if (blocks > (UINT64_C(1) << 40) >> (10 + GOW_LE32(super + 24)))
		return false;
	part->filesystem = kind_of(super);
	part->filesystem_size = blocks * (UINT64_C(1024) << GOW_LE32(super + 24));
	find_copies(disk, guest, part, super, blocks);
	return true;
}
