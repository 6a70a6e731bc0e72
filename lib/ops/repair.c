/* SPDX-License-Identifier: BSD-2-Clause */
/* repair.c - mending an image, and taking that back: the whole of gow-repair but its words. */
#include "ops/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/validate.h"
#include "io/draft.h"
#include "io/overlay.h"
#include "ops/assume.h"
#include "ops/change.h"
#include "ops/plan.h"
#include "ops/proof.h"
#include "ops/salvage.h"
#include "ops/upgrade.h"

/* ---- an image that is to be changed ------------------------------------------------------ */

struct job {
	const struct gow_repair_target *target;
	const gow_repair_options *options;
	gow_repair_result *result;
	struct gow_file *rolled_back; /* of a dry run: the image as a rollback would leave it */
	const struct gow_layout *layout;
	struct gow_plan plan;
	struct gow_proof proof;
};

static struct gow_proof proof_of(const struct gow_repair_target *target, bool wanted,
                                 const gow_monitor *monitor)
{
	return (struct gow_proof){
		.file = target->file,
		.lock = target->lock,
		.monitor = monitor,
		.wanted = wanted,
	};
}

static void close_job(struct job *job)
{
	gow_plan_release(&job->plan);
	(void)gow_file_close(job->rolled_back, NULL);
}

static const char *name_of(const struct job *job)
{
	return job->target->file->name;
}

static const struct gow_undo_place *place_of(const struct job *job)
{
	return &job->target->place;
}

static int read_header(const struct job *job, struct gow_file *file, struct gow_header *header,
                       gow_error *error)
{
	return gow_header_read(file, place_of(job)->rows, place_of(job)->row_count, header, error);
}

static struct gow_change change_of(struct job *job, const gow_monitor *monitor)
{
	return (struct gow_change){
		.image = job->target->file,
		.place = *place_of(job),
		.layout = job->layout,
		.lock = job->target->lock,
		.monitor = monitor,
	};
}

/* The image that the plan is made for. */
static struct gow_file *base_of(const struct job *job)
{
	return job->rolled_back ? job->rolled_back : job->target->file;
}

/* What a run that was killed had not synced is in the files for us to see, and may still be lost:
 * the magic that says that a change is over, say, or that a layer was removed. Whoever rolls an
 * interrupted repair back need not ask: the image is synced first there, and no layer was removed
 * since that repair settled all. */
static int settle(const struct job *job, gow_error *error)
{
	int code = gow_file_sync(job->target->file, error);

	return code ? code : gow_folder_sync(place_of(job)->folder, error);
}

/* ---- an interrupted change --------------------------------------------------------------- */

static gow_place place_of_magic(const struct gow_layout *layout)
{
	return (gow_place){ GOW_NOWHERE, GOW_NOWHERE, layout->magic_offset, GOW_NOWHERE };
}

static void tell_found(const struct job *job, const gow_finding *finding)
{
	job->result->found[job->result->found_count++] = *finding;
	if (job->options->found)
		job->options->found(job->options->context, finding);
}

static void tell_pending(const struct job *job, const struct gow_layout *layout,
                         gow_step_kind kind, const char *text, uint64_t length)
{
	const gow_place place = place_of_magic(layout);
	const gow_finding found = { gow_problem_get(GOW_JOURNAL_PENDING), 1, place };
	gow_repair_step step = gow_plan_step(GOW_JOURNAL_PENDING, kind, text, 0, length);

	tell_found(job, &found);
	job->result->steps++;
	if (job->options->step)
		job->options->step(job->options->context, &step);
}

/* Whether whoever decides wants the interrupted change dealt with. */
static bool may_see_to_it(struct job *job, const struct gow_layout *layout)
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

/* The image as a dry run's rollback would leave it. */
static int show_rolled_back(struct job *job, const struct gow_undo *undo, gow_error *error)
{
	int code = gow_overlay_new(job->target->file, &job->rolled_back, error);

	return code ? code : gow_undo_lay(undo, job->rolled_back, error);
}

static int roll_back(struct job *job, struct gow_undo *undo, gow_error *error)
{
	struct gow_change change = change_of(job, job->options->monitor);
	int code;

	tell_pending(job, undo->layout, GOW_STEP_ROLL_BACK, "what was overwritten is put back",
	             undo->old_size);
	if (job->options->dry_run)
		return show_rolled_back(job, undo, error);
	change.undo = undo;
	change.layout = undo->layout;
	code = gow_change_roll_back(&change, error);
	job->result->changed = !code;
	return code;
}

static int refuse_pending(const struct job *job, const char *what, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT, "is in the middle of a change: %s", what);

	return gow_fail_in_file(error, code, name_of(job));
}

/* Goes on with an upgrade to its end. A dry run cannot show the image that comes of it. */
static int finish_upgrade(struct job *job, const struct gow_header *header, bool *over,
                          gow_error *error)
{
	const struct gow_upgrade_job upgrade = {
		.file = job->target->file,
		.lock = job->target->lock,
		.rows = place_of(job)->rows,
		.row_count = place_of(job)->row_count,
		.monitor = job->options->monitor,
	};
	gow_upgrade_result upgraded;
	int code;

	if (!may_see_to_it(job, header->layout)) {
		*over = true;
		return refuse_pending(job, "finish it with gow-upgrade, or take it back with "
		                           "gow-upgrade --rollback",
		                      error);
	}
	*over = job->options->dry_run;
	tell_pending(job, header->layout, GOW_STEP_FINISH,
	             *over ? "the upgrade is gone on with; gow-upgrade --rollback would take it back"
	                   : "the upgrade is gone on with",
	             header->file_size);
	if (*over)
		return GOW_OK;
	code = gow_upgrade_file(&upgrade, &upgraded, error);
	job->result->changed = !code;
	return code;
}

/* Deals with what an interrupted change has left; *over: nothing more is to be done. */
static int finish_change(struct job *job, const struct gow_header *header, bool *over,
                         gow_error *error)
{
	struct gow_pending pending;
	struct gow_undo *undo;
	bool missing;
	char doubt[512];
	int code = gow_undo_find(place_of(job), job->target->file, !job->options->dry_run, &undo,
	                         &missing, doubt, sizeof doubt, error);

	*over = false;
	if (code)
		return code;
	if (undo) {
		*over = !may_see_to_it(job, undo->layout);
		code = *over ? refuse_pending(job, "an interrupted repair is not rolled back",
		                              error)
		             : roll_back(job, undo, error);
		gow_undo_close(undo);
		return code;
	}
	if (missing)
		return refuse_pending(job, doubt, error);
	code = gow_pending_find(job->target->file, header, &pending, error);
	if (!code && pending.kind == GOW_PENDING_UPGRADE)
		return finish_upgrade(job, header, over, error);
	if (!code && doubt[0])
		gow_note(job->options->monitor, GOW_NOTE_WARNING, NULL, "%s", doubt);
	return code;
}

/* ---- by which layout --------------------------------------------------------------------- */

static int rebuild_preamble(struct job *job, gow_error *error)
{
	const struct gow_layout *layout = job->layout;
	struct gow_mark marks[GOW_MARKS];
	struct gow_file *overlay = job->plan.overlay;
	gow_repair_step step;
	uint8_t version[8], magic[GOW_MAGIC_SIZE];
	int code = gow_file_read_all(overlay, layout->magic_offset, magic, sizeof magic, error);

	gow_marks_of(layout, marks);
	step = gow_plan_step(GOW_PROBLEM_COUNT, GOW_STEP_WRITE,
	                     "the magic and the version are written anew",
	                     gow_min(marks[0].offset, marks[1].offset),
	                     (uint64_t)marks[0].length + marks[1].length);
	gow_store(version, layout->version_field.width, layout->order, layout->version);
	if (!code)
		code = gow_file_write(overlay, layout->version_field.offset, version,
		                      layout->version_field.width, error);
	/* One that says that a change is under way is not ruined, and is judged later. */
	if (!code && memcmp(magic, layout->magic_pending, sizeof magic) != 0)
		code = gow_file_write(overlay, layout->magic_offset, layout->magic, sizeof magic,
		                      error);
	return code ? code : gow_plan_add(&job->plan, &step, error);
}

/* Takes the version that the caller says, if the file agrees. */
static int assume(struct job *job, gow_error *error)
{
	job->layout = gow_layout_among(place_of(job)->rows, place_of(job)->row_count,
	                               job->options->assume_version);
	if (!job->layout)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no version %u",
		                job->options->assume_version);
	return gow_assume_weigh(base_of(job), job->layout, place_of(job)->rows,
	                        place_of(job)->row_count, job->result->evidence,
	                        sizeof job->result->evidence, error);
}

/* Finds the layout, and has the plan begun. */
static int begin_plan(struct job *job, gow_error *error)
{
	const gow_repair_options *options = job->options;
	struct gow_header header;
	int code = read_header(job, base_of(job), &header, error);
	bool ruined = options->assume_version &&
	              (code == GOW_ERR_NOT_GOW ||
	               (!code && header.layout->version != options->assume_version));

	if (code && !ruined)
		return code;
	if (ruined) {
		code = assume(job, error);
		if (code)
			return code;
	} else {
		job->layout = header.layout;
	}
	code = gow_plan_begin(&job->plan, base_of(job), job->layout, options, error);
	if (!code && ruined)
		code = rebuild_preamble(job, error);
	return code;
}

/* Sees to a change that was interrupted, where the header says that there is one. */
static int see_to_pending(struct job *job, bool *over, gow_error *error)
{
	struct gow_header header;
	int code = read_header(job, job->target->file, &header, error);

	*over = false;
	if (code) /* what is no image is told later */
		return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
	job->layout = header.layout;
	return header.pending ? finish_change(job, &header, over, error) : GOW_OK;
}

/* ---- the plan ---------------------------------------------------------------------------- */

static int check_size(const struct job *job, gow_error *error)
{
	uint64_t size = job->options->size;

	if (!size || gow_size_is_lawful(job->layout, size))
		return GOW_OK;
	return gow_fail(error, size > job->layout->logical_limit ? GOW_ERR_LIMIT : GOW_ERR_ARGUMENT,
	                "--size: %llu bytes are no lawful size of a version %u disk (at most %llu, "
	                "a multiple of 512)",
	                (unsigned long long)size, job->layout->version,
	                (unsigned long long)job->layout->logical_limit);
}

/* --size is there to mend, not to shrink a disk that is well. */
static int check_size_serves(const struct job *job, gow_error *error)
{
	const struct gow_plan *plan = &job->plan;
	uint64_t size = job->options->size;
	struct gow_header header;
	int code;

	if (!size || plan->found.by_id[GOW_HEADER_SIZE].problem ||
	    plan->found.by_id[GOW_HEADER_TRUNCATED].problem)
		return GOW_OK;
	code = gow_header_read_as(base_of(job), job->layout, &header, error);
	if (code || size >= header.logical_size)
		return code;
	return gow_fail(error, GOW_ERR_ARGUMENT,
	                "--size: the disk has %llu bytes, and is not made smaller",
	                (unsigned long long)header.logical_size);
}

static int make_plan(struct job *job, gow_error *error)
{
	int code = begin_plan(job, error);

	if (!code)
		code = check_size(job, error);
	if (!code)
		code = gow_plan_work_out(&job->plan, error);
	return code ? code : check_size_serves(job, error);
}

static void tell_left(struct job *job)
{
	const struct gow_plan *plan = &job->plan;
	const struct gow_verdict *left = plan->quit ? &plan->found : &plan->foreseen;

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++) {
		gow_repair_left *row = &job->result->left[job->result->left_count];

		if (!left->by_id[i].problem)
			continue;
		row->finding = left->by_id[i];
		row->why = plan->why_left[i] ? plan->why_left[i] : "not mended";
		if (plan->quit)
			row->why = "nothing was to be changed";
		job->result->left_count++;
	}
}

static void tell_plan(struct job *job)
{
	const struct gow_plan *plan = &job->plan;
	gow_repair_result *result = job->result;

	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (plan->found.by_id[i].problem)
			tell_found(job, &plan->found.by_id[i]);
	tell_left(job);
	result->damaged_entries = plan->quit ? 0 : plan->damaged_entries;
	result->quit = plan->quit;
	if (gow_plan_is_empty(plan))
		return;
	result->steps += plan->step_count;
	for (size_t i = 0; i < plan->step_count && job->options->step; i++)
		job->options->step(job->options->context, &plan->steps[i]);
}

static int measure(struct job *job, gow_error *error)
{
	const struct gow_plan *plan = &job->plan;
	uint64_t old_size = 0, new_size = 0;
	int code = gow_file_size(base_of(job), &old_size, error);

	if (!code)
		code = gow_file_size(plan->overlay, &new_size, error);
	if (!code)
		code = gow_undo_size(base_of(job), plan->overlay, job->layout,
		                     &job->result->undo_bytes, error);
	job->result->growth = new_size - old_size;
	return code;
}

/* ---- carrying it out --------------------------------------------------------------------- */

/* What was being done, for whoever finds the undo file later. */
static void describe(const struct job *job, char *what, size_t size)
{
	const struct gow_plan *plan = &job->plan;
	const gow_problem *last = NULL;
	size_t used = 0;

	what[0] = '\0';
	for (size_t i = 0; i < plan->step_count && used < size; i++) {
		const gow_problem *problem = plan->steps[i].problem;

		if (i && problem == last)
			continue;
		last = problem;
		used += (size_t)snprintf(what + used, size - used, "%s%s", used ? ", " : "",
		                         problem ? problem->name : "preamble");
	}
}

static int check_verdict(void *context, struct gow_file *image, gow_error *error)
{
	const struct job *job = context;
	const struct gow_verdict *foreseen = &job->plan.foreseen;
	struct gow_verdict verdict;
	struct gow_raw raw;
	int code = gow_raw_load_plain(image, job->layout, &raw, error);

	if (code)
		return code;
	code = gow_judge(&raw, &verdict, error);
	gow_raw_release(&raw);
	for (size_t i = 0; i < GOW_PROBLEM_COUNT && !code; i++)
		if (verdict.by_id[i].count != foreseen->by_id[i].count)
			code = gow_fail(error, GOW_ERR_MISMATCH,
			                "is not what the plan foresaw (%s)",
			                gow_problem_get((gow_problem_id)i)->name);
	return code;
}

static int check_room(const struct job *job, gow_error *error)
{
	const gow_repair_result *result = job->result;
	const char *undo_file = job->options->undo_file;
	int code;

	/* Whoever names another place has a reason, and mostly another file system. */
	if (!undo_file)
		return gow_check_room(job->target->file, result->undo_bytes + result->growth, error);
	code = gow_check_room_for(undo_file, result->undo_bytes, error);
	return code ? code : gow_check_room(job->target->file, result->growth, error);
}

/* A repair that never came to its first write may have left its undo file. */
static int remove_unbegun(struct job *job, gow_error *error)
{
	uint32_t *layers;
	size_t count;
	int code = gow_undo_layers(place_of(job), &layers, &count, error);

	if (code)
		return code;
	for (size_t i = 0; i < count && !code; i++) {
		struct gow_undo *undo;
		bool unbegun = false;

		if (gow_undo_open(place_of(job), layers[i], false, &undo, NULL))
			break;
		if (!undo->done && !undo->undone)
			code = gow_undo_is_unbegun(undo, job->target->file, &unbegun, error);
		unbegun = unbegun || undo->undone;
		if (!code && unbegun)
			code = gow_undo_remove(place_of(job), undo, error);
		gow_undo_close(undo);
		if (!unbegun)
			break;
	}
	free(layers);
	return code;
}

static int carry_out(struct job *job, gow_error *error)
{
	struct gow_change change = change_of(job, job->options->monitor);
	char what[GOW_UNDO_WHAT];
	bool pending = false;
	int code = check_room(job, error);

	if (!code)
		code = settle(job, error);
	if (!code)
		code = remove_unbegun(job, error);
	if (code)
		return code;
	describe(job, what, sizeof what);
	code = gow_change_commit(&change, job->plan.overlay, what, job->options->undo_file,
	                         check_verdict, job, &pending, error);
	if (pending)
		gow_note(job->options->monitor, GOW_NOTE_WARNING, name_of(job),
		         "could not be rolled back, and stays marked as being repaired; run "
		         "gow-repair again when the cause is gone");
	else if (code && change.undo)
		gow_note(job->options->monitor, GOW_NOTE_WARNING, name_of(job),
		         "everything was rolled back; the image is what it was");
	if (!code) {
		job->result->changed = true;
		(void)snprintf(job->result->undo_file, sizeof job->result->undo_file, "%s",
		               change.undo->file->name);
	}
	gow_undo_close(change.undo);
	return code;
}

static int repair(struct job *job, gow_error *error)
{
	const gow_repair_options *options = job->options;
	bool over;
	int code = see_to_pending(job, &over, error);

	if (!code && !over)
		code = make_plan(job, error);
	if (code || over)
		return code;
	tell_plan(job);
	if (!gow_plan_is_empty(&job->plan))
		code = measure(job, error);
	if (!code && options->salvage && !job->result->quit)
		code = gow_salvage(&job->plan, base_of(job),
		                   options->dry_run ? NULL : options->salvage,
		                   &job->result->salvaged_blocks, error);
	if (!code && !options->dry_run && !gow_plan_is_empty(&job->plan))
		code = carry_out(job, error);
	return code;
}

/* What the repair has made of the image, or of a dry run would. */
static struct gow_file *outcome_of(const struct job *job)
{
	if (!job->options->dry_run || job->result->quit)
		return job->target->file;
	return job->plan.overlay ? job->plan.overlay : base_of(job);
}

int gow_repair_file(const struct gow_repair_target *target, const gow_repair_options *options,
                    gow_repair_result *result, gow_error *error)
{
	gow_repair_result *made = calloc(1, sizeof *made);
	struct job job = {
		.target = target,
		.options = options,
		.result = made,
		.proof = proof_of(target, options->digest, options->monitor),
	};
	int code = made ? gow_proof_begin(&job.proof, error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code)
		code = repair(&job, error);
	if (!code)
		code = gow_proof_end(&job.proof, outcome_of(&job), error);
	if (!code) {
		*result = *made;
		result->digests = job.proof.digests;
	}
	close_job(&job);
	free(made);
	return code;
}

/* ---- taking a repair back ---------------------------------------------------------------- */

static int nothing_to_undo(const struct job *job, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "there is no repair to be taken back");

	return gow_fail_in_file(error, code, name_of(job));
}

static int not_begun(const struct gow_undo *undo, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CHANGED,
	                    "belongs to a repair that was not finished, and not to this image as it "
	                    "is now");

	return gow_fail_in_file(error, code, undo->file->name);
}

/* Judges one layer of an image that is not in the middle of a change; *undo is NULL where it is
 * of no use and the one below counts. */
static int judge_layer(struct job *job, uint32_t layer, bool write, struct gow_undo **undo,
                       gow_error *error)
{
	struct gow_undo *found;
	bool unbegun = false;
	int code = gow_undo_open(place_of(job), layer, write, &found, error);

	*undo = NULL;
	if (code)
		return code;
	if (found->spoilt || (found->done && !found->undone)) {
		code = gow_undo_check_done(found, job->target->file, error);
	} else if (!found->undone) {
		code = gow_undo_is_unbegun(found, job->target->file, &unbegun, error);
		if (!code && !unbegun)
			code = not_begun(found, error);
	}
	if (!code && (found->undone || unbegun)) {
		if (write)
			code = gow_undo_remove(place_of(job), found, error);
		gow_undo_close(found);
		return code;
	}
	if (code)
		gow_undo_close(found);
	else
		*undo = found;
	return code;
}

/* The newest repair of an image that is not in the middle of a change. */
static int newest_layer(struct job *job, bool write, struct gow_undo **undo, gow_error *error)
{
	uint32_t *layers;
	size_t count;
	int code = gow_undo_layers(place_of(job), &layers, &count, error);

	*undo = NULL;
	if (code)
		return code;
	for (size_t i = 0; i < count && !code && !*undo; i++)
		code = judge_layer(job, layers[i], write, undo, error);
	free(layers);
	return code || *undo ? code : nothing_to_undo(job, error);
}

/* Whether the file says that it is in the middle of a change. What it says otherwise does not
 * matter: its header may have been ruined before the repair. */
static int is_pending(const struct job *job, bool *pending, gow_error *error)
{
	struct gow_header header;
	int code = read_header(job, job->target->file, &header, error);

	*pending = !code && header.pending;
	return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
}

static int choose_layer(struct job *job, bool write, struct gow_undo **undo, bool *interrupted,
                        gow_error *error)
{
	bool missing;
	char doubt[512];
	int code = is_pending(job, interrupted, error);

	if (code || !*interrupted)
		return code ? code : newest_layer(job, write, undo, error);
	code = gow_undo_find(place_of(job), job->target->file, write, undo, &missing, doubt,
	                     sizeof doubt, error);
	if (code || *undo)
		return code;
	/* A finished repair may have left the mark that it found. */
	*interrupted = false;
	return newest_layer(job, write, undo, error);
}

static int count_layers(struct job *job, unsigned *count, gow_error *error)
{
	uint32_t *layers;
	size_t found;
	int code = gow_undo_layers(place_of(job), &layers, &found, error);

	if (code)
		return code;
	free(layers);
	*count = (unsigned)found;
	return GOW_OK;
}

static int take_back(struct job *job, const gow_undo_options *options, gow_undo_result *result,
                     gow_error *error)
{
	struct gow_change change = change_of(job, options->monitor);
	struct gow_undo *undo = NULL;
	int code = options->dry_run ? GOW_OK : settle(job, error);

	if (!code)
		code = choose_layer(job, !options->dry_run, &undo, &result->interrupted, error);
	if (code)
		return code;
	(void)snprintf(result->undo_file, sizeof result->undo_file, "%s", undo->file->name);
	(void)snprintf(result->what, sizeof result->what, "%s", undo->what);
	result->bytes = undo->records_size;
	result->old_size = undo->old_size;
	result->new_size = undo->new_size;
	if (!options->dry_run) {
		change.undo = undo;
		change.layout = undo->layout;
		code = gow_lock_poll(job->target->lock, error);
		if (!code)
			code = gow_change_roll_back(&change, error);
		result->changed = !code;
	} else if (options->digest) {
		code = show_rolled_back(job, undo, error);
	}
	if (!code)
		code = count_layers(job, &result->layers_left, error);
	if (!code && options->dry_run)
		result->layers_left--;
	gow_undo_close(undo);
	return code;
}

int gow_repair_undo_file(const struct gow_repair_target *target, const gow_undo_options *options,
                         gow_undo_result *result, gow_error *error)
{
	gow_undo_result *made = calloc(1, sizeof *made);
	struct job job = {
		.target = target,
		.proof = proof_of(target, options->digest, options->monitor),
	};
	int code = made ? gow_proof_begin(&job.proof, error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code)
		code = take_back(&job, options, made, error);
	if (!code)
		code = gow_proof_end(&job.proof, base_of(&job), error);
	if (!code) {
		*result = *made;
		result->digests = job.proof.digests;
	}
	close_job(&job);
	free(made);
	return code;
}

/* ---- by name ----------------------------------------------------------------------------- */

/* An image that was opened to be changed, and the folder that it lies in. */
struct opened {
	struct gow_repair_target target;
	struct gow_lock lock;
	char *name; /* target.place.image */
};

static int open_image(struct opened *opened, const char *path, bool write,
                      const gow_open_options *options, gow_error *error)
{
	struct gow_undo_place *place = &opened->target.place;
	int code = gow_open_locked(path, write ? GOW_FILE_WRITE : 0, options,
	                           &opened->target.file, &opened->lock, error);

	if (!code)
		code = gow_folder_of(path, &place->folder, &opened->name, error);
	place->image = opened->name;
	place->rows = gow_layouts;
	place->row_count = gow_layout_count;
	opened->target.lock = &opened->lock;
	return code;
}

static void close_image(struct opened *opened)
{
	(void)gow_file_close(opened->target.file, NULL);
	gow_folder_close(opened->target.place.folder);
	free(opened->name);
}

int gow_repair(const char *path, const gow_repair_options *options, gow_repair_result *result,
               gow_error *error)
{
	const gow_open_options open_options = {
		.flags = GOW_OPEN_STEADY | (options->no_lock ? GOW_OPEN_NO_LOCK : 0u),
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
	struct opened opened = { .name = NULL };
	int code = GOW_OK;

	if (options->assume_version && options->level == GOW_REPAIR_PREEN)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "to assume a version needs judgement: not with preen");
	if (!code && options->salvage && !options->dry_run)
		code = gow_draft_check(options->salvage, false, error);
	if (!code)
		code = open_image(&opened, path, !options->dry_run, &open_options, error);
	if (!code)
		code = gow_repair_file(&opened.target, options, result, error);
	close_image(&opened);
	return code;
}

int gow_repair_undo(const char *path, const gow_undo_options *options, gow_undo_result *result,
                    gow_error *error)
{
	const gow_open_options open_options = {
		.flags = GOW_OPEN_STEADY | (options->no_lock ? GOW_OPEN_NO_LOCK : 0u),
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
	struct opened opened = { .name = NULL };
	int code = open_image(&opened, path, !options->dry_run, &open_options, error);

	if (!code)
		code = gow_repair_undo_file(&opened.target, options, result, error);
	close_image(&opened);
	return code;
}
