/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/trailer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "journal/layout_record.h"
#include "journal/trailer_format.h"

enum { SECTOR = GOW_TRAILER_SECTOR };

/* How far from the end of a file that became longer a record is looked for. */
enum { SEARCH = 64 << 20, WINDOW = 1 << 20 };

/* ---- whether it can be ------------------------------------------------------------------- */

bool gow_trailer_agrees(const struct gow_trailer *trailer, const struct gow_layout *from,
                        const struct gow_layout *to)
{
	return trailer->present_blocks == gow_present_blocks(from, trailer->original_size) &&
	       trailer->header_size ==
	               gow_min(gow_layout_data_start(from), trailer->original_size) &&
	       trailer->new_header_size == gow_layout_data_start(to) &&
	       trailer->final_size == gow_layout_block_offset(to, trailer->present_blocks);
}

/* Whether every place that the record speaks of lies before its end, in its order. */
static bool is_plausible(const struct gow_trailer *trailer, uint64_t end)
{
	/* One by one, so that no sum below can wrap round. The header is read and hashed, so it
	 * must not be longer than headers are. */
	if (trailer->header_size > GOW_HEADER_LARGEST || trailer->offset > end ||
	    trailer->move_to > end || trailer->move_length > end)
		return false;
	if (trailer->format != GOW_TRAILER_OLD_FORMAT &&
	    (!gow_layout_record_is_valid(&trailer->from) ||
	     !gow_layout_record_is_valid(&trailer->to) ||
	     !gow_trailer_agrees(trailer, &trailer->from, &trailer->to)))
		return false;
	return gow_trailer_end(trailer) == end && trailer->final_size <= trailer->offset &&
	       trailer->original_size <= trailer->offset &&
	       trailer->header_size <= trailer->move_from &&
	       trailer->new_header_size <= trailer->final_size &&
	       trailer->move_from <= trailer->move_to &&
	       trailer->move_to + trailer->move_length <= trailer->offset;
}

/* ---- reading one ------------------------------------------------------------------------- */

/* Takes one of the two cursors, if it is whole and newer than what is there. One that cannot be
 * read is not whole. */
static int read_cursor(struct gow_file *file, struct gow_trailer *trailer, uint64_t which,
                       const uint8_t *footer, bool *found, gow_error *error)
{
	uint8_t sector[SECTOR];
	struct gow_trailer read = *trailer;
	int code = gow_file_read_all(file, gow_trailer_cursor_offset(trailer, which), sector,
	                             SECTOR, error);

	if (code || !gow_trailer_is_sealed(sector, GOW_TRAILER_CURSOR) ||
	    !gow_trailer_parse_cursor(sector, footer, &read)) {
		trailer->one_cursor = true;
		return code;
	}
	if (!*found || read.sequence > trailer->sequence) {
		read.one_cursor = trailer->one_cursor;
		*trailer = read;
	}
	*found = true;
	return GOW_OK;
}

/* The better of the two; only where both are gone it matters that they could not be read. */
static int read_cursors(struct gow_file *file, struct gow_trailer *trailer, const uint8_t *footer,
                        bool *found, gow_error *error)
{
	int first = read_cursor(file, trailer, 0, footer, found, error);
	int second = read_cursor(file, trailer, 1, footer, found, first ? NULL : error);

	return *found ? GOW_OK : first ? first : second;
}

/* The record whose footer ends at end, if there is a whole one. */
static int read_at(struct gow_file *file, uint64_t end, const uint8_t *footer,
                   struct gow_trailer *trailer, bool *found, gow_error *error)
{
	struct gow_trailer read;
	bool whole = false;
	int code;

	if (!gow_trailer_is_sealed(footer, GOW_TRAILER_FOOTER) ||
	    !gow_trailer_parse_footer(footer, &read) || !is_plausible(&read, end))
		return GOW_OK;
	code = read_cursors(file, &read, footer, &whole, error);
	if (code || !whole)
		return code;
	*trailer = read;
	*found = true;
	return GOW_OK;
}

/* ---- looking for one --------------------------------------------------------------------- */

/* The last one in the piece of the file that begins at start, a multiple of a sector. */
static int search_window(struct gow_file *file, uint64_t start, uint8_t *bytes, size_t size,
                         struct gow_trailer *trailer, bool *found, gow_error *error)
{
	size_t got;
	int code = gow_file_read(file, start, bytes, size, &got, error);

	for (size_t at = got / SECTOR * SECTOR; at && !code && !*found; at -= SECTOR)
		code = read_at(file, start + at, bytes + at - SECTOR, trailer, found, error);
	return code;
}

/* From the end backwards: trailers begin and end at a multiple of a sector. */
static int search(struct gow_file *file, uint64_t file_size, struct gow_trailer *trailer,
                  bool *found, gow_error *error)
{
	uint64_t end = file_size / SECTOR * SECTOR;
	const uint64_t stop = end > SEARCH ? end - SEARCH : 0;
	uint8_t *bytes = malloc(WINDOW);
	int code = bytes ? GOW_OK : gow_fail_memory(error, WINDOW);

	while (end > stop && !code && !*found) {
		size_t size = (size_t)gow_min(WINDOW, end - stop);

		end -= size;
		/* What cannot be read holds no record. */
		if (search_window(file, end, bytes, size, trailer, found, NULL) && *found)
			*found = false;
	}
	free(bytes);
	return code;
}

/* The one that ends with the file, which costs next to nothing. */
static int look_at_end(struct gow_file *file, uint64_t file_size, struct gow_trailer *trailer,
                       bool *found, gow_error *error)
{
	uint8_t sector[SECTOR];
	int code;

	if (file_size < SECTOR || file_size % SECTOR)
		return GOW_OK;
	code = gow_file_read_all(file, file_size - SECTOR, sector, SECTOR, error);
	return code ? code : read_at(file, file_size, sector, trailer, found, error);
}

/* Whether there is more in the file than blocks that were handed out. */
static bool has_room_behind(const struct gow_header *header)
{
	return header->file_size >
	       gow_layout_block_offset(header->layout, header->block_count) + SECTOR;
}

static int look(struct gow_file *file, const struct gow_header *header, struct gow_trailer *trailer,
                bool *found, gow_error *error)
{
	int code = look_at_end(file, header->file_size, trailer, found, error);

	/* Of an image at rest a bad sector is no concern of ours. */
	if (code && !header->pending)
		code = GOW_OK;
	if (!code && !*found && (header->pending || has_room_behind(header)))
		code = search(file, header->file_size, trailer, found, error);
	return code;
}

int gow_trailer_find_last(struct gow_file *file, struct gow_trailer *trailer, bool *found,
                          gow_error *error)
{
	uint64_t file_size;
	int code = gow_file_size(file, &file_size, error);

	*found = false;
	return code ? code : look_at_end(file, file_size, trailer, found, error);
}

int gow_trailer_find_moving(struct gow_file *file, struct gow_trailer *trailer, bool *found,
                            gow_error *error)
{
	uint64_t file_size;
	int code = gow_file_size(file, &file_size, error);

	*found = false;
	if (!code)
		code = search(file, file_size, trailer, found, error);
	*found = *found && trailer->stage == GOW_TRAILER_MOVING;
	return code;
}

/*
 * A trailer that a crash left behind an image that was at rest may have been passed over: the
 * image lived on, and somebody else's change was interrupted. Then the header is another one.
 */
static int is_ours(struct gow_file *file, const struct gow_layout *layout,
                   const struct gow_trailer *trailer, bool *ours, gow_error *error)
{
	bool upgraded = trailer->stage == GOW_TRAILER_UPGRADED;
	uint8_t hash[GOW_TRAILER_HASH];
	int code;

	/* The copy is what a rollback stands on, and resuming as well. */
	code = gow_trailer_hash_range(file, trailer->offset, trailer->header_size, layout, hash,
	                              error);
	if (code)
		return code;
	*ours = memcmp(hash, trailer->header_hash, sizeof hash) == 0 &&
	        (!upgraded || trailer->new_header_size == gow_layout_data_start(layout));
	if (!*ours || trailer->stage == GOW_TRAILER_MOVING)
		return GOW_OK;
	code = gow_trailer_hash_header(file, layout,
	                               upgraded ? trailer->new_header_size : trailer->header_size,
	                               hash, error);
	*ours = memcmp(hash, upgraded ? trailer->new_hash : trailer->header_hash, sizeof hash) == 0;
	return code;
}

int gow_trailer_find(struct gow_file *file, const struct gow_header *header,
                     struct gow_trailer *trailer, bool *found, gow_error *error)
{
	struct gow_trailer read;
	bool ours = false;
	int code;

	*found = false;
	code = look(file, header, &read, &ours, error);
	if (!code && ours)
		code = is_ours(file, header->layout, &read, &ours, error);
	if (code || !ours)
		return code;
	*trailer = read;
	*found = true;
	return GOW_OK;
}

/* ---- for pending.c ----------------------------------------------------------------------- */

int gow_trailer_find_pending(struct gow_file *file, const struct gow_header *header,
                             struct gow_pending *pending, gow_error *error)
{
	struct gow_trailer trailer;
	bool found = false;
	int code;

	if (header->pending) {
		code = gow_trailer_find(file, header, &trailer, &found, error);
	} else {
		/* Whether its copy of the header is whole or not, the image is half of each. */
		code = look(file, header, &trailer, &found, error);
		found = found && trailer.stage == GOW_TRAILER_MOVING;
	}
	if (code || !found)
		return code;
	pending->kind = GOW_PENDING_UPGRADE;
	(void)gow_trailer_describe(&trailer, pending->what, sizeof pending->what);
	return GOW_OK;
}
