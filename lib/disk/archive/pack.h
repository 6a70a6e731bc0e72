/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pack.h - whole files, holes and all, as members of a compressed tar file, and back: the
 * container of metadata dumps. It does not know what they mean.
 */
#ifndef GOW_DISK_ARCHIVE_PACK_H
#define GOW_DISK_ARCHIVE_PACK_H

#include "disk/archive/tar.h"

/* ---- writing ----------------------------------------------------------------------------- */

struct gow_pack_options {
	struct gow_file *file;       /* where to; not owned. NULL: standard output */
	gow_compression compression; /* not GOW_COMPRESSION_BY_NAME */
	int level;                   /* GOW_LEVEL_USUAL, or the compressor's */
	int64_t mtime;               /* of the members, seconds since 1970 */
	const gow_monitor *monitor;
};

struct gow_pack;

/* Free with gow_pack_free. */
int gow_pack_begin(const struct gow_pack_options *options, struct gow_pack **pack,
                   gow_error *error);

/* Names are plain ASCII. */
int gow_pack_text(struct gow_pack *pack, const char *name, const char *text, size_t size,
                  gow_error *error);

/* A file of size bytes, of which the runs are read: ascending, apart, inside the file. */
int gow_pack_file(struct gow_pack *pack, const char *name, struct gow_file *file, uint64_t size,
                  const struct gow_tar_run *runs, size_t count, gow_error *error);

/* Ends the archive; *written is how long it is. The pack is still to be freed. */
int gow_pack_end(struct gow_pack *pack, uint64_t *written, gow_error *error);
void gow_pack_free(struct gow_pack *pack); /* accepts NULL */

/* ---- reading ----------------------------------------------------------------------------- */

struct gow_pack_reader;

/* file is not owned; NULL: standard input. Free with gow_pack_close. */
int gow_pack_open(struct gow_file *file, const gow_monitor *monitor,
                  struct gow_pack_reader **reader, gow_error *error);
void gow_pack_close(struct gow_pack_reader *reader); /* accepts NULL */

/* The next member; *name, which lives until the one after it, is NULL after the last. What is not
 * a tar file, or a member that is not a regular file, is GOW_ERR_DAMAGED. */
int gow_pack_next(struct gow_pack_reader *reader, const char **name, gow_error *error);

/* The member as text, of less than room bytes; a NUL is added. */
int gow_pack_read_text(struct gow_pack_reader *reader, char *text, size_t room, gow_error *error);

/* The member's data to where it belongs in a file, which does not grow beyond limit bytes. */
int gow_pack_read_file(struct gow_pack_reader *reader, struct gow_file *file, uint64_t limit,
                       gow_error *error);

#endif
