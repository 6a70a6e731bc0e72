/* SPDX-License-Identifier: BSD-2-Clause */
/* check_contents.c - what the disk of an image that is judged holds. */
#include <stdlib.h>

#include "base/error.h"
#include "base/growing.h"
#include "ops/check/check.h"
#include "ops/contents.h"

struct gow_check_contents {
	struct gow_guest guest;
	gow_partition parts[GOW_GUEST_PARTS];
	const gow_partition *list[GOW_GUEST_PARTS];
};

static void list_parts(struct gow_check_contents *made, uint64_t size)
{
	for (unsigned i = 0; i < made->guest.part_count; i++) {
		const struct gow_guest_part *part = &made->guest.parts[i];
		uint64_t length = gow_max(part->size, part->filesystem_size);

		made->parts[i] = (gow_partition){
			.number = part->number,
			.start = part->start,
			.size = part->size,
			.filesystem = part->filesystem,
			.filesystem_size = part->filesystem_size,
			.past_end = part->start > size || length > size - part->start,
		};
		made->list[i] = &made->parts[i];
	}
}

int gow_check_contents(gow_check *check, gow_contents *contents, gow_error *error)
{
	const uint64_t size = check->unchecked.header.logical_size;
	gow_contents found = { .struct_size = sizeof found };
	struct gow_check_contents *made;
	int code = gow_check_result(contents, error);

	if (!code)
		code = gow_unchecked_need_entries(&check->unchecked, error);
	if (code)
		return code;
	made = calloc(1, sizeof *made);
	if (!made)
		return gow_fail_memory(error, sizeof *made);
	if (check->unchecked.entries)
		gow_contents_of_unchecked(&check->unchecked, size, &made->guest);
	list_parts(made, size);
	found.table = made->guest.table;
	found.end = made->guest.end;
	found.disk_size = made->guest.disk_size;
	found.count = made->guest.part_count;
	found.partitions = made->list;
	found.past_end = gow_contents_past_end(&made->guest, size) != 0;
	free(check->contents);
	check->contents = made;
	gow_give_result(contents, &found, sizeof found);
	return GOW_OK;
}
