/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/validate.h"
#include "io/draft.h"
#include "ops/check/check.h"
#include "ops/inplace/proof.h"
#include "ops/repair/change.h"
#include "ops/repair/repair.h"
#include "ops/repair/salvage.h"

/* ---- carrying it out --------------------------------------------------------------------- */

struct description {
	char *what;
	size_t size, used;
	const gow_problem *last;
};

static int describe_step(void *context, const gow_repair_step *step)
{
	struct description *text = context;

	if (text->used >= text->size || (text->used && step->problem == text->last))
		return GOW_OK;
	text->last = step->problem;
	text->used += (size_t)snprintf(text->what + text->used, text->size - text->used, "%s%s",
	                               text->used ? ", " : "",
	                               step->problem ? step->problem->name : "preamble");
	return GOW_OK;
}

/* What was being done, for whoever finds the undo file later. */
static int describe(const struct gow_repair_job *job, char *what, size_t size, gow_error *error)
{
	struct description text = { .what = what, .size = size };

	what[0] = '\0';
	return gow_steps_each(&job->plan.steps, describe_step, &text, error);
}

static int check_verdict(void *context, struct gow_file *image, gow_error *error)
{
	const struct gow_repair_job *job = context;
	const struct gow_verdict *foreseen = &job->plan.foreseen;
	struct gow_verdict verdict;
	struct gow_unchecked unchecked;
	int code = gow_unchecked_begin_as(image, job->layout, &unchecked, error);

	if (code)
		return code;
	code = gow_judge(&unchecked, &verdict, error);
	gow_unchecked_release(&unchecked);
	for (size_t i = 0; i < GOW_PROBLEM_COUNT && !code; i++)
		if (verdict.by_id[i].count != foreseen->by_id[i].count)
			code = gow_fail(error, GOW_ERR_MISMATCH,
			                "is not what the plan foresaw (%s)",
			                gow_problem_get((gow_problem_id)i)->name);
	return code;
}

static int check_room(const struct gow_repair_job *job, gow_error *error)
{
	const gow_repair_result *result = job->result;
	const char *undo_file = job->options->undo_file;
	int code;

	/* Whoever names another place has a reason, and mostly another file system. */
	if (!undo_file)
		return gow_check_room(job->target->file, result->undo_bytes + result->growth,
		                      error);
	code = gow_check_room_for(undo_file, result->undo_bytes, error);
	return code ? code : gow_check_room(job->target->file, result->growth, error);
}

/* A repair that never came to its first write may have left its undo file. */
static int remove_unbegun(struct gow_repair_job *job, gow_error *error)
{
	uint32_t *layers;
	size_t count;
	int code = gow_undo_layers(gow_repair_place_of(job), &layers, &count, error);

	if (code)
		return code;
	for (size_t i = 0; i < count && !code; i++) {
		struct gow_undo *undo;
		bool unbegun = false;

		if (gow_undo_open(gow_repair_place_of(job), layers[i], true, &undo, NULL))
			break;
		if (!undo->done && !undo->undone)
			code = gow_undo_is_unbegun(undo, job->target->file, &unbegun, error);
		unbegun = unbegun || undo->undone;
		if (!code && unbegun)
			code = gow_repair_remove_layer(job, undo, error);
		gow_undo_close(undo);
		if (!unbegun)
			break;
	}
	free(layers);
	return code;
}

static int carry_out(struct gow_repair_job *job, gow_error *error)
{
	struct gow_change change = gow_repair_change_of(job, job->options->common.monitor);
	char what[GOW_UNDO_WHAT];
	bool pending = false;
	int code = check_room(job, error);

	if (!code)
		code = remove_unbegun(job, error);
	if (!code)
		code = describe(job, what, sizeof what, error);
	if (code)
		return code;
	code = gow_change_commit(&change, job->plan.overlay, what, job->options->undo_file,
	                         check_verdict, job, &pending, error);
	if (pending)
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, gow_repair_name_of(job),
		         "could not be rolled back, and stays marked as being repaired; run "
		         "gow-repair again when the cause is gone");
	else if (code && change.undo)
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, gow_repair_name_of(job),
		         "everything was rolled back; the image is what it was");
	if (!code) {
		job->result->changed = true;
		(void)snprintf(job->result->undo_file, sizeof job->result->undo_file, "%s",
		               change.undo->file->name);
	}
	gow_undo_close(change.undo);
	return code;
}

/* ---- a mark that is removed -------------------------------------------------------------- */

static bool clears_mark(const struct gow_repair_job *job)
{
	return job->plan.has_steps[GOW_JOURNAL_MISSING] && !job->plan.quit;
}

/* Whether the guest's disk, as the plan leaves it, is the manifest's. */
static int compare_guest(const struct gow_repair_job *job, gow_error *error)
{
	const gow_digest_options wanted = { .struct_size = sizeof wanted,
		                            .manifest = job->options->manifest };
	const gow_finding *findings;
	gow_digest digest;
	gow_check *check;
	int code = gow_check_of_file(job->plan.overlay, job->target->lock, job->layout, 1,
	                             job->options->common.monitor, &check, error);

	if (code)
		return code;
	code = gow_check_digest(check, &wanted, &digest, error);
	for (size_t i = 0; i < gow_check_findings(check, &findings) && !code; i++)
		if (findings[i].problem->severity == GOW_CORRUPT)
			code = gow_fail(
				error, GOW_ERR_CORRUPT,
				"is not the disk of the manifest (%s, %llu): the mark stays, "
				"and nothing was changed",
				findings[i].problem->name, (unsigned long long)findings[i].count);
	gow_check_close(check);
	return gow_fail_in_file(error, code, gow_repair_name_of(job));
}

/* The magic says that a change is under way, and is to say so no longer. */
static int allow_clearing(const struct gow_repair_job *job, gow_error *error)
{
	if (!clears_mark(job))
		return GOW_OK;
	if (job->options->manifest)
		return compare_guest(job, error);
	gow_note(
		job->options->common.monitor, GOW_NOTE_WARNING, gow_repair_name_of(job),
		"an interrupted change is forgotten without its record: if it was moving blocks, "
		"the guest's data is wrong in places that no check of the header can find; compare "
		"with a manifest or a backup before the guest is started");
	return GOW_OK;
}

/* Whoever looks for the undo file must find it under the image's name. */
static int check_name(const struct gow_repair_job *job, gow_error *error)
{
	const struct gow_undo_place *place = gow_repair_place_of(job);
	/* With --undo-file something under that name says where it is. */
	int code = gow_fail_in_file(error, gow_undo_check_name(place, error),
	                            gow_repair_name_of(job));

	if (!code && job->options->undo_file)
		code = gow_undo_check_pointed(place, job->options->undo_file, job->target->file,
		                              error);
	return code ? code
	            : gow_directory_check_entry(place->directory, place->image, job->target->file,
	                                        job->options->undo_file ? NULL : "use --undo-file",
	                                        error);
}

/* What is salvaged must not stand where the undo file is to be. */
static int check_salvage(const struct gow_repair_job *job, gow_error *error)
{
	const struct gow_undo_place *place = gow_repair_place_of(job);
	const gow_repair_options *options = job->options;
	char *index;
	int code;

	if (asprintf(&index, "%s.index", options->salvage) < 0)
		return gow_fail_memory(error, strlen(options->salvage));
	code = gow_undo_check_other(place, options->salvage, options->undo_file, job->target->file,
	                            error);
	if (!code)
		code = gow_undo_check_other(place, index, options->undo_file, job->target->file,
		                            error);
	free(index);
	return code;
}

static int refuse_layout(const struct gow_repair_job *job, const char *why, gow_error *error)
{
	int code =
		gow_fail(error, GOW_ERR_UNSUPPORTED,
	                 "cannot be repaired in place: %s; nothing was changed; make a new image "
	                 "with gow-convert --salvage --layout",
	                 why);

	return gow_fail_in_file(error, code, gow_repair_name_of(job));
}

/* Whether a change can leave its mark and find its record; and whether it is known where the
 * blocks begin. */
static int check_layout(const struct gow_repair_job *job, gow_error *error)
{
	const char *why = gow_layout_why_no_mark(job->layout);

	if (why)
		return refuse_layout(job, why, error);
	if (job->layout->per_logical_block && job->plan.found.by_id[GOW_HEADER_SIZE].problem)
		return refuse_layout(
			job,
			"the length of its map follows from the logical size, which is "
			"invalid",
			error);
	return GOW_OK;
}

static int repair(struct gow_repair_job *job, gow_error *error)
{
	const gow_repair_options *options = job->options;
	bool over = false;
	int code = gow_repair_is_dry_run(job) ? GOW_OK : gow_repair_settle(job, error);

	if (!code)
		code = gow_repair_settle_pending(job, &over, error);
	if (!code && !over)
		code = gow_repair_make_plan(job, error);
	if (code || over)
		return code;
	code = gow_repair_report_plan(job, error);
	if (!code && !gow_plan_is_empty(&job->plan))
		code = check_layout(job, error);
	if (!code && !gow_plan_is_empty(&job->plan))
		code = check_name(job, error);
	if (!code && options->salvage)
		code = check_salvage(job, error);
	if (!code)
		code = allow_clearing(job, error);
	if (!code && !gow_plan_is_empty(&job->plan))
		code = gow_repair_measure(job, error);
	if (!code && options->salvage && !job->result->quit)
		code = gow_salvage(&job->plan, gow_repair_base_of(job), job->target->lock,
		                   gow_repair_place_of(job)->directory,
		                   options->common.flags & GOW_COMMON_DRY_RUN ? NULL
		                                                              : options->salvage,
		                   &job->result->salvaged_blocks, error);
	if (!code && !(options->common.flags & GOW_COMMON_DRY_RUN) &&
	    !gow_plan_is_empty(&job->plan))
		code = carry_out(job, error);
	return code;
}

/* What the repair has made of the image, or of a dry run would. */
static struct gow_file *outcome_of(const struct gow_repair_job *job)
{
	if (!gow_repair_is_dry_run(job) || job->result->quit)
		return job->target->file;
	return job->plan.overlay ? job->plan.overlay : gow_repair_base_of(job);
}

int gow_repair_file(const struct gow_repair_target *target, const gow_repair_options *options,
                    gow_repair_result *result, gow_error *error)
{
	gow_repair_result *made = calloc(1, sizeof *made);
	struct gow_repair_job job = {
		.target = target,
		.options = options,
		.result = made,
		.proof = gow_repair_proof_of(target, options->common.flags & GOW_COMMON_DIGEST,
		                             options->common.monitor),
	};
	bool doubted;
	int code = made ? gow_proof_begin(&job.proof, error) : gow_fail_memory(error, sizeof *made);

	/* What is read here comes into the plan, or into the undo file. */
	doubted = gow_file_doubt(target->file, !gow_repair_is_dry_run(&job));
	if (!code)
		code = repair(&job, error);
	(void)gow_file_doubt(target->file, doubted);
	if (!code)
		code = gow_proof_end(&job.proof, outcome_of(&job), error);
	if (!code) {
		*result = *made;
		result->digests = job.proof.digests;
	}
	gow_repair_close_job(&job);
	free(made);
	return code;
}
