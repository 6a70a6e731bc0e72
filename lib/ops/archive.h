/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * archive.h - a guest's disk as a member of an archive: written as a tar file with a manifest
 * behind it, read from whatever libarchive reads. Nothing else knows libarchive.
 */
#ifndef GOW_OPS_ARCHIVE_H
#define GOW_OPS_ARCHIVE_H

#include "ops/disk.h"

/* ---- writing ----------------------------------------------------------------------------- */

struct gow_archive_options {
	struct gow_file *file;   /* where to; not owned. NULL: to standard output */
	const char *beside;      /* temporary files lie beside this; NULL: where they usually do */
	const char *name;        /* of the members, without what they end in */
	const struct gow_layout *layout; /* of the image; NULL: a raw disk */
	uint64_t size;           /* of the disk, in bytes */
	const uint64_t *kept;    /* the set of blocks to be stored; not owned */
	const uint32_t *versions;/* version numbers for all entries, not owned; NULL: 1 for every
	                          * block that is stored */
	gow_compression compression; /* not GOW_COMPRESSION_BY_NAME */
	int level;               /* GOW_LEVEL_USUAL, or the compressor's */
	int64_t mtime;           /* seconds since 1970, of the members */
	const gow_monitor *monitor;
};

/* The disk, as a member of a new archive, and its manifest as the next. */
int gow_sink_archive(const struct gow_archive_options *options, struct gow_sink **sink,
                     gow_error *error);

/* Whether there is such a compressor, and it has that level. */
int gow_compression_check(gow_compression compression, int level, gow_error *error);

/* What the archive is long at most if it is not compressed. */
uint64_t gow_archive_size(const struct gow_layout *layout, uint64_t blocks);

/* ---- reading ----------------------------------------------------------------------------- */

/* How much of a file's start tells whether it is an archive. */
enum { GOW_ARCHIVE_HEAD = 512 };

/* Whether these bytes at the start of a file are those of an archive or a compressed file. */
bool gow_archive_has_magic(const uint8_t *head, size_t size);

/* Where the bytes of an archive come from. */
struct gow_archive_input {
	struct gow_file *file; /* owned by the source from then on; NULL: standard input */
	struct gow_lock lock;
	const uint8_t *head;   /* what has been read of standard input already */
	size_t head_size;
};

/*
 * The disk in an archive, whose blocks may come in any order (gow_source_ops.pull). Whether it is
 * an image or a raw disk is told by its content. Owns input->file, also when it fails.
 */
int gow_source_archive(const struct gow_archive_input *input,
                       const struct gow_source_options *options, struct gow_source **source,
                       gow_error *error);

#endif
