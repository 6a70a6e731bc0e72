/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/monitor.h"

enum {
	READ_BYTES = 1 << 18,
	TAR_BLOCK = 512,
	TAR_END = 2 * TAR_BLOCK, /* zeros at the end of every tar file, at least */
	PADDING_MAX = 64 << 20   /* zeros after the end of an archive, at most */
};

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
	const char *why = archive_error_string(archive);

	if (unpack->failure.code) {
		if (error)
			*error = unpack->failure;
		return (int)unpack->failure.code;
	}
	if (archive_errno(archive) == ENOMEM)
		return gow_unpack_name(unpack, gow_fail_errno(error, ENOMEM, "cannot be unpacked"),
		                  error);
	return gow_unpack_name(unpack,
	                  gow_fail(error, GOW_ERR_DAMAGED, "is damaged, or no archive: %s",
	                           why ? why : "libarchive says no more"),
	                  error);
}

/* ---- flows ------------------------------------------------------------------------------- */

static void note_bytes(struct gow_flow *flow, const uint8_t *bytes, size_t size)
{
	size_t end = size;

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
static int read_input(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                      gow_error *error)
{
	size_t head = take_head(&unpack->input, buf, size);
	int code = unpack->file ? gow_file_read(unpack->file, unpack->input.position + head,
	                                        buf + head, size - head, got, error)
	                        : gow_stream_read(&unpack->stream, buf + head, size - head, got,
	                                          error);

	if (code)
		return code;
	*got += head;
	note_bytes(&unpack->input, buf, *got);
	return GOW_OK;
}

/* ---- gzip -------------------------------------------------------------------------------- */

/* By zlib itself: libarchive 3.6 does not look at the sum that ends a gzip stream. */
struct gow_gunzip {
	z_stream stream;
	uint64_t taken; /* bytes of input that are part of it */
	bool begun;     /* a stream has begun, and not ended */
	bool ended;     /* there is no more */
};

static int open_gunzip(struct gow_unpack *unpack, gow_error *error)
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

static void close_gunzip(struct gow_gunzip *gunzip)
{
	if (gunzip)
		(void)inflateEnd(&gunzip->stream);
	free(gunzip);
}

/* Whether another gzip stream stands behind the one that ended. At the very end of what was read
 * only its first byte may be there to be seen. */
static bool goes_on(const z_stream *stream)
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
	code = read_input(unpack, unpack->input.buffer, READ_BYTES, &got, error);
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
	if (!gunzip->begun) { /* behind the end of a stream */
		gunzip->ended = !goes_on(&gunzip->stream);
		gunzip->begun = !gunzip->ended;
		if (gunzip->begun)
			(void)inflateReset(&gunzip->stream);
		return GOW_OK;
	}
	if (!gunzip->stream.avail_in)
		return gow_unpack_damaged(unpack, "is damaged: its gzip stream is cut short", error);
	before = gunzip->stream.avail_in;
	result = inflate(&gunzip->stream, Z_NO_FLUSH);
	gunzip->taken += before - gunzip->stream.avail_in;
	gunzip->begun = result != Z_STREAM_END;
	if (result == Z_OK || result == Z_STREAM_END)
		return GOW_OK;
	return gow_unpack_name(unpack,
	                       gow_fail(error,
	                                result == Z_MEM_ERROR ? GOW_ERR_MEMORY : GOW_ERR_DAMAGED,
	                                "is damaged: its gzip stream: %s",
	                                gunzip->stream.msg ? gunzip->stream.msg : "no more is said"),
	                       error);
}

static int read_gunzip(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
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

/* ---- the other compressions -------------------------------------------------------------- */

static int read_filter(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                       gow_error *error)
{
	*got = 0;
	while (*got < size) {
		la_ssize_t part = archive_read_data(unpack->filter, buf + *got, size - *got);

		if (part < 0)
			return gow_unpack_failed(unpack, unpack->filter, error);
		if (part == 0)
			break;
		*got += (size_t)part;
	}
	return GOW_OK;
}

static bool is_compressed(const struct gow_unpack *unpack)
{
	return unpack->gunzip || unpack->filter;
}

int gow_unpack_read(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                    gow_error *error)
{
	size_t head = take_head(&unpack->plain, buf, size), rest = 0;
	int code = GOW_OK;

	if (head < size)
		code = unpack->gunzip
		               ? read_gunzip(unpack, buf + head, size - head, &rest, error)
		               : read_filter(unpack, buf + head, size - head, &rest, error);
	if (code)
		return code;
	*got = head + rest;
	note_bytes(&unpack->plain, buf, *got);
	return GOW_OK;
}

/* ---- libarchive's calls ------------------------------------------------------------------ */

/* libarchive asks for more of the input. */
static la_ssize_t give_input(struct archive *archive, void *context, const void **buf)
{
	struct gow_unpack *unpack = context;
	size_t got;

	if (read_input(unpack, unpack->input.buffer, READ_BYTES, &got, &unpack->failure)) {
		archive_set_error(archive, EIO, "reading failed");
		return -1;
	}
	*buf = unpack->input.buffer;
	return (la_ssize_t)got;
}

static la_ssize_t give_plain(struct archive *archive, void *context, const void **buf)
{
	struct gow_unpack *unpack = context;
	size_t got;

	if (gow_unpack_read(unpack, unpack->plain.buffer, READ_BYTES, &got, &unpack->failure)) {
		archive_set_error(archive, EIO, "unpacking failed");
		return -1;
	}
	*buf = unpack->plain.buffer;
	return (la_ssize_t)got;
}

static la_int64_t skip_input(struct archive *archive, void *context, la_int64_t size)
{
	struct gow_unpack *unpack = context;
	struct gow_flow *input = &unpack->input;
	uint64_t part = gow_min((uint64_t)size,
	                        unpack->file_size - gow_min(unpack->file_size, input->position));

	(void)archive;
	if (input->head_used < input->head_size)
		return 0;
	input->position += part;
	return (la_int64_t)part;
}

static la_int64_t seek_input(struct archive *archive, void *context, la_int64_t offset, int whence)
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
	return to;
}

/* ---- what it is -------------------------------------------------------------------------- */

static bool begins(const uint8_t *head, size_t size, const char *magic, size_t length)
{
	return size >= length && memcmp(head, magic, length) == 0;
}

static bool has_filter_magic(const uint8_t *head, size_t size)
{
	static const struct {
		const char *magic;
		size_t length;
	} magics[] = {
		{ "\x1f\x8b\x08", 3 },         /* gzip */
		{ "\x1f\x9d", 2 },             /* compress */
		{ "\xfd" "7zXZ\0", 6 },        /* xz */
		{ "\x28\xb5\x2f\xfd", 4 },     /* zstd */
		{ "\x04\x22\x4d\x18", 4 },     /* lz4 */
		{ "LZIP\x01", 5 },             /* lzip */
	};

	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (begins(head, size, magics[i].magic, magics[i].length))
			return true;
	return size >= 10 && begins(head, size, "BZh", 3) && head[3] >= '1' && head[3] <= '9' &&
	       memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0; /* bzip2 */
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
	if (begins(head, size, "\xfd" "7zXZ\0", 6))
		return size > XZ_CHECK && head[XZ_CHECK];
	return !begins(head, size, "\x1f\x9d", 2); /* compress has none */
}

/* A tar header's sum, of which some wrote the signed one: the field itself counts as blanks. */
static bool is_tar(const uint8_t *head, size_t size)
{
	enum { SUM_AT = 148, SUM_SIZE = 8 };
	long stated = 0, sum = 0, signed_sum = 0;
	size_t at = SUM_AT;

	if (size < TAR_BLOCK || !head[0])
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		uint8_t byte = i >= SUM_AT && i < SUM_AT + SUM_SIZE ? ' ' : head[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	while (at < SUM_AT + SUM_SIZE && head[at] == ' ')
		at++;
	if (head[at] < '0' || head[at] > '7')
		return false;
	while (at < SUM_AT + SUM_SIZE && head[at] >= '0' && head[at] <= '7')
		stated = stated * 8 + (head[at++] - '0');
	return stated == sum || stated == signed_sum;
}

/* The old binary header of cpio has a magic of two bytes, so its name is looked at, too. */
static bool is_old_cpio(const uint8_t *head, size_t size)
{
	enum { HEADER = 26, NAME_SIZE_AT = 20 };
	enum gow_order order = begins(head, size, "\xc7\x71", 2) ? GOW_LITTLE_ENDIAN
	                                                          : GOW_BIG_ENDIAN;
	uint64_t length;

	if (size < HEADER || gow_load(head, 2, order) != 070707)
		return false;
	length = gow_load(head + NAME_SIZE_AT, 2, order);
	return length > 1 && HEADER + length <= size && head[HEADER] &&
	       strnlen((const char *)head + HEADER, length) == length - 1;
}

static bool is_container(const uint8_t *head, size_t size)
{
	enum { USTAR_AT = 257 };

	return is_tar(head, size) || is_old_cpio(head, size) ||
	       /* A damaged one is still none of a disk's. */
	       (size >= TAR_BLOCK && memcmp(head + USTAR_AT, "ustar", 5) == 0) ||
	       begins(head, size, "07070", 5) || begins(head, size, "PK\x03\x04", 4) ||
	       begins(head, size, "PK\x05\x06", 4) ||
	       begins(head, size, "7z\xbc\xaf\x27\x1c", 6);
}

bool gow_archive_has_magic(const uint8_t *head, size_t size)
{
	return has_filter_magic(head, size) || is_container(head, size);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* None of these runs another program, or opens a file that a name in the archive tells (mtree
 * does). */
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
	archive_read_support_format_ar,  archive_read_support_format_cab,
	archive_read_support_format_lha, archive_read_support_format_rar,
	archive_read_support_format_xar, archive_read_support_format_rar5,
	archive_read_support_format_iso9660,
};

static void add_supports(struct archive *archive, const support *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)table[i](archive); /* what is missing will not be recognised */
}

static int open_filter(struct gow_unpack *unpack, gow_error *error)
{
	struct archive *archive = unpack->filter = archive_read_new();
	struct archive_entry *entry;

	if (!archive)
		return gow_fail_memory(error, sizeof *unpack);
	add_supports(archive, filters, sizeof filters / sizeof *filters);
	if (archive_read_support_format_raw(archive) != ARCHIVE_OK ||
	    archive_read_open(archive, unpack, NULL, give_input, NULL) != ARCHIVE_OK)
		return gow_unpack_failed(unpack, archive, error);
	switch (archive_read_next_header(archive, &entry)) {
	case ARCHIVE_OK:
		/* What no filter recognises comes out as it went in. */
		return archive_filter_count(archive) > 1
		               ? GOW_OK
		               : gow_unpack_damaged(unpack, "begins like a compressed file, and is none", error);
	case ARCHIVE_EOF:
		return gow_unpack_damaged(unpack, "there is nothing in it", error);
	default:
		return gow_unpack_failed(unpack, archive, error);
	}
}

bool gow_unpack_can_seek(const struct gow_unpack *unpack)
{
	return unpack->file && !is_compressed(unpack);
}

static int open_container(struct gow_unpack *unpack, bool told, gow_error *error)
{
	struct archive *archive = unpack->container = archive_read_new();
	int result;

	if (!archive)
		return gow_fail_memory(error, sizeof *unpack);
	add_supports(archive, formats, sizeof formats / sizeof *formats);
	if (told)
		add_supports(archive, more_formats, sizeof more_formats / sizeof *more_formats);
	if (gow_unpack_can_seek(unpack)) {
		(void)archive_read_set_skip_callback(archive, skip_input);
		(void)archive_read_set_seek_callback(archive, seek_input);
	}
	(void)archive_read_set_read_callback(archive, is_compressed(unpack) ? give_plain : give_input);
	(void)archive_read_set_callback_data(archive, unpack);
	result = archive_read_open1(archive);
	return result == ARCHIVE_OK ? GOW_OK : gow_unpack_failed(unpack, archive, error);
}

/* What was compressed is the disk itself. */
static int check_alone(struct gow_unpack *unpack, gow_error *error)
{
	const struct gow_flow *plain = &unpack->plain, *input = &unpack->input;

	if (has_filter_magic(plain->head, plain->head_size))
		return gow_unpack_damaged(unpack, "is compressed twice; unpack it once", error);
	if (is_sealed(input->head, input->head_size) ||
	    begins(plain->head, plain->head_size, (const char *)gow_layouts[0].magic,
	           GOW_MAGIC_SIZE))
		return GOW_OK;
	return gow_unpack_damaged(unpack,
	                          "holds no archive, and no sum that would prove a raw disk; unpack "
	                          "it by other means",
	                          error);
}

/* Opens the layers that there are. */
static int open_layers(struct gow_unpack *unpack, bool told, gow_error *error)
{
	const struct gow_flow *input = &unpack->input;
	struct gow_flow *plain = &unpack->plain;
	int code;

	if (!has_filter_magic(input->head, input->head_size))
		return open_container(unpack, told, error);
	code = is_gzip(input->head, input->head_size) ? open_gunzip(unpack, error)
	                                              : open_filter(unpack, error);
	if (!code)
		code = gow_unpack_read(unpack, plain->head, sizeof plain->head, &plain->head_size,
		                       error);
	if (code)
		return code;
	/* It comes again. */
	plain->position = plain->data_end = plain->head_used = 0;
	return is_container(plain->head, plain->head_size) ? open_container(unpack, told, error)
	                                                   : check_alone(unpack, error);
}

/* ---- the end ----------------------------------------------------------------------------- */

/* What the container is read from. */
static struct gow_flow *inner_flow(struct gow_unpack *unpack)
{
	return is_compressed(unpack) ? &unpack->plain : &unpack->input;
}

/* Reads a flow to its end; there may only be so many bytes left in it. */
static int drain(struct gow_unpack *unpack, struct gow_flow *flow, gow_error *error)
{
	uint64_t limit = flow->position + PADDING_MAX;
	size_t got = READ_BYTES;

	while (got == READ_BYTES) {
		int code = flow == &unpack->plain
		                   ? gow_unpack_read(unpack, flow->buffer, READ_BYTES, &got, error)
		                   : read_input(unpack, flow->buffer, READ_BYTES, &got, error);

		if (code)
			return code;
		if (flow->position > limit)
			return gow_unpack_damaged(unpack, "it goes on after its end", error);
	}
	return GOW_OK;
}

/* A zip file ends in a record that says how long the comment behind it is. */
static int check_zip_end(struct gow_unpack *unpack, gow_error *error)
{
	enum { RECORD = 22, COMMENT_MAX = 65535 };
	size_t size = (size_t)gow_min(unpack->file_size, RECORD + COMMENT_MAX), got;
	uint8_t *tail = malloc(size);
	bool found = false;
	int code = tail ? gow_file_read(unpack->file, unpack->file_size - size, tail, size, &got,
	                                error)
	                : gow_fail_memory(error, size);

	for (size_t at = 0; !code && at + RECORD <= got && !found; at++)
		found = memcmp(tail + at, "PK\x05\x06", 4) == 0 &&
		        at + RECORD + gow_load(tail + at + 20, 2, GOW_LITTLE_ENDIAN) == got;
	free(tail);
	return code || found ? code : gow_unpack_damaged(unpack, "something follows its end", error);
}

/* A 7z file says at its start where it ends. */
static int check_7z_end(struct gow_unpack *unpack, gow_error *error)
{
	enum { HEADER = 32 };
	uint8_t head[HEADER];
	uint64_t end;
	int code = gow_file_read_all(unpack->file, 0, head, sizeof head, error);

	if (code)
		return code;
	if (__builtin_add_overflow(gow_load(head + 12, 8, GOW_LITTLE_ENDIAN),
	                           gow_load(head + 20, 8, GOW_LITTLE_ENDIAN), &end) ||
	    __builtin_add_overflow(end, (uint64_t)HEADER, &end) || end != unpack->file_size)
		return gow_unpack_damaged(unpack, "something follows its end", error);
	return GOW_OK;
}

/* The container's end has been met: it has to be one, and nothing but zeros may follow. */
static int check_container_end(struct gow_unpack *unpack, uint64_t entry_end,
                               gow_error *error)
{
	struct gow_flow *flow = inner_flow(unpack);
	int format = archive_format(unpack->container) & ARCHIVE_FORMAT_BASE_MASK;
	uint64_t end = (uint64_t)archive_filter_bytes(unpack->container, 0);
	int code;

	if (format != ARCHIVE_FORMAT_TAR && format != ARCHIVE_FORMAT_CPIO) {
		if (!gow_unpack_can_seek(unpack))
			return drain(unpack, flow, error);
		if (format == ARCHIVE_FORMAT_ZIP)
			return check_zip_end(unpack, error);
		return format == ARCHIVE_FORMAT_7ZIP ? check_7z_end(unpack, error) : GOW_OK;
	}
	code = drain(unpack, flow, error);
	if (code)
		return code;
	if (format == ARCHIVE_FORMAT_TAR) {
		/* libarchive takes the end of the file for the archive's as well. */
		end = entry_end;
		if (flow->position < end + TAR_END)
			return gow_unpack_damaged(unpack, "it is cut short: its end is missing", error);
	}
	return flow->data_end > end ? gow_unpack_damaged(unpack, "something follows its end", error)
	                            : GOW_OK;
}

/* So has the compressed stream. */
static int check_filter_end(struct gow_unpack *unpack, gow_error *error)
{
	uint64_t end;
	int code = drain(unpack, &unpack->plain, error);

	if (code)
		return code;
	end = unpack->gunzip ? unpack->gunzip->taken
	                     : (uint64_t)archive_filter_bytes(unpack->filter, -1);
	code = drain(unpack, &unpack->input, error);
	if (!code && unpack->input.position != end)
		code = gow_unpack_damaged(unpack, "something follows the end of what is compressed", error);
	return code;
}

int gow_unpack_finish(struct gow_unpack *unpack, uint64_t entry_end, gow_error *error)
{
	int code = unpack->container ? check_container_end(unpack, entry_end, error) : GOW_OK;

	return code || !is_compressed(unpack) ? code : check_filter_end(unpack, error);
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

int gow_unpack_open(struct gow_unpack *unpack, const struct gow_archive_input *input, bool told,
                    const gow_monitor *monitor, gow_error *error)
{
	int code = GOW_OK;

	*unpack = (struct gow_unpack){
		.monitor = monitor,
		.file = input->file,
		.stream = { .fd = STDIN_FILENO, .name = "standard input", .monitor = monitor },
	};
	unpack->name = strdup(input->file ? input->file->name : "standard input");
	unpack->input.buffer = malloc(READ_BYTES);
	unpack->plain.buffer = malloc(READ_BYTES);
	if (!unpack->name || !unpack->input.buffer || !unpack->plain.buffer)
		return gow_fail_memory(error, READ_BYTES);
	if (unpack->file)
		code = gow_file_size(unpack->file, &unpack->file_size, error);
	else
		memcpy(unpack->input.head, input->head, input->head_size);
	unpack->input.head_size = input->head_size;
	if (!code)
		code = read_head(unpack, error);
	return code ? code : open_layers(unpack, told, error);
}

void gow_unpack_release(struct gow_unpack *unpack)
{
	(void)archive_read_free(unpack->container); /* NULL is fine */
	(void)archive_read_free(unpack->filter);
	close_gunzip(unpack->gunzip);
	(void)gow_file_close(unpack->file, NULL);
	free(unpack->input.buffer);
	free(unpack->plain.buffer);
	free(unpack->name);
}
