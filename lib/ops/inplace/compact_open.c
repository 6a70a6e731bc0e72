/* SPDX-License-Identifier: BSD-2-Clause */
/* The public call of compacting. */
#include "base/error.h"
#include "base/growing.h"
#include "image/layout_table.h"
#include "io/location.h"
#include "journal/pending.h"
#include "ops/inplace/compact.h"
#include "ops/inplace/proof.h"
#include "ops/inplace/rewrite.h"

struct work {
	const gow_compact_options *options;
	struct gow_layouts *layouts;
	gow_compact_result *result;
};

/* Whether something is to be written. To look for zeros all data is read, so what the map says by
 * itself is asked first, unless it is a dry run, whose numbers are the result. */
static int look(const struct work *work, struct gow_compact_job *job, bool *needed,
                gow_error *error)
{
	int code = GOW_OK;

	job->dry_run = true;
	if (!(work->options->common.flags & GOW_COMMON_DRY_RUN)) {
		job->flags |= GOW_COMPACT_KEEP_ZEROS;
		code = gow_compact_file(job, work->result, error);
		*needed = !code && work->result->changed;
		job->flags = work->options->flags;
		if (code || *needed || job->flags & GOW_COMPACT_KEEP_ZEROS)
			return code;
	}
	code = gow_compact_file(job, work->result, error);
	*needed = !code && work->result->changed;
	return code;
}

static int compact_at(void *context, struct gow_location *location, bool only_look, bool *needed,
                      gow_error *error)
{
	struct work *work = context;
	const gow_compact_options *options = work->options;
	struct gow_compact_job job = {
		.file = location->file,
		.lock = &location->lock,
		.flags = options->flags,
		.monitor = options->common.monitor,
	};
	struct gow_proof proof = {
		.wanted = options->common.flags & GOW_COMMON_DIGEST,
		.file = location->file,
		.lock = &location->lock,
		.monitor = options->common.monitor,
	};
	int code = gow_pending_layouts(location->file, &work->layouts, error);

	if (code)
		return code;
	job.rows = proof.rows = gow_layouts_rows(work->layouts, &job.row_count);
	proof.row_count = job.row_count;
	if (only_look) {
		code = look(work, &job, needed, error);
		if (code || (*needed && !(options->common.flags & GOW_COMMON_DRY_RUN)))
			return code;
	}
	code = gow_proof_begin(&proof, error);
	if (!code && !only_look)
		code = gow_compact_file(&job, work->result, error);
	if (code)
		return code;
	work->result->in_use = location->lock.in_use;
	return gow_proof_conclude(&proof, only_look ? NULL : location->file, &work->result->digests,
	                          error);
}

static int compact_in_place(const char *path, const gow_compact_options *options,
                            gow_compact_result *result, gow_error *error)
{
	const gow_open_options open_options = { .common = options->common };
	struct work work = { .options = options, .result = result };
	int code = gow_layouts_load(options->common.layout, options->common.monitor, &work.layouts,
	                            error);

	if (!code)
		code = gow_location_change(path, &open_options, compact_at, &work, error);
	gow_layouts_free(work.layouts);
	return code;
}

int gow_compact(const char *path, const gow_compact_options *options, gow_compact_result *result,
                gow_error *error)
{
	gow_compact_options use = { .struct_size = sizeof use };
	gow_compact_result done = { .struct_size = sizeof done };
	int code = gow_take_options(options, &use, sizeof use,
	                            GOW_COMPACT_KEEP_ZEROS | GOW_COMPACT_PUNCH, error);

	if (!code)
		code = gow_check_result(result, error);
	if (!code && use.output && use.flags & GOW_COMPACT_PUNCH)
		code = gow_fail(error, GOW_ERR_ARGUMENT, "holes are made in place only");
	if (!code)
		code = gow_layouts_check_writing(use.common.layout, error);
	if (!code)
		code = use.output ? gow_rewrite(path, &use, &done, error)
		                  : compact_in_place(path, &use, &done, error);
	if (!code)
		gow_give_result(result, &done, sizeof done);
	return code;
}
