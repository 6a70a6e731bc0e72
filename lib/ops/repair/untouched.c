/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/untouched.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/header.h"
#include "io/overlay.h"

enum { ENTRIES_PART = 4096 };

/* An image as it is, and as an undo would leave it. */
struct both {
	const struct gow_layout *layout;
	const gow_monitor *monitor;
	struct gow_lock *lock;
	uint64_t compared; /* blocks */
	struct gow_file *now, *then;
	uint64_t now_size, then_size;
	uint32_t now_entries[ENTRIES_PART], then_entries[ENTRIES_PART];
	uint8_t now_block[GOW_BLOCK_SIZE], then_block[GOW_BLOCK_SIZE];
};

static bool is_present(const struct both *both, uint32_t physical, uint64_t size)
{
	return physical != GOW_UNALLOCATED &&
	       gow_layout_block_offset(both->layout, physical) < size;
}

/* Whether the guest reads the same in a logical block that an undo gives another place. */
static int compare_places(struct both *both, uint64_t logical, uint32_t now, uint32_t then,
                          gow_error *error)
{
	uint64_t now_at = gow_layout_block_offset(both->layout, now);
	uint64_t then_at = gow_layout_block_offset(both->layout, then);
	int code;

	if (now == then || !is_present(both, now, both->now_size) ||
	    !is_present(both, then, both->then_size))
		return GOW_OK;
	code = gow_safe_point(both->monitor, "compare", both->compared++ * GOW_BLOCK_SIZE, 0,
	                      both->lock, error);
	if (!code)
		code = gow_file_read_padded(both->now, now_at, both->now_block, GOW_BLOCK_SIZE,
		                            error);
	if (!code)
		code = gow_file_read_padded(both->then, then_at, both->then_block, GOW_BLOCK_SIZE,
		                            error);
	if (code || memcmp(both->now_block, both->then_block, GOW_BLOCK_SIZE) == 0)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED,
	                "has been written to since the repair: taking it back would give logical "
	                "block %llu the bytes of another one",
	                (unsigned long long)logical);
	return gow_fail_in_file(error, gow_fail_at_offset(error, code, then_at), both->now->name);
}

static int compare_entries(struct both *both, gow_error *error)
{
	const uint32_t entries = both->layout->map_entries;
	int code = GOW_OK;

	for (uint32_t at = 0; at < entries && !code; at += ENTRIES_PART) {
		uint32_t part = (uint32_t)gow_min(entries - at, ENTRIES_PART);

		code = gow_header_read_entries(both->now, both->layout, at, part, both->now_entries,
		                               error);
		if (!code)
			code = gow_header_read_entries(both->then, both->layout, at, part,
			                               both->then_entries, error);
		for (uint32_t i = 0; i < part && !code; i++)
			code = compare_places(both, at + i, both->now_entries[i],
			                      both->then_entries[i], error);
	}
	return code;
}

/* The guest's disk may have grown by the repair. What was written to its new part since, the old
 * size would put out of reach: such a map is another one than before the repair. */
static int check_size(const struct both *both, const struct gow_undo *undo, gow_error *error)
{
	struct gow_header now, then;
	bool same = true;
	int code = gow_header_read_as(both->now, both->layout, &now, error);

	if (!code)
		code = gow_header_read_as(both->then, both->layout, &then, error);
	if (!code && then.logical_size < now.logical_size)
		code = gow_undo_restores(undo, both->now, &same, error);
	if (code || same)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED,
	                "has been written to since the repair, which made the guest's disk larger: "
	                "undoing it would put blocks past its end");
	return gow_fail_in_file(error, code, both->now->name);
}

/*
 * Two owners of one block were given a block each. When one has been written to since, putting the
 * other back on it would show it those bytes, and lose its own.
 */
static int check_owners(struct gow_file *image, const struct gow_undo *undo, struct gow_lock *lock,
                        const gow_monitor *monitor, gow_error *error)
{
	struct both *both = calloc(1, sizeof *both);
	uint64_t header_end = gow_layout_header_end(undo->layout);
	int code = both ? GOW_OK : gow_fail_memory(error, sizeof *both);

	if (!code) {
		both->layout = undo->layout;
		both->lock = lock;
		both->monitor = monitor;
		both->now = image;
		both->now_size = undo->new_size;
		both->then_size = undo->old_size;
		code = gow_overlay_new(both->now, &both->then, error);
	}
	if (!code)
		code = gow_undo_lay(undo, both->then, error);
	if (!code && undo->old_size >= header_end && undo->new_size >= header_end)
		code = compare_entries(both, error);
	if (!code)
		code = check_size(both, undo, error);
	if (both)
		(void)gow_file_close(both->then, NULL);
	free(both);
	return code;
}

int gow_repair_check_untouched(struct gow_file *image, const struct gow_undo *undo,
                               struct gow_lock *lock, const gow_monitor *monitor, gow_error *error)
{
	int code = gow_undo_check_done(undo, image, error);

	return code ? code : check_owners(image, undo, lock, monitor, error);
}
