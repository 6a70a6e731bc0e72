/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/member.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/monitor.h"

void gow_member_reset(struct gow_member *member, struct gow_entries *entries,
                      const atomic_bool *stop)
{
	*member = (struct gow_member){
		.entries = entries,
		.stop = stop,
		.size = GOW_NOWHERE,
		.limit = UINT64_MAX,
	};
}

static int damaged(const struct gow_member *member, const char *why, gow_error *error)
{
	return gow_unpack_damaged(&member->entries->unpack, why, error);
}

int gow_member_too_short(const struct gow_member *member, gow_error *error)
{
	return damaged(member, "it ends before its size is reached", error);
}

/* ---- what its header says ---------------------------------------------------------------- */

/* What the map of a sparse member says. libarchive accepts missing data and overlapping runs; runs
 * that it drops here it still reads, so that the sums differ then as well. */
static int note_map(struct gow_member *member, struct archive_entry *entry, gow_error *error)
{
	la_int64_t offset, length;
	/* Counting drops a list that is one run over the whole member. archive_entry_sparse_reset
	 * must not be called then: it would leave the next call in freed memory. */
	int runs = archive_entry_sparse_count(entry);
	int result = ARCHIVE_OK;

	member->sparse = runs > 0;
	if (runs <= 0)
		return GOW_OK;
	if (archive_entry_sparse_reset(entry) != runs)
		return damaged(member, "its map of holes cannot be read", error);
	for (int run = 0; run < runs && result == ARCHIVE_OK; run++) {
		result = archive_entry_sparse_next(entry, &offset, &length);
		if (result != ARCHIVE_OK || offset < 0 || length < 0 ||
		    __builtin_add_overflow(member->claimed, (uint64_t)length, &member->claimed))
			return damaged(member, "its map of holes cannot be read", error);
	}
	return GOW_OK;
}

/* The sum of the bytes stands in the headers of one form of cpio, and libarchive does not look at it. */
static void note_sum(struct gow_member *member)
{
	enum { HEADER = 110, SUM_AT = 102, SUM_DIGITS = 8 };
	const struct gow_unpack *unpack = &member->entries->unpack;
	uint8_t header[HEADER];
	char digits[SUM_DIGITS + 1], *end;

	if (archive_format(unpack->container) != ARCHIVE_FORMAT_CPIO_SVR4_CRC ||
	    !gow_unpack_look_back(unpack, (uint64_t)archive_read_header_position(unpack->container),
	                          header, sizeof header) ||
	    memcmp(header, "070702", 6) != 0)
		return;
	memcpy(digits, header + SUM_AT, SUM_DIGITS);
	digits[SUM_DIGITS] = '\0';
	member->sum_due = (uint32_t)strtoul(digits, &end, 16);
	member->has_sum = end == digits + SUM_DIGITS;
}

static void add_to_sum(struct gow_member *member, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		member->sum += bytes[i];
}

int gow_member_begin(struct gow_member *member, struct archive_entry *entry, gow_error *error)
{
	int code = note_map(member, entry, error);

	note_sum(member);
	if (code || !archive_entry_size_is_set(entry))
		return code;
	if (archive_entry_size(entry) < 0)
		return damaged(member, "its size is negative", error);
	member->size = (uint64_t)archive_entry_size(entry);
	return GOW_OK;
}

/* ---- pieces ------------------------------------------------------------------------------ */

/* The next piece out of the container; size 0 at the end. */
static int take_piece(struct gow_member *member, struct gow_piece *piece, gow_error *error)
{
	struct gow_unpack *unpack = &member->entries->unpack;
	const void *bytes = NULL;
	la_int64_t offset = 0;
	size_t size = 0;
	int result;

	do
		result = archive_read_data_block(unpack->container, &bytes, &size, &offset);
	while (result == ARCHIVE_OK && !size);
	if (result == ARCHIVE_EOF && !unpack->failure.code)
		return GOW_OK;
	if (result != ARCHIVE_OK)
		return gow_unpack_failed(unpack, unpack->container, error);
	if (offset < 0 || (uint64_t)offset < member->position ||
	    (uint64_t)offset > (uint64_t)INT64_MAX - size || (uint64_t)offset + size > member->size)
		return damaged(member, "its data contradicts its size", error);
	*piece = (struct gow_piece){ bytes, size, (uint64_t)offset };
	member->given += size;
	if (member->has_sum)
		add_to_sum(member, bytes, size);
	return GOW_OK;
}

/* The same where what was compressed is the disk itself. */
static int take_plain(struct gow_member *member, struct gow_piece *piece, gow_error *error)
{
	struct gow_unpack *unpack = &member->entries->unpack;
	uint64_t offset = unpack->plain.position;
	size_t size;
	int code = gow_unpack_read(unpack, unpack->plain.buffer, GOW_MEMBER_BYTES, &size, error);

	*piece = (struct gow_piece){ unpack->plain.buffer, size, offset };
	return code;
}

/* Makes sure that there is a piece, unless the member has ended. */
static int next_piece(struct gow_member *member, gow_error *error)
{
	struct gow_piece piece = { .size = 0 };
	int code;

	if (member->piece.size)
		return GOW_OK;
	member->piece = member->behind;
	member->behind.size = 0;
	if (member->piece.size || member->ended)
		return GOW_OK;
	code = member->entries->unpack.container ? take_piece(member, &piece, error)
	                                         : take_plain(member, &piece, error);
	if (code)
		return code;
	if (piece.offset + piece.size > member->limit) {
		code = gow_fail(error, GOW_ERR_LIMIT,
		                "is larger than any image can be (%" PRIu64 " bytes)",
		                member->limit);
		return gow_unpack_name(&member->entries->unpack, code, error);
	}
	member->piece = piece;
	member->ended = !piece.size;
	return GOW_OK;
}

/* Up to where the member is known to hold zeros, now that next_piece was called. */
static uint64_t hole_end(const struct gow_member *member)
{
	if (member->piece.size)
		return member->piece.offset;
	/* Only a sparse member may end before its size is reached. */
	return member->sparse && member->size != GOW_NOWHERE ? member->size : member->position;
}

/* ---- reading ----------------------------------------------------------------------------- */

int gow_member_read(struct gow_member *member, uint8_t *buf, uint64_t size, uint64_t *got,
                    gow_error *error)
{
	struct gow_piece *piece = &member->piece;

	*got = 0;
	while (*got < size) {
		uint64_t part, hole;
		int code = next_piece(member, error);

		if (code)
			return code;
		hole = hole_end(member);
		if (member->position < hole) {
			part = gow_min(size - *got, hole - member->position);
			if (buf)
				memset(buf + *got, 0, (size_t)part);
		} else if (!piece->size) {
			break;
		} else {
			part = gow_min(size - *got, piece->size);
			if (buf)
				memcpy(buf + *got, piece->bytes, (size_t)part);
			*piece = (struct gow_piece){ piece->bytes + part,
				                     piece->size - (size_t)part,
				                     piece->offset + part };
		}
		*got += part;
		member->position += part;
	}
	return GOW_OK;
}

int gow_member_read_first(struct gow_member *member, gow_error *error)
{
	uint64_t got;
	int code;

	member->limit = UINT64_MAX;
	code = gow_member_read(member, member->first, sizeof member->first, &got, error);
	member->first_size = code ? 0 : (size_t)got;
	return code;
}

void gow_member_take_back(struct gow_member *member)
{
	member->behind = member->piece;
	member->piece = (struct gow_piece){ member->first, member->first_size, 0 };
	member->position = 0;
}

int gow_member_next_data(struct gow_member *member, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	int code = next_piece(member, error);

	if (code)
		return code;
	*start = member->piece.size ? member->piece.offset : 0;
	*end = *start + member->piece.size;
	return GOW_OK;
}

int gow_member_pass_to(struct gow_member *member, uint64_t offset, const gow_monitor *monitor,
                       gow_error *error)
{
	while (member->position < offset) {
		uint64_t got, part = gow_min(offset - member->position, 16 << 20);
		int code = gow_member_read(member, NULL, part, &got, error);

		if (!code)
			code = gow_tick(monitor, "skip", member->position, 0, error);
		if (code || got < part)
			return code;
		if (atomic_load(member->stop))
			return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	}
	return GOW_OK;
}

int gow_member_end(struct gow_member *member, const gow_monitor *monitor, gow_error *error)
{
	int code = gow_member_pass_to(member, UINT64_MAX, monitor, error);

	if (code)
		return code;
	if (member->size != GOW_NOWHERE && member->position != member->size)
		return gow_member_too_short(member, error);
	if (member->sparse && member->given != member->claimed)
		return damaged(member, "its data contradicts its map of holes", error);
	if (member->has_sum && member->sum != member->sum_due)
		return damaged(member, "its data contradicts the sum in its header", error);
	if (member->entries->unpack.container)
		return gow_entries_note_end(member->entries, error);
	return GOW_OK;
}
