/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/guest.h"

static const struct gow_guest_kind kinds[] = {
	{ gow_guest_probe_ntfs }, { gow_guest_probe_fat },  { gow_guest_probe_ext },
	{ gow_guest_probe_ufs },  { gow_guest_probe_swap },
};

bool gow_guest_read(const struct gow_guest_disk *disk, uint64_t offset, void *buf, size_t size)
{
	if (offset > disk->size || size > disk->size - offset)
		return false;
	return disk->read(disk->context, offset, buf, size);
}

void gow_guest_witness(struct gow_guest *guest, uint64_t from, uint64_t to, bool found)
{
	if (from / GOW_BLOCK_SIZE == to / GOW_BLOCK_SIZE)
		return;
	if (found)
		guest->agreed++;
	else
		guest->missed++;
}

struct gow_guest_part *gow_guest_add_part(struct gow_guest *guest, uint64_t start, uint64_t size)
{
	struct gow_guest_part *part = &guest->parts[guest->part_count];

	if (guest->part_count == GOW_GUEST_PARTS)
		return NULL;
	*part = (struct gow_guest_part){ .number = ++guest->part_count,
		                         .start = start,
		                         .size = size };
	return part;
}

static bool probe_part(const struct gow_guest_disk *disk, struct gow_guest *guest,
                       struct gow_guest_part *part)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].probe(disk, guest, part))
			return true;
	return false;
}

static void measure(struct gow_guest *guest)
{
	for (unsigned i = 0; i < guest->part_count; i++) {
		const struct gow_guest_part *part = &guest->parts[i];
		uint64_t size = gow_max(part->number ? part->size : 0, part->filesystem_size);

		if (size <= UINT64_MAX - part->start)
			guest->end = gow_max(guest->end, part->start + size);
	}
}

/* A file system without a table: it begins where the disk does. */
static void probe_bare(const struct gow_guest_disk *disk, struct gow_guest *guest)
{
	struct gow_guest_part whole = { .size = disk->size };

	if (!probe_part(disk, guest, &whole))
		return;
	guest->parts[0] = whole;
	guest->part_count = 1;
}

void gow_guest_probe(const struct gow_guest_disk *disk, struct gow_guest *guest)
{
	*guest = (struct gow_guest){ .table = NULL };
	probe_bare(disk, guest);
	if (!guest->part_count && !gow_guest_probe_gpt(disk, guest) &&
	    !gow_guest_probe_mbr(disk, guest))
		return;
	/* The table points to them; what it points to without being known says nothing. */
	for (unsigned i = 0; i < guest->part_count && guest->table; i++)
		if (probe_part(disk, guest, &guest->parts[i]))
			gow_guest_witness(guest, 0, guest->parts[i].start, true);
	measure(guest);
}
