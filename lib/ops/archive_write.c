/* SPDX-License-Identifier: BSD-2-Clause */
/* archive_write.c - a guest's disk as a member of a new tar file. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/monitor.h"
#include "image/builder.h"
#include "io/stream.h"
#include "ops/archive.h"
#include "ops/manifest.h"

/* What tar has always written at once; a plain tar file is a multiple of it. */
enum { TAR_RECORD = 10240, WRITE_BYTES = 64 * TAR_RECORD, COPY_BYTES = 1 << 18 };

/* The sparse map of a raw member costs memory for every run: where there are more, neighbours are
 * joined, and the zeros between them stored. */
enum { RUNS_MAX = 1 << 18 };

/* Zeros that libarchive may make up at the end of an archive that was given up. */
enum { FILL_MAX = 64 << 20 };

struct archive_sink {
	struct gow_sink base;
	struct gow_archive_options options;
	struct archive *archive;
	locale_t locale;          /* in which names are UTF-8 */
	struct gow_stream stream; /* to standard output */
	uint64_t next;            /* the first block that has not been written, or left out, yet */
	uint64_t end;             /* past the last block of the disk */
	struct gow_file *manifest_file;
	struct gow_manifest_writer *manifest;
	uint64_t left;            /* bytes of the member that are still to be written */
	bool given_up;            /* what libarchive still writes is not wanted */
	gow_error failure;        /* of writing, behind libarchive's back; code 0: none */
};

static const uint8_t zero_block[GOW_BLOCK_SIZE];

/* ---- compressors ------------------------------------------------------------------------- */

/*
 * Everything that the bytes of an archive depend on is said here or in gow-convert(1), so that the
 * same image gives the same archive. (How many threads zstd and xz use changes where they cut
 * their input.)
 */
static const struct compressor {
	gow_compression compression;
	const char *name;  /* as libarchive calls it */
	int (*add)(struct archive *archive);
	int least, most, usual; /* levels */
	const char *options[2]; /* names and values of one more option */
} compressors[] = {
	{ GOW_COMPRESSION_NONE, "none", archive_write_add_filter_none, 0, 0, 0, { NULL, NULL } },
	{ GOW_COMPRESSION_ZSTD, "zstd", archive_write_add_filter_zstd, 1, 19, 3,
	  { "threads", "2" } },
	{ GOW_COMPRESSION_GZIP, "gzip", archive_write_add_filter_gzip, 1, 9, 6,
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
	if (level == GOW_LEVEL_USUAL ||
	    (level >= compressor->least && level <= compressor->most))
		return GOW_OK;
	if (!compressor->most)
		return gow_fail(error, GOW_ERR_ARGUMENT, "without compression there is no level");
	return gow_fail(error, GOW_ERR_ARGUMENT, "%s has levels from %d to %d, not %d",
	                compressor->name, compressor->least, compressor->most, level);
}

/* ---- libarchive -------------------------------------------------------------------------- */

/* A call of libarchive failed, or what it called. */
static int failed(struct archive_sink *sink, const char *what, gow_error *error)
{
	const char *why = archive_error_string(sink->archive);

	if (sink->failure.code) {
		if (error)
			*error = sink->failure;
		return (int)sink->failure.code;
	}
	return gow_fail(error, GOW_ERR_IO, "%s: %s", what, why ? why : "libarchive says no more");
}

/* Warnings are failures: what libarchive leaves out, it leaves out with a warning. */
static int check(struct archive_sink *sink, int result, const char *what, gow_error *error)
{
	return result == ARCHIVE_OK ? GOW_OK : failed(sink, what, error);
}

/* libarchive hands on what is to be written. */
static la_ssize_t write_out(struct archive *archive, void *context, const void *buf, size_t size)
{
	struct archive_sink *sink = context;
	int code;

	if (sink->given_up)
		return (la_ssize_t)size;
	code = sink->options.file ? gow_file_write(sink->options.file, sink->base.written, buf,
	                                           size, &sink->failure)
	                          : gow_stream_write(&sink->stream, buf, size, &sink->failure);

	if (code) {
		archive_set_error(archive, EIO, "writing failed");
		return -1;
	}
	sink->base.written += size;
	return (la_ssize_t)size;
}

static int write_data(struct archive_sink *sink, const void *buf, size_t size, gow_error *error)
{
	const uint8_t *byte = buf;

	while (size) {
		la_ssize_t written = archive_write_data(sink->archive, byte, size);

		if (written <= 0)
			return failed(sink, "cannot write the archive", error);
		byte += written;
		size -= (size_t)written;
		sink->left -= gow_min(sink->left, (uint64_t)written);
	}
	return GOW_OK;
}

static int set_compression(struct archive_sink *sink, gow_error *error)
{
	const struct compressor *compressor = compressor_of(sink->options.compression);
	struct archive *archive = sink->archive;
	int level = sink->options.level == GOW_LEVEL_USUAL ? compressor->usual
	                                                   : sink->options.level;
	char text[16];
	int result = compressor->add(archive);

	(void)snprintf(text, sizeof text, "%d", level);
	if (result == ARCHIVE_OK && compressor->most)
		result = archive_write_set_filter_option(archive, compressor->name,
		                                         "compression-level", text);
	if (result == ARCHIVE_OK && compressor->options[0])
		result = archive_write_set_filter_option(archive, compressor->name,
		                                         compressor->options[0],
		                                         compressor->options[1]);
	return check(sink, result, "cannot set up the compression", error);
}

/* Whether the members' name is UTF-8, which a tar file's is unless it says otherwise. */
static bool is_utf8(const struct archive_sink *sink)
{
	locale_t before = uselocale(sink->locale);
	size_t length = mbstowcs(NULL, sink->options.name, 0);

	(void)uselocale(before);
	return length != (size_t)-1;
}

static int open_archive(struct archive_sink *sink, gow_error *error)
{
	bool plain = sink->options.compression == GOW_COMPRESSION_NONE;
	struct archive *archive = archive_write_new();
	int code;

	sink->archive = archive;
	if (!archive)
		return gow_fail_memory(error, sizeof *sink);
	code = check(sink, archive_write_set_format_pax_restricted(archive),
	             "cannot make a tar file", error);
	/* A name that is no UTF-8 stands in it byte by byte. */
	if (!code && !is_utf8(sink))
		code = check(sink, archive_write_set_format_option(archive, "pax", "hdrcharset",
		                                                   "BINARY"),
		             "cannot make a tar file", error);
	if (!code)
		code = set_compression(sink, error);
	if (!code)
		code = check(sink, archive_write_set_bytes_per_block(archive, WRITE_BYTES),
		             "cannot make a tar file", error);
	if (!code)
		code = check(sink,
		             archive_write_set_bytes_in_last_block(archive, plain ? TAR_RECORD : 1),
		             "cannot make a tar file", error);
	return code ? code
	            : check(sink, archive_write_open(archive, sink, NULL, write_out, NULL),
	                    "cannot begin the archive", error);
}

/* ---- members ----------------------------------------------------------------------------- */

static int add_runs(struct archive_entry *entry, const struct archive_sink *sink,
                    gow_error *error);

/* Begins a member that is called after the image and ends in suffix. */
static int begin_member(struct archive_sink *sink, const char *suffix, uint64_t size, bool sparse,
                        gow_error *error)
{
	struct archive_entry *entry = archive_entry_new();
	locale_t before = uselocale(sink->locale);
	char *name = NULL;
	int code = GOW_OK;

	if (!entry || asprintf(&name, "%s%s", sink->options.name, suffix) < 0) {
		archive_entry_free(entry);
		(void)uselocale(before);
		return gow_fail_memory(error, sizeof *sink);
	}
	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_uname(entry, "root");
	archive_entry_set_gname(entry, "root");
	archive_entry_set_mtime(entry, sink->options.mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (sparse)
		code = add_runs(entry, sink, error);
	sink->left = size;
	if (!code)
		code = check(sink, archive_write_header(sink->archive, entry),
		             "cannot write a member's header", error);
	archive_entry_free(entry);
	(void)uselocale(before);
	free(name);
	return code;
}

static int end_member(struct archive_sink *sink, gow_error *error)
{
	return check(sink, archive_write_finish_entry(sink->archive), "cannot end a member",
	             error);
}

/* A member with what stands in a file. */
static int copy_file(struct archive_sink *sink, struct gow_file *file, uint64_t size,
                     gow_error *error)
{
	uint8_t *buffer = malloc(COPY_BYTES);
	int code = buffer ? GOW_OK : gow_fail_memory(error, COPY_BYTES);

	for (uint64_t at = 0; at < size && !code; at += COPY_BYTES) {
		size_t part = (size_t)gow_min(size - at, COPY_BYTES);

		code = gow_file_read_all(file, at, buffer, part, error);
		if (!code)
			code = write_data(sink, buffer, part, error);
	}
	free(buffer);
	return code;
}

/* ---- the runs of a raw member ------------------------------------------------------------ */

/* A run of blocks to be stored, with gaps of less than `grain` blocks in it. */
struct run {
	uint64_t start, end;
};

/* The run at or after block at; false where there is none. */
static bool next_run(const struct archive_sink *sink, uint64_t at, uint64_t grain,
                     struct run *run)
{
	const uint64_t *kept = sink->options.kept;

	while (at < sink->end && !gow_get_bit(kept, at))
		at += kept[at / GOW_WORD_BITS] ? 1 : GOW_WORD_BITS - at % GOW_WORD_BITS;
	if (at >= sink->end)
		return false;
	*run = (struct run){ at, at + 1 };
	for (at++; at < sink->end && at - run->end < grain; at++)
		if (gow_get_bit(kept, at))
			run->end = at + 1;
	return true;
}

static uint64_t count_runs(const struct archive_sink *sink, uint64_t grain)
{
	struct run run = { 0, 0 };
	uint64_t count = 0;

	while (next_run(sink, run.end, grain, &run))
		count++;
	return count;
}

/*
 * Tells libarchive where the data is. It drops without a word what it does not like, so its runs
 * are counted afterwards. One run that is the whole disk is none to it.
 */
static int add_runs(struct archive_entry *entry, const struct archive_sink *sink, gow_error *error)
{
	const uint64_t size = sink->options.size;
	struct run run = { 0, 0 };
	uint64_t grain = 1, wanted;
	bool is_whole;

	while ((wanted = count_runs(sink, grain)) > RUNS_MAX)
		grain *= 2;
	while (next_run(sink, run.end, grain, &run)) {
		uint64_t start = run.start * GOW_BLOCK_SIZE;

		archive_entry_sparse_add_entry(
			entry, (la_int64_t)start,
			(la_int64_t)(gow_min(run.end * GOW_BLOCK_SIZE, size) - start));
	}
	is_whole = wanted == 1 && next_run(sink, 0, grain, &run) && run.start == 0 &&
	           run.end == sink->end;
	if (!wanted) { /* nothing but zeros: an empty run at the end says so */
		archive_entry_sparse_add_entry(entry, (la_int64_t)size, 0);
		wanted = 1;
	}
	if ((uint64_t)archive_entry_sparse_count(entry) == (is_whole ? 0 : wanted))
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "libarchive took %d of the %llu runs of data; nothing was written",
	                archive_entry_sparse_count(entry), (unsigned long long)wanted);
}

/* ---- the header of an image -------------------------------------------------------------- */

/* The map and the version numbers of the blocks to be stored, which stand in logical order. */
static int write_numbers(const struct archive_sink *sink, struct gow_file *file, gow_error *error)
{
	enum { PART = 8192 };
	const struct gow_layout *layout = sink->options.layout;
	const uint64_t *kept = sink->options.kept;
	uint32_t physical = 0;
	int code = GOW_OK;

	for (uint32_t at = 0; at < layout->map_entries && !code; at += PART) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, PART);
		uint32_t entries[PART], ones[PART];
		const uint32_t *versions = sink->options.versions ? sink->options.versions + at
		                                                  : ones;

		for (uint32_t i = 0; i < count; i++) {
			ones[i] = at + i < sink->end && gow_get_bit(kept, at + i);
			entries[i] = ones[i] ? physical++ : GOW_UNALLOCATED;
		}
		code = gow_header_write_entries(file, layout, at, count, entries, error);
		if (!code && gow_layout_has_versions(layout) &&
		    !gow_is_zero(versions, count * sizeof *versions))
			code = gow_header_write_versions(file, layout, at, count, versions, error);
	}
	return code;
}

static int write_header(struct archive_sink *sink, uint32_t blocks, gow_error *error)
{
	const struct gow_layout *layout = sink->options.layout;
	const struct gow_header header = {
		.layout = layout,
		.logical_size = sink->options.size,
		.block_count = blocks,
	};
	uint64_t size = gow_layout_data_start(layout);
	struct gow_file *file;
	int code = gow_file_unnamed(sink->options.beside, &file, error);

	if (code)
		return code;
	code = gow_file_truncate(file, size, error);
	if (!code)
		code = write_numbers(sink, file, error);
	if (!code)
		code = gow_header_write(file, &header, error);
	if (!code)
		code = copy_file(sink, file, size, error);
	(void)gow_file_close(file, NULL);
	return code;
}

static uint64_t count_kept(const struct archive_sink *sink)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < gow_bit_words(sink->end); i++)
		count += (uint64_t)__builtin_popcountll(sink->options.kept[i]);
	return count;
}

static int begin_disk(struct archive_sink *sink, gow_error *error)
{
	const struct gow_layout *layout = sink->options.layout;
	uint64_t blocks = count_kept(sink);
	int code;

	if (!layout)
		return begin_member(sink, ".raw", sink->options.size, true, error);
	code = begin_member(sink, ".gow", gow_image_file_size(layout, blocks), false, error);
	return code ? code : write_header(sink, (uint32_t)blocks, error);
}

/* ---- the disk's blocks ------------------------------------------------------------------- */

/* Up to block end there is nothing but zeros: those of a raw disk's holes libarchive leaves out,
 * of an image only the blocks stand in the file that are to be stored. */
static int write_zeros(struct archive_sink *sink, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	for (; sink->next < end && !code; sink->next++) {
		uint64_t start = sink->next * GOW_BLOCK_SIZE;

		if (!sink->options.layout)
			code = write_data(sink, zero_block,
			                  (size_t)gow_min(sink->options.size - start,
			                                  GOW_BLOCK_SIZE),
			                  error);
		else if (gow_get_bit(sink->options.kept, sink->next))
			code = write_data(sink, zero_block, GOW_BLOCK_SIZE, error);
		if (!code && sink->next % 65536 == 0) /* 4 GiB of zeros */
			code = gow_tick(sink->base.monitor, "copy", start, sink->options.size,
			                error);
	}
	return code;
}

/* Data where none was when the member's size was told cannot be stored any more. */
static int check_kept(const struct archive_sink *sink, uint64_t first, uint64_t end,
                      gow_error *error)
{
	for (uint64_t i = first; i < end; i++)
		if (!gow_get_bit(sink->options.kept, i))
			return gow_fail_at_block(error,
			                         gow_fail(error, GOW_ERR_CHANGED,
			                                  "the disk changed while it was read"),
			                         i);
	return GOW_OK;
}

static int archive_data(struct gow_sink *base, uint64_t offset, const void *buf, size_t size,
                        gow_error *error)
{
	struct archive_sink *sink = (struct archive_sink *)base;
	uint64_t first = offset / GOW_BLOCK_SIZE;
	uint64_t end = gow_divide_up(offset + size, GOW_BLOCK_SIZE);
	/* The last block of an image is whole, the last of a raw disk may not be. */
	uint64_t disk_end = sink->options.layout ? end * GOW_BLOCK_SIZE : sink->options.size;
	size_t rest = (size_t)(gow_min(end * GOW_BLOCK_SIZE, disk_end) - (offset + size));
	int code = check_kept(sink, first, end, error);

	if (!code)
		code = write_zeros(sink, first, error);
	if (!code)
		code = write_data(sink, buf, size, error);
	if (!code)
		code = write_data(sink, zero_block, rest, error);
	sink->next = end;
	return code;
}

/* Left until it is known what follows. */
static int archive_zeros(struct gow_sink *base, uint64_t offset, uint64_t size, gow_error *error)
{
	(void)base;
	(void)offset;
	(void)size;
	(void)error;
	return GOW_OK;
}

static int archive_hashed(struct gow_sink *base, uint64_t index, const struct gow_hash *hash,
                          gow_error *error)
{
	return gow_manifest_add(((struct archive_sink *)base)->manifest, index, hash, error);
}

static int write_manifest(struct archive_sink *sink, const gow_digest *digest, gow_error *error)
{
	uint64_t size;
	int code = gow_manifest_end(sink->manifest, digest, error);

	if (!code)
		code = gow_file_size(sink->manifest_file, &size, error);
	if (!code)
		code = begin_member(sink, ".manifest", size, false, error);
	if (!code)
		code = copy_file(sink, sink->manifest_file, size, error);
	return code ? code : end_member(sink, error);
}

static int archive_finish(struct gow_sink *base, uint64_t size, const gow_digest *digest,
                          gow_error *error)
{
	struct archive_sink *sink = (struct archive_sink *)base;
	int code;

	if (size != sink->options.size)
		return gow_fail(error, GOW_ERR_CHANGED, "the disk changed while it was read");
	code = write_zeros(sink, sink->end, error);
	if (!code)
		code = end_member(sink, error);
	if (!code)
		code = write_manifest(sink, digest, error);
	return code ? code
	            : check(sink, archive_write_close(sink->archive), "cannot end the archive",
	                    error);
}

static void archive_release(struct gow_sink *base)
{
	struct archive_sink *sink = (struct archive_sink *)base;

	if (sink->archive) {
		/* Freeing ends an archive as if it were whole; nobody is to see that of one that
		 * was given up. What a member lacks is filled up with zeros first, which can take
		 * long: then rather leak the write buffer, which libarchive 3.6 does when told. */
		sink->given_up = true;
		if (sink->left > FILL_MAX)
			(void)archive_write_fail(sink->archive);
		(void)archive_write_free(sink->archive);
	}
	gow_manifest_writer_free(sink->manifest);
	(void)gow_file_close(sink->manifest_file, NULL);
	if (sink->locale)
		freelocale(sink->locale);
	free(sink);
}

static const struct gow_sink_ops archive_ops = {
	.data = archive_data,
	.zeros = archive_zeros,
	.hashed = archive_hashed,
	.finish = archive_finish,
	.release = archive_release,
};

/* ---- making it --------------------------------------------------------------------------- */

uint64_t gow_archive_size(const struct gow_layout *layout, uint64_t blocks)
{
	/* A line of a manifest, the map of runs; and headers and padding. */
	enum { EACH = 64 + 64, OTHER = 4 * TAR_RECORD };

	return (layout ? gow_layout_data_start(layout) : 0) + blocks * (GOW_BLOCK_SIZE + EACH) +
	       OTHER;
}

int gow_sink_archive(const struct gow_archive_options *options, struct gow_sink **sink,
                     gow_error *error)
{
	struct archive_sink *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->base.ops = &archive_ops;
	made->base.monitor = options->monitor;
	made->options = *options;
	/* Without it (locale 0 leaves things as they are) only plain names are sure to work. */
	made->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	made->end = gow_divide_up(options->size, GOW_BLOCK_SIZE);
	made->stream = (struct gow_stream){ .fd = STDOUT_FILENO,
	                                    .name = "standard output",
	                                    .monitor = options->monitor };
	code = gow_file_unnamed(options->beside, &made->manifest_file, error);
	if (!code)
		code = gow_manifest_begin(made->manifest_file, options->size, &made->manifest,
		                          error);
	if (!code)
		code = open_archive(made, error);
	if (!code)
		code = begin_disk(made, error);
	if (code) {
		archive_release(&made->base);
		return code;
	}
	*sink = &made->base;
	return GOW_OK;
}
