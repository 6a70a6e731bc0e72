/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair_job.h - a repair, or the undoing of one, while it is at work. For the repair_*.c only.
 */
#ifndef GOW_OPS_REPAIR_REPAIR_JOB_H
#define GOW_OPS_REPAIR_REPAIR_JOB_H

#include "ops/inplace/proof.h"
#include "ops/repair/change.h"
#include "ops/repair/plan.h"
#include "ops/repair/repair.h"

struct gow_repair_job {
	const struct gow_repair_target *target;
	const gow_repair_options *options;
	gow_repair_result *result;
	struct gow_file *rolled_back; /* of a dry run: the image as a rollback would leave it */
	const struct gow_layout *layout;
	struct gow_plan plan;
	struct gow_proof proof;
};

struct gow_proof gow_repair_proof_of(const struct gow_repair_target *target, bool wanted,
                                     const gow_monitor *monitor);
void gow_repair_close_job(struct gow_repair_job *job);
bool gow_repair_is_dry_run(const struct gow_repair_job *job);
const char *gow_repair_name_of(const struct gow_repair_job *job);
const struct gow_undo_place *gow_repair_place_of(const struct gow_repair_job *job);
int gow_repair_read_header(const struct gow_repair_job *job, struct gow_file *file,
                           struct gow_header *header, gow_error *error);
struct gow_change gow_repair_change_of(struct gow_repair_job *job, const gow_monitor *monitor);

/* The image that the plan is made for. */
struct gow_file *gow_repair_base_of(const struct gow_repair_job *job);

/* What a run that was killed had not synced is in the files for us to see, and may still be lost:
 * the magic that says that a change is over, say, or that a layer was removed. Whoever rolls an
 * interrupted repair back need not ask: the image is synced first there, and no layer was removed
 * since that repair settled all. */
int gow_repair_settle(const struct gow_repair_job *job, gow_error *error);

/* Removes a layer that is of no more use. The image may look as if it needed it no longer because of
 * what an earlier run failed to bring to the disk; so that is written again first. */
int gow_repair_remove_layer(struct gow_repair_job *job, struct gow_undo *undo, gow_error *error);
void gow_repair_report_found(const struct gow_repair_job *job, const gow_finding *finding);

/* The image as a dry run's rollback would leave it. */
int gow_repair_show_rolled_back(struct gow_repair_job *job, const struct gow_undo *undo,
                                gow_error *error);
int gow_repair_refuse_pending(const struct gow_repair_job *job, const char *what, gow_error *error);

/* Resumes an upgrade, to its end. A dry run cannot show the image that comes of it. */
int gow_repair_finish_upgrade(struct gow_repair_job *job, const struct gow_header *header,
                              bool *over, gow_error *error);

/* Deals with what an interrupted change has left; *over: nothing more is to be done. */
int gow_repair_finish_change(struct gow_repair_job *job, const struct gow_header *header,
                             bool *over, gow_error *error);

/* Finds the layout, and has the plan begun. */
int gow_repair_begin_plan(struct gow_repair_job *job, gow_error *error);

/* Sees to a change that was interrupted, where the header, or the record of an upgrade, says that
 * there is one. */
int gow_repair_settle_pending(struct gow_repair_job *job, bool *over, gow_error *error);
int gow_repair_make_plan(struct gow_repair_job *job, gow_error *error);
int gow_repair_report_plan(struct gow_repair_job *job, gow_error *error);
int gow_repair_measure(struct gow_repair_job *job, gow_error *error);

#endif
