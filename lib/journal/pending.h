/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pending.h - the record of an in-place change that was interrupted: whoever changes an image in
 * place leaves one, and this is where all are looked for. Most count only when the magic says that
 * one is there; the record of an upgrade that is moving data counts always.
 */
#ifndef GOW_JOURNAL_PENDING_H
#define GOW_JOURNAL_PENDING_H

#include "image/layout_table.h"
#include "image/validate.h"

/*
 * Looks for the record of an interrupted change. Without one, *pending is of the kind
 * GOW_PENDING_NONE. Damage in a record is no failure: it is not found then. file->name is where
 * records beside the image are looked for.
 */
int gow_pending_find(struct gow_file *file, const struct gow_header *header,
                     struct gow_pending *pending, gow_error *error);

/*
 * The record of an interrupted change may say by which layout the image is read. If none of *layouts
 * is that of the undo file beside an image, *layouts becomes a table of that layout alone; where none
 * reads the header, those in the record of an upgrade are added. What the caller chose stays as it is.
 * For an image that is open, before its header is read. Fails for want of memory, or where there are
 * too many layouts.
 */
int gow_pending_layouts(struct gow_file *file, struct gow_layouts **layouts, gow_error *error);

/*
 * For reading a pending image: *view, which owns file then, shows it as it was before the change.
 * NULL where there is no record, or it is of a kind that does not tell.
 */
int gow_pending_view(struct gow_file *file, const struct gow_header *header, struct gow_file **view,
                     gow_error *error);

#endif
