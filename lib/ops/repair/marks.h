/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * marks.h - the marks of an image, its magic and its version, which say whether a change
 * is under way: they are written last, in one write, and read back.
 */
#ifndef GOW_OPS_REPAIR_MARKS_H
#define GOW_OPS_REPAIR_MARKS_H

#include "image/layout.h"
#include "io/file.h"

/* Gives image (or what lies over it) the marks that from has. */
int gow_marks_copy(const struct gow_layout *layout, struct gow_file *from, struct gow_file *image,
                   gow_error *error);

/* The same durably, and what was written is read back: GOW_ERR_MISMATCH where the medium garbled it
 * twice. from may be the image itself. */
int gow_marks_settle(const struct gow_layout *layout, struct gow_file *from, struct gow_file *image,
                     gow_error *error);

/*
 * Gives image the marks of a change that is under way, as gow_marks_settle does. The version goes
 * with the magic: where it was damaged, GOW! alone would not be understood, and nobody would find
 * the undo file.
 */
int gow_marks_write_pending(const struct gow_layout *layout, struct gow_file *image,
                            gow_error *error);

#endif
