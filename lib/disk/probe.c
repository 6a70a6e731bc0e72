/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/probe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"

enum { CHUNK = 1 << 16, PADDING_MAX = 64 << 20 };

void gow_last_note(struct gow_last *last, const uint8_t *buf, size_t size)
{
	size_t kept = (size_t)gow_min(last->size,
	                              sizeof last->bytes - gow_min(size, sizeof last->bytes));

	if (size > sizeof last->bytes) {
		buf += size - sizeof last->bytes;
		size = sizeof last->bytes;
	}
	memmove(last->bytes, last->bytes + last->size - kept, kept);
	memcpy(last->bytes + kept, buf, size);
	last->size = kept + size;
}

int gow_probe_head(const uint8_t *head, size_t size, const char *name, gow_error *error)
{
	const struct gow_file_format *format = gow_format_of_head(head, size);

	if (format)
		return gow_format_refuse(format, false, error);
	format = name ? gow_format_of_name(name) : NULL;
	return format ? gow_format_refuse(format, true, error) : GOW_OK;
}

int gow_probe_end(const struct gow_last *last, uint64_t size, gow_error *error)
{
	const struct gow_file_format *format = NULL;

	if (last->size == sizeof last->bytes)
		format = gow_format_of_tail(last->bytes, size);
	return format ? gow_format_refuse(format, false, error)
	              : gow_format_check_size(size, error);
}

static int probe_device(const uint8_t *head, size_t size, gow_error *error)
{
	const struct gow_file_format *format = gow_format_of_head(head, size);

	return format && format->deed == GOW_DEED_CONVERT ? gow_format_refuse(format, false, error)
	                                                  : GOW_OK;
}

int gow_probe_read(struct gow_file *file, uint64_t offset, struct gow_bytes into, bool salvage,
                   size_t *got, gow_error *error)
{
	int code = gow_file_read(file, offset, into.bytes, into.size, got, error);

	if (code != GOW_ERR_IO || !salvage)
		return code;
	*got = 0;
	return GOW_OK;
}

int gow_probe_file(struct gow_file *file, uint64_t size, bool salvage, gow_error *error)
{
	uint8_t head[GOW_FORMAT_HEAD];
	struct gow_last last = { .size = 0 };
	size_t got;
	int code = gow_probe_read(file, 0, (struct gow_bytes){ head, sizeof head }, salvage, &got,
	                          error);

	if (code)
		return code;
	if (gow_file_is_device(file))
		return gow_fail_in_file(error, probe_device(head, got, error), file->name);
	code = gow_probe_head(head, got, file->name, error);
	if (!code && size >= sizeof last.bytes) {
		code = gow_probe_read(file, size - sizeof last.bytes,
		                      (struct gow_bytes){ last.bytes, sizeof last.bytes }, salvage,
		                      &last.size, error);
		if (code)
			return code;
	}
	if (!code)
		code = gow_probe_end(&last, size, error);
	return code ? gow_fail_in_file(error, code, file->name) : GOW_OK;
}

/* The format that the file is of; NULL: none that is known. */
static const struct gow_file_format *format_at(const char *path)
{
	uint8_t head[GOW_FORMAT_HEAD];
	struct gow_file *file;
	size_t got = 0;

	if (gow_file_open(path, GOW_FILE_DEVICE, &file, NULL))
		return NULL;
	if (gow_file_read(file, 0, head, sizeof head, &got, NULL))
		got = 0;
	(void)gow_file_close(file, NULL);
	return gow_format_of_head(head, got);
}

void gow_explain_not_gow(const char *path, gow_error *error)
{
	const struct gow_file_format *format;
	gow_error about;

	format = error->code == GOW_ERR_NOT_GOW ? format_at(path) : NULL;
	if (!format)
		return;
	about = *error; /* path may be in it */
	if (format->deed == GOW_DEED_CONVERT)
		(void)gow_fail(error, GOW_ERR_NOT_GOW,
		               "is %s, not a GOW image; convert it to raw first%s%s%s",
		               format->name, format->advice ? " (" : "",
		               format->advice ? format->advice : "", format->advice ? ")" : "");
	else
		(void)gow_fail(error, GOW_ERR_NOT_GOW, "is %s, not a GOW image", format->name);
	(void)gow_fail_in_file(error, GOW_ERR_NOT_GOW, about.file);
}

/* ---- split disks ------------------------------------------------------------------------- */

/* How long the count at a name's end is: letters that are all a, or digits; 0: no count. */
static size_t count_length(const char *name, size_t length)
{
	size_t size = 0;

	while (size < length && name[length - size - 1] == 'a')
		size++;
	if (size >= 2)
		return size;
	for (size = 0; size < length && isdigit((unsigned char)name[length - size - 1]);)
		size++;
	return size >= 2 && size < length && name[length - size - 1] == '.' ? size : 0;
}

/* Makes the next part's name of a part's; the count has room for that. */
static void count_up(char *name, size_t length)
{
	char *last = name + length - 1;

	while (*last == '9')
		*last-- = '0';
	++*last;
}

int gow_probe_split(const struct gow_file *file, uint64_t size, gow_error *error)
{
	size_t length = strlen(file->name), count = count_length(file->name, length);
	char *next = count ? strdup(file->name) : NULL;
	struct stat st;
	int code = GOW_OK;

	if (!count)
		return GOW_OK;
	if (!next)
		return gow_fail_memory(error, length);
	count_up(next, length);
	/* Every part but the last is as long as the first. */
	if (next[length - count - 1] != '/' && lstat(next, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size <= size) {
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is a part of a file that was split: join the parts first (cat "
		                "%.*s* >JOINED), or say -f raw",
		                (int)gow_min(length - count, 300), file->name);
		code = gow_fail_in_file(error, code, file->name);
	}
	free(next);
	return code;
}

/* ---- zip --------------------------------------------------------------------------------- */

int gow_data_end(struct gow_file *file, uint64_t from, uint64_t size, uint64_t *end,
                 gow_error *error)
{
	uint8_t *buffer = malloc(CHUNK);
	int code = buffer ? GOW_OK : gow_fail_memory(error, CHUNK);

	for (*end = size; !code && *end > from && size - *end <= PADDING_MAX;) {
		size_t part = (size_t)gow_min(*end - from, CHUNK), got;

		code = gow_file_read(file, *end - part, buffer, part, &got, error);
		if (code)
			break;
		while (got && !buffer[got - 1])
			got--;
		*end = *end - part + got;
		if (got)
			break;
	}
	free(buffer);
	return code;
}

/* The record at the end of a zip archive, which may be partly in the zeros that follow it. */
static uint64_t find_zip_end(const uint8_t *tail, size_t size, uint64_t data_end)
{
	enum { RECORD = 22 };

	for (size_t at = size >= RECORD ? size - RECORD + 1 : 0; at > 0; at--) {
		const uint8_t *record = tail + at - 1;
		uint64_t end = at - 1 + RECORD + gow_load(record + 20, 2, GOW_LITTLE_ENDIAN);

		if (memcmp(record, "PK\x05\x06", 4) == 0 && end >= data_end && end <= size)
			return end;
	}
	return 0;
}

int gow_zip_end(struct gow_file *file, uint64_t size, uint64_t *end, gow_error *error)
{
	enum { ROOM = 65535 + 2 * 22 };
	uint64_t data_end, start;
	size_t length, got;
	uint8_t *tail = malloc(ROOM);
	int code = tail ? gow_data_end(file, 0, size, &data_end, error)
	                : gow_fail_memory(error, ROOM);

	*end = 0;
	if (!code) {
		start = data_end > 65535 + 22 ? data_end - 65535 - 22 : 0;
		length = (size_t)gow_min(size - start, ROOM);
		code = gow_file_read(file, start, tail, length, &got, error);
		if (!code)
			*end = find_zip_end(tail, got, data_end - start);
		*end += *end ? start : 0;
	}
	free(tail);
	return code;
}

int gow_probe_stub(struct gow_file *file, uint64_t size, const uint8_t *head, size_t head_size,
                   bool *zip, gow_error *error)
{
	const struct gow_file_format *format = gow_format_of_head(head, head_size);
	uint64_t end = 0;
	int code;

	/* By its end alone nothing is an archive: a disk may have one there. */
	if (!format || format->deed != GOW_DEED_NO_DISK)
		format = format ? NULL : gow_format_of_name(file->name);
	*zip = false;
	if (!format || (format->deed != GOW_DEED_NO_DISK && format->deed != GOW_DEED_ARCHIVE))
		return GOW_OK;
	code = gow_zip_end(file, size, &end, error);
	*zip = end > 0;
	return code;
}
