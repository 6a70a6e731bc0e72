/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair.h - repairing an image that is open, and undoing that. What is public of it is in
 * gow.h.
 *
 * What an earlier run wrote and was killed before it could sync is in the files for us to see,
 * and may still be lost: before anything is built on it, it is made durable.
 */
#ifndef GOW_OPS_REPAIR_H
#define GOW_OPS_REPAIR_H

#include "journal/undo.h"
#include "io/lock.h"

/* Nothing of it is owned. */
struct gow_repair_target {
	struct gow_file *file;       /* open for writing, unless it is a dry run */
	struct gow_lock *lock;       /* of it */
	struct gow_undo_place place; /* with the layouts that there are */
	bool settled;                /* the file was settled when it was opened */
};

/* gow_repair for a file that is open. */
int gow_repair_file(const struct gow_repair_target *target, const gow_repair_options *options,
                    gow_repair_result *result, gow_error *error);

/* gow_repair_undo for a file that is open. */
int gow_repair_undo_file(const struct gow_repair_target *target, const gow_undo_options *options,
                         gow_undo_result *result, gow_error *error);

#endif
