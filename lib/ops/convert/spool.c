/* SPDX-License-Identifier: BSD-2-Clause */
/* spool.c - a temporary copy of a source that can be read once, or not in order. */
#include "base/monitor.h"
#include "ops/convert/job.h"

int gow_convert_spool(struct gow_convert_job *job, gow_error *error)
{
	struct gow_copy copy = {
		.source = job->source,
		.monitor = job->options->common.monitor,
		.phase = "spool",
		.size_unit = 1,
		.limit = job->layout ? job->layout->logical_limit : 0,
	};
	struct gow_source *source = NULL;
	struct gow_file *file;
	int code = gow_file_unnamed(job->target == GOW_CONVERT_TO_FILE ? job->dest : NULL, &file,
	                            error);

	if (code)
		return code;
	gow_note(job->options->common.monitor, GOW_NOTE_WARNING, job->source_name,
	         "cannot be read twice or out of order, so it is first copied to a temporary "
	         "file%s",
	         job->target == GOW_CONVERT_TO_FILE ? " beside the destination" : "");
	code = gow_sink_raw_file(file, &copy.sink, error);
	if (!code)
		code = gow_copy_disk(&copy, error);
	gow_sink_release(copy.sink);
	if (code) {
		(void)gow_file_close(file, NULL);
		return code;
	}
	code = gow_source_of_file(file, &source, error);
	if (code)
		return code;
	source->format = job->source->format;
	source->member_format = job->source->member_format;
	source->versions = job->source->versions;
	source->entries = job->source->entries;
	job->spooled = job->source;
	job->source = source;
	return GOW_OK;
}
