/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/entries.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/archive/library.h"

int gow_entries_open(struct gow_entries *entries, const struct gow_archive_input *input,
                     bool any_format, const gow_monitor *monitor, gow_error *error)
{
	entries->monitor = monitor;
	/* Without it (locale 0 leaves things as they are) names may be garbled. */
	entries->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return gow_unpack_open(&entries->unpack, input, any_format, monitor, error);
}

void gow_entries_release(struct gow_entries *entries)
{
	gow_unpack_release(&entries->unpack);
	if (entries->locale)
		freelocale(entries->locale);
}

/* A warning about a name in another character set is harmless; any other is about something that
 * was left out. */
static bool is_harmless(struct archive *archive)
{
	const char *why = archive_error_string(archive);

	return why && strstr(why, "can't be converted");
}

/* An archive of metadata has an image in it, without the guest's data, which is not a disk. */
static int refuse_metadata(struct archive_entry *entry, gow_error *error)
{
	static const char suffix[] = ".gow-metadata";
	const char *name = archive_entry_pathname(entry);
	size_t length = name ? strlen(name) : 0, tail = sizeof suffix - 1;

	if (length < tail || strcmp(name + length - tail, suffix) != 0)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "holds an image's metadata and none of the guest's data; gow-convert "
	                "--metadata-only restores that");
}

int gow_entries_next(struct gow_entries *entries, struct archive_entry **entry, gow_error *error)
{
	struct archive *container = entries->unpack.container;
	locale_t before = uselocale(entries->locale);
	int result = archive_read_next_header(container, entry);
	int code = GOW_OK;

	if (entries->unpack.failure.code) /* whatever libarchive makes of it */
		code = gow_unpack_failed(&entries->unpack, container, error);
	else if (result == ARCHIVE_EOF)
		*entry = NULL;
	else if (result != ARCHIVE_OK && !(result == ARCHIVE_WARN && is_harmless(container)))
		code = gow_unpack_failed(&entries->unpack, container, error);
	else
		code = refuse_metadata(*entry, error);
	(void)uselocale(before);
	return code;
}

char *gow_entries_name(const struct gow_entries *entries, struct archive_entry *entry)
{
	locale_t before = uselocale(entries->locale);
	const char *name = archive_entry_pathname(entry);
	char *copy = strdup(name ? name : "");

	(void)uselocale(before);
	return copy;
}

int gow_entries_read(void *context, void *buf, size_t size, size_t *got, gow_error *error)
{
	struct gow_entries *entries = context;
	struct archive *container = entries->unpack.container;

	*got = 0;
	while (*got < size) {
		la_ssize_t part = archive_read_data(container, (uint8_t *)buf + *got, size - *got);

		if (part < 0 || entries->unpack.failure.code)
			return gow_unpack_failed(&entries->unpack, container, error);
		if (part == 0)
			break;
		*got += (size_t)part;
	}
	return GOW_OK;
}

/* Reads what is left of the entry; *result is the last result of libarchive. */
static int read_past(struct gow_entries *entries, int *result, gow_error *error)
{
	struct archive *container = entries->unpack.container;
	const void *block;
	la_int64_t offset;
	size_t size;

	for (uint64_t count = 0;; count++) {
		int code = GOW_OK;

		*result = archive_read_data_block(container, &block, &size, &offset);
		if (*result != ARCHIVE_OK)
			return GOW_OK;
		if (count % 64 == 0)
			code = gow_tick(entries->monitor, "skip", entries->unpack.input.position,
			                entries->unpack.file_size, error);
		if (code)
			return code;
	}
}

int gow_entries_pass(struct gow_entries *entries, gow_error *error)
{
	struct archive *container = entries->unpack.container;
	int result, code = GOW_OK;

	/* Where seeking is possible, that is quicker. */
	if (gow_unpack_can_seek(&entries->unpack))
		result = archive_read_data_skip(container);
	else
		code = read_past(entries, &result, error);
	if (code)
		return code;
	if ((result != ARCHIVE_OK && result != ARCHIVE_EOF) || entries->unpack.failure.code)
		return gow_unpack_failed(&entries->unpack, container, error);
	return gow_entries_note_end(entries, error);
}

int gow_entries_note_end(struct gow_entries *entries, gow_error *error)
{
	return gow_library_bytes(entries->unpack.container, 0, &entries->end, error);
}

bool gow_entry_is_file(struct archive_entry *entry)
{
	return archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
}

const char *gow_entry_bare_name(const char *name)
{
	return strncmp(name, "./", 2) == 0 ? name + 2 : name;
}

char *gow_entry_printable_name(const char *name)
{
	char *copy = strdup(name);

	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return copy;
}
