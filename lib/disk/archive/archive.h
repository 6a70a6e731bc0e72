/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * archive.h - a guest's disk as a member of an archive: written as a tar file, with a manifest
 * after the disk, and read from whatever libarchive reads. Nothing outside of this directory knows
 * libarchive.
 */
#ifndef GOW_DISK_ARCHIVE_ARCHIVE_H
#define GOW_DISK_ARCHIVE_ARCHIVE_H

#include "disk/disk.h"
#include "disk/formats.h"
#include "disk/archive/input.h"
#include "image/layout_table.h"

/* ---- writing ----------------------------------------------------------------------------- */

struct gow_archive_options {
	struct gow_file *file; /* where to; not owned. NULL: to standard output */
	const char *beside; /* temporary files are made beside this; NULL: in the usual directory */
	const char *name;   /* of the members, without what they end in */
	const struct gow_layout *layout; /* of the image; NULL: a raw disk */
	uint64_t size;                   /* of the disk, in bytes */
	const uint64_t *kept;            /* the set of blocks to be stored; not owned */
	const uint32_t *versions; /* version numbers for all entries, not owned; NULL: 1 for every
	                          * block that is stored */
	gow_compression compression; /* not GOW_COMPRESSION_BY_NAME */
	int level;                   /* GOW_LEVEL_USUAL, or the compressor's */
	int64_t mtime;               /* seconds since 1970, of the members */
	const gow_monitor *monitor;
};

/* The disk, as a member of a new archive, and its manifest as the next. */
int gow_sink_archive(const struct gow_archive_options *options, struct gow_sink **sink,
                     gow_error *error);

/* What the archive is long at most if it is not compressed. */
uint64_t gow_archive_size(const struct gow_layout *layout, uint64_t blocks);

/* ---- reading ----------------------------------------------------------------------------- */

/*
 * The disk in an archive, whose blocks may come in any order (gow_source_ops.pull). Whether it is
 * an image or a raw disk is decided by its content, and by the layouts: with a given one it is an
 * image. Owns input->file, also when it fails; *layouts are taken over where it succeeds.
 */
int gow_source_archive(const struct gow_archive_input *input,
                       const struct gow_source_options *options, struct gow_layouts **layouts,
                       struct gow_source **source, gow_error *error);

#endif
