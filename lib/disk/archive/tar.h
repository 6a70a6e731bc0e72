/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tar.h - a tar file that is being written: how it is compressed, how its members are described,
 * and what failed inside of libarchive's calls. It does not know what the members mean.
 */
#ifndef GOW_DISK_ARCHIVE_TAR_H
#define GOW_DISK_ARCHIVE_TAR_H

#include "io/file.h"

/* What tar has always written at once, in bytes; a plain tar file is a multiple of it. */
enum { GOW_TAR_RECORD = 10240 };

/* Whether there is such a compressor, and it has that level. */
int gow_compression_check(gow_compression compression, int level, gow_error *error);

struct gow_tar_options {
	struct gow_file *file;       /* where to; not owned. NULL: standard output */
	const char *name;            /* what the members' names begin with; NULL: plain ASCII */
	gow_compression compression; /* not GOW_COMPRESSION_BY_NAME */
	int level;                   /* GOW_LEVEL_USUAL, or the compressor's */
	int64_t mtime;               /* of the members, seconds since 1970 */
	const gow_monitor *monitor;
};

struct gow_tar;

/* Free with gow_tar_free. */
int gow_tar_begin(const struct gow_tar_options *options, struct gow_tar **tar, gow_error *error);

/* Bytes of a member that are data; between runs there are holes. */
struct gow_tar_run {
	uint64_t start, end;
};

/* The runs of a sparse member: ascending, apart, inside it; next is false after the last. */
struct gow_tar_runs {
	bool (*next)(void *context, struct gow_tar_run *run);
	void *context;
};

/* Begins a member of size bytes, which all are to be written; runs: NULL, it has no holes. */
int gow_tar_begin_member(struct gow_tar *tar, const char *name, uint64_t size,
                         const struct gow_tar_runs *runs, gow_error *error);

/* The next bytes of the member; those of its holes too, which are zeros and not stored. */
int gow_tar_write(struct gow_tar *tar, const void *buf, size_t size, gow_error *error);

/* The same, from a file. */
int gow_tar_copy(struct gow_tar *tar, struct gow_file *file, struct gow_tar_run part,
                 gow_error *error);

int gow_tar_end_member(struct gow_tar *tar, gow_error *error);

/* Ends the archive, which is not durable yet. */
int gow_tar_end(struct gow_tar *tar, gow_error *error);

/* How long the archive is so far, in bytes. */
uint64_t gow_tar_size(const struct gow_tar *tar);

/* What is freed before gow_tar_end is not made to look whole. Accepts NULL. */
void gow_tar_free(struct gow_tar *tar);

#endif
