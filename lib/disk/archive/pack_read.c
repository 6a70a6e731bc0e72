/* SPDX-License-Identifier: BSD-2-Clause */
/* pack_read.c - files out of a tar file. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/archive/library.h"
#include "disk/archive/pack.h"
#include "io/stream.h"

struct gow_pack_reader {
	struct gow_file *file;
	struct gow_stream stream; /* standard input, without a file */
	const gow_monitor *monitor;
	struct archive *archive;
	struct archive_entry *entry; /* the archive's */
	uint64_t position;
	gow_error failure; /* of reading, inside of a call of libarchive; code 0: none */
	uint8_t input[GOW_BLOCK_SIZE];
};

static la_ssize_t read_in(struct archive *archive, void *context, const void **buf)
{
	struct gow_pack_reader *reader = context;
	size_t got = 0;
	int code = reader->file ? gow_file_read(reader->file, reader->position, reader->input,
	                                        sizeof reader->input, &got, &reader->failure)
	                        : gow_stream_read(&reader->stream, reader->input,
	                                          sizeof reader->input, &got, &reader->failure);

	if (!code)
		code = gow_tick(reader->monitor, "unpack", reader->position, 0, &reader->failure);
	if (code) {
		archive_set_error(archive, EIO, "reading failed");
		return -1;
	}
	reader->position += got;
	*buf = reader->input;
	errno = 0; /* what libarchive sets from here on is its own */
	return (la_ssize_t)got;
}

static int failed(struct gow_pack_reader *reader, gow_error *error)
{
	if (reader->failure.code) {
		if (error)
			*error = reader->failure;
		return (int)reader->failure.code;
	}
	return gow_library_failed(reader->archive, GOW_ERR_DAMAGED,
	                          "is not a whole archive of metadata", error);
}

static int open_reader(struct gow_pack_reader *reader, gow_error *error)
{
	struct archive *archive;

	errno = 0;
	archive = archive_read_new();
	reader->archive = archive;
	if (!archive)
		return gow_fail_memory(error, sizeof *reader);
	if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_lz4(archive) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
	    archive_read_open(archive, reader, NULL, read_in, NULL) != ARCHIVE_OK)
		return failed(reader, error);
	return GOW_OK;
}

int gow_pack_open(struct gow_file *file, const gow_monitor *monitor,
                  struct gow_pack_reader **reader, gow_error *error)
{
	struct gow_pack_reader *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->file = file;
	made->monitor = monitor;
	made->stream = (struct gow_stream){ .fd = STDIN_FILENO,
		                            .name = "standard input",
		                            .monitor = monitor };
	code = open_reader(made, error);
	if (code) {
		gow_pack_close(made);
		return code;
	}
	*reader = made;
	return GOW_OK;
}

void gow_pack_close(struct gow_pack_reader *reader)
{
	if (!reader)
		return;
	if (reader->archive)
		(void)archive_read_free(reader->archive);
	free(reader);
}

int gow_pack_next(struct gow_pack_reader *reader, const char **name, gow_error *error)
{
	int result = archive_read_next_header(reader->archive, &reader->entry);

	*name = NULL;
	if (result == ARCHIVE_EOF)
		return GOW_OK;
	if (result != ARCHIVE_OK)
		return failed(reader, error);
	*name = archive_entry_pathname(reader->entry);
	if (!*name || archive_entry_filetype(reader->entry) != AE_IFREG ||
	    archive_entry_hardlink(reader->entry))
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "is not an archive of metadata: a member is not a regular file");
	return GOW_OK;
}

int gow_pack_read_text(struct gow_pack_reader *reader, char *text, size_t room, gow_error *error)
{
	size_t used = 0;
	la_ssize_t got;

	while ((got = archive_read_data(reader->archive, text + used, room - used)) > 0) {
		used += (size_t)got;
		if (used == room)
			return gow_fail(error, GOW_ERR_DAMAGED,
			                "is not an archive of metadata: its text is too long");
	}
	if (got < 0)
		return failed(reader, error);
	text[used] = '\0';
	return GOW_OK;
}

int gow_pack_read_file(struct gow_pack_reader *reader, struct gow_file *file, uint64_t limit,
                       gow_error *error)
{
	const void *buf;
	size_t size;
	la_int64_t offset;
	int result, code = GOW_OK;

	while (!code && (result = archive_read_data_block(reader->archive, &buf, &size, &offset)) !=
	                        ARCHIVE_EOF) {
		if (result != ARCHIVE_OK)
			return failed(reader, error);
		if (offset < 0 || (uint64_t)offset > limit || size > limit - (uint64_t)offset)
			return gow_fail(error, GOW_ERR_DAMAGED,
			                "is not an archive of metadata: a member is too long");
		if (size)
			code = gow_file_write(file, (uint64_t)offset, buf, size, error);
	}
	return code;
}
