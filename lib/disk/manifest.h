/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manifest.h - gow-manifest(5): the hash of every block of a guest's disk, as text. Written and
 * read front to back, in memory that does not grow.
 */
#ifndef GOW_DISK_MANIFEST_H
#define GOW_DISK_MANIFEST_H

#include "base/block.h"
#include "io/file.h"

/* ---- writing ----------------------------------------------------------------------------- */

struct gow_manifest_writer;

/* Into an empty file, which is not owned. logical_size: a guest disk's. */
int gow_manifest_begin(struct gow_file *file, uint64_t logical_size,
                       struct gow_manifest_writer **writer, gow_error *error);

/* A block that is not all zeros; ascending. */
int gow_manifest_add(struct gow_manifest_writer *writer, uint64_t index,
                     const struct gow_hash *hash, gow_error *error);

/* All blocks were added. The file is whole then, and not durable yet. */
int gow_manifest_end(struct gow_manifest_writer *writer, const gow_digest *digest,
                     gow_error *error);

/* Accepts NULL. */
void gow_manifest_writer_free(struct gow_manifest_writer *writer);

/* ---- reading ----------------------------------------------------------------------------- */

/* Reads its bytes: *got falls short of size only at the end. */
typedef int (*gow_manifest_fill)(void *context, void *buf, size_t size, size_t *got,
                                 gow_error *error);

struct gow_manifest;

/*
 * Begins to read. Every deviation from the form is GOW_ERR_DAMAGED, with line and column.
 * name is for messages and is not kept.
 */
int gow_manifest_open(const char *name, gow_manifest_fill fill, void *context,
                      struct gow_manifest **manifest, gow_error *error);

/* The same of a file, front to back; not owned. */
int gow_manifest_open_file(struct gow_file *file, struct gow_manifest **manifest, gow_error *error);

/* Accepts NULL. */
void gow_manifest_close(struct gow_manifest *manifest);

/* Bytes of the disk that it is of. */
uint64_t gow_manifest_size(const struct gow_manifest *manifest);

/*
 * The next block; *index is GOW_NOWHERE where there is none left, and then its digest has been
 * found to follow from its lines. Nothing of a manifest is to be believed before that.
 */
int gow_manifest_next(struct gow_manifest *manifest, uint64_t *index, struct gow_hash *hash,
                      gow_error *error);

/* Reads all that is left. The digest is the manifest's. */
int gow_manifest_read_all(struct gow_manifest *manifest, gow_digest *digest, gow_error *error);

#endif
