/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/trailer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "journal/trailer_format.h"
#include "io/readback.h"

enum { SECTOR = GOW_TRAILER_SECTOR };

/* Bytes of the header that are hashed and copied at once. */
enum { CHUNK = 1 << 20 };

/* ---- headers ----------------------------------------------------------------------------- */

/* Called with the header, piece by piece, its magic at rest. */
typedef int (*piece_taker)(void *context, uint64_t at, const uint8_t *bytes, size_t size,
                           gow_error *error);

/* Reads a header of size bytes from offset on and passes it on. */
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
	gow_meant_add(context, bytes, size);
	return GOW_OK;
}

int gow_trailer_hash_range(struct gow_file *file, uint64_t offset, uint64_t size,
                           const struct gow_layout *layout, uint8_t hash[GOW_TRAILER_HASH],
                           gow_error *error)
{
	struct gow_meant *meant;
	int code = gow_meant_new(&meant, error);

	if (code)
		return code;
	code = each_piece(file, offset, size, layout, add_to_hash, meant, error);
	if (!code)
		gow_meant_hash(meant, hash);
	gow_meant_free(meant);
	return code;
}

int gow_trailer_hash_header(struct gow_file *file, const struct gow_layout *layout, uint64_t size,
                            uint8_t hash[GOW_TRAILER_HASH], gow_error *error)
{
	return gow_trailer_hash_range(file, 0, size, layout, hash, error);
}

/* ---- writing ----------------------------------------------------------------------------- */

struct header_copy {
	struct gow_file *file;
	struct gow_meant *meant;
	uint64_t offset;
};

/* The hash is of what is in memory, whatever becomes of it on its way to the disk. */
static int copy_piece(void *context, uint64_t at, const uint8_t *bytes, size_t size,
                      gow_error *error)
{
	const struct header_copy *copy = context;

	gow_meant_add(copy->meant, bytes, size);
	return gow_file_write(copy->file, copy->offset + at, bytes, size, error);
}

static int copy_header(struct gow_file *file, struct gow_trailer *trailer, gow_error *error)
{
	struct header_copy copy = { .file = file, .offset = trailer->offset };
	int code = gow_meant_new(&copy.meant, error);

	if (code)
		return code;
	code = each_piece(file, 0, trailer->header_size, &trailer->from, copy_piece, &copy, error);
	if (!code)
		gow_meant_hash(copy.meant, trailer->header_hash);
	gow_meant_free(copy.meant);
	return code;
}

static int write_cursor(struct gow_file *file, const struct gow_trailer *trailer, gow_error *error)
{
	uint8_t sector[SECTOR];

	gow_trailer_make_cursor(trailer, sector);
	return gow_file_write(file, gow_trailer_cursor_offset(trailer, trailer->sequence), sector,
	                      SECTOR, error);
}

static int verify_cursor(struct gow_file *file, const struct gow_trailer *trailer, gow_error *error)
{
	uint8_t sector[SECTOR];

	gow_trailer_make_cursor(trailer, sector);
	return gow_file_compare(file, gow_trailer_cursor_offset(trailer, trailer->sequence), sector,
	                        SECTOR, error);
}

int gow_trailer_write(struct gow_file *file, struct gow_trailer *trailer, gow_error *error)
{
	uint8_t sector[SECTOR];
	int code = copy_header(file, trailer, error);

	/* Both, so that neither is what stood there before. */
	for (int i = 0; i < 2 && !code; i++) {
		trailer->sequence++;
		code = write_cursor(file, trailer, error);
	}
	if (code)
		return code;
	gow_trailer_make_footer(trailer, sector);
	return gow_file_write(file, gow_trailer_end(trailer) - SECTOR, sector, SECTOR, error);
}

int gow_trailer_verify(struct gow_file *file, const struct gow_trailer *trailer, gow_error *error)
{
	struct gow_trailer before = *trailer;
	uint8_t hash[GOW_TRAILER_HASH], sector[SECTOR];
	int code = gow_trailer_hash_range(file, trailer->offset, trailer->header_size,
	                                  &trailer->from, hash, error);

	if (!code && memcmp(hash, trailer->header_hash, sizeof hash) != 0)
		code = gow_fail_read_back(file, trailer->offset, error);
	before.sequence--;
	if (!code)
		code = verify_cursor(file, &before, error);
	if (!code)
		code = verify_cursor(file, trailer, error);
	gow_trailer_make_footer(trailer, sector);
	return code ? code
	            : gow_file_compare(file, gow_trailer_end(trailer) - SECTOR, sector, SECTOR,
	                               error);
}

int gow_trailer_write_cursor(struct gow_file *file, struct gow_trailer *trailer, gow_error *error)
{
	int code;

	trailer->sequence++;
	code = write_cursor(file, trailer, error);
	if (!code)
		code = gow_file_settle(file, error);
	return code ? code : verify_cursor(file, trailer, error);
}

/* ---- what it says ------------------------------------------------------------------------ */

const char *gow_trailer_describe(const struct gow_trailer *trailer, char *buf, size_t size)
{
	uint64_t moved = trailer->move_length - trailer->unmoved;

	(void)snprintf(buf, size,
	               "upgrade from version %" PRIu32 " to %" PRIu32 " (%" PRIu64 " of %" PRIu64
	               " bytes moved)",
	               trailer->from.version, trailer->to.version, moved, trailer->move_length);
	return buf;
}
