/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * builder.h - a new image, written front to back into a file that nobody else sees yet (a
 * draft): blocks in logical order, the header last. What makes it durable is the draft's.
 */
#ifndef GOW_IMAGE_BUILDER_H
#define GOW_IMAGE_BUILDER_H

#include "image/layout.h"
#include "io/file.h"

struct gow_builder;

/* For an empty file, which is not owned. */
int gow_builder_new(struct gow_file *file, const struct gow_layout *layout,
                    struct gow_builder **builder, gow_error *error);
void gow_builder_free(struct gow_builder *builder);

/*
 * Gives size bytes, from the start of logical block `logical` on, the next physical blocks. Each
 * block is given once; the last may be partial, and reads as zeros from there on.
 * GOW_ERR_LIMIT where the layout has no such block.
 */
int gow_builder_append(struct gow_builder *builder, uint64_t logical, const void *bytes,
                       size_t size, gow_error *error);

/* The same for whole blocks that stand in another file at offset, and neighbours there. */
int gow_builder_append_from(struct gow_builder *builder, uint64_t logical, struct gow_file *file,
                            uint64_t offset, uint32_t blocks, gow_error *error);

/*
 * Writes the header of a disk of logical_size bytes (valid). Version numbers, where the layout
 * has them, are taken from versions (one for every map entry), or 1 for every block appended if
 * that is NULL.
 */
int gow_builder_finish(struct gow_builder *builder, uint64_t logical_size, const uint32_t *versions,
                       gow_error *error);

/* How many bytes gow_builder_finish writes with these version numbers; NULL where the layout has
 * none. Holes are not written. */
uint64_t gow_builder_header_bytes(const struct gow_layout *layout, const uint32_t *versions);

/* What the file is long when so many blocks have been appended. */
uint64_t gow_image_file_size(const struct gow_layout *layout, uint64_t blocks);

#endif
