/* SPDX-License-Identifier: BSD-2-Clause */
/* unpack_gunzip.c - gzip, by zlib itself: libarchive 3.6 does not look at the sum that ends a gzip
 * stream. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"
#include "disk/archive/unpack_parts.h"

struct gow_gunzip {
	z_stream stream;
	uint64_t taken; /* bytes of input that are part of it */
	bool begun;     /* a stream has begun, and not ended */
	bool ended;     /* there is no more */
};

int gow_gunzip_open(struct gow_unpack *unpack, gow_error *error)
{
	enum { GZIP_ONLY = 16 };
	struct gow_gunzip *gunzip = calloc(1, sizeof *gunzip);

	if (!gunzip)
		return gow_fail_memory(error, sizeof *gunzip);
	if (inflateInit2(&gunzip->stream, MAX_WBITS + GZIP_ONLY) != Z_OK) {
		free(gunzip);
		return gow_fail_memory(error, sizeof gunzip->stream);
	}
	gunzip->begun = true;
	unpack->gunzip = gunzip;
	return GOW_OK;
}

void gow_gunzip_close(struct gow_gunzip *gunzip)
{
	if (gunzip)
		(void)inflateEnd(&gunzip->stream);
	free(gunzip);
}

/* Whether another gzip stream follows the one that ended. At the very end of what was read only its
 * first byte may be there. */
static bool another_follows(const z_stream *stream)
{
	return stream->avail_in && stream->next_in[0] == 0x1f &&
	       (stream->avail_in == 1 || stream->next_in[1] == 0x8b);
}

static int more_input(struct gow_unpack *unpack, gow_error *error)
{
	z_stream *stream = &unpack->gunzip->stream;
	size_t got;
	int code;

	if (stream->avail_in)
		return GOW_OK;
	code = gow_unpack_read_input(unpack, unpack->input.buffer, GOW_UNPACK_BYTES, &got, error);
	stream->next_in = unpack->input.buffer;
	stream->avail_in = code ? 0 : (unsigned)got;
	return code;
}

/* Inflates a piece of what there is. */
static int inflate_some(struct gow_unpack *unpack, gow_error *error)
{
	struct gow_gunzip *gunzip = unpack->gunzip;
	unsigned before;
	int code = more_input(unpack, error), result;

	if (code)
		return code;
	if (!gunzip->begun) { /* after the end of a stream */
		gunzip->ended = !another_follows(&gunzip->stream);
		gunzip->begun = !gunzip->ended;
		return gunzip->begun && inflateReset(&gunzip->stream) != Z_OK
		               ? gow_fail(error, GOW_ERR_DAMAGED,
		                          "zlib cannot begin another stream")
		               : GOW_OK;
	}
	if (!gunzip->stream.avail_in)
		return gow_unpack_damaged(unpack, "is damaged: its gzip stream is cut short",
		                          error);
	before = gunzip->stream.avail_in;
	result = inflate(&gunzip->stream, Z_NO_FLUSH);
	gunzip->taken += before - gunzip->stream.avail_in;
	gunzip->begun = result != Z_STREAM_END;
	if (result == Z_OK || result == Z_STREAM_END)
		return GOW_OK;
	if (result == Z_MEM_ERROR)
		code = gow_fail_errno(error, ENOMEM, "cannot be unpacked");
	else
		code = gow_fail(error, GOW_ERR_DAMAGED, "is damaged: its gzip stream: %s",
		                gunzip->stream.msg ? gunzip->stream.msg : "zlib gives no reason");
	return gow_unpack_name(unpack, code, error);
}

int gow_gunzip_read(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                    gow_error *error)
{
	struct gow_gunzip *gunzip = unpack->gunzip;
	int code = GOW_OK;

	gunzip->stream.next_out = buf;
	gunzip->stream.avail_out = (unsigned)size;
	while (!code && gunzip->stream.avail_out && !gunzip->ended)
		code = inflate_some(unpack, error);
	*got = size - gunzip->stream.avail_out;
	return code;
}

uint64_t gow_gunzip_taken(const struct gow_gunzip *gunzip)
{
	return gunzip->taken;
}
