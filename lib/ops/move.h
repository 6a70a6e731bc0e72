/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.h - carries the data of an upgrade from its old place to its new one, or back, as far as
 * the trailer's cursor says that it is not there yet.
 *
 * At any time the first `unmoved` bytes of the data are whole in the old place, and the others
 * in the new one. The places may overlap: then the distance between them is what a chunk must not
 * exceed, so that what a chunk overwrites is neither.
 */
#ifndef GOW_OPS_MOVE_H
#define GOW_OPS_MOVE_H

#include "image/trailer.h"
#include "io/lock.h"
#include "io/survey.h"
#include "ops/pen.h"

struct gow_move {
	struct gow_pen *pen;
	struct gow_trailer *trailer; /* its cursor goes along */
	struct gow_survey *survey;   /* of what is to be moved */
	struct gow_lock *lock;
	const gow_monitor *monitor;
	bool back;
	uint64_t carried; /* bytes of data; holes are not counted */
};

/* Finds out where there is data among what is to be moved: into move->survey, which is empty. */
int gow_move_look(struct gow_move *move, gow_error *error);

/* Runs to the end, or to a safe point where it must stop. */
int gow_move_run(struct gow_move *move, gow_error *error);

/* Writes the trailer's cursor, as the pass wants. */
int gow_move_save_cursor(struct gow_move *move, gow_error *error);

#endif
