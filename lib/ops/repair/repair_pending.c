/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair_job.h"

#include "base/error.h"
#include "base/monitor.h"
#include "image/validate.h"
#include "io/overlay.h"
#include "journal/pending.h"
#include "ops/inplace/upgrade.h"
#include "ops/repair/change.h"

static gow_place place_of_magic(const struct gow_layout *layout)
{
	return (gow_place){ GOW_NOWHERE, GOW_NOWHERE, layout->magic_offset, GOW_NOWHERE };
}

void gow_repair_report_found(const struct gow_repair_job *job, const gow_finding *finding)
{
	job->result->found[job->result->found_count++] = *finding;
	if (job->options->found)
		job->options->found(job->options->context, finding);
}

static void report_pending(const struct gow_repair_job *job, const struct gow_layout *layout,
                           gow_step_kind kind, const char *text, uint64_t length)
{
	const gow_place place = place_of_magic(layout);
	const gow_finding found = { gow_problem_get(GOW_JOURNAL_PENDING), 1, place };
	gow_repair_step step = gow_plan_step(GOW_JOURNAL_PENDING, kind, text, 0, length);

	gow_repair_report_found(job, &found);
	job->result->steps++;
	if (job->options->step)
		job->options->step(job->options->context, &step);
}

/* Whether whoever decides wants the interrupted change dealt with. */
static bool may_see_to_it(struct gow_repair_job *job, const struct gow_layout *layout)
{
	const gow_place place = place_of_magic(layout);
	gow_answer answer;

	if (job->options->level != GOW_REPAIR_ASK)
		return true;
	answer = job->options->ask(job->options->context, gow_problem_get(GOW_JOURNAL_PENDING),
	                           &place);
	job->result->quit = answer == GOW_ANSWER_QUIT;
	return answer == GOW_ANSWER_YES || answer == GOW_ANSWER_ALL;
}

int gow_repair_show_rolled_back(struct gow_repair_job *job, const struct gow_undo *undo,
                                gow_error *error)
{
	int code = gow_overlay_new(job->target->file, &job->rolled_back, error);

	return code ? code : gow_undo_lay(undo, job->rolled_back, error);
}

static int roll_back(struct gow_repair_job *job, struct gow_undo *undo, gow_error *error)
{
	struct gow_change change = gow_repair_change_of(job, job->options->common.monitor);
	int code;

	report_pending(job, undo->layout, GOW_STEP_ROLL_BACK, "what was overwritten is put back",
	               undo->old_size);
	if (gow_repair_is_dry_run(job))
		return gow_repair_show_rolled_back(job, undo, error);
	change.undo = undo;
	change.layout = undo->layout;
	code = gow_change_roll_back(&change, error);
	job->result->changed = !code;
	return code;
}

int gow_repair_refuse_pending(const struct gow_repair_job *job, const char *what, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT, "is in the middle of a change: %s", what);

	return gow_fail_in_file(error, code, gow_repair_name_of(job));
}

int gow_repair_finish_upgrade(struct gow_repair_job *job, const struct gow_header *header,
                              bool *over, gow_error *error)
{
	const struct gow_upgrade_job upgrade = {
		.file = job->target->file,
		.lock = job->target->lock,
		.rows = gow_repair_place_of(job)->rows,
		.row_count = gow_repair_place_of(job)->row_count,
		.monitor = job->options->common.monitor,
	};
	gow_upgrade_result upgraded;
	bool doubted;
	int code;

	if (!may_see_to_it(job, header->layout)) {
		*over = true;
		return gow_repair_refuse_pending(job,
		                                 "finish it with gow-upgrade, or take it back with "
		                                 "gow-upgrade --rollback",
		                                 error);
	}
	*over = gow_repair_is_dry_run(job);
	report_pending(job, header->layout, GOW_STEP_FINISH,
	               *over ? "the upgrade is resumed; gow-upgrade --rollback would take it back"
	                     : "the upgrade is resumed",
	               header->file_size);
	if (*over)
		return GOW_OK;
	/* It reads twice by itself, and much. */
	doubted = gow_file_doubt(job->target->file, false);
	code = gow_upgrade_file(&upgrade, &upgraded, error);
	(void)gow_file_doubt(job->target->file, doubted);
	job->result->changed = !code;
	return code;
}

int gow_repair_finish_change(struct gow_repair_job *job, const struct gow_header *header,
                             bool *over, gow_error *error)
{
	struct gow_undo_search found;
	struct gow_pending pending;
	int code = gow_undo_find(gow_repair_place_of(job), job->target->file,
	                         !gow_repair_is_dry_run(job), &found, error);

	*over = false;
	if (code)
		return code;
	if (found.undo) {
		*over = !may_see_to_it(job, found.undo->layout);
		code = *over ? gow_repair_refuse_pending(
				       job, "an interrupted repair is not rolled back", error)
		             : roll_back(job, found.undo, error);
		gow_undo_close(found.undo);
		return code;
	}
	code = gow_pending_find(job->target->file, header, &pending, error);
	if (code)
		return code;
	if (found.doubt[0] && (pending.kind == GOW_PENDING_UPGRADE || !found.doubtful))
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, NULL, "%s", found.doubt);
	/* A record in the image that belongs to it is certain; an undo file that is gone is not. */
	if (pending.kind == GOW_PENDING_UPGRADE)
		return gow_repair_finish_upgrade(job, header, over, error);
	if (pending.kind == GOW_PENDING_SYNC)
		return gow_repair_refuse_pending(job, pending.what, error);
	/* What may be the record still fits the image only as long as nobody changes it. */
	return found.missing || found.doubtful ? gow_repair_refuse_pending(job, found.doubt, error)
	                                       : GOW_OK;
}
