/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * change.h - a change of an image in place that can be taken back, and never leaves it half done
 * and bootable. The order of writes is part of the format of the undo file, gow-undo(5).
 */
#ifndef GOW_OPS_CHANGE_H
#define GOW_OPS_CHANGE_H

#include "journal/undo.h"
#include "io/lock.h"

struct gow_change {
	struct gow_file *image;
	struct gow_undo_place place;
	const struct gow_layout *layout;
	struct gow_lock *lock; /* asked at safe points; may be NULL */
	const gow_monitor *monitor;
	const char *phase;     /* that the monitor gets; NULL: repair */
	struct gow_undo *undo; /* of the change that is under way; owned; NULL: none yet */
};

/* Judges the image as it is after the writes, before anybody else may use it. */
typedef int (*gow_change_checker)(void *context, struct gow_file *image, gow_error *error);

/*
 * Makes image what overlay, which lies over it, shows, if check finds that good; undo is what can
 * take it back then. Otherwise everything is rolled back; *pending says that this failed, too,
 * so that the image is marked as being in the middle of a change, and its undo file is there.
 * what is for people; pointed (may be NULL) is where the undo file is to be.
 */
int gow_change_commit(struct gow_change *change, struct gow_file *overlay, const char *what,
                      const char *pointed, gow_change_checker check, void *context, bool *pending,
                      gow_error *error);

/* Writes the marks as they are in the image once more, and makes them durable: an earlier run may have
 * failed to, and a record is only removed when the disk is known to need it no longer. */
int gow_change_settle_marks(const struct gow_change *change, gow_error *error);

/* Takes back what undo is about, in part or in full, and removes the undo file. May be done again
 * when it was interrupted. */
int gow_change_roll_back(struct gow_change *change, gow_error *error);

#endif
