/* SPDX-License-Identifier: BSD-2-Clause */
/* How a group of changes becomes durable, and where new blocks go. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"
#include "image/session.h"

/* ---- places in the file ------------------------------------------------------------------ */

int gow_session_next_place(const gow_image *image, uint32_t *physical, gow_error *error)
{
	const struct gow_session *session = image->session;
	const struct gow_map *map = &image->map;

	if (session->usable) {
		*physical = session->freed[session->usable - 1];
		return GOW_OK;
	}
	/* The count must still fit its field, or the flush would fail with all that waits for it. */
	if (map->block_count == GOW_UNALLOCATED ||
	    (map->layout->block_count.width &&
	     !gow_fits((uint64_t)map->block_count + 1, map->layout->block_count.width)))
		return gow_fail(error, GOW_ERR_NO_SPACE,
		                "every physical block number is handed out");
	*physical = map->block_count;
	return GOW_OK;
}

void gow_session_take_place(gow_image *image, uint32_t physical)
{
	struct gow_session *session = image->session;

	if (!session->usable) {
		image->map.block_count = physical + 1;
		return;
	}
	/* The last that may be used makes room for the last of all. */
	session->usable--;
	session->freed[session->usable] = session->freed[--session->freed_count];
}

int gow_session_give_back(gow_image *image, uint32_t physical, bool at_once, gow_error *error)
{
	struct gow_session *session = image->session;

	if (session->freed_count == session->freed_room) {
		size_t room = session->freed_room ? 2 * session->freed_room : 256;
		uint32_t *grown = realloc(session->freed, room * sizeof *grown);

		if (!grown)
			return gow_fail_memory(error, room * sizeof *grown);
		session->freed = grown;
		session->freed_room = room;
	}
	session->freed[session->freed_count++] = physical;
	if (at_once) {
		session->freed[session->freed_count - 1] = session->freed[session->usable];
		session->freed[session->usable++] = physical;
	}
	return GOW_OK;
}

/* ---- a group ----------------------------------------------------------------------------- */

typedef int (*run_writer)(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                          uint32_t count, const uint32_t *numbers, gow_error *error);

/* Writes every run of numbers that are due. */
static int write_runs(gow_image *image, const uint64_t *due, const uint32_t *numbers,
                      run_writer write, gow_error *error)
{
	const uint32_t end = image->map.logical_blocks;
	int code = GOW_OK;

	for (uint32_t i = 0; i < end && !code; i++) {
		const uint32_t first = i;

		if (!due[i / GOW_WORD_BITS]) { /* none in the whole word */
			i |= GOW_WORD_BITS - 1;
			continue;
		}
		while (i < end && gow_get_bit(due, i))
			i++;
		if (i > first)
			code = write(image->file, image->map.layout, first, i - first,
			             numbers + first, error);
	}
	return code;
}

static void clear_bits(const gow_image *image, uint64_t *bits)
{
	memset(bits, 0, gow_bit_words(image->map.logical_blocks) * sizeof *bits);
}

/* Ends a step with its sync. A write without room is made again with the next group, as nothing is
 * forgotten that was due. What another write, or a sync, has left on the disk cannot be known. */
static int end_step(gow_image *image, int code, gow_error *error)
{
	const bool no_room = code == GOW_ERR_NO_SPACE;

	if (!code)
		code = gow_file_sync(image->file, error);
	image->session->failed = code && !no_room;
	return code;
}

/* Step 1; data of new blocks is in the file already. */
static int write_numbers(gow_image *image, gow_error *error)
{
	struct gow_session *session = image->session;
	const struct gow_map *map = &image->map;
	const struct gow_header count = { .layout = map->layout, .block_count = map->block_count };
	int code = gow_header_write_block_count(image->file, &count, error);

	if (!code && session->any_number)
		code = write_runs(image, session->number_due, map->versions,
		                  gow_header_write_versions, error);
	code = end_step(image, code, error);
	if (code)
		return code;
	if (session->any_number)
		clear_bits(image, session->number_due);
	session->any_number = false;
	return GOW_OK;
}

static int write_held(void *context, uint32_t logical, uint32_t index, const uint8_t *bytes,
                      gow_error *error)
{
	const gow_image *image = context;
	const uint64_t at = gow_layout_block_offset(image->map.layout, image->map.entries[logical]);
	int code = gow_file_write(image->file, at + (uint64_t)index * GOW_HELD_CHUNK, bytes,
	                          GOW_HELD_CHUNK, error);

	return code ? gow_fail_at_block(error, code, logical) : GOW_OK;
}

/* From here on entries of the disk may name the new blocks, also where not all could be written. */
static void forget_fresh(gow_image *image)
{
	if (image->session->any_fresh)
		clear_bits(image, image->session->fresh);
	image->session->any_fresh = false;
}

static int write_entries(gow_image *image, gow_error *error)
{
	struct gow_session *session = image->session;
	int code = session->any_entry ? write_runs(image, session->entry_due, image->map.entries,
	                                           gow_header_write_entries, error)
	                              : GOW_OK;

	forget_fresh(image);
	return end_step(image, code, error);
}

/* All is durable. */
static void end_group(gow_image *image)
{
	struct gow_session *session = image->session;

	if (session->any_entry)
		clear_bits(image, session->entry_due);
	gow_held_clear(session->held);
	session->usable = session->freed_count;
	session->any_entry = session->unsynced = false;
}

int gow_session_write_back(gow_image *image, gow_error *error)
{
	struct gow_session *session = image->session;
	int code = GOW_OK;

	if (session->any_number || session->any_fresh)
		code = write_numbers(image, error);
	/* Without room for all of it the entries stay as they are, and so does what is held. */
	if (!code)
		code = gow_held_each(session->held, write_held, image, error);
	session->unsynced |= gow_held_any(session->held);
	if (!code && (session->any_entry || session->unsynced))
		code = write_entries(image, error);
	if (!code)
		end_group(image);
	return code;
}

int gow_image_flush(gow_image *image, gow_error *error)
{
	int code = gow_session_check(image, error);

	return code ? code : gow_session_write_back(image, error);
}
