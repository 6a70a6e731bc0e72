/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/manifest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

static const char first_line[] = "gow-manifest 1";

/* No valid line has more bytes: "block ", 20 digits, a blank, 32 digits. */
enum { LINE_MAX_BYTES = 80, BUFFER = 65536 };

/* ---- writing ----------------------------------------------------------------------------- */

struct gow_manifest_writer {
	struct gow_file *file;
	uint64_t offset; /* of what stands in the buffer */
	size_t used;
	char buffer[BUFFER];
};

static int flush(struct gow_manifest_writer *writer, gow_error *error)
{
	int code = gow_file_write(writer->file, writer->offset, writer->buffer, writer->used,
	                          error);

	writer->offset += writer->used;
	writer->used = 0;
	return code;
}

static int write_line(struct gow_manifest_writer *writer, gow_error *error, const char *fmt, ...)
	GOW_PRINTF(3, 4);

static int write_line(struct gow_manifest_writer *writer, gow_error *error, const char *fmt, ...)
{
	int code = sizeof writer->buffer - writer->used <= LINE_MAX_BYTES ? flush(writer, error)
	                                                                  : GOW_OK;
	va_list args;

	va_start(args, fmt);
	writer->used += (size_t)vsnprintf(writer->buffer + writer->used,
	                                  sizeof writer->buffer - writer->used, fmt, args);
	va_end(args);
	return code;
}

int gow_manifest_begin(struct gow_file *file, uint64_t logical_size,
                       struct gow_manifest_writer **writer, gow_error *error)
{
	struct gow_manifest_writer *made = calloc(1, sizeof *made);

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->file = file;
	*writer = made;
	return write_line(made, error, "%s\nsize %" PRIu64 "\n", first_line, logical_size);
}

int gow_manifest_add(struct gow_manifest_writer *writer, uint64_t index,
                     const struct gow_hash *hash, gow_error *error)
{
	char text[GOW_HASH_TEXT];

	gow_hash_text(hash, text);
	return write_line(writer, error, "block %" PRIu64 " %s\n", index, text);
}

int gow_manifest_end(struct gow_manifest_writer *writer, const gow_digest *digest, gow_error *error)
{
	int code = write_line(writer, error, "digest %s\n", digest->text);

	return code ? code : flush(writer, error);
}

void gow_manifest_writer_free(struct gow_manifest_writer *writer)
{
	free(writer);
}

/* ---- reading ----------------------------------------------------------------------------- */

struct gow_manifest {
	char *name;
	gow_manifest_fill fill;
	void *context;
	void *owned; /* the context, if it is ours to free */
	struct gow_digester *digester;
	uint64_t size;
	uint64_t next_index;  /* the smallest that may come */
	uint64_t line_number; /* of line, from 1 */
	const char *line;     /* ended by a line feed */
	const char *at;       /* how far it has been read */
	bool ended;           /* there is no more to fill from */
	gow_digest digest;    /* "" until it was read and found right */
	size_t begin, end;    /* what of the buffer has not been read yet */
	char buffer[BUFFER];
};

static int damaged(const struct gow_manifest *manifest, gow_error *error, const char *fmt, ...)
	GOW_PRINTF(3, 4);

static int damaged(const struct gow_manifest *manifest, gow_error *error, const char *fmt, ...)
{
	char why[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why, sizeof why, fmt, args);
	va_end(args);
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_DAMAGED,
	                                 "is a damaged manifest (line %" PRIu64 ", column %td): %s",
	                                 manifest->line_number, manifest->at - manifest->line + 1,
	                                 why),
	                        manifest->name);
}

/* Sees to it that a whole line stands in the buffer, if there is one. */
static int refill(struct gow_manifest *manifest, gow_error *error)
{
	size_t got;
	int code;

	if (manifest->ended || manifest->end - manifest->begin > LINE_MAX_BYTES)
		return GOW_OK;
	memmove(manifest->buffer, manifest->buffer + manifest->begin,
	        manifest->end - manifest->begin);
	manifest->end -= manifest->begin;
	manifest->begin = 0;
	code = manifest->fill(manifest->context, manifest->buffer + manifest->end,
	                      sizeof manifest->buffer - manifest->end, &got, error);
	if (code)
		return code;
	manifest->ended = got < sizeof manifest->buffer - manifest->end;
	manifest->end += got;
	return GOW_OK;
}

static int next_line(struct gow_manifest *manifest, gow_error *error)
{
	const char *line_feed;
	size_t most;
	int code = refill(manifest, error);

	if (code)
		return code;
	manifest->line = manifest->at = manifest->buffer + manifest->begin;
	manifest->line_number++;
	most = (size_t)gow_min(manifest->end - manifest->begin, LINE_MAX_BYTES);
	line_feed = memchr(manifest->line, '\n', most);
	if (!line_feed) {
		manifest->at += most;
		return damaged(manifest, error,
		               most < LINE_MAX_BYTES ? "it ends before its last line does"
		                                     : "no line is that long");
	}
	manifest->begin += (size_t)(line_feed - manifest->line) + 1;
	/* One that went through Windows: the line ends before the carriage return. */
	if (line_feed > manifest->line && line_feed[-1] == '\r')
		manifest->buffer[line_feed - 1 - manifest->buffer] = '\n';
	return GOW_OK;
}

/* Whether text stands at this place of the line; then it has been read. */
static bool take_text(struct gow_manifest *manifest, const char *text)
{
	const char *at = manifest->at;

	while (*text && *at == *text) { /* the line feed at the end is in no text */
		at++;
		text++;
	}
	if (*text)
		return false;
	manifest->at = at;
	return true;
}

static int take_line_end(const struct gow_manifest *manifest, gow_error *error)
{
	return *manifest->at == '\n' ? GOW_OK
	                             : damaged(manifest, error, "expected the end of the line");
}

static int take_number(struct gow_manifest *manifest, uint64_t *number, gow_error *error)
{
	const char *at = manifest->at;
	uint64_t value = 0;

	while (*at >= '0' && *at <= '9') {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return damaged(manifest, error, "the number is too large");
		at++;
	}
	if (at == manifest->at)
		return damaged(manifest, error, "a number is missing");
	if (*manifest->at == '0' && at > manifest->at + 1)
		return damaged(manifest, error, "the number has a zero too many at its start");
	manifest->at = at;
	*number = value;
	return GOW_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_hash(struct gow_manifest *manifest, struct gow_hash *hash, gow_error *error)
{
	for (size_t i = 0; i < 2 * sizeof hash->bytes; i++) {
		int digit = hex_digit(*manifest->at);

		if (digit < 0)
			return damaged(manifest, error,
			               "32 lower-case hexadecimal digits are wanted");
		hash->bytes[i / 2] = (uint8_t)((i % 2 ? hash->bytes[i / 2] << 4 : 0) | digit);
		manifest->at++;
	}
	return GOW_OK;
}

static int read_head(struct gow_manifest *manifest, gow_error *error)
{
	int code = next_line(manifest, error);

	if (code)
		return code;
	(void)take_text(manifest, "\xef\xbb\xbf"); /* the mark that Windows puts before a text */
	if (!take_text(manifest, first_line))
		return damaged(manifest, error, "it does not begin with '%s'", first_line);
	code = take_line_end(manifest, error);
	if (!code)
		code = next_line(manifest, error);
	if (!code && !take_text(manifest, "size "))
		code = damaged(manifest, error, "expected 'size '");
	if (!code)
		code = take_number(manifest, &manifest->size, error);
	if (!code)
		code = take_line_end(manifest, error);
	if (!code && (!manifest->size || manifest->size % 512)) {
		manifest->at = manifest->line + strlen("size ");
		code = damaged(manifest, error, "a disk has a multiple of 512 bytes, not %" PRIu64,
		               manifest->size);
	}
	return code;
}

int gow_manifest_open(const char *name, gow_manifest_fill fill, void *context,
                      struct gow_manifest **manifest, gow_error *error)
{
	struct gow_manifest *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->fill = fill;
	made->context = context;
	made->name = strdup(name);
	code = made->name ? gow_digester_new(&made->digester, error)
	                  : gow_fail_memory(error, strlen(name));
	if (!code)
		code = read_head(made, error);
	if (code) {
		gow_manifest_close(made);
		return code;
	}
	*manifest = made;
	return GOW_OK;
}

/* A file being read front to back. */
struct file_reader {
	struct gow_file *file;
	uint64_t offset;
};

static int fill_from_file(void *context, void *buf, size_t size, size_t *got, gow_error *error)
{
	struct file_reader *reader = context;
	int code = gow_file_read(reader->file, reader->offset, buf, size, got, error);

	reader->offset += code ? 0 : *got;
	return code;
}

int gow_manifest_open_file(struct gow_file *file, struct gow_manifest **manifest, gow_error *error)
{
	struct file_reader *reader = malloc(sizeof *reader);
	int code;

	if (!reader)
		return gow_fail_memory(error, sizeof *reader);
	*reader = (struct file_reader){ file, 0 };
	code = gow_manifest_open(file->name, fill_from_file, reader, manifest, error);
	if (code)
		free(reader);
	else
		(*manifest)->owned = reader;
	return code;
}

void gow_manifest_close(struct gow_manifest *manifest)
{
	if (!manifest)
		return;
	free(manifest->owned);
	gow_digester_free(manifest->digester);
	free(manifest->name);
	free(manifest);
}

uint64_t gow_manifest_size(const struct gow_manifest *manifest)
{
	return manifest->size;
}

/* The rest of a line that begins with "block ". */
static int read_block(struct gow_manifest *manifest, uint64_t *index, struct gow_hash *hash,
                      gow_error *error)
{
	const char *start = manifest->at;
	int code = take_number(manifest, index, error);

	if (code)
		return code;
	if (*index < manifest->next_index ||
	    *index >= gow_divide_up(manifest->size, GOW_BLOCK_SIZE)) {
		manifest->at = start;
		return damaged(manifest, error, "block %" PRIu64 " %s", *index,
		               *index < manifest->next_index ? "is out of order"
		                                             : "lies past the end of the disk");
	}
	if (!take_text(manifest, " "))
		return damaged(manifest, error, "expected a space");
	code = take_hash(manifest, hash, error);
	if (!code)
		code = take_line_end(manifest, error);
	if (code)
		return code;
	manifest->next_index = *index + 1;
	gow_digester_add(manifest->digester, *index, hash);
	return GOW_OK;
}

/* The rest of a line that begins with "digest ": the last. */
static int read_digest(struct gow_manifest *manifest, gow_error *error)
{
	const char *start = manifest->at;
	char stated[GOW_HASH_TEXT];
	struct gow_hash hash;
	gow_digest digest;
	int code = take_hash(manifest, &hash, error);

	if (!code)
		code = take_line_end(manifest, error);
	if (code)
		return code;
	gow_digester_finish(manifest->digester, manifest->size, &digest);
	gow_hash_text(&hash, stated);
	if (strcmp(stated, digest.text) != 0) {
		manifest->at = start;
		return damaged(manifest, error,
		               "this digest does not follow from the lines above, which give %s",
		               digest.text);
	}
	code = refill(manifest, error);
	if (code)
		return code;
	if (manifest->begin != manifest->end) {
		manifest->line_number++;
		manifest->at = manifest->line;
		return damaged(manifest, error, "something follows the digest");
	}
	manifest->digest = digest;
	return GOW_OK;
}

int gow_manifest_next(struct gow_manifest *manifest, uint64_t *index, struct gow_hash *hash,
                      gow_error *error)
{
	int code;

	*index = GOW_NOWHERE;
	if (manifest->digest.text[0])
		return GOW_OK;
	code = next_line(manifest, error);
	if (code)
		return code;
	if (take_text(manifest, "block "))
		return read_block(manifest, index, hash, error);
	if (take_text(manifest, "digest "))
		return read_digest(manifest, error);
	return damaged(manifest, error, "expected 'block ' or 'digest '");
}

int gow_manifest_read_all(struct gow_manifest *manifest, gow_digest *digest, gow_error *error)
{
	uint64_t index = 0;
	int code = GOW_OK;

	while (!code && index != GOW_NOWHERE) {
		struct gow_hash hash;

		code = gow_manifest_next(manifest, &index, &hash, error);
	}
	if (!code)
		*digest = manifest->digest;
	return code;
}
