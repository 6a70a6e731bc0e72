/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unpack_parts.h - what the parts of unpack know of each other: bytes into a layer (unpack_read.c),
 * gzip (unpack_gunzip.c), and how a layer ends (unpack_end.c).
 */
#ifndef GOW_DISK_ARCHIVE_UNPACK_PARTS_H
#define GOW_DISK_ARCHIVE_UNPACK_PARTS_H

#include "disk/archive/unpack.h"

/* How much passes from one layer to the next at once. */
enum { GOW_UNPACK_BYTES = 1 << 18 };

/* Whether anything takes off a compression. */
bool gow_unpack_is_compressed(const struct gow_unpack *unpack);

/* The next bytes of the file or stream; *got falls short of size only at the end. */
int gow_unpack_read_input(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                          gow_error *error);

/*
 * Passes over the skippable frames that zstd or lz4 data may begin with, as pzstd's does: libarchive
 * does not know data by them. The input begins behind them from then on, and its head shows that.
 * GOW_ERR_DAMAGED: neither zstd nor lz4 data follows.
 */
int gow_unpack_skip_frames(struct gow_unpack *unpack, gow_error *error);

/* What libarchive calls, with the gow_unpack as its context. */
la_ssize_t gow_unpack_give_input(struct archive *archive, void *context, const void **buf);
la_ssize_t gow_unpack_give_plain(struct archive *archive, void *context, const void **buf);
la_int64_t gow_unpack_skip_input(struct archive *archive, void *context, la_int64_t size);
la_int64_t gow_unpack_seek_input(struct archive *archive, void *context, la_int64_t offset,
                                 int whence);

/* Sets unpack->gunzip; close accepts NULL. */
int gow_gunzip_open(struct gow_unpack *unpack, gow_error *error);
void gow_gunzip_close(struct gow_gunzip *gunzip);

/* The next bytes of what was compressed; *got falls short of size only at the end. */
int gow_gunzip_read(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                    gow_error *error);

/* How many bytes of the input were part of gzip streams. */
uint64_t gow_gunzip_taken(const struct gow_gunzip *gunzip);

#endif
