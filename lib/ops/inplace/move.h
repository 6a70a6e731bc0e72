/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.h - moves the data of an upgrade from its old place to its new one, or back, as far as the
 * trailer's cursor says that it is not there yet.
 *
 * At any time the first `unmoved` bytes of the data are whole in the old place, and the others
 * in the new one. That holds for both cursors of the trailer: should the newer one be damaged,
 * the older one is as good. The places may overlap. So a chunk must not exceed half the distance
 * between them: then it overwrites neither its own source nor that of the chunk before it.
 */
#ifndef GOW_OPS_MOVE_H
#define GOW_OPS_MOVE_H

#include "journal/trailer.h"
#include "io/holes.h"
#include "io/lock.h"
#include "io/readback.h"
#include "ops/inplace/pen.h"

struct gow_move {
	struct gow_pen *pen;
	struct gow_trailer *trailer; /* its cursor goes along */
	struct gow_hole_map *holes;  /* of what is to be moved */
	struct gow_lock *lock;
	const gow_monitor *monitor;
	bool back;
	uint64_t carried; /* bytes of data; holes are not counted */
	/* For gow_move_run itself. */
	struct gow_meant *meant; /* what a chunk was meant to be */
	uint8_t *buffer;
};

/* Finds out where there is data among what is to be moved: into move->holes, which is empty. */
int gow_move_look(struct gow_move *move, gow_error *error);

/* Runs to the end, or to a safe point where it must stop. */
int gow_move_run(struct gow_move *move, gow_error *error);

/* Writes the trailer's cursor over the older of the two, as the pass wants. */
int gow_move_save_cursor(struct gow_move *move, gow_error *error);

/*
 * Of a record of the old format with one whole cursor: whether that is good enough. It is where
 * the chunk that it points to has been copied and its source still stands, since that is how
 * things were when the other cursor was being written.
 */
int gow_move_check_old_cursor(struct gow_file *file, const struct gow_trailer *trailer,
                              gow_error *error);

#endif
