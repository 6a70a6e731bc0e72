/* SPDX-License-Identifier: BSD-2-Clause */
/* unpack_end.c - whether an archive, and its compression, end where they have to. */
#include "base/bytes.h"
#include "disk/archive/library.h"
#include "disk/archive/unpack_parts.h"
#include "disk/probe.h"

enum {
	TAR_BLOCK = 512,
	TAR_END = 2 * TAR_BLOCK, /* zeros at the end of every tar file, at least */
	PADDING_MAX = 64 << 20   /* zeros after the end of an archive, at most */
};

/* What the container is read from. */
static struct gow_flow *inner_flow(struct gow_unpack *unpack)
{
	return gow_unpack_is_compressed(unpack) ? &unpack->plain : &unpack->input;
}

/* Reads a flow to its end; there may only be so many bytes left in it. */
static int drain(struct gow_unpack *unpack, struct gow_flow *flow, gow_error *error)
{
	uint64_t limit = flow->position + PADDING_MAX;
	size_t got = GOW_UNPACK_BYTES;

	while (got == GOW_UNPACK_BYTES) {
		int code = flow == &unpack->plain
		                   ? gow_unpack_read(unpack, flow->buffer, GOW_UNPACK_BYTES, &got,
		                                     error)
		                   : gow_unpack_read_input(unpack, flow->buffer, GOW_UNPACK_BYTES,
		                                           &got, error);

		if (code)
			return code;
		if (flow->position > limit)
			return gow_unpack_damaged(unpack, "it continues after its end", error);
	}
	return GOW_OK;
}

/* A zip file ends where its last record says; zeros may follow. */
static int check_zip_end(struct gow_unpack *unpack, gow_error *error)
{
	uint64_t end;
	int code = gow_zip_end(unpack->file, unpack->file_size, &end, error);

	return code || end ? code : gow_unpack_damaged(unpack, "something follows its end", error);
}

/* A 7z file says at its start where it ends; zeros may follow. */
static int check_7z_end(struct gow_unpack *unpack, gow_error *error)
{
	enum { HEADER = 32 };
	uint8_t head[HEADER];
	uint64_t end, data_end;
	int code = gow_file_read_all(unpack->file, 0, head, sizeof head, error);

	if (code)
		return code;
	if (__builtin_add_overflow(gow_load(head + 12, 8, GOW_LITTLE_ENDIAN),
	                           gow_load(head + 20, 8, GOW_LITTLE_ENDIAN), &end) ||
	    __builtin_add_overflow(end, (uint64_t)HEADER, &end) || end > unpack->file_size)
		return gow_unpack_damaged(unpack, "something follows its end", error);
	code = gow_data_end(unpack->file, end, unpack->file_size, &data_end, error);
	return code || data_end <= end
	               ? code
	               : gow_unpack_damaged(unpack, "something follows its end", error);
}

/* The container's end has been met: it has to be one, and nothing but zeros may follow. */
static int check_container_end(struct gow_unpack *unpack, uint64_t entry_end, gow_error *error)
{
	struct gow_flow *flow = inner_flow(unpack);
	int format = archive_format(unpack->container) & ARCHIVE_FORMAT_BASE_MASK;
	uint64_t end;
	int code;

	if (format != ARCHIVE_FORMAT_TAR && format != ARCHIVE_FORMAT_CPIO) {
		if (!gow_unpack_can_seek(unpack))
			return drain(unpack, flow, error);
		if (format == ARCHIVE_FORMAT_ZIP)
			return check_zip_end(unpack, error);
		return format == ARCHIVE_FORMAT_7ZIP ? check_7z_end(unpack, error) : GOW_OK;
	}
	code = gow_library_bytes(unpack->container, 0, &end, error);
	if (!code)
		code = drain(unpack, flow, error);
	if (code)
		return code;
	if (format == ARCHIVE_FORMAT_TAR) {
		/* libarchive takes the end of the file for the archive's as well. */
		end = entry_end;
		if (flow->position < end + TAR_END)
			return gow_unpack_damaged(unpack, "it is cut short: its end is missing",
			                          error);
	}
	return flow->data_end > end ? gow_unpack_damaged(unpack, "something follows its end", error)
	                            : GOW_OK;
}

/* So has the compressed stream. */
static int check_filter_end(struct gow_unpack *unpack, gow_error *error)
{
	uint64_t end;
	int code = drain(unpack, &unpack->plain, error);

	if (!code && unpack->gunzip)
		end = gow_gunzip_taken(unpack->gunzip);
	else if (!code)
		code = gow_library_bytes(unpack->filter, -1, &end, error);
	if (!code)
		code = drain(unpack, &unpack->input, error);
	/* Zeros lose nothing: bsdtar pads what it compresses on a pipe. */
	if (!code && unpack->input.data_end > end)
		code = gow_unpack_damaged(unpack, "something follows the end of what is compressed",
		                          error);
	return code;
}

int gow_unpack_finish(struct gow_unpack *unpack, uint64_t entry_end, gow_error *error)
{
	int code = unpack->container ? check_container_end(unpack, entry_end, error) : GOW_OK;

	return code || !gow_unpack_is_compressed(unpack) ? code : check_filter_end(unpack, error);
}
