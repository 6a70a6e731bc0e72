/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds.h - the kinds of sources that source.c chooses from, each in a file of its own; disk.h is
 * for everybody else. What opens one owns the file or descriptor, also when it fails.
 */
#ifndef GOW_DISK_SOURCE_KINDS_H
#define GOW_DISK_SOURCE_KINDS_H

#include "disk/archive/input.h"
#include "disk/disk.h"
#include "image/layout_table.h"

/* Whether -f says that it is an image. */
static inline bool gow_source_wants_image(const struct gow_source_options *options)
{
	return options->format != GOW_FORMAT_PROBE && options->format != GOW_FORMAT_RAW &&
	       options->format != GOW_FORMAT_TAR;
}

/* Whether --layout does, which says where everything of an image stands. */
static inline bool gow_source_wants_layout(const struct gow_source_options *options)
{
	return options->common.layout && options->format != GOW_FORMAT_RAW &&
	       options->format != GOW_FORMAT_TAR;
}

/* ---- raw.c: a raw file or device --------------------------------------------------------- */

int gow_source_open_raw(struct gow_file *file, uint64_t size, const struct gow_lock *lock,
                        struct gow_source **source, gow_error *error);

/* What is gone from a file's end reads as a hole: at the end of the disk it is found out. */
int gow_source_check_length(const struct gow_source *source, gow_error *error);

/* ---- image.c: a GOW image ---------------------------------------------------------------- */

/* *layouts are taken over where it succeeds. */
int gow_source_open_image(struct gow_file *file, const struct gow_lock *lock, bool has_magic,
                          const struct gow_source_options *options, struct gow_layouts **layouts,
                          struct gow_source **source, gow_error *error);

/* ---- packed.c: an archive ---------------------------------------------------------------- */

/* Whether what begins like that is read as an archive. */
bool gow_source_is_packed(const struct gow_source_options *options, const uint8_t *head,
                          size_t size);

/* *layouts are taken over where it succeeds. */
int gow_source_open_packed(const struct gow_archive_input *input,
                           const struct gow_source_options *options, struct gow_layouts **layouts,
                           struct gow_source **source, gow_error *error);

/* ---- stream.c: standard input, a FIFO ---------------------------------------------------- */

/*
 * Whether a name is read as a stream, and then its descriptor; -1: it is a file, and the name may
 * become another; -2: error is filled.
 */
int gow_source_stream_of(const char **path, gow_error *error);

/* fd is owned where it is not standard input. */
int gow_source_open_stream(int fd, const char *name, const struct gow_source_options *options,
                           struct gow_source **source, gow_error *error);

#endif
