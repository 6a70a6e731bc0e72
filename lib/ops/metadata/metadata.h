/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metadata.h - what of an image's file is no guest data, and the text that an archive of it begins
 * with:
 *
 *	gow-metadata 1
 *	version 3
 *	layout gow-3
 *	file-size 33882624
 *	range 0 33554944
 *	digest 99aa06d3014798d86001c324468d497f
 *
 * A range is a start and a length in the file. The digest is made as that of a guest's disk, of the
 * pieces of at most a block that the ranges have and that are not all zeros, one after the other.
 */
#ifndef GOW_OPS_METADATA_H
#define GOW_OPS_METADATA_H

#include "disk/archive/pack.h"

enum { GOW_METADATA_RANGES = 2, GOW_METADATA_TEXT = 1024 };

/* What is kept of a file, as its header and the record in it say. */
struct gow_metadata_plan {
	unsigned version;
	char layout[64];
	uint64_t file_size;
	struct gow_tar_run ranges[GOW_METADATA_RANGES]; /* ascending, apart, inside the file */
	size_t range_count;
	char digest[33];
};

/* What the ranges hold: runs of pieces that are not all zeros. runs is owned. */
struct gow_metadata_runs {
	struct gow_tar_run *runs;
	size_t count, room;
	uint64_t bytes;
	char digest[33];
};

/* Reads the ranges. Free with free(runs->runs), also after a failure. */
int gow_metadata_scan(struct gow_file *file, const struct gow_metadata_plan *plan,
                      struct gow_metadata_runs *runs, gow_error *error);

/* Writes the text; returns its length. */
size_t gow_metadata_print(const struct gow_metadata_plan *plan, char text[GOW_METADATA_TEXT]);

/* Strict: GOW_ERR_DAMAGED for anything that gow_metadata_print would not write. */
int gow_metadata_parse(const char *text, struct gow_metadata_plan *plan, gow_error *error);

/* The two ways of gow_convert_metadata; the compression is a known one. */
int gow_metadata_save(const char *path, const char *dest, const gow_metadata_options *options,
                      gow_metadata_result *result, gow_error *error);
int gow_metadata_restore(const char *path, const char *dest, const gow_metadata_options *options,
                         gow_metadata_result *result, gow_error *error);

/* What the members' names end in; that of an undo file may be followed by the layer's number. */
#define GOW_METADATA_HEAD ".gow-metadata"
#define GOW_METADATA_LAYOUT ".layout"
#define GOW_METADATA_UNDO ".gow-undo"
#define GOW_METADATA_SYNC ".gow-sync"
#define GOW_METADATA_IMAGE ".gow"

#endif
