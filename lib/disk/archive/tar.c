/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "disk/archive/library.h"
#include "io/stream.h"

enum { WRITE_BYTES = 64 * GOW_TAR_RECORD, COPY_BYTES = 1 << 18 };

/* Zeros that libarchive may add at the end of an archive that was given up. */
enum { FILL_MAX = 64 << 20 };

struct gow_tar {
	struct gow_tar_options options;
	struct archive *archive;
	locale_t locale;          /* in which names are UTF-8 */
	struct gow_stream stream; /* to standard output */
	uint64_t written;         /* bytes of the archive */
	uint64_t left;            /* bytes of the member that are still to be written */
	bool given_up;            /* what libarchive still writes is not wanted */
	gow_error failure;        /* of writing, inside of a call of libarchive; code 0: none */
};

/* ---- compressors ------------------------------------------------------------------------- */

/*
 * Everything that the bytes of an archive depend on is here or in gow-convert(1), so that the
 * same image gives the same archive. (How many threads zstd and xz use changes where they cut
 * their input.)
 */
static const struct compressor {
	gow_compression compression;
	const char *name; /* libarchive's too */
	int (*add)(struct archive *archive);
	int least, most, usual; /* levels */
	const char *options[2]; /* name and value of one more option */
} compressors[] = {
	{ GOW_COMPRESSION_NONE, "none", archive_write_add_filter_none, 0, 0, 0, { NULL, NULL } },
	{ GOW_COMPRESSION_ZSTD,
	  "zstd",
	  archive_write_add_filter_zstd,
	  1,
	  19,
	  3,
	  { "threads", "2" } },
	{ GOW_COMPRESSION_GZIP,
	  "gzip",
	  archive_write_add_filter_gzip,
	  1,
	  9,
	  6,
	  { "timestamp", NULL } },
	{ GOW_COMPRESSION_XZ, "xz", archive_write_add_filter_xz, 0, 9, 6, { "threads", "2" } },
	{ GOW_COMPRESSION_LZ4, "lz4", archive_write_add_filter_lz4, 1, 9, 1, { NULL, NULL } },
};

static const struct compressor *compressor_of(gow_compression compression)
{
	for (size_t i = 0; i < sizeof compressors / sizeof *compressors; i++)
		if (compressors[i].compression == compression)
			return &compressors[i];
	return NULL;
}

const char *gow_compression_name(gow_compression compression)
{
	const struct compressor *compressor = compressor_of(compression);

	return compressor ? compressor->name : "by-name";
}

gow_compression gow_compression_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof compressors / sizeof *compressors; i++)
		if (strcmp(compressors[i].name, name) == 0)
			return compressors[i].compression;
	return GOW_COMPRESSION_BY_NAME;
}

int gow_compression_check(gow_compression compression, int level, gow_error *error)
{
	const struct compressor *compressor = compressor_of(compression);

	if (!compressor)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no such compression");
	if (level == GOW_LEVEL_USUAL || (level >= compressor->least && level <= compressor->most))
		return GOW_OK;
	if (!compressor->most)
		return gow_fail(error, GOW_ERR_ARGUMENT, "without compression there is no level");
	return gow_fail(error, GOW_ERR_ARGUMENT, "%s has levels from %d to %d, not %d",
	                compressor->name, compressor->least, compressor->most, level);
}

/* ---- libarchive -------------------------------------------------------------------------- */

/* A call of libarchive failed, or a function that it called. */
static int failed(struct gow_tar *tar, const char *what, gow_error *error)
{
	if (tar->failure.code) {
		if (error)
			*error = tar->failure;
		return (int)tar->failure.code;
	}
	return gow_library_failed(tar->archive, GOW_ERR_IO, what, error);
}

/* Warnings are failures: what libarchive leaves out, it leaves out with a warning. */
static int check(struct gow_tar *tar, int result, const char *what, gow_error *error)
{
	if (result != ARCHIVE_OK)
		return failed(tar, what, error);
	errno = 0; /* for the next call */
	return GOW_OK;
}

/* libarchive hands over what is to be written. */
static la_ssize_t write_out(struct archive *archive, void *context, const void *buf, size_t size)
{
	struct gow_tar *tar = context;
	int code;

	if (tar->given_up)
		return (la_ssize_t)size;
	code = tar->options.file
	               ? gow_file_write(tar->options.file, tar->written, buf, size, &tar->failure)
	               : gow_stream_write(&tar->stream, buf, size, &tar->failure);
	if (code) {
		archive_set_error(archive, EIO, "writing failed");
		return -1;
	}
	tar->written += size;
	return (la_ssize_t)size;
}

static int set_compression(struct gow_tar *tar, gow_error *error)
{
	const struct compressor *compressor = compressor_of(tar->options.compression);
	int level, result, code;
	char text[16];

	code = gow_compression_check(tar->options.compression, tar->options.level, error);
	if (code)
		return code;
	level = tar->options.level == GOW_LEVEL_USUAL ? compressor->usual : tar->options.level;
	(void)snprintf(text, sizeof text, "%d", level);
	result = compressor->add(tar->archive);
	if (result == ARCHIVE_OK && compressor->most)
		result = archive_write_set_filter_option(tar->archive, compressor->name,
		                                         "compression-level", text);
	if (result == ARCHIVE_OK && compressor->options[0] &&
	    (strcmp(compressor->options[0], "threads") != 0 || gow_library_may_thread()))
		result = archive_write_set_filter_option(tar->archive, compressor->name,
		                                         compressor->options[0],
		                                         compressor->options[1]);
	return check(tar, result, "cannot set up the compression", error);
}

/* Whether the members' names are UTF-8, which a tar file's are unless it says otherwise. */
static bool is_utf8(const struct gow_tar *tar)
{
	locale_t before = uselocale(tar->locale);
	size_t length = tar->options.name ? mbstowcs(NULL, tar->options.name, 0) : 0;

	(void)uselocale(before);
	return length != (size_t)-1;
}

static int set_format(struct gow_tar *tar, gow_error *error)
{
	const bool plain = tar->options.compression == GOW_COMPRESSION_NONE;
	int result = archive_write_set_format_pax_restricted(tar->archive);

	/* A name that is not UTF-8 is stored byte by byte. */
	if (result == ARCHIVE_OK && !is_utf8(tar))
		result = archive_write_set_format_option(tar->archive, "pax", "hdrcharset",
		                                         "BINARY");
	if (result == ARCHIVE_OK)
		result = archive_write_set_bytes_per_block(tar->archive, WRITE_BYTES);
	if (result == ARCHIVE_OK)
		result = archive_write_set_bytes_in_last_block(tar->archive,
		                                               plain ? GOW_TAR_RECORD : 1);
	return check(tar, result, "cannot make a tar file", error);
}

static int open_tar(struct gow_tar *tar, gow_error *error)
{
	int code;

	errno = 0;
	tar->archive = archive_write_new();
	if (!tar->archive)
		return gow_fail_memory(error, sizeof *tar);
	code = set_format(tar, error);
	if (!code)
		code = set_compression(tar, error);
	return code ? code
	            : check(tar, archive_write_open(tar->archive, tar, NULL, write_out, NULL),
	                    "cannot begin the archive", error);
}

int gow_tar_begin(const struct gow_tar_options *options, struct gow_tar **tar, gow_error *error)
{
	struct gow_tar *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->options = *options;
	/* Without it (locale 0 leaves things as they are) only plain names are sure to work. */
	made->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	made->stream = (struct gow_stream){ .fd = STDOUT_FILENO,
		                            .name = "standard output",
		                            .monitor = options->monitor };
	code = open_tar(made, error);
	if (code) {
		gow_tar_free(made);
		return code;
	}
	*tar = made;
	return GOW_OK;
}

/* ---- members ----------------------------------------------------------------------------- */

/*
 * Says where a member's data is. libarchive drops runs that it does not like without a word, so
 * they are counted afterwards. It has no run for one that is the whole member.
 */
static int add_runs(struct archive_entry *entry, uint64_t size, const struct gow_tar_runs *runs,
                    gow_error *error)
{
	struct gow_tar_run run;
	uint64_t wanted = 0;
	bool is_whole = false;

	while (runs->next(runs->context, &run)) {
		archive_entry_sparse_add_entry(entry, (la_int64_t)run.start,
		                               (la_int64_t)(run.end - run.start));
		is_whole = !wanted && run.start == 0 && run.end == size;
		wanted++;
	}
	if (!wanted) { /* nothing but holes: an empty run at the end says so */
		archive_entry_sparse_add_entry(entry, (la_int64_t)size, 0);
		wanted = 1;
	}
	if ((uint64_t)archive_entry_sparse_count(entry) == (is_whole ? 0 : wanted))
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "libarchive took %d of the %llu runs of data; nothing was written",
	                archive_entry_sparse_count(entry), (unsigned long long)wanted);
}

/* What all members have in common. */
static void describe(const struct gow_tar *tar, struct archive_entry *entry, const char *name,
                     uint64_t size)
{
	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_uname(entry, "root");
	archive_entry_set_gname(entry, "root");
	archive_entry_set_mtime(entry, (time_t)tar->options.mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
}

int gow_tar_begin_member(struct gow_tar *tar, const char *name, uint64_t size,
                         const struct gow_tar_runs *runs, gow_error *error)
{
	struct archive_entry *entry = archive_entry_new();
	locale_t before;
	int code;

	if (!entry)
		return gow_fail_memory(error, sizeof *tar);
	before = uselocale(tar->locale);
	describe(tar, entry, name, size);
	code = runs ? add_runs(entry, size, runs, error) : GOW_OK;
	if (!code && archive_entry_mtime(entry) != tar->options.mtime) /* time_t has 32 bits */
		code = gow_fail(error, GOW_ERR_LIMIT, "the members' time is too far in the future");
	tar->left = size;
	if (!code)
		code = check(tar, archive_write_header(tar->archive, entry),
		             "cannot write a member's header", error);
	archive_entry_free(entry);
	(void)uselocale(before);
	return code;
}

int gow_tar_write(struct gow_tar *tar, const void *buf, size_t size, gow_error *error)
{
	const uint8_t *byte = buf;

	while (size) {
		la_ssize_t written;

		errno = 0;
		written = archive_write_data(tar->archive, byte, size);
		if (written <= 0)
			return failed(tar, "cannot write the archive", error);
		byte += written;
		size -= (size_t)written;
		tar->left -= gow_min(tar->left, (uint64_t)written);
	}
	return GOW_OK;
}

int gow_tar_copy(struct gow_tar *tar, struct gow_file *file, struct gow_tar_run part,
                 gow_error *error)
{
	uint8_t *buffer = malloc(COPY_BYTES);
	int code = buffer ? GOW_OK : gow_fail_memory(error, COPY_BYTES);

	for (uint64_t at = part.start; at < part.end && !code; at += COPY_BYTES) {
		size_t size = (size_t)gow_min(part.end - at, COPY_BYTES);

		code = gow_file_read_all(file, at, buffer, size, error);
		if (!code)
			code = gow_tar_write(tar, buffer, size, error);
	}
	free(buffer);
	return code;
}

int gow_tar_end_member(struct gow_tar *tar, gow_error *error)
{
	return check(tar, archive_write_finish_entry(tar->archive), "cannot end a member", error);
}

/* ---- the end ----------------------------------------------------------------------------- */

int gow_tar_end(struct gow_tar *tar, gow_error *error)
{
	return check(tar, archive_write_close(tar->archive), "cannot end the archive", error);
}

uint64_t gow_tar_size(const struct gow_tar *tar)
{
	return tar->written;
}

void gow_tar_free(struct gow_tar *tar)
{
	if (!tar)
		return;
	if (tar->archive) {
		/* Freeing ends an archive as if it were whole, which is not written for one that
		 * was given up. What a member lacks is filled up with zeros first. Where that
		 * would take long, archive_write_fail prevents it, and libarchive 3.6 then leaks
		 * the write buffer. */
		tar->given_up = true;
		if (tar->left > FILL_MAX)
			(void)archive_write_fail(tar->archive);
		(void)archive_write_free(tar->archive);
	}
	if (tar->locale)
		freelocale(tar->locale);
	free(tar);
}
