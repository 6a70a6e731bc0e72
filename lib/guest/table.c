/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - partition tables: GPT, and the MBR with its chain of extended partitions. */
#include <string.h>

#include "guest/guest.h"

enum { SECTOR = 512, ENTRY = 16, TABLE_AT = 446, EXTENDED_MAX = 64, GPT_ENTRY_MAX = 512 };

/* ---- GPT --------------------------------------------------------------------------------- */

static bool is_gpt(const uint8_t header[SECTOR])
{
	return memcmp(header, "EFI PART", 8) == 0 && GOW_LE32(header + 12) >= 92 &&
	       GOW_LE32(header + 12) <= SECTOR;
}

static void read_gpt_entries(const struct gow_guest_disk *disk, struct gow_guest *guest,
                             const uint8_t header[SECTOR])
{
	uint64_t at = GOW_LE64(header + 72) * SECTOR;
	uint32_t count = GOW_LE32(header + 80), size = GOW_LE32(header + 84);
	uint8_t entry[128];

	if (size < sizeof entry || size > GPT_ENTRY_MAX || count > 1024)
		return;
	for (uint32_t i = 0; i < count; i++, at += size) {
		static const uint8_t unused[16];
		uint64_t first, last;

		if (!gow_guest_read(disk, at, entry, sizeof entry))
			return;
		first = GOW_LE64(entry + 32);
		last = GOW_LE64(entry + 40);
		if (!memcmp(entry, unused, sizeof unused) || last < first ||
		    last > INT64_MAX / SECTOR)
			continue;
		if (!gow_guest_add_part(guest, first * SECTOR, (last - first + 1) * SECTOR))
			return;
	}
}

bool gow_guest_probe_gpt(const struct gow_guest_disk *disk, struct gow_guest *guest)
{
	uint8_t header[SECTOR], backup[SECTOR];
	uint64_t alternate;

	if (!gow_guest_read(disk, SECTOR, header, SECTOR) || !is_gpt(header) ||
	    GOW_LE64(header + 24) != 1)
		return false;
	guest->table = "gpt";
	read_gpt_entries(disk, guest, header);
	alternate = GOW_LE64(header + 32);
	if (alternate < 2 || alternate > INT64_MAX / SECTOR - 1)
		return true;
	guest->disk_size = (alternate + 1) * SECTOR;
	gow_guest_witness(guest, SECTOR, alternate * SECTOR,
	                  gow_guest_read(disk, alternate * SECTOR, backup, SECTOR) &&
	                          is_gpt(backup) && GOW_LE64(backup + 24) == alternate &&
	                          memcmp(header + 56, backup + 56, 16) == 0);
	return true;
}

/* ---- MBR --------------------------------------------------------------------------------- */

static bool is_boot_sector(const uint8_t sector[SECTOR])
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* A partition of its own: not what only keeps others away from a GPT disk, as large as can be. */
static bool is_plain(uint8_t type)
{
	return type && type != 0xee && !is_extended(type);
}

static bool entries_are_sane(const uint8_t sector[SECTOR])
{
	unsigned used = 0;

	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *entry = sector + TABLE_AT + (size_t)i * ENTRY;

		if (entry[0] & 0x7f)
			return false;
		if (entry[4] && (!GOW_LE32(entry + 8) || !GOW_LE32(entry + 12)))
			return false;
		used += entry[4] != 0;
	}
	return used > 0;
}

/* The chain of logical partitions, each told relative to where it is told. */
static void read_extended(const struct gow_guest_disk *disk, struct gow_guest *guest, uint64_t base)
{
	uint64_t at = base, before = 0;

	for (unsigned i = 0; i < EXTENDED_MAX; i++) {
		uint8_t sector[SECTOR];
		const uint8_t *entry = sector + TABLE_AT, *next = entry + ENTRY;
		bool found = gow_guest_read(disk, at * SECTOR, sector, SECTOR) &&
		             is_boot_sector(sector);

		gow_guest_witness(guest, before * SECTOR, at * SECTOR, found);
		if (!found)
			return;
		if (entry[4] && GOW_LE32(entry + 12))
			(void)gow_guest_add_part(guest, (at + GOW_LE32(entry + 8)) * SECTOR,
			                         (uint64_t)GOW_LE32(entry + 12) * SECTOR);
		if (!is_extended(next[4]) || !GOW_LE32(next + 8))
			return;
		before = at;
		at = base + GOW_LE32(next + 8);
	}
}

bool gow_guest_probe_mbr(const struct gow_guest_disk *disk, struct gow_guest *guest)
{
	uint8_t sector[SECTOR];

	if (!gow_guest_read(disk, 0, sector, SECTOR) || !is_boot_sector(sector) ||
	    !entries_are_sane(sector))
		return false;
	guest->table = "mbr";
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *entry = sector + TABLE_AT + (size_t)i * ENTRY;

		if (is_plain(entry[4]))
			(void)gow_guest_add_part(guest, (uint64_t)GOW_LE32(entry + 8) * SECTOR,
			                         (uint64_t)GOW_LE32(entry + 12) * SECTOR);
	}
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *entry = sector + TABLE_AT + (size_t)i * ENTRY;

		if (is_extended(entry[4]))
			read_extended(disk, guest, GOW_LE32(entry + 8));
	}
	return true;
}
