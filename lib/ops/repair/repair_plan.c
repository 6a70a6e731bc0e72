/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair_job.h"

#include "base/error.h"
#include "image/validate.h"

static int check_size(const struct gow_repair_job *job, gow_error *error)
{
	uint64_t size = job->options->size;

	if (!size || gow_size_is_valid(job->layout, size))
		return GOW_OK;
	return gow_fail(error, size > job->layout->logical_limit ? GOW_ERR_LIMIT : GOW_ERR_ARGUMENT,
	                "--size: %llu bytes are no valid size of a version %u disk (at most %llu, "
	                "a multiple of 512)",
	                (unsigned long long)size, job->layout->version,
	                (unsigned long long)job->layout->logical_limit);
}

/* --size is there to repair, not to shrink a sound disk. */
static int check_size_serves(const struct gow_repair_job *job, gow_error *error)
{
	const struct gow_plan *plan = &job->plan;
	uint64_t size = job->options->size;
	struct gow_header header;
	int code;

	if (!size || plan->found.by_id[GOW_HEADER_SIZE].problem ||
	    plan->found.by_id[GOW_HEADER_TRUNCATED].problem)
		return GOW_OK;
	code = gow_header_read_as(gow_repair_base_of(job), job->layout, &header, error);
	if (code || size >= header.logical_size)
		return code;
	return gow_fail(error, GOW_ERR_ARGUMENT,
	                "--size: the disk has %llu bytes, and is not made smaller",
	                (unsigned long long)header.logical_size);
}

int gow_repair_make_plan(struct gow_repair_job *job, gow_error *error)
{
	int code = gow_repair_begin_plan(job, error);

	if (!code)
		code = check_size(job, error);
	if (!code)
		code = gow_plan_work_out(&job->plan, error);
	return code ? code : check_size_serves(job, error);
}

static void report_left(struct gow_repair_job *job)
{
	const struct gow_plan *plan = &job->plan;
	const struct gow_verdict *left = plan->quit ? &plan->found : &plan->foreseen;

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		gow_repair_left *row = &job->result->left[job->result->left_count];

		if (!left->by_id[i].problem)
			continue;
		row->finding = left->by_id[i];
		row->why = plan->why_left[i] ? plan->why_left[i] : "not repaired";
		if (plan->quit)
			row->why = "nothing was to be changed";
		job->result->left_count++;
	}
}

static int report_step(void *context, const gow_repair_step *step)
{
	const struct gow_repair_job *job = context;

	job->options->step(job->options->context, step);
	return GOW_OK;
}

int gow_repair_report_plan(struct gow_repair_job *job, gow_error *error)
{
	const struct gow_plan *plan = &job->plan;
	gow_repair_result *result = job->result;

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (plan->found.by_id[i].problem)
			gow_repair_report_found(job, &plan->found.by_id[i]);
	report_left(job);
	result->damaged_entries = plan->quit ? 0 : plan->damaged_entries;
	result->quit = plan->quit;
	if (gow_plan_is_empty(plan))
		return GOW_OK;
	result->steps += plan->steps.count;
	return job->options->step ? gow_steps_each(&plan->steps, report_step, job, error) : GOW_OK;
}

int gow_repair_measure(struct gow_repair_job *job, gow_error *error)
{
	const struct gow_plan *plan = &job->plan;
	uint64_t old_size = 0, new_size = 0;
	int code = gow_file_size(gow_repair_base_of(job), &old_size, error);

	if (!code)
		code = gow_file_size(plan->overlay, &new_size, error);
	if (!code)
		code = gow_undo_size(gow_repair_base_of(job), plan->overlay, job->layout,
		                     &job->result->undo_bytes, error);
	job->result->growth = new_size - old_size;
	return code;
}
