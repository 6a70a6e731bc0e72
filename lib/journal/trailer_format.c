/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/trailer_format.h"

#include <string.h>

#include "base/block.h"
#include "journal/layout_record.h"
#include "journal/numbers.h"

enum { SECTOR = GOW_TRAILER_SECTOR, HASH_AT = GOW_TRAILER_HASH_AT };

static const uint8_t magics[][8] = {
	[GOW_TRAILER_FOOTER] = { 'G', 'O', 'W', 'u', 'p', 'g', 'r', 'd' },
	[GOW_TRAILER_CURSOR] = { 'G', 'O', 'W', 'c', 'r', 's', 'o', 'r' },
};

/* Where the numbers stand in a sector; all are little-endian. gow-trailer(5) says the same. */
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
	FOOTER_HEADER_HASH = 88,
	FOOTER_FROM_LAYOUT = 128,
	FOOTER_TO_LAYOUT = 256
};

enum cursor_field {
	CURSOR_STAGE = 8,
	CURSOR_SEQUENCE = 16,
	CURSOR_UNMOVED = 24,
	CURSOR_NEW_HASH = 32,
	CURSOR_FOOTER_HASH = 48 /* whose cursor it is */
};

/* ---- sealing ----------------------------------------------------------------------------- */

static void hash_sector(const uint8_t *sector, uint8_t hash[GOW_TRAILER_HASH])
{
	struct gow_hash made;

	gow_hash_bytes(sector, HASH_AT, &made);
	memcpy(hash, made.bytes, GOW_TRAILER_HASH);
}

bool gow_trailer_is_sealed(const uint8_t *sector, enum gow_trailer_sector kind)
{
	uint8_t hash[GOW_TRAILER_HASH];

	if (memcmp(sector, magics[kind], sizeof magics[kind]) != 0)
		return false;
	hash_sector(sector, hash);
	return memcmp(sector + HASH_AT, hash, sizeof hash) == 0;
}

/* ---- sectors ----------------------------------------------------------------------------- */

static void begin_sector(uint8_t *sector, enum gow_trailer_sector kind)
{
	memset(sector, 0, SECTOR);
	memcpy(sector, magics[kind], sizeof magics[kind]);
}

void gow_trailer_make_footer(const struct gow_trailer *trailer, uint8_t *sector)
{
	begin_sector(sector, GOW_TRAILER_FOOTER);
	gow_record_put(sector + FOOTER_FORMAT, 4, trailer->format);
	gow_record_put(sector + FOOTER_FROM, 4, trailer->from.version);
	gow_record_put(sector + FOOTER_TO, 4, trailer->to.version);
	gow_record_put(sector + FOOTER_PRESENT, 4, trailer->present_blocks);
	gow_record_put(sector + FOOTER_ORIGINAL_SIZE, 8, trailer->original_size);
	gow_record_put(sector + FOOTER_FINAL_SIZE, 8, trailer->final_size);
	gow_record_put(sector + FOOTER_OFFSET, 8, trailer->offset);
	gow_record_put(sector + FOOTER_HEADER_SIZE, 8, trailer->header_size);
	gow_record_put(sector + FOOTER_NEW_HEADER_SIZE, 8, trailer->new_header_size);
	gow_record_put(sector + FOOTER_MOVE_FROM, 8, trailer->move_from);
	gow_record_put(sector + FOOTER_MOVE_TO, 8, trailer->move_to);
	gow_record_put(sector + FOOTER_MOVE_LENGTH, 8, trailer->move_length);
	memcpy(sector + FOOTER_HEADER_HASH, trailer->header_hash, GOW_TRAILER_HASH);
	if (trailer->format != GOW_TRAILER_OLD_FORMAT) {
		gow_layout_record_put(sector + FOOTER_FROM_LAYOUT, &trailer->from);
		gow_layout_record_put(sector + FOOTER_TO_LAYOUT, &trailer->to);
	}
	hash_sector(sector, sector + HASH_AT);
}

void gow_trailer_make_cursor(const struct gow_trailer *trailer, uint8_t *sector)
{
	uint8_t footer[SECTOR];

	gow_trailer_make_footer(trailer, footer);
	begin_sector(sector, GOW_TRAILER_CURSOR);
	gow_record_put(sector + CURSOR_STAGE, 4, (uint64_t)trailer->stage);
	gow_record_put(sector + CURSOR_SEQUENCE, 8, trailer->sequence);
	gow_record_put(sector + CURSOR_UNMOVED, 8, trailer->unmoved);
	memcpy(sector + CURSOR_NEW_HASH, trailer->new_hash, GOW_TRAILER_HASH);
	memcpy(sector + CURSOR_FOOTER_HASH, footer + HASH_AT, GOW_TRAILER_HASH);
	hash_sector(sector, sector + HASH_AT);
}

bool gow_trailer_parse_footer(const uint8_t *sector, struct gow_trailer *trailer)
{
	const uint32_t format = gow_record_get32(sector + FOOTER_FORMAT);

	if (format != GOW_TRAILER_OLD_FORMAT && format != GOW_TRAILER_FORMAT)
		return false;
	*trailer = (struct gow_trailer){
		.format = format,
		.present_blocks = gow_record_get32(sector + FOOTER_PRESENT),
		.original_size = gow_record_get(sector + FOOTER_ORIGINAL_SIZE, 8),
		.final_size = gow_record_get(sector + FOOTER_FINAL_SIZE, 8),
		.offset = gow_record_get(sector + FOOTER_OFFSET, 8),
		.header_size = gow_record_get(sector + FOOTER_HEADER_SIZE, 8),
		.new_header_size = gow_record_get(sector + FOOTER_NEW_HEADER_SIZE, 8),
		.move_from = gow_record_get(sector + FOOTER_MOVE_FROM, 8),
		.move_to = gow_record_get(sector + FOOTER_MOVE_TO, 8),
		.move_length = gow_record_get(sector + FOOTER_MOVE_LENGTH, 8),
	};
	memcpy(trailer->header_hash, sector + FOOTER_HEADER_HASH, GOW_TRAILER_HASH);
	if (format == GOW_TRAILER_OLD_FORMAT) {
		trailer->from.version = gow_record_get32(sector + FOOTER_FROM);
		trailer->to.version = gow_record_get32(sector + FOOTER_TO);
		return true;
	}
	trailer->from = gow_layout_record_get(sector + FOOTER_FROM_LAYOUT);
	trailer->to = gow_layout_record_get(sector + FOOTER_TO_LAYOUT);
	return gow_record_get32(sector + FOOTER_FROM) == trailer->from.version &&
	       gow_record_get32(sector + FOOTER_TO) == trailer->to.version;
}

bool gow_trailer_parse_cursor(const uint8_t *sector, const uint8_t *footer,
                              struct gow_trailer *trailer)
{
	const uint64_t unmoved = gow_record_get(sector + CURSOR_UNMOVED, 8);
	const uint32_t stage = gow_record_get32(sector + CURSOR_STAGE);

	if (memcmp(sector + CURSOR_FOOTER_HASH, footer + HASH_AT, GOW_TRAILER_HASH) != 0 ||
	    unmoved > trailer->move_length || stage > GOW_TRAILER_RESTORED)
		return false;
	trailer->sequence = gow_record_get(sector + CURSOR_SEQUENCE, 8);
	trailer->unmoved = unmoved;
	trailer->stage = (enum gow_trailer_stage)stage;
	memcpy(trailer->new_hash, sector + CURSOR_NEW_HASH, GOW_TRAILER_HASH);
	return true;
}

/* ---- places ------------------------------------------------------------------------------ */

/*
 * How many sectors there are from one record to the next, and from the old header to the first:
 * with one in between no sector of the disk holds bytes of two, wherever such sectors begin.
 */
static uint64_t step_of(const struct gow_trailer *trailer)
{
	return trailer->format == GOW_TRAILER_OLD_FORMAT ? SECTOR : 2 * (uint64_t)SECTOR;
}

/* Where the last sector begins before which there are three such steps. */
uint64_t gow_trailer_size(const struct gow_trailer *trailer)
{
	return gow_round_up(trailer->header_size, SECTOR) + 3 * step_of(trailer);
}

uint64_t gow_trailer_end(const struct gow_trailer *trailer)
{
	return trailer->offset + gow_trailer_size(trailer);
}

uint64_t gow_trailer_cursor_offset(const struct gow_trailer *trailer, uint64_t sequence)
{
	return trailer->offset + gow_round_up(trailer->header_size, SECTOR) +
	       (sequence % 2 + 1) * step_of(trailer) - SECTOR;
}

uint64_t gow_trailer_place(uint64_t final_size)
{
	return gow_round_up(final_size, SECTOR) + SECTOR;
}
