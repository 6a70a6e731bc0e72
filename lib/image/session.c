/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: what a guest's writes, zeros and discards do to the map and to the file. */
#include "image/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/block.h"
#include "base/error.h"

/* ---- life -------------------------------------------------------------------------------- */

void gow_session_free(struct gow_session *session)
{
	if (!session)
		return;
	free(session->raised);
	free(session->number_due);
	free(session->fresh);
	free(session->entry_due);
	gow_held_free(session->held);
	free(session->freed);
	free(session->block);
	free(session);
}

static uint64_t *new_set(const gow_image *image)
{
	return calloc(gow_bit_words(image->map.logical_blocks), sizeof(uint64_t));
}

int gow_session_begin(gow_image *image, gow_error *error)
{
	struct gow_session *session = calloc(1, sizeof *session);

	image->session = session;
	if (!session)
		return gow_fail_memory(error, sizeof *session);
	session->free = gow_session_free;
	session->raised = new_set(image);
	session->number_due = new_set(image);
	session->fresh = new_set(image);
	session->entry_due = new_set(image);
	session->block = malloc(GOW_BLOCK_SIZE);
	if (!session->raised || !session->number_due || !session->fresh || !session->entry_due ||
	    !session->block)
		return gow_fail_memory(error, GOW_BLOCK_SIZE);
	return gow_held_new(&session->held, error);
}

int gow_session_check(const gow_image *image, gow_error *error)
{
	if (!image->session)
		return gow_fail(error, GOW_ERR_ARGUMENT, "the image is open for reading only");
	if (image->session->failed)
		return gow_fail(error, GOW_ERR_IO, "an earlier write failed; open the image anew");
	return GOW_OK;
}

/* What comes before every change. */
static int check_change(gow_image *image, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_session_check(image, error);

	if (!code)
		code = gow_image_check_range(image, offset, size, error);
	return code ? code : gow_lock_poll(&image->lock, error);
}

/* ---- numbers and entries ----------------------------------------------------------------- */

/* Raises a block's number in memory, once per session. */
static void raise_version(gow_image *image, uint32_t logical)
{
	struct gow_session *session = image->session;
	uint32_t *version = image->map.versions ? &image->map.versions[logical] : NULL;

	if (!version || gow_get_bit(session->raised, logical))
		return;
	gow_set_bit(session->raised, logical);
	if (*version == GOW_VERSION_MAX) /* version.exhausted: nothing can be done about it here */
		return;
	(*version)++;
	gow_set_bit(session->number_due, logical);
	session->any_number = true;
}

/* The entry goes out with the next group, also where it is the same as in the file: that it reads
 * so does not prove that it is on the disk, where an earlier sync failed. */
static void entry_is_due(gow_image *image, uint32_t logical)
{
	gow_set_bit(image->session->entry_due, logical);
	image->session->any_entry = true;
}

/* Whether the bytes of a block may be written over now. */
static bool may_overwrite(const gow_image *image, uint32_t logical)
{
	const struct gow_session *session = image->session;

	return gow_get_bit(session->fresh, logical) ||
	       (!gow_get_bit(session->number_due, logical) &&
	        !gow_held_has(session->held, logical));
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Gives a block that had none a physical block, written whole. */
static int allocate(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                    size_t size, gow_error *error)
{
	struct gow_session *session = image->session;
	const uint8_t *whole = bytes;
	uint32_t physical;
	int code = gow_session_next_place(image, &physical, error);

	if (size != GOW_BLOCK_SIZE) {
		memset(session->block, 0, GOW_BLOCK_SIZE);
		memcpy(session->block + inside, bytes, size);
		whole = session->block;
	}
	if (!code)
		code = gow_file_write(image->file,
		                      gow_layout_block_offset(image->map.layout, physical), whole,
		                      GOW_BLOCK_SIZE, error);
	if (code)
		return gow_fail_at_block(error, code, logical);
	gow_session_take_place(image, physical);
	image->map.entries[logical] = physical;
	raise_version(image, logical);
	entry_is_due(image, logical);
	gow_set_bit(session->fresh, logical);
	session->any_fresh = true;
	return GOW_OK;
}

/* The held piece of an allocated block, made from what is in the file where there is none yet. */
static int hold_piece(gow_image *image, uint32_t logical, uint32_t index, uint8_t **piece,
                      gow_error *error)
{
	const uint64_t at = gow_layout_block_offset(image->map.layout, image->map.entries[logical]);
	int code;

	*piece = gow_held_find(image->session->held, logical, index);
	if (*piece)
		return GOW_OK;
	code = gow_file_read_padded(image->file, at + (uint64_t)index * GOW_HELD_CHUNK,
	                            image->session->block, GOW_HELD_CHUNK, error);
	if (!code)
		code = gow_held_add(image->session->held, logical, index, piece, error);
	if (!code)
		memcpy(*piece, image->session->block, GOW_HELD_CHUNK);
	return code;
}

static int hold(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                size_t size, gow_error *error)
{
	int code = GOW_OK;

	while (size && !code) {
		const uint32_t within = inside % GOW_HELD_CHUNK;
		const size_t part = (size_t)gow_min(size, GOW_HELD_CHUNK - within);
		uint8_t *piece;

		code = hold_piece(image, logical, inside / GOW_HELD_CHUNK, &piece, error);
		if (code)
			break;
		memcpy(piece + within, bytes, part);
		inside += (uint32_t)part;
		bytes += part;
		size -= part;
	}
	return code;
}

static int overwrite(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                     size_t size, gow_error *error)
{
	const uint64_t at = gow_layout_block_offset(image->map.layout, image->map.entries[logical]);

	image->session->unsynced = true;
	return gow_file_write(image->file, at + inside, bytes, size, error);
}

static int write_block(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                       size_t size, gow_error *error)
{
	int code = GOW_OK;

	if (image->map.entries[logical] == GOW_UNALLOCATED)
		return gow_is_zero(bytes, size)
		               ? GOW_OK
		               : allocate(image, logical, inside, bytes, size, error);
	if (gow_held_room(image->session->held) < GOW_HELD_PER_BLOCK)
		code = gow_session_write_back(image, error);
	if (code)
		return code;
	raise_version(image, logical);
	if (!gow_get_bit(image->session->fresh, logical))
		entry_is_due(image, logical);
	code = may_overwrite(image, logical) ? overwrite(image, logical, inside, bytes, size, error)
	                                     : hold(image, logical, inside, bytes, size, error);
	return code ? gow_fail_at_block(error, code, logical) : GOW_OK;
}

int gow_image_write(gow_image *image, uint64_t offset, const void *buf, size_t size,
                    gow_error *error)
{
	const uint8_t *bytes = buf;
	int code = check_change(image, offset, size, error);

	while (!code && size) {
		uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		size_t part = (size_t)gow_min(size, GOW_BLOCK_SIZE - inside);

		code = write_block(image, (uint32_t)(offset / GOW_BLOCK_SIZE), inside, bytes, part,
		                   error);
		bytes += part;
		offset += part;
		size -= part;
	}
	return code;
}

/* ---- discarding -------------------------------------------------------------------------- */

/* Whether a guest that reads the block sees anything but zeros. What cannot be read may be that. */
static bool is_seen(gow_image *image, uint32_t logical)
{
	const uint64_t start = (uint64_t)logical * GOW_BLOCK_SIZE;
	const size_t size = (size_t)gow_min(GOW_BLOCK_SIZE, image->map.logical_size - start);

	return gow_image_read(image, start, image->session->block, size, NULL) != GOW_OK ||
	       !gow_is_zero(image->session->block, size);
}

static int discard_block(gow_image *image, uint32_t logical, gow_error *error)
{
	struct gow_session *session = image->session;
	const uint32_t physical = image->map.entries[logical];
	const bool fresh = gow_get_bit(session->fresh, logical);
	int code;

	if (physical == GOW_UNALLOCATED)
		return GOW_OK;
	code = gow_session_give_back(image, physical, fresh, error);
	if (code)
		return code;
	if (image->map.versions && is_seen(image, logical))
		raise_version(image, logical);
	gow_held_drop(session->held, logical);
	image->map.entries[logical] = GOW_UNALLOCATED;
	gow_clear_bit(session->fresh, logical);
	entry_is_due(image, logical);
	return GOW_OK;
}

/* Zeros in a part of a block; one that has no place reads as zeros already. */
static int zero_part(gow_image *image, uint32_t logical, uint32_t inside, size_t size,
                     gow_error *error)
{
	static const uint8_t zeros[GOW_BLOCK_SIZE];

	return write_block(image, logical, inside, zeros, size, error);
}

/* Unmaps whole blocks; of others makes zeros, where that is wanted. */
static int clear_range(gow_image *image, uint64_t offset, uint64_t size, bool parts,
                       gow_error *error)
{
	int code = check_change(image, offset, size, error);

	while (!code && size) {
		const uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		const uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		const uint64_t rest = gow_min(GOW_BLOCK_SIZE - inside,
		                              image->map.logical_size - offset);
		const uint64_t part = gow_min(size, rest);

		if (!inside && part == rest)
			code = discard_block(image, logical, error);
		else if (parts)
			code = zero_part(image, logical, inside, (size_t)part, error);
		offset += part;
		size -= part;
	}
	return code;
}

int gow_image_zero(gow_image *image, uint64_t offset, uint64_t size, gow_error *error)
{
	return clear_range(image, offset, size, true, error);
}

int gow_image_discard(gow_image *image, uint64_t offset, uint64_t size, gow_error *error)
{
	return clear_range(image, offset, size, false, error);
}
