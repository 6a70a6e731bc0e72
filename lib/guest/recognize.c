/* SPDX-License-Identifier: BSD-2-Clause */
/* recognize.c - what a disk holds, in a word: enough to say that it is one. Beyond the kinds that are
 * understood (guest.c), those that are only known by their sign. */
#include <string.h>

#include "guest/guest.h"

#define AT(offset, text) offset, sizeof(text) - 1, text

static const struct sign {
	const char *name;
	uint32_t offset;
	uint32_t length;
	const char *bytes;
} signs[] = {
	{ "xfs", AT(0, "XFSB") },
	{ "squashfs", AT(0, "hsqs") },
	{ "cramfs", AT(0, "\x45\x3d\xcd\x28") },
	{ "romfs", AT(0, "-rom1fs-") },
	{ "luks", AT(0, "LUKS\xba\xbe") },
	{ "bitlocker", AT(3, "-FVE-FS-") },
	{ "refs", AT(3, "ReFS\0\0\0\0") },
	{ "exfat", AT(3, "EXFAT   ") },
	{ "apfs", AT(32, "NXSB") },
	{ "lvm", AT(0, "LABELONE") },
	{ "lvm", AT(512, "LABELONE") },
	{ "lvm", AT(1024, "LABELONE") },
	{ "apple partition map", AT(512, "PM\0\0") },
	{ "gpt", AT(512, "EFI PART") },
	{ "gpt", AT(4096, "EFI PART") },
	{ "bsd disklabel", AT(512, "WEV\x82") },
	{ "bsd disklabel", AT(64, "WEV\x82") },
	{ "sun disklabel", AT(508, "\xda\xbe") },
	{ "sgi disklabel", AT(0, "\x0b\xe5\xa9\x41") },
	{ "hfs", AT(1024, "BD") },
	{ "hfs+", AT(1024, "H+\0\4") },
	{ "hfs+", AT(1024, "HX\0\5") },
	{ "f2fs", AT(1024, "\x10\x20\xf5\xf2") },
	{ "erofs", AT(1024, "\xe2\xe1\xf5\xe0") },
	{ "nilfs2", AT(1030, "\x34\x34") },
	{ "minix", AT(1040, "\x7f\x13") },
	{ "minix", AT(1040, "\x8f\x13") },
	{ "minix", AT(1040, "\x68\x24") },
	{ "minix", AT(1040, "\x78\x24") },
	{ "minix", AT(1048, "\x5a\x4d") },
	{ "raid", AT(0, "\xfc\x4e\x2b\xa9") },
	{ "raid", AT(4096, "\xfc\x4e\x2b\xa9") },
	{ "bcache", AT(4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca") },
	{ "jfs", AT(32768, "JFS1") },
	{ "iso9660", AT(32769, "CD001") },
	{ "udf", AT(32769, "BEA01") },
	{ "btrfs", AT(65600, "_BHRfS_M") },
	{ "reiserfs", AT(65588, "ReIsEr") },
	{ "reiserfs", AT(8244, "ReIsEr") },
	{ "gfs2", AT(65536, "\x01\x16\x19\x70") },
	{ "ocfs2", AT(8192, "OCFSV2") },
	{ "ubi", AT(0, "UBI#") },
	{ "jffs2", AT(0, "\x85\x19\x03\x20") },
	{ "hpfs", AT(8192, "\x49\xe8\x95\xf9") },
	{ "vmfs", AT(1048576, "\x0d\xd0\x01\xc0") },
	{ "swap", AT(4086, "SWAP-SPACE") },
	{ "swap", AT(8182, "SWAPSPACE2") },
	{ "swap", AT(16374, "SWAPSPACE2") },
	{ "swap", AT(65526, "SWAPSPACE2") },
	{ "zfs", AT(135168, "\x0c\xb1\xba\0") },
};

/* Signs that stand near the end, counted from there. */
static const struct sign last_signs[] = {
	{ "gpt", AT(512, "EFI PART") },
	{ "raid", AT(65536, "\xfc\x4e\x2b\xa9") },
	{ "raid", AT(131072, "\xfc\x4e\x2b\xa9") },
	{ "raid", AT(8192, "\xfc\x4e\x2b\xa9") },
	{ "raid", AT(1024, "Intel Raid ISM Cfg Sig. ") },
	{ "raid", AT(512, "\xde\x11\xde\x11") },
};

static bool stands_at(const struct gow_guest_disk *disk, uint64_t offset, const struct sign *sign)
{
	uint8_t bytes[32];

	return sign->length <= sizeof bytes && gow_guest_read(disk, offset, bytes, sign->length) &&
	       memcmp(bytes, sign->bytes, sign->length) == 0;
}

static const char *known_sign(const struct gow_guest_disk *disk)
{
	/* Those at the end are counted from the last whole place of 4 KiB or 64 KiB. */
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (stands_at(disk, signs[i].offset, &signs[i]))
			return signs[i].name;
	for (size_t i = 0; i < sizeof last_signs / sizeof *last_signs; i++) {
		uint64_t from = last_signs[i].offset;
		uint64_t end = disk->size - disk->size % (from >= 65536 ? 65536 : from);

		if (end >= from && stands_at(disk, end - from, &last_signs[i]))
			return last_signs[i].name;
	}
	return NULL;
}

const char *gow_guest_recognize(const struct gow_guest_disk *disk)
{
	struct gow_guest guest;
	uint8_t boot[2];
	const char *sign;

	gow_guest_probe(disk, &guest);
	if (guest.table)
		return guest.table;
	if (guest.part_count && guest.parts[0].filesystem)
		return guest.parts[0].filesystem;
	sign = known_sign(disk);
	if (sign)
		return sign;
	return gow_guest_read(disk, 510, boot, sizeof boot) && boot[0] == 0x55 && boot[1] == 0xaa
	               ? "boot sector"
	               : NULL;
}
