/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xxh.h"
#include "journal/undo.h"

int gow_undo_bad(const struct gow_undo *undo, const char *what, uint64_t offset, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "is no undo file that can be used: %s", what);

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), undo->file->name);
}

struct reader {
	const struct gow_undo *undo;
	uint8_t *buffer; /* BUFFER bytes of the file, from buffer_at on */
	uint64_t buffer_at;
	size_t buffer_used;
};

/* Makes size bytes at offset, at most RECORD + RECORD_MAX, stand in the buffer. */
static int need(struct reader *reader, uint64_t offset, size_t size, const uint8_t **bytes,
                gow_error *error)
{
	if (offset < reader->buffer_at || offset + size > reader->buffer_at + reader->buffer_used) {
		/* Not into the marks: one that cannot be read is no fault of the records. */
		size_t room = (size_t)gow_min(BUFFER, gow_undo_end_at(reader->undo) - offset);
		int code = gow_file_read(reader->undo->file, offset, reader->buffer, room,
		                         &reader->buffer_used, error);

		if (code)
			return code;
		reader->buffer_at = offset;
		if (reader->buffer_used < size)
			return gow_undo_bad(reader->undo, "it ends too early", offset, error);
	}
	*bytes = reader->buffer + (offset - reader->buffer_at);
	return GOW_OK;
}

/* Where the record before ended; what it must not come before. */
struct order {
	uint64_t past;
	bool past_marks;
};

static bool is_over_a_mark(const struct gow_layout *layout, const struct gow_undo_record *record)
{
	struct gow_mark marks[GOW_MARKS];

	gow_marks_of(layout, marks);
	for (size_t i = 0; i < GOW_MARKS; i++)
		if (record->offset < marks[i].offset + marks[i].length &&
		    marks[i].offset < record->offset + record->length)
			return true;
	return false;
}

static const char *record_fault(const struct gow_undo *undo, const struct gow_undo_record *record,
                                struct order *order)
{
	if (record->flags > RECORD_MARK || !record->length || record->length > RECORD_MAX)
		return "a record makes no sense";
	if (record->offset > undo->old_size || record->length > undo->old_size - record->offset)
		return "a record lies outside the image";
	if (record->flags == RECORD_MARK)
		return order->past_marks ? "its records are out of order" : NULL;
	if (order->past_marks && record->offset < order->past)
		return "its records are out of order";
	if (is_over_a_mark(undo->layout, record))
		return "a record lies over the magic or the version";
	order->past_marks = true;
	order->past = record->offset + record->length;
	return NULL;
}

static int read_record(struct reader *reader, uint64_t at, uint64_t room,
                       struct gow_undo_record *record, gow_error *error)
{
	const uint8_t *bytes = NULL;
	XXH3_state_t *state;
	uint64_t sum;
	int code = room < RECORD ? gow_undo_bad(reader->undo, "its records do not fit", at, error)
	                         : need(reader, at, RECORD, &bytes, error);

	if (code)
		return code;
	record->offset = gow_record_get(bytes, 8);
	record->length = (uint32_t)gow_record_get(bytes + 8, 4);
	record->flags = (uint32_t)gow_record_get(bytes + 12, 4);
	record->after = gow_record_get(bytes + 16, 8);
	if (record->length > RECORD_MAX || record->length > room - RECORD)
		return gow_undo_bad(reader->undo, "a record is damaged", at, error);
	code = need(reader, at, RECORD + (size_t)record->length, &bytes, error);
	if (code)
		return code;
	state = XXH3_createState();
	if (!state)
		return gow_fail_memory(error, BUFFER);
	(void)XXH3_64bits_reset(state);
	(void)XXH3_64bits_update(state, bytes, RECORD_SEALED);
	(void)XXH3_64bits_update(state, bytes + RECORD, record->length);
	sum = XXH3_64bits_digest(state);
	(void)XXH3_freeState(state);
	if (sum != gow_record_get(bytes + RECORD_SEALED, 8))
		return gow_undo_bad(reader->undo, "a record is damaged", at, error);
	record->old = bytes + RECORD;
	return GOW_OK;
}

int gow_undo_each_record(const struct gow_undo *undo, gow_undo_record_visitor visit, void *context,
                         gow_error *error)
{
	struct reader reader = { .undo = undo, .buffer = malloc(BUFFER) };
	struct order order = { .past = 0 };
	uint64_t at = SECTOR;
	uint64_t past = SECTOR + undo->records_size;
	int code = reader.buffer ? GOW_OK : gow_fail_memory(error, BUFFER);

	for (uint64_t i = 0; i < undo->records && !code; i++) {
		struct gow_undo_record record;
		const char *fault;

		code = read_record(&reader, at, past - at, &record, error);
		if (code)
			break;
		fault = record_fault(undo, &record, &order);
		code = fault ? gow_undo_bad(undo, fault, at, error)
		             : visit(context, &record, error);
		at += RECORD + record.length;
	}
	if (!code && at != past)
		code = gow_undo_bad(undo, "its records do not fill it", at, error);
	free(reader.buffer);
	return code;
}

/* The marks must be the layout's: whoever writes GOW! counts on their coming back. */
struct mark_check {
	struct gow_mark marks[GOW_MARKS];
	size_t found;
	bool wrong;
};

static int check_mark(void *context, const struct gow_undo_record *record, gow_error *error)
{
	struct mark_check *check = context;

	(void)error;
	if (record->flags != RECORD_MARK)
		return GOW_OK;
	if (check->found == GOW_MARKS || record->offset != check->marks[check->found].offset ||
	    record->length != check->marks[check->found].length)
		check->wrong = true;
	else
		check->found++;
	return GOW_OK;
}

static int check_records(const struct gow_undo *undo, gow_error *error)
{
	struct mark_check check = { .found = 0 };
	int code;

	gow_marks_of(undo->layout, check.marks);
	code = gow_undo_each_record(undo, check_mark, &check, error);
	if (!code && (check.wrong || check.found != GOW_MARKS))
		code = gow_undo_bad(undo, "it does not hold the magic and the version", SECTOR,
		                    error);
	return code;
}

/* What the old bytes take in memory, and reading them in time, must have a bound: no change that we
 * make exceeds it. */
static const uint64_t records_limit = UINT64_C(1) << 28;

static const char *seal_fault(const uint8_t sector[SECTOR])
{
	if (memcmp(sector, head_magic, 8) != 0)
		return "it does not begin like one";
	return gow_undo_is_sealed(sector, head_magic) ? NULL : "its first sector is damaged";
}

static int take_format(struct gow_undo *undo, const uint8_t sector[SECTOR], gow_error *error)
{
	char what[128];

	undo->format = (uint32_t)gow_record_get(sector + 8, 4);
	if (undo->format == FORMAT || undo->format == OLD_FORMAT)
		return GOW_OK;
	(void)snprintf(what, sizeof what,
	               "it is of format %lu, which is not known here: use the gow-tools that made "
	               "it, or newer ones",
	               (unsigned long)undo->format);
	return gow_undo_bad(undo, what, 0, error);
}

static const char *take_layout(const struct gow_undo_place *place, struct gow_undo *undo,
                               const uint8_t sector[SECTOR])
{
	if (undo->format != OLD_FORMAT)
		return gow_undo_take_layout(place, sector, undo);
	undo->layout = gow_layout_among(place->rows, place->row_count,
	                                gow_record_get(sector + 12, 4));
	return undo->layout ? NULL : "it is of an unknown version of images";
}

static const char *take_head(struct gow_undo *undo, const uint8_t sector[SECTOR], uint64_t size)
{
	undo->old_size = gow_record_get(sector + 16, 8);
	undo->new_size = gow_record_get(sector + 24, 8);
	undo->records = gow_record_get(sector + 32, 8);
	undo->records_size = gow_record_get(sector + 40, 8);
	undo->header_length = gow_record_get(sector + 48, 8);
	undo->image = gow_record_get(sector + IMAGE_AT, 8);
	memcpy(undo->header_digest, sector + 56, GOW_UNDO_DIGEST);
	memcpy(undo->what, sector + WHAT_AT, GOW_UNDO_WHAT);
	undo->what[GOW_UNDO_WHAT - 1] = '\0';
	for (char *at = undo->what; *at; at++)
		if (*at < ' ' || *at > '~') /* it is going to be printed */
			*at = '?';
	if (undo->records_size > size || gow_undo_file_end(undo) != size)
		return "it is torn: it has not the length that it says";
	if (undo->records_size > records_limit)
		return "it holds more than a repair ever overwrites";
	if (undo->old_size > INT64_MAX || undo->new_size < undo->old_size ||
	    undo->new_size > INT64_MAX || undo->header_length != gow_undo_header_length(undo))
		return "its first sector makes no sense";
	return NULL;
}

static bool is_blank(const uint8_t sector[SECTOR])
{
	for (size_t i = 0; i < SECTOR; i++)
		if (sector[i])
			return false;
	return true;
}

/* What a mark says. */
enum mark_state { MARK_BLANK, MARK_VALID, MARK_GARBAGE, MARK_UNREADABLE };

/* A mark that cannot be read is one that is not valid, and no more. */
static int read_mark(const struct gow_undo *undo, uint64_t at, const uint8_t magic[8],
                     uint8_t sector[SECTOR], enum mark_state *state, gow_error *error)
{
	int code = gow_file_read_all(undo->file, at, sector, SECTOR, error);

	if (code == GOW_ERR_IO)
		*state = MARK_UNREADABLE;
	else if (gow_undo_is_sealed(sector, magic) &&
	         memcmp(sector + 8, undo->end_digest, GOW_UNDO_DIGEST) == 0)
		*state = MARK_VALID;
	else
		*state = is_blank(sector) ? MARK_BLANK : MARK_GARBAGE;
	return code == GOW_ERR_IO ? GOW_OK : code;
}

/* What was written after the rest. While the image is pending, writing it may have failed half
 * way, and that must not keep anybody from taking the change back; nor what failed before it was
 * taken back. */
static int take_marks(struct gow_undo *undo, gow_error *error)
{
	uint8_t done[SECTOR] = { 0 }, back[SECTOR] = { 0 };
	enum mark_state done_state, back_state = MARK_BLANK;
	int code = read_mark(undo, gow_undo_done_at(undo), done_magic, done, &done_state, error);

	if (!code)
		code = read_mark(undo, gow_undo_back_at(undo), back_magic, back, &back_state,
		                 error);
	if (code)
		return code;
	undo->done = done_state == MARK_VALID;
	undo->undone = back_state == MARK_VALID;
	memcpy(undo->tail_digest, done + 8 + GOW_UNDO_DIGEST, GOW_UNDO_DIGEST);
	undo->spoilt = !undo->undone && (done_state > MARK_VALID || back_state == MARK_GARBAGE);
	return GOW_OK;
}

static int check_end(struct gow_undo *undo, gow_error *error)
{
	uint8_t sector[SECTOR];
	const char *fault = NULL;
	int code = gow_file_read_all(undo->file, gow_undo_end_at(undo), sector, sizeof sector,
	                             error);

	if (!code)
		code = gow_undo_digest_range(undo->file, 0, gow_undo_end_at(undo), undo->end_digest,
		                             error);
	if (code)
		return code;
	if (!gow_undo_is_sealed(sector, end_magic))
		fault = "it was not written to its end";
	else if (memcmp(sector + 8, undo->end_digest, GOW_UNDO_DIGEST) != 0)
		fault = "it is damaged";
	return fault ? gow_undo_bad(undo, fault, gow_undo_end_at(undo), error)
	             : take_marks(undo, error);
}

int gow_undo_verify(const struct gow_undo_place *place, struct gow_undo *undo, gow_error *error)
{
	uint8_t sector[SECTOR];
	const char *fault;
	uint64_t size = 0;
	size_t got;
	int code = gow_file_size(undo->file, &size, error);

	if (!code)
		code = gow_file_read(undo->file, 0, sector, sizeof sector, &got, error);
	if (code)
		return code;
	if (got < sizeof sector)
		return gow_undo_bad(undo, "it is torn: it ends in its first sector", got, error);
	fault = seal_fault(sector);
	if (!fault) {
		code = take_format(undo, sector, error);
		if (code)
			return code;
		fault = take_layout(place, undo, sector);
	}
	if (!fault)
		fault = take_head(undo, sector, size);
	if (fault)
		return gow_undo_bad(undo, fault, 0, error);
	code = check_end(undo, error);
	return code ? code : check_records(undo, error);
}
