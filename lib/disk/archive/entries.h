/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entries.h - the entries of an archive, one after the other: their names, what they hold, and how
 * to get past them. Which of them is the disk is not known here (search.h).
 */
#ifndef GOW_DISK_ARCHIVE_ENTRIES_H
#define GOW_DISK_ARCHIVE_ENTRIES_H

#include <archive_entry.h>
#include <locale.h>

#include "disk/archive/unpack.h"

struct gow_entries {
	struct gow_unpack unpack;
	const gow_monitor *monitor;
	locale_t locale; /* in which names are UTF-8 */
	uint64_t end;    /* of the entry that was read last, in the container */
};

/*
 * Owns input->file from then on, also when it fails. any_format: it is an archive (-f), so
 * formats are tried that are not recognized otherwise.
 * Release in any case.
 */
int gow_entries_open(struct gow_entries *entries, const struct gow_archive_input *input,
                     bool any_format, const gow_monitor *monitor, gow_error *error);
void gow_entries_release(struct gow_entries *entries);

/* The next entry, which is libarchive's; NULL at the end. */
int gow_entries_next(struct gow_entries *entries, struct archive_entry **entry, gow_error *error);

/* An entry's name, to be freed; NULL: no memory. */
char *gow_entries_name(const struct gow_entries *entries, struct archive_entry *entry);

/* Bytes of the entry; *got falls short of size only at its end. The context is a gow_entries. */
int gow_entries_read(void *context, void *buf, size_t size, size_t *got, gow_error *error);

/* Skips what is left of the entry. */
int gow_entries_pass(struct gow_entries *entries, gow_error *error);

/* An entry was read to its end by other means. */
int gow_entries_note_end(struct gow_entries *entries, gow_error *error);

/* Whether it is a regular file with its data. */
bool gow_entry_is_file(struct archive_entry *entry);

/* A name without the "./" that some tools write before every name. */
const char *gow_entry_bare_name(const char *name);

/* A copy of a name without control characters, for messages: others wrote it. NULL: no memory. */
char *gow_entry_printable_name(const char *name);

#endif
