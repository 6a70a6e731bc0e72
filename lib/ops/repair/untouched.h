/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * untouched.h - whether an image is still as a repair left it, so that an undo loses nothing.
 */
#ifndef GOW_OPS_REPAIR_UNTOUCHED_H
#define GOW_OPS_REPAIR_UNTOUCHED_H

#include "io/lock.h"
#include "journal/undo.h"

/*
 * Checks that nothing was done to the image since the repair that undo belongs to which undoing it
 * would lose: GOW_ERR_CHANGED, with the logical block and the offset, where something was. Reads
 * the map as it is and as it would be, and each block that would change its place. lock is the
 * image's.
 */
int gow_repair_check_untouched(struct gow_file *image, const struct gow_undo *undo,
                               struct gow_lock *lock, const gow_monitor *monitor, gow_error *error);

#endif
