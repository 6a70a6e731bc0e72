/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair.h"
#include "ops/repair/repair_job.h"

#include "ops/inplace/proof.h"
#include "ops/repair/change.h"

struct gow_proof gow_repair_proof_of(const struct gow_repair_target *target, bool wanted,
                                     const gow_monitor *monitor)
{
	return (struct gow_proof){
		.file = target->file,
		.lock = target->lock,
		.rows = target->place.rows,
		.row_count = target->place.row_count,
		.monitor = monitor,
		.wanted = wanted,
	};
}

void gow_repair_close_job(struct gow_repair_job *job)
{
	gow_plan_release(&job->plan);
	(void)gow_file_close(job->rolled_back, NULL);
}

bool gow_repair_is_dry_run(const struct gow_repair_job *job)
{
	return job->options->common.flags & GOW_COMMON_DRY_RUN;
}

const char *gow_repair_name_of(const struct gow_repair_job *job)
{
	return job->target->file->name;
}

const struct gow_undo_place *gow_repair_place_of(const struct gow_repair_job *job)
{
	return &job->target->place;
}

int gow_repair_read_header(const struct gow_repair_job *job, struct gow_file *file,
                           struct gow_header *header, gow_error *error)
{
	return gow_header_read(file, gow_repair_place_of(job)->rows,
	                       gow_repair_place_of(job)->row_count, header, error);
}

struct gow_change gow_repair_change_of(struct gow_repair_job *job, const gow_monitor *monitor)
{
	return (struct gow_change){
		.image = job->target->file,
		.place = *gow_repair_place_of(job),
		.layout = job->layout,
		.lock = job->target->lock,
		.monitor = monitor,
	};
}

struct gow_file *gow_repair_base_of(const struct gow_repair_job *job)
{
	return job->rolled_back ? job->rolled_back : job->target->file;
}

int gow_repair_settle(const struct gow_repair_job *job, gow_error *error)
{
	int code = job->target->settled ? GOW_OK : gow_file_settle(job->target->file, error);

	return code ? code : gow_directory_sync(gow_repair_place_of(job)->directory, error);
}

int gow_repair_remove_layer(struct gow_repair_job *job, struct gow_undo *undo, gow_error *error)
{
	struct gow_change change = gow_repair_change_of(job, NULL);
	int code;

	change.undo = undo;
	change.layout = undo->layout;
	if (!undo->undone)
		return gow_change_roll_back(&change, error);
	code = gow_change_settle_marks(&change, error);
	return code ? code
	            : gow_undo_remove(gow_repair_place_of(job), undo, job->target->file, error);
}
