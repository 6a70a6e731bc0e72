/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ops/inplace/proof.h"
#include "ops/repair/change.h"
#include "ops/repair/repair.h"
#include "ops/repair/untouched.h"

static int nothing_to_undo(const struct gow_repair_job *job, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "there is no repair to be taken back");

	return gow_fail_in_file(error, code, gow_repair_name_of(job));
}

static int not_begun(const struct gow_undo *undo, gow_error *error)
{
	int code =
		gow_fail(error, GOW_ERR_CHANGED,
	                 "belongs to a repair that was not finished, and not to this image as it "
	                 "is now");

	return gow_fail_in_file(error, code, undo->file->name);
}

/* Whether a layer is of no use: all that it says is in the image already. */
static int is_useless(const struct gow_repair_job *job, const struct gow_undo *undo, bool *useless,
                      gow_error *error)
{
	*useless = undo->undone;
	return *useless ? GOW_OK : gow_undo_is_unbegun(undo, job->target->file, useless, error);
}

/* Judges one layer of an image that is not in the middle of a change; *undo is NULL where it is
 * of no use and the one below counts. */
static int judge_layer(struct gow_repair_job *job, uint32_t layer, bool write,
                       struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *found;
	bool useless = false;
	int code = gow_undo_open(gow_repair_place_of(job), layer, write, &found, error);

	*undo = NULL;
	if (code)
		return code;
	code = is_useless(job, found, &useless, error);
	if (!code && !useless && (found->done || found->spoilt))
		code = gow_repair_check_untouched(job->target->file, found, job->target->lock,
		                                  job->proof.monitor, error);
	else if (!code && !useless)
		code = not_begun(found, error);
	if (!code && useless) {
		/* One that was done may only seem so: the image may have been restored. */
		if (write && (found->undone || !found->done))
			code = gow_repair_remove_layer(job, found, error);
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
static int newest_layer(struct gow_repair_job *job, bool write, struct gow_undo **undo,
                        gow_error *error)
{
	uint32_t *layers;
	size_t count;
	int code = gow_undo_layers(gow_repair_place_of(job), &layers, &count, error);

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
static int is_pending(const struct gow_repair_job *job, bool *pending, gow_error *error)
{
	struct gow_header header;
	int code = gow_repair_read_header(job, job->target->file, &header, error);

	*pending = !code && header.pending;
	return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
}

static int choose_layer(struct gow_repair_job *job, bool write, struct gow_undo **undo,
                        bool *interrupted, gow_error *error)
{
	struct gow_undo_search found;
	int code = is_pending(job, interrupted, error);

	if (code || !*interrupted)
		return code ? code : newest_layer(job, write, undo, error);
	code = gow_undo_find(gow_repair_place_of(job), job->target->file, write, &found, error);
	*undo = code ? NULL : found.undo;
	if (code || *undo)
		return code;
	/* A finished repair may have left the mark that it found. */
	*interrupted = false;
	return newest_layer(job, write, undo, error);
}

/* How many layers there are below one. Those above it are of no use, and are still there only because
 * they could not be removed. */
static int count_below(struct gow_repair_job *job, uint32_t layer, unsigned *count,
                       gow_error *error)
{
	uint32_t *layers;
	size_t found;
	int code = gow_undo_layers(gow_repair_place_of(job), &layers, &found, error);

	if (code)
		return code;
	*count = 0;
	for (size_t i = 0; i < found; i++)
		*count += layers[i] < layer;
	free(layers);
	return GOW_OK;
}

static int take_back(struct gow_repair_job *job, const gow_undo_options *options,
                     gow_undo_result *result, gow_error *error)
{
	struct gow_change change = gow_repair_change_of(job, options->common.monitor);
	struct gow_undo *undo = NULL;
	int code = options->common.flags & GOW_COMMON_DRY_RUN ? GOW_OK
	                                                      : gow_repair_settle(job, error);

	if (!code)
		code = choose_layer(job, !(options->common.flags & GOW_COMMON_DRY_RUN), &undo,
		                    &result->interrupted, error);
	if (code)
		return code;
	(void)snprintf(result->undo_file, sizeof result->undo_file, "%s", undo->file->name);
	(void)snprintf(result->what, sizeof result->what, "%s", undo->what);
	result->bytes = undo->records_size;
	result->old_size = undo->old_size;
	result->new_size = undo->new_size;
	/* Now, since it may fail: afterwards the repair is taken back, whatever is said. */
	code = count_below(job, undo->layer, &result->layers_left, error);
	if (!code && !(options->common.flags & GOW_COMMON_DRY_RUN)) {
		change.undo = undo;
		change.layout = undo->layout;
		code = gow_lock_poll(job->target->lock, error);
		if (!code)
			code = gow_change_roll_back(&change, error);
		result->changed = !code;
	} else if (!code && options->common.flags & GOW_COMMON_DIGEST) {
		code = gow_repair_show_rolled_back(job, undo, error);
	}
	gow_undo_close(undo);
	return code;
}

int gow_repair_undo_file(const struct gow_repair_target *target, const gow_undo_options *options,
                         gow_undo_result *result, gow_error *error)
{
	gow_undo_result *made = calloc(1, sizeof *made);
	struct gow_repair_job job = {
		.target = target,
		.proof = gow_repair_proof_of(target, options->common.flags & GOW_COMMON_DIGEST,
		                             options->common.monitor),
	};
	bool doubted;
	int code = made ? gow_proof_begin(&job.proof, error) : gow_fail_memory(error, sizeof *made);

	doubted = gow_file_doubt(target->file, !(options->common.flags & GOW_COMMON_DRY_RUN));
	if (!code)
		code = take_back(&job, options, made, error);
	(void)gow_file_doubt(target->file, doubted);
	if (!code)
		code = gow_proof_end(&job.proof, gow_repair_base_of(&job), error);
	if (!code) {
		*result = *made;
		result->digests = job.proof.digests;
	}
	gow_repair_close_job(&job);
	free(made);
	return code;
}
