/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "disk/archive/library.h"
#include "disk/archive/unpack_parts.h"
#include "disk/probe.h"
#include "image/layout.h"

/* ---- errors ------------------------------------------------------------------------------ */

int gow_unpack_name(const struct gow_unpack *unpack, int code, gow_error *error)
{
	return gow_fail_in_file(error, code, unpack->name);
}

int gow_unpack_damaged(const struct gow_unpack *unpack, const char *why, gow_error *error)
{
	return gow_unpack_name(unpack, gow_fail(error, GOW_ERR_DAMAGED, "%s", why), error);
}

int gow_unpack_failed(struct gow_unpack *unpack, struct archive *archive, gow_error *error)
{
	if (unpack->failure.code) {
		if (error)
			*error = unpack->failure;
		return (int)unpack->failure.code;
	}
	return gow_unpack_name(unpack,
	                       gow_library_failed(archive, GOW_ERR_DAMAGED,
	                                          "is damaged, or not an archive", error),
	                       error);
}

/* ---- what it is -------------------------------------------------------------------------- */

static bool begins(const uint8_t *head, size_t size, const char *magic, size_t length)
{
	return size >= length && memcmp(head, magic, length) == 0;
}

static bool is_to_be(enum gow_deed deed, const uint8_t *head, size_t size)
{
	const struct gow_file_format *format = gow_format_of_head(head, size);

	return format && format->deed == deed;
}

static bool is_gzip(const uint8_t *head, size_t size)
{
	return begins(head, size, "\x1f\x8b\x08", 3);
}

/*
 * Whether the compression has a sum of what was compressed, which is then checked. A disk by
 * itself without one could be anything: a tar file, say, whose first bytes are damaged.
 */
static bool is_sealed(const uint8_t *head, size_t size)
{
	enum { ZSTD_FLAGS = 4, ZSTD_SUM = 1 << 2, LZ4_FLAGS = 4, LZ4_SUM = 1 << 2, XZ_CHECK = 7 };

	if (begins(head, size, "\x28\xb5\x2f\xfd", 4))
		return size > ZSTD_FLAGS && head[ZSTD_FLAGS] & ZSTD_SUM;
	if (begins(head, size, "\x04\x22\x4d\x18", 4))
		return size > LZ4_FLAGS && head[LZ4_FLAGS] & LZ4_SUM;
	if (begins(head, size,
	           "\xfd"
	           "7zXZ\0",
	           6))
		return size > XZ_CHECK && head[XZ_CHECK];
	return !begins(head, size, "\x1f\x9d", 2); /* compress has none */
}

/* ---- opening ----------------------------------------------------------------------------- */

/* None of these runs another program, or opens a file that the archive names (mtree does). */
typedef int (*support)(struct archive *archive);

static const support filters[] = {
	archive_read_support_filter_bzip2, archive_read_support_filter_compress,
	archive_read_support_filter_lz4,   archive_read_support_filter_lzip,
	archive_read_support_filter_xz,    archive_read_support_filter_zstd,
};

static const support formats[] = {
	archive_read_support_format_tar,
	archive_read_support_format_cpio,
	archive_read_support_format_zip,
	archive_read_support_format_7zip,
};

/* Those that are taken only where -f says that it is an archive: a CD's image is one to
 * libarchive, and a disk to us. */
static const support more_formats[] = {
	archive_read_support_format_ar,      archive_read_support_format_cab,
	archive_read_support_format_lha,     archive_read_support_format_rar,
	archive_read_support_format_xar,     archive_read_support_format_rar5,
	archive_read_support_format_iso9660,
};

/* One that libarchive was built without gives a warning, and will not be recognised. */
static int add_supports(struct archive *archive, const support *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int result = table[i](archive);

		if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
			return result;
	}
	return ARCHIVE_OK;
}

static int open_filter(struct gow_unpack *unpack, gow_error *error)
{
	struct archive *archive = unpack->filter = archive_read_new();
	struct archive_entry *entry;
	int result;

	errno = 0;
	if (!archive)
		return gow_fail_memory(error, sizeof *unpack);
	if (add_supports(archive, filters, sizeof filters / sizeof *filters) != ARCHIVE_OK ||
	    archive_read_support_format_raw(archive) != ARCHIVE_OK ||
	    archive_read_open(archive, unpack, NULL, gow_unpack_give_input, NULL) != ARCHIVE_OK)
		return gow_unpack_failed(unpack, archive, error);
	result = archive_read_next_header(archive, &entry);
	if (unpack->failure.code) /* a failed read is not a verdict of a filter */
		return gow_unpack_failed(unpack, archive, error);
	switch (result) {
	case ARCHIVE_OK:
		/* What no filter recognises comes out as it went in. */
		return archive_filter_count(archive) > 1
		               ? GOW_OK
		               : gow_unpack_damaged(unpack,
		                                    "begins like a compressed file but is not one",
		                                    error);
	case ARCHIVE_EOF:
		return gow_unpack_damaged(unpack, "there is nothing in it", error);
	default:
		return gow_unpack_failed(unpack, archive, error);
	}
}

bool gow_unpack_is_compressed(const struct gow_unpack *unpack)
{
	return unpack->gunzip || unpack->filter;
}

bool gow_unpack_can_seek(const struct gow_unpack *unpack)
{
	return unpack->file && !gow_unpack_is_compressed(unpack);
}

bool gow_unpack_is_later_volume(const struct gow_unpack *unpack)
{
	return gow_unpack_is_compressed(unpack) ? unpack->plain.later_volume
	                                        : unpack->input.later_volume;
}

static int open_container(struct gow_unpack *unpack, bool any_format, gow_error *error)
{
	struct archive *archive = unpack->container = archive_read_new();
	int result;

	errno = 0;
	if (!archive)
		return gow_fail_memory(error, sizeof *unpack);
	result = add_supports(archive, formats, sizeof formats / sizeof *formats);
	if (result == ARCHIVE_OK && any_format)
		result = add_supports(archive, more_formats,
		                      sizeof more_formats / sizeof *more_formats);
	if (result == ARCHIVE_OK && gow_unpack_can_seek(unpack)) {
		result = archive_read_set_skip_callback(archive, gow_unpack_skip_input);
		if (result == ARCHIVE_OK)
			result = archive_read_set_seek_callback(archive, gow_unpack_seek_input);
	}
	if (result == ARCHIVE_OK)
		result = archive_read_set_read_callback(archive, gow_unpack_is_compressed(unpack)
		                                                         ? gow_unpack_give_plain
		                                                         : gow_unpack_give_input);
	if (result == ARCHIVE_OK)
		result = archive_read_set_callback_data(archive, unpack);
	if (result == ARCHIVE_OK)
		result = archive_read_open1(archive);
	return result == ARCHIVE_OK ? GOW_OK : gow_unpack_failed(unpack, archive, error);
}

/* What was compressed is the disk itself. */
static int check_alone(struct gow_unpack *unpack, gow_error *error)
{
	const struct gow_flow *plain = &unpack->plain, *input = &unpack->input;

	if (is_to_be(GOW_DEED_DECOMPRESS, plain->head, plain->head_size))
		return gow_unpack_damaged(unpack, "is compressed twice; unpack it once", error);
	if (is_sealed(input->head, input->head_size) ||
	    begins(plain->head, plain->head_size, (const char *)gow_layouts[0].magic,
	           GOW_MAGIC_SIZE))
		return GOW_OK;
	return gow_unpack_damaged(
		unpack,
		"holds no archive, and no sum that would prove a raw disk; unpack "
		"it by other means",
		error);
}

/* libarchive does not look for the end of a zip file before zeros; and on a pipe it does not accept
 * the mark of one that was meant to be split. */
static int trim_zip(struct gow_unpack *unpack, gow_error *error)
{
	struct gow_flow *input = &unpack->input;
	uint64_t end = 0;
	int code = unpack->file ? gow_zip_end(unpack->file, unpack->file_size, &end, error)
	                        : GOW_OK;

	if (end)
		unpack->file_size = end;
	if (!unpack->file && begins(input->head, input->head_size, "PK\x07\x08PK\x03\x04", 8))
		input->head_used = 4;
	return code;
}

/* Opens the layers that there are. */
static int open_layers(struct gow_unpack *unpack, bool any_format, gow_error *error)
{
	const struct gow_flow *input = &unpack->input;
	struct gow_flow *plain = &unpack->plain;
	int code;

	if (unpack->bare)
		return GOW_OK;
	if (!is_to_be(GOW_DEED_DECOMPRESS, input->head, input->head_size)) {
		code = trim_zip(unpack, error);
		return code ? code : open_container(unpack, any_format, error);
	}
	code = gow_unpack_skip_frames(unpack, error);
	if (!code)
		code = is_gzip(input->head, input->head_size) ? gow_gunzip_open(unpack, error)
		                                              : open_filter(unpack, error);
	if (!code)
		code = gow_unpack_read(unpack, plain->head, sizeof plain->head, &plain->head_size,
		                       error);
	if (code)
		return code;
	/* It comes again. */
	plain->position = plain->data_end = plain->head_used = 0;
	return is_to_be(GOW_DEED_ARCHIVE, plain->head, plain->head_size)
	               ? open_container(unpack, any_format, error)
	               : check_alone(unpack, error);
}

/* ---- life -------------------------------------------------------------------------------- */

/* Learns the first bytes of a file. */
static int read_head(struct gow_unpack *unpack, gow_error *error)
{
	struct gow_flow *input = &unpack->input;

	if (!unpack->file)
		return GOW_OK;
	return gow_file_read(unpack->file, 0, input->head, sizeof input->head, &input->head_size,
	                     error);
}

int gow_unpack_open(struct gow_unpack *unpack, const struct gow_archive_input *input,
                    bool any_format, const gow_monitor *monitor, gow_error *error)
{
	int code = GOW_OK;

	*unpack = (struct gow_unpack){
		.monitor = monitor,
		.file = input->file,
		.stream = input->stream,
		.owned_fd = input->owned_fd,
		.bare = input->bare,
	};
	unpack->name = strdup(input->file ? input->file->name : input->stream.name);
	unpack->input.buffer = malloc(GOW_UNPACK_BYTES);
	unpack->plain.buffer = malloc(GOW_UNPACK_BYTES);
	if (!unpack->name || !unpack->input.buffer || !unpack->plain.buffer)
		return gow_fail_memory(error, GOW_UNPACK_BYTES);
	if (unpack->file)
		code = gow_file_size(unpack->file, &unpack->file_size, error);
	else
		memcpy(unpack->input.head, input->head, input->head_size);
	unpack->input.head_size = input->head_size;
	if (!code)
		code = read_head(unpack, error);
	return code ? code : open_layers(unpack, any_format, error);
}

void gow_unpack_release(struct gow_unpack *unpack)
{
	(void)archive_read_free(unpack->container); /* NULL is fine */
	(void)archive_read_free(unpack->filter);
	gow_gunzip_close(unpack->gunzip);
	(void)gow_file_close(unpack->file, NULL);
	if (unpack->owned_fd > 0)
		(void)close(unpack->owned_fd);
	free(unpack->input.buffer);
	free(unpack->plain.buffer);
	free(unpack->name);
}
