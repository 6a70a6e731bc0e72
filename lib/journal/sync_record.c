/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/sync_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/leftover.h"
#include "io/readback.h"
#include "journal/numbers.h"

/* All numbers are little-endian. */
enum {
	HEAD = 64, /* magic 8, format 4, flags 4, reserved 32, hash 16 */
	HEAD_HASHED = 48,
	FRAME = 48, /* magic 8, count 4, reserved 4, hash of all behind it 16, identity 16 */
	FRAME_HASHED = 32,
	ROW = 32, /* logical, physical, number, reserved: 4 each; hash 16 */
	FORMAT = 1,
	IN_PLACE = 1, /* a flag */
	PENDING_MOST =
		512 /* rows that a power failure may take, so that 32 MiB are fetched again */
};

static const uint8_t head_magic[8] = { 'G', 'O', 'W', '-', 'S', 'Y', 'N', 'C' };
static const uint8_t frame_magic[8] = { 'G', 'O', 'W', '-', 'R', 'O', 'W', 'S' };

static const struct gow_own_kind own = { "a record of gow-sync", head_magic, NULL };

static void hash_bytes(const uint8_t *bytes, size_t size, uint64_t seed, struct gow_hash *hash)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes, size, seed));
	memcpy(hash->bytes, canonical.digest, sizeof hash->bytes);
}

/* ---- life -------------------------------------------------------------------------------- */

int gow_sync_record_init(struct gow_sync_record *record, struct gow_directory *directory,
                         const char *copy, gow_error *error)
{
	*record = (struct gow_sync_record){ .directory = directory, .copy = strdup(copy) };
	if (record->copy && asprintf(&record->name, "%s.gow-sync", copy) >= 0)
		return GOW_OK;
	record->name = NULL;
	gow_sync_record_release(record);
	return gow_fail_memory(error, strlen(copy));
}

static void close_file(struct gow_sync_record *record)
{
	(void)gow_file_close(record->file, NULL);
	record->file = NULL;
}

void gow_sync_record_release(struct gow_sync_record *record)
{
	close_file(record);
	free(record->name);
	free(record->copy);
	record->name = record->copy = NULL;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Whether it comes from somebody who may write to the copy as well, and from nobody else. Before it
 * is opened by its name, and afterwards: that may lead elsewhere by then. */
static int check_owner(struct gow_sync_record *record, bool *trusted, gow_error *error)
{
	struct gow_owner owner, model = { .known = false };
	int code = record->file
	                   ? gow_file_owner(record->file, &owner, error)
	                   : gow_directory_owner(record->directory, record->name, &owner, error);

	if (!code)
		code = gow_directory_owner(record->directory, record->copy, &model, error);
	*trusted = !code && gow_owner_is_trusted(&owner, &model) &&
	           !gow_owner_lets_in_more(&owner, &model);
	return code;
}

static bool take_head(struct gow_sync_record *record, const uint8_t *head)
{
	struct gow_hash hash;

	hash_bytes(head, HEAD_HASHED, 0, &hash);
	if (memcmp(head, head_magic, sizeof head_magic) != 0 ||
	    memcmp(head + HEAD_HASHED, hash.bytes, sizeof hash.bytes) != 0 ||
	    gow_record_get32(head + 8) != FORMAT)
		return false;
	record->in_place = gow_record_get32(head + 12) & IN_PLACE;
	record->end = HEAD;
	return true;
}

int gow_sync_record_open(struct gow_sync_record *record, bool write, bool *found, gow_error *error)
{
	uint8_t head[HEAD];
	size_t got = 0;
	bool trusted = false;
	int code;

	*found = false;
	close_file(record);
	code = check_owner(record, &trusted, error);
	if (code || !trusted)
		return code;
	code = gow_directory_open_file(record->directory, record->name,
	                               write ? GOW_DIRECTORY_WRITE : 0, &record->file, error);
	if (code || !record->file)
		return code;
	code = check_owner(record, &trusted, error);
	if (code || !trusted) {
		close_file(record);
		return code;
	}
	if (write)
		code = gow_file_settle(record->file, error);
	if (!code)
		code = gow_file_read(record->file, 0, head, sizeof head, &got, error);
	*found = !code && got == sizeof head && take_head(record, head);
	if (!*found)
		close_file(record);
	return code;
}

/* The next frame, with FRAME bytes before its rows; *count is 0 at the end of those that are whole. */
static int read_frame(const struct gow_sync_record *record, uint8_t *frame, uint32_t *count,
                      gow_error *error)
{
	struct gow_hash hash;
	size_t got = 0, size;
	int code = gow_file_read(record->file, record->end, frame, FRAME, &got, error);

	*count = 0;
	if (code || got < FRAME || memcmp(frame, frame_magic, sizeof frame_magic) != 0 ||
	    gow_record_get32(frame + 8) > GOW_SYNC_ROWS)
		return code;
	size = (size_t)gow_record_get32(frame + 8) * ROW;
	code = gow_file_read(record->file, record->end + FRAME, frame + FRAME, size, &got, error);
	/* Where it stands is hashed as well. */
	hash_bytes(frame + FRAME_HASHED, FRAME - FRAME_HASHED + got, record->end, &hash);
	if (!code && got == size && memcmp(frame + 16, hash.bytes, sizeof hash.bytes) == 0)
		*count = gow_record_get32(frame + 8);
	return code;
}

static int visit_row(const uint8_t *frame, uint32_t index, gow_sync_row_visitor visit,
                     void *context, gow_error *error)
{
	const uint8_t *at = frame + FRAME + (size_t)index * ROW;
	struct gow_sync_row row = {
		gow_record_get32(at), gow_record_get32(at + 4), gow_record_get32(at + 8), { { 0 } }
	};
	struct gow_hash identity;

	memcpy(row.hash.bytes, at + 16, sizeof row.hash.bytes);
	memcpy(identity.bytes, frame + FRAME_HASHED, sizeof identity.bytes);
	return visit(context, &identity, &row, error);
}

int gow_sync_record_each(struct gow_sync_record *record, gow_sync_row_visitor visit, void *context,
                         gow_error *error)
{
	uint8_t frame[FRAME + GOW_SYNC_ROWS * ROW];
	uint32_t count;
	int code;

	for (record->end = HEAD;; record->end += FRAME + (uint64_t)count * ROW) {
		code = read_frame(record, frame, &count, error);
		for (uint32_t i = 0; i < count && !code; i++)
			code = visit_row(frame, i, visit, context, error);
		if (code || !count)
			return code;
	}
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Writes bytes, which are to be there when a block is overwritten: durable, and read back. */
static int write_durably(struct gow_sync_record *record, uint64_t at, const uint8_t *bytes,
                         size_t size, gow_error *error)
{
	int code = gow_file_write(record->file, at, bytes, size, error);

	if (!code)
		code = gow_file_settle(record->file, error);
	return code ? code : gow_file_compare(record->file, at, bytes, size, error);
}

static int write_head(struct gow_sync_record *record, gow_error *error)
{
	uint8_t head[HEAD] = { 0 };
	struct gow_hash hash;

	memcpy(head, head_magic, sizeof head_magic);
	gow_record_put(head + 8, 4, FORMAT);
	gow_record_put(head + 12, 4, record->in_place ? IN_PLACE : 0);
	hash_bytes(head, HEAD_HASHED, 0, &hash);
	memcpy(head + HEAD_HASHED, hash.bytes, sizeof hash.bytes);
	return write_durably(record, 0, head, sizeof head, error);
}

int gow_sync_record_begin(struct gow_sync_record *record, bool in_place, gow_error *error)
{
	int code;

	close_file(record);
	code = gow_remove_leftover(record->directory, record->name, &own, error);
	if (!code)
		code = gow_directory_open_file(record->directory, record->name,
		                               GOW_DIRECTORY_CREATE, &record->file, error);
	if (!code) /* check_owner */
		code = gow_file_close_to_others(record->file, error);
	if (code)
		return code;
	record->in_place = in_place;
	record->end = HEAD;
	record->pending = 0;
	code = write_head(record, error);
	return code ? code : gow_directory_sync(record->directory, error);
}

int gow_sync_record_add(struct gow_sync_record *record, const struct gow_hash *identity,
                        const struct gow_sync_row *rows, uint32_t count, gow_error *error)
{
	uint8_t frame[FRAME + GOW_SYNC_ROWS * ROW] = { 0 };
	const size_t size = (size_t)count * ROW;
	struct gow_hash hash;
	int code;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *at = frame + FRAME + (size_t)i * ROW;

		gow_record_put(at, 4, rows[i].logical);
		gow_record_put(at + 4, 4, rows[i].physical);
		gow_record_put(at + 8, 4, rows[i].number);
		memcpy(at + 16, rows[i].hash.bytes, sizeof rows[i].hash.bytes);
	}
	memcpy(frame, frame_magic, sizeof frame_magic);
	gow_record_put(frame + 8, 4, count);
	memcpy(frame + FRAME_HASHED, identity->bytes, sizeof identity->bytes);
	hash_bytes(frame + FRAME_HASHED, FRAME - FRAME_HASHED + size, record->end, &hash);
	memcpy(frame + 16, hash.bytes, sizeof hash.bytes);
	code = record->in_place
	               ? write_durably(record, record->end, frame, FRAME + size, error)
	               : gow_file_write(record->file, record->end, frame, FRAME + size, error);
	if (code)
		return code;
	record->end += FRAME + size;
	record->pending += count;
	if (record->in_place || record->pending < PENDING_MOST)
		return GOW_OK;
	record->pending = 0;
	return gow_file_sync(record->file, error);
}

int gow_sync_record_remove(struct gow_sync_record *record, gow_error *error)
{
	int code;

	close_file(record);
	code = gow_remove_leftover(record->directory, record->name, &own, error);
	if (code == GOW_ERR_EXISTS) /* none of ours, and it was not in the way */
		return GOW_OK;
	return code ? code : gow_directory_sync(record->directory, error);
}
