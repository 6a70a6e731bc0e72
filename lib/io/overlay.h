/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * overlay.h - a file as it would be: what is written to an overlay is laid over its base, which
 * is never touched. Whatever judges a file judges an overlay by the same code.
 *
 * Bytes that are only moved are not kept: a copy refers to its place in the base.
 */
#ifndef GOW_IO_OVERLAY_H
#define GOW_IO_OVERLAY_H

#include "io/file.h"
#include "io/pieces.h"

/* Lays an empty overlay over base, which must not change meanwhile, and outlive it. Sync succeeds
 * and does nothing. */
int gow_overlay_new(struct gow_file *base, struct gow_file **overlay, gow_error *error);

/* From now on the overlay owns its base, and closes it with itself. */
void gow_overlay_own_base(struct gow_file *overlay);

/* Lays size bytes of an overlay's base, from source on, over offset; what is past the base's end counts as
 * zeros. The overlay grows to hold them. What is laid over source is not seen. */
int gow_overlay_copy(struct gow_file *file, uint64_t offset, uint64_t source, uint64_t size,
                     gow_error *error);

/* Visits all pieces, ascending. The visitor must not change the overlay. */
int gow_overlay_each(struct gow_file *overlay, gow_piece_visitor visit, void *context,
                     gow_error *error);

#endif
