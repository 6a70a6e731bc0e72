/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.c - the disk from one end to the other, and what was seen of it on the way. */
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"
#include "io/draft.h"
#include "ops/convert/job.h"
#include "ops/recognize.h"

static int make_sink(struct gow_convert_job *job, gow_error *error)
{
	const gow_monitor *monitor = job->options->common.monitor;

	if (job->archive)
		return gow_convert_make_archive_sink(job, error);
	if (job->target == GOW_CONVERT_TO_STREAM)
		return gow_sink_raw_stream(STDOUT_FILENO, "standard output", monitor,
		                           &job->copy.sink, error);
	if (job->target == GOW_CONVERT_TO_DEVICE)
		return gow_sink_raw_device(job->device, monitor, &job->copy.sink, error);
	if (!job->layout)
		return gow_sink_raw_file(gow_draft_file(job->draft), &job->copy.sink, error);
	return gow_sink_image(gow_draft_file(job->draft), job->layout, job->source->versions,
	                      &job->copy.sink, error);
}

int gow_convert_count(struct gow_convert_job *job, struct gow_sink *sink, uint64_t *data_blocks,
                      gow_error *error)
{
	struct gow_copy copy = {
		.source = job->source,
		.sink = sink,
		.monitor = job->options->common.monitor,
		.phase = "count",
		.size_unit = 1,
		.salvage = gow_convert_has(job, GOW_CONVERT_SALVAGE),
	};
	int code = gow_copy_disk(&copy, error);

	*data_blocks = copy.data_blocks;
	return code;
}

static int check_rounding(struct gow_convert_job *job, gow_error *error)
{
	const struct gow_copy *copy = &job->copy;

	if (!copy->source_size)
		return gow_fail(error, GOW_ERR_LIMIT,
		                "is empty; a guest's disk has at least 512 bytes");
	if (copy->size > copy->source_size)
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, job->dest,
		         "%llu bytes are not a multiple of 512: %llu zeros were added at the end",
		         (unsigned long long)copy->source_size,
		         (unsigned long long)(copy->size - copy->source_size));
	return GOW_OK;
}

static bool is_raw(const struct gow_source *source)
{
	return source->format == GOW_FORMAT_RAW ||
	       (source->format == GOW_FORMAT_TAR && source->member_format == GOW_FORMAT_RAW);
}

/* Whether a raw disk looks like one, and whether it was left alone while it was read. */
static void judge_source(struct gow_convert_job *job)
{
	gow_convert_result *result = job->result;
	const struct gow_source *source = job->spooled ? job->spooled : job->source;

	result->raw = is_raw(source);
	if (result->raw)
		gow_recognize(&job->sample, &job->copy, result->recognized,
		              sizeof result->recognized);
	if (result->raw && !result->recognized[0] && job->options->source_format != GOW_FORMAT_RAW)
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, job->source_name,
		         "nothing in it looks like a disk (no partition table, boot sector or file "
		         "system that is known)");
	if (!source->lock)
		return;
	gow_lock_compare(source->lock);
	result->in_use = source->lock->in_use;
}

int gow_convert_copy(struct gow_convert_job *job, gow_error *error)
{
	int code = gow_convert_is_dry_run(job) ? GOW_OK : make_sink(job, error);

	if (!code && is_raw(job->source)) {
		code = gow_sample_new(&job->sample, job->source->size, error);
		job->copy.sample = &job->sample;
	}
	if (code)
		return code;
	job->copy.source = job->source;
	job->copy.draft = job->draft;
	job->copy.wants_digest = gow_convert_has(job, GOW_CONVERT_VERIFY);
	job->copy.monitor = job->options->common.monitor;
	job->copy.phase = "copy";
	job->copy.size_unit = job->layout || job->archive ? 512 : 1;
	job->copy.limit = job->layout ? job->layout->logical_limit : 0;
	job->copy.salvage = gow_convert_has(job, GOW_CONVERT_SALVAGE);
	job->copy.lost = gow_convert_count_loss;
	job->copy.lost_context = job;
	code = gow_copy_disk(&job->copy, error);
	if (!code)
		judge_source(job);
	job->copy.sample = NULL;
	gow_sample_release(&job->sample);
	return code ? code : check_rounding(job, error);
}
