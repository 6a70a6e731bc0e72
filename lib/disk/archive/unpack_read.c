/* SPDX-License-Identifier: BSD-2-Clause */
/* unpack_read.c - bytes out of the layers of an archive, for us and for libarchive. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "disk/archive/unpack_parts.h"
#include "disk/signs.h"

/* ---- flows ------------------------------------------------------------------------------- */

static void note_bytes(struct gow_flow *flow, const uint8_t *bytes, size_t size)
{
	size_t end = size;

	if (!flow->position)
		flow->later_volume = gow_sign_later_volume(bytes, size);
	while (end && !bytes[end - 1])
		end--;
	if (end)
		flow->data_end = flow->position + end;
	flow->position += size;
}

/* What was read ahead, first. */
static size_t take_head(struct gow_flow *flow, uint8_t *buf, size_t size)
{
	size_t part = (size_t)gow_min(size, flow->head_size - flow->head_used);

	memcpy(buf, flow->head + flow->head_used, part);
	flow->head_used += part;
	return part;
}

/* *got falls short of size only at the end. */
int gow_unpack_read_input(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                          gow_error *error)
{
	size_t head = take_head(&unpack->input, buf, size);
	int code = unpack->file
	                   ? gow_file_read(unpack->file,
	                                   unpack->input.start + unpack->input.position + head,
	                                   buf + head, size - head, got, error)
	                   : gow_stream_read(&unpack->stream, buf + head, size - head, got, error);

	if (code)
		return code;
	*got += head;
	note_bytes(&unpack->input, buf, *got);
	return GOW_OK;
}

/* ---- frames without data ----------------------------------------------------------------- */

enum {
	FRAME_HEADER = 8,
	FRAMES_MAX = 4096 /* of them, before the first that has data */
};

static bool is_frame(const struct gow_flow *input)
{
	return input->head_size >= 4 && (memcmp(input->head, "\x28\xb5\x2f\xfd", 4) == 0 ||
	                                 memcmp(input->head, "\x04\x22\x4d\x18", 4) == 0);
}

/* Drops so many bytes of a stream, and reads its head anew. */
static int drop_from_stream(struct gow_unpack *unpack, uint64_t size, gow_error *error)
{
	struct gow_flow *input = &unpack->input;
	size_t known = (size_t)gow_min(size, input->head_size), got = GOW_UNPACK_BYTES;
	int code = GOW_OK;

	memmove(input->head, input->head + known, input->head_size - known);
	input->head_size -= known;
	for (size -= known; size && got && !code; size -= got)
		code = gow_stream_read(&unpack->stream, input->buffer,
		                       (size_t)gow_min(size, GOW_UNPACK_BYTES), &got, error);
	if (!code)
		code = gow_stream_read(&unpack->stream, input->head + input->head_size,
		                       sizeof input->head - input->head_size, &got, error);
	if (!code)
		input->head_size += got;
	return code;
}

int gow_unpack_skip_frames(struct gow_unpack *unpack, gow_error *error)
{
	struct gow_flow *input = &unpack->input;
	unsigned frames = 0;

	while (gow_sign_skippable(input->head, input->head_size) && frames < FRAMES_MAX) {
		uint64_t size = FRAME_HEADER +
		                (uint64_t)gow_load32(input->head + 4, GOW_LITTLE_ENDIAN);
		int code;

		frames++;
		input->start += size;
		code = unpack->file ? gow_file_read(unpack->file, input->start, input->head,
		                                    sizeof input->head, &input->head_size, error)
		                    : drop_from_stream(unpack, size, error);
		if (code)
			return code;
	}
	return !frames || is_frame(input)
	               ? GOW_OK
	               : gow_unpack_damaged(
				 unpack, "no zstd or lz4 data follows its skippable frames", error);
}

/* ---- the other compressions -------------------------------------------------------------- */

static int read_filter(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                       gow_error *error)
{
	*got = 0;
	while (*got < size) {
		la_ssize_t part = archive_read_data(unpack->filter, buf + *got, size - *got);

		if (part < 0 || unpack->failure.code)
			return gow_unpack_failed(unpack, unpack->filter, error);
		if (part == 0)
			break;
		*got += (size_t)part;
	}
	return GOW_OK;
}

int gow_unpack_read(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                    gow_error *error)
{
	size_t head = take_head(&unpack->plain, buf, size), rest = 0;
	int code = GOW_OK;

	if (head < size && unpack->bare)
		code = gow_unpack_read_input(unpack, buf + head, size - head, &rest, error);
	else if (head < size)
		code = unpack->gunzip
		               ? gow_gunzip_read(unpack, buf + head, size - head, &rest, error)
		               : read_filter(unpack, buf + head, size - head, &rest, error);
	if (code)
		return code;
	*got = head + rest;
	note_bytes(&unpack->plain, buf, *got);
	return GOW_OK;
}

/* ---- libarchive's calls ------------------------------------------------------------------ */

/* libarchive asks for more of the input. */
la_ssize_t gow_unpack_give_input(struct archive *archive, void *context, const void **buf)
{
	struct gow_unpack *unpack = context;
	size_t got;

	if (gow_unpack_read_input(unpack, unpack->input.buffer, GOW_UNPACK_BYTES, &got,
	                          &unpack->failure)) {
		archive_set_error(archive, EIO, "reading failed");
		return -1;
	}
	unpack->input.filled = got;
	*buf = unpack->input.buffer;
	errno = 0; /* what libarchive sets from here on is its own */
	return (la_ssize_t)got;
}

la_ssize_t gow_unpack_give_plain(struct archive *archive, void *context, const void **buf)
{
	struct gow_unpack *unpack = context;
	size_t got;

	if (gow_unpack_read(unpack, unpack->plain.buffer, GOW_UNPACK_BYTES, &got,
	                    &unpack->failure)) {
		archive_set_error(archive, EIO, "unpacking failed");
		return -1;
	}
	unpack->plain.filled = got;
	*buf = unpack->plain.buffer;
	errno = 0;
	return (la_ssize_t)got;
}

la_int64_t gow_unpack_skip_input(struct archive *archive, void *context, la_int64_t size)
{
	struct gow_unpack *unpack = context;
	struct gow_flow *input = &unpack->input;
	uint64_t part = gow_min((uint64_t)size,
	                        unpack->file_size - gow_min(unpack->file_size, input->position));

	(void)archive;
	if (input->head_used < input->head_size)
		return 0;
	input->position += part;
	input->filled = 0;
	return (la_int64_t)part;
}

la_int64_t gow_unpack_seek_input(struct archive *archive, void *context, la_int64_t offset,
                                 int whence)
{
	struct gow_unpack *unpack = context;
	la_int64_t base = whence == SEEK_SET   ? 0
	                  : whence == SEEK_CUR ? (la_int64_t)unpack->input.position
	                                       : (la_int64_t)unpack->file_size;
	la_int64_t to;

	if (__builtin_add_overflow(base, offset, &to) || to < 0 ||
	    (uint64_t)to > unpack->file_size) {
		archive_set_error(archive, EINVAL, "a place outside the file is wanted");
		return ARCHIVE_FATAL;
	}
	unpack->input.head_used = unpack->input.head_size;
	unpack->input.position = (uint64_t)to;
	unpack->input.filled = 0;
	return to;
}

bool gow_unpack_look_back(const struct gow_unpack *unpack, uint64_t offset, uint8_t *buf,
                          size_t size)
{
	const struct gow_flow *flow = gow_unpack_is_compressed(unpack) ? &unpack->plain
	                                                               : &unpack->input;
	const uint64_t begin = flow->position - flow->filled;

	if (offset >= begin && offset <= flow->position && size <= flow->position - offset)
		memcpy(buf, flow->buffer + (offset - begin), size);
	else if (!gow_unpack_can_seek(unpack) ||
	         gow_file_read_all(unpack->file, offset, buf, size, NULL))
		return false;
	return true;
}
