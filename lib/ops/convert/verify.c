/* SPDX-License-Identifier: BSD-2-Clause */
/* verify.c - whether what was written reads back as what was read. */
#include <string.h>

#include "base/error.h"
#include "io/draft.h"
#include "io/remote.h"
#include "journal/open.h"
#include "ops/convert/job.h"

/* An export is read over the connection that wrote it, as a server may take one client only. */
static int open_written(struct gow_convert_job *job, const char *path,
                        const struct gow_source_options *options, struct gow_source **source,
                        gow_error *error)
{
	struct gow_file *file = job->device;

	if (!file || !gow_file_is_remote(file))
		return gow_source_open(path, options, source, error);
	job->device = NULL;
	return gow_source_of_file(file, source, error);
}

/* Reads what lies in the file at path as the format that was written. */
static int read_back(struct gow_convert_job *job, const char *path, struct gow_copy *copy,
                     gow_error *error)
{
	const struct gow_source_options options = {
		.open_image = gow_image_from_file,
		.ours = true,
		.format = job->result->dest_format,
		/* It is ours. */
		.common = { .flags = GOW_COMMON_NO_LOCK, .monitor = job->options->common.monitor },
	};
	int code = open_written(job, path, &options, &copy->source, error);

	if (code)
		return code;
	/* A device may be larger than the disk on it. */
	if (job->target == GOW_CONVERT_TO_DEVICE)
		copy->source->size = gow_min(copy->source->size, job->copy.size);
	code = gow_copy_disk(copy, error);
	gow_source_close(copy->source);
	return code;
}

int gow_convert_verify(struct gow_convert_job *job, gow_error *error)
{
	bool device = job->target == GOW_CONVERT_TO_DEVICE;
	struct gow_file *file = device ? job->device : gow_draft_file(job->draft);
	const char *path = device ? job->dest : gow_draft_temporary(job->draft);
	struct gow_copy copy = {
		.draft = job->draft,
		.monitor = job->options->common.monitor,
		.phase = "verify",
		.size_unit = 1,
		.wants_digest = true,
	};
	/* What is read back is to come from the disk, not from memory. */
	int code = gow_file_sync(file, error);

	if (!code) {
		gow_file_drop_cache(file);
		code = read_back(job, path, &copy, error);
	}
	if (code)
		return code;
	if (copy.size != job->copy.size || strcmp(copy.digest.text, job->copy.digest.text) != 0) {
		code = gow_fail(error, GOW_ERR_MISMATCH,
		                "does not read back as it was written (digest %s, should be %s)",
		                copy.digest.text, job->copy.digest.text);
		return gow_convert_fail_dest(job, code, error);
	}
	job->result->verified = true;
	return GOW_OK;
}
