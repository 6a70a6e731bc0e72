/* SPDX-License-Identifier: BSD-2-Clause */
/* convert.c - a guest's disk in another form: opens both ends, checks what can be checked before
 * the first byte is written, copies, verifies, and lets the new name appear. */
#include <stdlib.h>

#include "base/error.h"
#include "base/growing.h"
#include "disk/archive/archive.h"
#include "image/builder.h"
#include "io/draft.h"
#include "journal/open.h"
#include "ops/contents.h"
#include "ops/convert/job.h"
#include "ops/infer/infer.h"

const char *gow_loss_name(gow_loss_kind kind)
{
	switch (kind) {
	case GOW_LOSS_UNREADABLE:
		return "unreadable";
	case GOW_LOSS_UNMAPPED:
		return "unmapped";
	case GOW_LOSS_SHARED:
		return "shared";
	case GOW_LOSS_BEYOND_SIZE:
		return "beyond-size";
	}
	return "unknown";
}

void gow_convert_count_loss(void *context, const gow_loss *loss)
{
	struct gow_convert_job *job = context;

	job->losses++;
	if (job->options->lost)
		job->options->lost(job->options->lost_context, loss);
}

int gow_convert_fail_dest(const struct gow_convert_job *job, int code, gow_error *error)
{
	return gow_fail_in_file(error, code, job->dest);
}

static int open_source(struct gow_convert_job *job, const char *path, gow_error *error)
{
	const gow_convert_options *options = job->options;
	const struct gow_source_options source_options = {
		.open_image = gow_image_from_file,
		.format = options->source_format,
		.member_name = options->member_name,
		.occurrence = options->occurrence,
		.salvage = gow_convert_has(job, GOW_CONVERT_SALVAGE),
		.common = options->common,
		.lost = gow_convert_count_loss,
		.lost_context = job,
		.find_layout = gow_infer_find_layout,
	};
	int code = gow_source_open(path, &source_options, &job->source, error);

	if (code)
		return code;
	job->result->source_format = job->source->format;
	gow_contents_warn(job->source, options->common.monitor, path);
	return GOW_OK;
}

static int make_draft(struct gow_convert_job *job, gow_error *error)
{
	const struct gow_draft_options options = {
		.force = gow_convert_has(job, GOW_CONVERT_FORCE),
		.common = job->options->common,
		.like = job->spooled ? job->spooled->file : job->source->file,
	};

	return gow_draft_begin(job->dest, &options, &job->draft, error);
}

/* Everything that can be known before anything is written. */
static int prepare(struct gow_convert_job *job, const char *source, gow_error *error)
{
	int code = gow_convert_choose_dest(job, error);

	job->source_name = source;
	if (!code)
		code = open_source(job, source, error);
	if (!code && job->archive)
		gow_convert_choose_member(job);
	if (!code)
		code = gow_convert_check_not_same(job, error);
	if (!code)
		code = gow_convert_check_size(job, error);
	if (!code && job->target == GOW_CONVERT_TO_DEVICE)
		code = gow_convert_open_device(job, error);
	if (!code && job->archive)
		code = gow_convert_plan_archive(job, error);
	else if (!code && job->source->ops->pull && job->target == GOW_CONVERT_TO_STREAM)
		code = gow_convert_spool(job, error);
	if (!code)
		code = gow_convert_check_room(job, error);
	if (!code && job->target == GOW_CONVERT_TO_FILE && !gow_convert_is_dry_run(job))
		code = make_draft(job, error);
	return code;
}

/* What the destination is made of, once all is copied. */
static void fill_result(struct gow_convert_job *job)
{
	gow_convert_result *result = job->result;

	result->source_size = job->copy.source_size;
	result->logical_size = job->copy.size;
	result->data_bytes = job->copy.data_blocks * GOW_BLOCK_SIZE;
	if (job->archive)
		result->file_size = job->copy.sink ? job->copy.sink->written
		                                   : gow_archive_size(job->layout, job->kept_count);
	else
		result->file_size = job->layout ? gow_image_file_size(job->layout,
		                                                      job->copy.data_blocks)
		                                : job->copy.size;
	result->digest = job->copy.digest;
	result->damaged = job->source->damaged || job->losses;
	result->losses = job->losses;
}

/* Both hold maps as large as a header: verifying needs a third, and the memory is bounded. */
static void close_ends(struct gow_convert_job *job)
{
	gow_sink_release(job->copy.sink);
	gow_source_close(job->source);
	gow_source_close(job->spooled);
	job->copy.sink = NULL;
	job->copy.source = job->source = job->spooled = NULL;
}

/* Durable, and under its name. */
static int publish(struct gow_convert_job *job, gow_error *error)
{
	struct gow_draft *draft = job->draft;

	/* Verifying begins with a sync. */
	if (job->target == GOW_CONVERT_TO_DEVICE)
		return job->device ? gow_file_sync(job->device, error) : GOW_OK;
	job->draft = NULL;
	return draft ? gow_draft_publish(draft, error) : GOW_OK;
}

static int convert(const char *source, const char *dest, const gow_convert_options *options,
                   gow_convert_result *made, gow_error *error)
{
	struct gow_convert_job job = { .dest = dest, .options = options, .result = made };
	int code = prepare(&job, source, error);

	if (!code)
		code = gow_convert_copy(&job, error);
	if (!code)
		fill_result(&job);
	close_ends(&job);
	if (!code && gow_convert_has(&job, GOW_CONVERT_VERIFY) && !gow_convert_is_dry_run(&job))
		code = gow_convert_verify(&job, error);
	if (!code)
		code = publish(&job, error);
	gow_draft_discard(job.draft);
	(void)gow_file_close(job.device, NULL);
	free(job.kept);
	free(job.member);
	return code;
}

int gow_convert(const char *source, const char *dest, const gow_convert_options *options,
                gow_convert_result *result, gow_error *error)
{
	gow_convert_options use = {
		.struct_size = sizeof use,
		.level = GOW_LEVEL_USUAL,
		.mtime = GOW_TIME_OF_SOURCE,
	};
	gow_convert_result made = { .struct_size = sizeof made };
	int code = gow_take_options(options, &use, sizeof use,
	                            GOW_CONVERT_FORCE | GOW_CONVERT_SALVAGE | GOW_CONVERT_VERIFY |
	                                    GOW_CONVERT_DROP_ZEROS,
	                            error);

	if (!code)
		code = gow_check_result(result, error);
	if (!code)
		code = convert(source, dest, &use, &made, error);
	if (!code)
		gow_give_result(result, &made, sizeof made);
	return code;
}
