/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.h - what a guest's disk holds: its partition table and the file systems in it, with their
 * sizes, found by content. Nothing here is believed to be sound; reading is by a callback, so that
 * the disk may be anything, and wrong.
 */
#ifndef GOW_GUEST_GUEST_H
#define GOW_GUEST_GUEST_H

#include "base/bytes.h"
#include "gow.h"

struct gow_guest_disk {
	void *context;
	/* Bytes of the disk; false where they cannot be had. */
	bool (*read)(void *context, uint64_t offset, void *buf, size_t size);
	uint64_t size; /* bytes */
};

enum { GOW_GUEST_PARTS = 128 };

/* A partition, or the whole disk where there is no table. */
struct gow_guest_part {
	unsigned number;          /* 0: the whole disk */
	uint64_t start, size;     /* bytes; as the table says */
	const char *filesystem;   /* "ntfs", "ext4", ...; NULL: none that is known */
	uint64_t filesystem_size; /* bytes; 0 where it does not say */
};

struct gow_guest {
	const char *table;  /* "mbr", "gpt"; NULL: none */
	uint64_t disk_size; /* what the table says of the disk's size; 0: nothing */
	uint64_t end;       /* where the last partition or file system ends */
	unsigned part_count;
	struct gow_guest_part parts[GOW_GUEST_PARTS];
	/* How often one structure says where another is, and it is there, or is not. Places in
	 * the same 64 KiB block as what points there do not count. */
	unsigned agreed, missed;
};

/* Finds out what there is. */
void gow_guest_probe(const struct gow_guest_disk *disk, struct gow_guest *guest);

/* What a disk holds, in a word ("gpt", "ntfs", "boot sector"); NULL: nothing that is known. Static. */
const char *gow_guest_recognize(const struct gow_guest_disk *disk);

/* ---- for the files of this room ---------------------------------------------------------- */

/* Probes for one kind at start; a table of these is in guest.c. size: what the partition has. */
struct gow_guest_kind {
	bool (*probe)(const struct gow_guest_disk *disk, struct gow_guest *guest,
	              struct gow_guest_part *part);
};

bool gow_guest_probe_ntfs(const struct gow_guest_disk *disk, struct gow_guest *guest,
                          struct gow_guest_part *part);
bool gow_guest_probe_fat(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part);
bool gow_guest_probe_ext(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part);
bool gow_guest_probe_ufs(const struct gow_guest_disk *disk, struct gow_guest *guest,
                         struct gow_guest_part *part);
bool gow_guest_probe_swap(const struct gow_guest_disk *disk, struct gow_guest *guest,
                          struct gow_guest_part *part);
bool gow_guest_probe_gpt(const struct gow_guest_disk *disk, struct gow_guest *guest);
bool gow_guest_probe_mbr(const struct gow_guest_disk *disk, struct gow_guest *guest);

/* Reads inside the disk only. */
bool gow_guest_read(const struct gow_guest_disk *disk, uint64_t offset, void *buf, size_t size);

/* Notes whether what `from` speaks of was found at `to`. */
void gow_guest_witness(struct gow_guest *guest, uint64_t from, uint64_t to, bool found);

/* NULL where there is no room left. */
struct gow_guest_part *gow_guest_add_part(struct gow_guest *guest, uint64_t start, uint64_t size);

#define GOW_LE16(p) ((uint32_t)gow_load((p), 2, GOW_LITTLE_ENDIAN))
#define GOW_LE32(p) ((uint32_t)gow_load((p), 4, GOW_LITTLE_ENDIAN))
#define GOW_LE64(p) gow_load((p), 8, GOW_LITTLE_ENDIAN)

#endif
