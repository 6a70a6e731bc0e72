/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/trailer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"

enum { SECTOR = GOW_TRAILER_SECTOR, HASH_AT = SECTOR - GOW_TRAILER_HASH };

/* Bytes of the header that are hashed and copied at once. */
enum { CHUNK = 1 << 20 };

static const uint8_t footer_magic[8] = { 'G', 'O', 'W', 'u', 'p', 'g', 'r', 'd' };
static const uint8_t cursor_magic[8] = { 'G', 'O', 'W', 'c', 'r', 's', 'o', 'r' };

enum { RECORD_FORMAT = 1 };

/* Where the numbers stand in a sector; all are little-endian. gow-trailer(5) tells the same. */
enum footer_field {
	FOOTER_FORMAT = 8,
	FOOTER_FROM = 12,
	FOOTER_TO = 16,
	FOOTER_PRESENT = 20,
	FOOTER_ORIGINAL_SIZE = 24,
	FOOTER_FINAL_SIZE = 32,
	FOOTER_OFFSET = 40,
	FOOTER_HEADER_SIZE = 48,
	FOOTER_NEW_HEADER_SIZE = 56,
	FOOTER_MOVE_FROM = 64,
	FOOTER_MOVE_TO = 72,
	FOOTER_MOVE_LENGTH = 80,
	FOOTER_HEADER_HASH = 88
};

enum cursor_field {
	CURSOR_STAGE = 8,
	CURSOR_SEQUENCE = 16,
	CURSOR_UNMOVED = 24,
	CURSOR_NEW_HASH = 32,
	CURSOR_FOOTER_HASH = 48 /* whose cursor it is */
};

static void put(uint8_t *sector, unsigned at, unsigned width, uint64_t value)
{
	gow_store(sector + at, width, GOW_LITTLE_ENDIAN, value);
}

static uint64_t get(const uint8_t *sector, unsigned at, unsigned width)
{
	return gow_load(sector + at, width, GOW_LITTLE_ENDIAN);
}

/* ---- hashes ------------------------------------------------------------------------------ */

static void hash_sector(const uint8_t *sector, uint8_t hash[GOW_TRAILER_HASH])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(sector, HASH_AT));
	memcpy(hash, canonical.digest, GOW_TRAILER_HASH);
}

static void seal(uint8_t *sector)
{
	hash_sector(sector, sector + HASH_AT);
}

static bool is_sealed(const uint8_t *sector, const uint8_t magic[8])
{
	uint8_t hash[GOW_TRAILER_HASH];

	hash_sector(sector, hash);
	return memcmp(sector, magic, 8) == 0 && memcmp(sector + HASH_AT, hash, sizeof hash) == 0;
}

/* Called with the header, piece by piece, its magic at rest. */
typedef int (*piece_taker)(void *context, uint64_t at, const uint8_t *bytes, size_t size,
                           gow_error *error);

/* Reads size bytes from offset on and hands them on; layout: they are a header. */
static int each_piece(struct gow_file *file, uint64_t offset, uint64_t size,
                      const struct gow_layout *layout, piece_taker take, void *context,
                      gow_error *error)
{
	uint8_t *bytes = malloc(CHUNK);
	int code = bytes ? GOW_OK : gow_fail_memory(error, CHUNK);

	for (uint64_t at = 0; at < size && !code; at += CHUNK) {
		size_t part = (size_t)gow_min(CHUNK, size - at);

		code = gow_file_read_all(file, offset + at, bytes, part, error);
		/* The preamble lies in the first piece, whatever the layout. */
		if (!code && !at && part >= layout->magic_offset + (size_t)GOW_MAGIC_SIZE)
			memcpy(bytes + layout->magic_offset, layout->magic, GOW_MAGIC_SIZE);
		if (!code)
			code = take(context, at, bytes, part, error);
	}
	free(bytes);
	return code;
}

static int add_to_hash(void *context, uint64_t at, const uint8_t *bytes, size_t size,
                       gow_error *error)
{
	(void)at;
	(void)error;
	(void)XXH3_128bits_update(context, bytes, size);
	return GOW_OK;
}

static int hash_range(struct gow_file *file, uint64_t offset, uint64_t size,
                      const struct gow_layout *layout, uint8_t hash[GOW_TRAILER_HASH],
                      gow_error *error)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t canonical;
	int code;

	if (!state || XXH3_128bits_reset(state) != XXH_OK)
		code = gow_fail_memory(error, GOW_TRAILER_SECTOR);
	else
		code = each_piece(file, offset, size, layout, add_to_hash, state, error);
	if (!code) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(hash, canonical.digest, GOW_TRAILER_HASH);
	}
	(void)XXH3_freeState(state);
	return code;
}

int gow_trailer_hash_header(struct gow_file *file, const struct gow_layout *layout, uint64_t size,
                            uint8_t hash[GOW_TRAILER_HASH], gow_error *error)
{
	return hash_range(file, 0, size, layout, hash, error);
}

/* ---- places ------------------------------------------------------------------------------ */

uint64_t gow_trailer_size(uint64_t header_size)
{
	return gow_round_up(header_size, SECTOR) + 3 * (uint64_t)SECTOR;
}

static uint64_t cursor_offset(const struct gow_trailer *trailer, uint64_t sequence)
{
	return trailer->offset + gow_round_up(trailer->header_size, SECTOR) +
	       sequence % 2 * SECTOR;
}

static uint64_t footer_offset(const struct gow_trailer *trailer)
{
	return trailer->offset + gow_trailer_size(trailer->header_size) - SECTOR;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void make_footer(const struct gow_trailer *trailer, uint8_t *sector)
{
	memset(sector, 0, SECTOR);
	memcpy(sector, footer_magic, sizeof footer_magic);
	put(sector, FOOTER_FORMAT, 4, RECORD_FORMAT);
	put(sector, FOOTER_FROM, 4, trailer->from_version);
	put(sector, FOOTER_TO, 4, trailer->to_version);
	put(sector, FOOTER_PRESENT, 4, trailer->present_blocks);
	put(sector, FOOTER_ORIGINAL_SIZE, 8, trailer->original_size);
	put(sector, FOOTER_FINAL_SIZE, 8, trailer->final_size);
	put(sector, FOOTER_OFFSET, 8, trailer->offset);
	put(sector, FOOTER_HEADER_SIZE, 8, trailer->header_size);
	put(sector, FOOTER_NEW_HEADER_SIZE, 8, trailer->new_header_size);
	put(sector, FOOTER_MOVE_FROM, 8, trailer->move_from);
	put(sector, FOOTER_MOVE_TO, 8, trailer->move_to);
	put(sector, FOOTER_MOVE_LENGTH, 8, trailer->move_length);
	memcpy(sector + FOOTER_HEADER_HASH, trailer->header_hash, GOW_TRAILER_HASH);
	seal(sector);
}

static void make_cursor(const struct gow_trailer *trailer, uint8_t *sector)
{
	uint8_t footer[SECTOR];

	make_footer(trailer, footer);
	memset(sector, 0, SECTOR);
	memcpy(sector, cursor_magic, sizeof cursor_magic);
	put(sector, CURSOR_STAGE, 4, (uint64_t)trailer->stage);
	put(sector, CURSOR_SEQUENCE, 8, trailer->sequence);
	put(sector, CURSOR_UNMOVED, 8, trailer->unmoved);
	memcpy(sector + CURSOR_NEW_HASH, trailer->new_hash, GOW_TRAILER_HASH);
	memcpy(sector + CURSOR_FOOTER_HASH, footer + HASH_AT, GOW_TRAILER_HASH);
	seal(sector);
}

struct header_copy {
	struct gow_file *file;
	uint64_t offset;
};

static int copy_piece(void *context, uint64_t at, const uint8_t *bytes, size_t size,
                      gow_error *error)
{
	const struct header_copy *copy = context;

	return gow_file_write(copy->file, copy->offset + at, bytes, size, error);
}

int gow_trailer_write(struct gow_file *file, const struct gow_layout *layout,
                      struct gow_trailer *trailer, gow_error *error)
{
	struct header_copy copy = { .file = file, .offset = trailer->offset };
	uint8_t sector[SECTOR];
	int code = each_piece(file, 0, trailer->header_size, layout, copy_piece, &copy, error);

	if (!code)
		code = hash_range(file, trailer->offset, trailer->header_size, layout,
		                  trailer->header_hash, error);
	/* Both, so that neither is what stood there before. */
	for (int i = 0; i < 2 && !code; i++) {
		trailer->sequence++;
		make_cursor(trailer, sector);
		code = gow_file_write(file, cursor_offset(trailer, trailer->sequence), sector,
		                      SECTOR, error);
	}
	if (code)
		return code;
	make_footer(trailer, sector);
	return gow_file_write(file, footer_offset(trailer), sector, SECTOR, error);
}

int gow_trailer_write_cursor(struct gow_file *file, struct gow_trailer *trailer,
                             gow_error *error)
{
	uint8_t sector[SECTOR];
	int code;

	trailer->sequence++;
	make_cursor(trailer, sector);
	code = gow_file_write(file, cursor_offset(trailer, trailer->sequence), sector, SECTOR,
	                      error);
	return code ? code : gow_file_sync(file, error);
}

/* ---- finding ----------------------------------------------------------------------------- */

static void parse_footer(const uint8_t *sector, struct gow_trailer *trailer)
{
	*trailer = (struct gow_trailer){
		.from_version = (uint32_t)get(sector, FOOTER_FROM, 4),
		.to_version = (uint32_t)get(sector, FOOTER_TO, 4),
		.present_blocks = (uint32_t)get(sector, FOOTER_PRESENT, 4),
		.original_size = get(sector, FOOTER_ORIGINAL_SIZE, 8),
		.final_size = get(sector, FOOTER_FINAL_SIZE, 8),
		.offset = get(sector, FOOTER_OFFSET, 8),
		.header_size = get(sector, FOOTER_HEADER_SIZE, 8),
		.new_header_size = get(sector, FOOTER_NEW_HEADER_SIZE, 8),
		.move_from = get(sector, FOOTER_MOVE_FROM, 8),
		.move_to = get(sector, FOOTER_MOVE_TO, 8),
		.move_length = get(sector, FOOTER_MOVE_LENGTH, 8),
	};
	memcpy(trailer->header_hash, sector + FOOTER_HEADER_HASH, GOW_TRAILER_HASH);
}

/* Whether every place that the record speaks of lies inside the file, in its order. */
static bool is_plausible(const struct gow_trailer *trailer, const struct gow_layout *layout,
                         uint64_t file_size)
{
	/* One by one, so that no sum below can wrap round. The header is read and hashed, so it
	 * must not be longer than headers are; the layout is the old one or a larger. */
	if (trailer->header_size > gow_layout_data_start(layout) || trailer->offset > file_size ||
	    trailer->move_to > file_size || trailer->move_length > file_size)
		return false;
	return trailer->offset + gow_trailer_size(trailer->header_size) == file_size &&
	       trailer->final_size <= trailer->offset &&
	       trailer->original_size <= trailer->offset &&
	       trailer->header_size <= trailer->move_from &&
	       trailer->new_header_size <= trailer->final_size &&
	       trailer->move_from <= trailer->move_to &&
	       trailer->move_to + trailer->move_length <= trailer->offset;
}

/* Takes one of the two cursors, if it is whole and newer than what is there. */
static int read_cursor(struct gow_file *file, struct gow_trailer *trailer, uint64_t which,
                       const uint8_t *footer_hash, bool *found, gow_error *error)
{
	uint8_t sector[SECTOR];
	uint64_t sequence, unmoved, stage;
	int code = gow_file_read_all(file, cursor_offset(trailer, which), sector, SECTOR, error);

	if (code)
		return code;
	sequence = get(sector, CURSOR_SEQUENCE, 8);
	unmoved = get(sector, CURSOR_UNMOVED, 8);
	stage = get(sector, CURSOR_STAGE, 4);
	if (!is_sealed(sector, cursor_magic) ||
	    memcmp(sector + CURSOR_FOOTER_HASH, footer_hash, GOW_TRAILER_HASH) != 0 ||
	    unmoved > trailer->move_length || stage > GOW_TRAILER_RESTORED ||
	    (*found && sequence <= trailer->sequence))
		return GOW_OK;
	trailer->sequence = sequence;
	trailer->unmoved = unmoved;
	trailer->stage = (enum gow_trailer_stage)stage;
	memcpy(trailer->new_hash, sector + CURSOR_NEW_HASH, GOW_TRAILER_HASH);
	*found = true;
	return GOW_OK;
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

	/* The copy is what a rollback stands on, and going on as well. */
	code = hash_range(file, trailer->offset, trailer->header_size, layout, hash, error);
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

int gow_trailer_find(struct gow_file *file, const struct gow_layout *layout,
                     struct gow_trailer *trailer, bool *found, gow_error *error)
{
	struct gow_trailer read;
	uint8_t sector[SECTOR];
	uint64_t file_size;
	bool ours = false;
	int code = gow_file_size(file, &file_size, error);

	*found = false;
	if (code || file_size < gow_trailer_size(0) || file_size % SECTOR)
		return code;
	code = gow_file_read_all(file, file_size - SECTOR, sector, SECTOR, error);
	if (code || !is_sealed(sector, footer_magic) ||
	    get(sector, FOOTER_FORMAT, 4) != RECORD_FORMAT)
		return code;
	parse_footer(sector, &read);
	if (!is_plausible(&read, layout, file_size))
		return GOW_OK;
	for (uint64_t i = 0; i < 2 && !code; i++)
		code = read_cursor(file, &read, i, sector + HASH_AT, &ours, error);
	if (!code && ours)
		code = is_ours(file, layout, &read, &ours, error);
	if (code || !ours)
		return code;
	*trailer = read;
	*found = true;
	return GOW_OK;
}

/* ---- what it says ------------------------------------------------------------------------ */

const char *gow_trailer_describe(const struct gow_trailer *trailer, char *buf, size_t size)
{
	uint64_t moved = trailer->move_length - trailer->unmoved;

	(void)snprintf(buf, size,
	               "upgrade from version %" PRIu32 " to %" PRIu32 " (%" PRIu64
	               " of %" PRIu64 " bytes moved)",
	               trailer->from_version, trailer->to_version, moved, trailer->move_length);
	return buf;
}

int gow_trailer_find_pending(struct gow_file *file, const struct gow_header *header,
                             struct gow_pending *pending, gow_error *error)
{
	struct gow_trailer trailer;
	bool found;
	int code = gow_trailer_find(file, header->layout, &trailer, &found, error);

	if (code || !found)
		return code;
	pending->kind = GOW_PENDING_UPGRADE;
	(void)gow_trailer_describe(&trailer, pending->what, sizeof pending->what);
	return GOW_OK;
}
