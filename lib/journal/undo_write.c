/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/readback.h"
#include "journal/undo.h"

/* ---- writing ----------------------------------------------------------------------------- */

/* Appends to the undo file, by way of a buffer, and digests what goes by. */
struct writer {
	struct gow_undo *undo;
	struct gow_file *image;
	struct gow_file *overlay;
	XXH3_state_t *digest; /* of what is meant to be in the file, not of what is read back */
	uint8_t *buffer;
	size_t used;
	uint64_t at;
	uint8_t old[RECORD_MAX], new[RECORD_MAX];
};

static int drain(struct writer *writer, gow_error *error)
{
	int code = gow_file_write(writer->undo->file, writer->at, writer->buffer, writer->used,
	                          error);

	(void)XXH3_128bits_update(writer->digest, writer->buffer, writer->used);
	writer->at += writer->used;
	writer->used = 0;
	return code;
}

static int append(struct writer *writer, const uint8_t *bytes, size_t size, gow_error *error)
{
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, BUFFER - writer->used);

		memcpy(writer->buffer + writer->used, bytes, part);
		writer->used += part;
		bytes += part;
		size -= part;
		if (writer->used == BUFFER)
			code = drain(writer, error);
	}
	return code;
}

static int append_record(struct writer *writer, uint64_t offset, uint32_t length, uint32_t flags,
                         gow_error *error)
{
	uint8_t head[RECORD];
	XXH3_state_t *state;
	int code = gow_file_read_all(writer->image, offset, writer->old, length, error);

	if (!code)
		code = gow_file_read_all(writer->overlay, offset, writer->new, length, error);
	if (code)
		return code;
	state = XXH3_createState();
	if (!state)
		return gow_fail_memory(error, BUFFER);
	gow_record_put(head, 8, offset);
	gow_record_put(head + 8, 4, length);
	gow_record_put(head + 12, 4, flags);
	gow_record_put(head + 16, 8, XXH3_64bits(writer->new, length));
	(void)XXH3_64bits_reset(state);
	(void)XXH3_64bits_update(state, head, RECORD_SEALED);
	(void)XXH3_64bits_update(state, writer->old, length);
	gow_record_put(head + RECORD_SEALED, 8, XXH3_64bits_digest(state));
	(void)XXH3_freeState(state);
	code = append(writer, head, sizeof head, error);
	return code ? code : append(writer, writer->old, length, error);
}

static int append_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	return append_record(context, offset, length, 0, error);
}

static int count_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	struct gow_undo *undo = context;

	(void)offset;
	(void)error;
	undo->records++;
	undo->records_size += RECORD + (uint64_t)length;
	return GOW_OK;
}

/* How many records there will be, and how long. */
static int count_records(struct gow_undo *undo, struct gow_file *overlay, gow_error *error)
{
	struct gow_mark marks[GOW_MARKS];

	gow_marks_of(undo->layout, marks);
	undo->records = undo->records_size = 0;
	for (size_t i = 0; i < GOW_MARKS; i++)
		(void)count_range(undo, marks[i].offset, marks[i].length, error);
	return gow_change_each(overlay, undo->layout, undo->old_size, count_range, undo, error);
}

static void fill_head(const struct gow_undo *undo, uint8_t sector[SECTOR])
{
	memset(sector, 0, SECTOR);
	memcpy(sector, head_magic, 8);
	gow_record_put(sector + 8, 4, FORMAT);
	gow_record_put(sector + 12, 4, undo->layout->version);
	gow_record_put(sector + 16, 8, undo->old_size);
	gow_record_put(sector + 24, 8, undo->new_size);
	gow_record_put(sector + 32, 8, undo->records);
	gow_record_put(sector + 40, 8, undo->records_size);
	gow_record_put(sector + 48, 8, undo->header_length);
	memcpy(sector + 56, undo->header_digest, GOW_UNDO_DIGEST);
	memcpy(sector + WHAT_AT, undo->what, GOW_UNDO_WHAT);
	gow_undo_put_layout(sector, undo->layout);
	gow_record_put(sector + IMAGE_AT, 8, undo->image);
	gow_undo_seal(sector);
}

static int write_records(struct writer *writer, gow_error *error)
{
	struct gow_undo *undo = writer->undo;
	static const uint8_t zeros[SECTOR];
	struct gow_mark marks[GOW_MARKS];
	uint8_t head[SECTOR];
	int code;

	fill_head(undo, head);
	gow_marks_of(undo->layout, marks);
	code = append(writer, head, sizeof head, error);
	for (size_t i = 0; i < GOW_MARKS && !code; i++)
		code = append_record(writer, marks[i].offset, marks[i].length, RECORD_MARK, error);
	if (!code)
		code = gow_change_each(writer->overlay, undo->layout, undo->old_size, append_range,
		                       writer, error);
	if (!code)
		code = append(writer, zeros,
		              (size_t)(gow_undo_end_at(undo) - SECTOR - undo->records_size), error);
	return code ? code : drain(writer, error);
}

/* The committed end, and room for the marks that come later. */
static int write_end(struct gow_undo *undo, const XXH3_state_t *digest, gow_error *error)
{
	uint8_t sectors[3 * SECTOR] = { 0 };
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digest));
	memcpy(undo->end_digest, canonical.digest, GOW_UNDO_DIGEST);
	memcpy(sectors, end_magic, 8);
	memcpy(sectors + 8, undo->end_digest, GOW_UNDO_DIGEST);
	gow_undo_seal(sectors);
	return gow_file_write(undo->file, gow_undo_end_at(undo), sectors, sizeof sectors, error);
}

static int measure(struct gow_undo *undo, struct gow_file *image, struct gow_file *overlay,
                   gow_error *error)
{
	int code = gow_file_size(image, &undo->old_size, error);

	if (!code)
		code = gow_file_size(overlay, &undo->new_size, error);
	undo->header_length = gow_undo_header_length(undo);
	return code ? code : count_records(undo, overlay, error);
}

int gow_undo_size(struct gow_file *image, struct gow_file *overlay, const struct gow_layout *layout,
                  uint64_t *size, gow_error *error)
{
	struct gow_undo undo = { .layout = layout };
	int code = measure(&undo, image, overlay, error);

	*size = gow_undo_file_end(&undo);
	return code;
}

static void free_writer(struct writer *writer)
{
	if (!writer)
		return;
	(void)XXH3_freeState(writer->digest);
	free(writer->buffer);
	free(writer);
}

static struct writer *new_writer(struct gow_undo *undo, struct gow_file *image,
                                 struct gow_file *overlay, gow_error *error)
{
	struct writer *writer = calloc(1, sizeof *writer);

	if (writer) {
		writer->undo = undo;
		writer->image = image;
		writer->overlay = overlay;
		writer->buffer = malloc(BUFFER);
		writer->digest = XXH3_createState();
	}
	if (writer && writer->buffer && writer->digest &&
	    XXH3_128bits_reset(writer->digest) == XXH_OK)
		return writer;
	free_writer(writer);
	(void)gow_fail_memory(error, BUFFER);
	return NULL;
}

int gow_undo_fill(struct gow_undo *undo, struct gow_file *image, struct gow_file *overlay,
                  gow_error *error)
{
	struct writer *writer = NULL;
	int code = measure(undo, image, overlay, error);

	undo->image = undo->pointed ? gow_undo_number_of(image) : 0;
	if (!code)
		code = gow_undo_digest_range(image, 0, undo->header_length, undo->header_digest,
		                             error);
	if (!code) {
		writer = new_writer(undo, image, overlay, error);
		code = writer ? write_records(writer, error) : GOW_ERR_MEMORY;
	}
	if (!code)
		code = write_end(undo, writer->digest, error);
	if (!code)
		code = gow_file_sync(undo->file, error);
	free_writer(writer);
	return code;
}

/* ---- marks that come later --------------------------------------------------------------- */

static int write_mark(const struct gow_undo *undo, uint64_t at, const uint8_t magic[8],
                      gow_error *error)
{
	uint8_t sector[SECTOR] = { 0 };
	int code;

	memcpy(sector, magic, 8);
	memcpy(sector + 8, undo->end_digest, GOW_UNDO_DIGEST);
	memcpy(sector + 8 + GOW_UNDO_DIGEST, undo->tail_digest, GOW_UNDO_DIGEST);
	gow_undo_seal(sector);
	code = gow_file_write(undo->file, at, sector, sizeof sector, error);
	if (!code)
		code = gow_file_sync(undo->file, error);
	return code ? code : gow_file_check_written(undo->file, at, sector, sizeof sector, error);
}

int gow_undo_mark_done(struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	int code = gow_undo_digest_range(image, undo->old_size, undo->new_size, undo->tail_digest,
	                                 error);

	if (!code)
		code = write_mark(undo, gow_undo_done_at(undo), done_magic, error);
	undo->done = !code;
	return code;
}

int gow_undo_mark_undone(struct gow_undo *undo, gow_error *error)
{
	int code = write_mark(undo, gow_undo_back_at(undo), back_magic, error);

	undo->undone = !code;
	return code;
}
