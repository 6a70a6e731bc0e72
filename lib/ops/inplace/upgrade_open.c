/* SPDX-License-Identifier: BSD-2-Clause */
/* The public calls of upgrading: in place, and to a new file. */
#include "base/error.h"
#include "base/growing.h"
#include "image/image.h"
#include "image/layout_table.h"
#include "io/draft.h"
#include "io/location.h"
#include "journal/pending.h"
#include "ops/inplace/proof.h"
#include "ops/inplace/upgrade.h"

static gow_open_options open_options_of(const gow_upgrade_options *options)
{
	return (gow_open_options){
		.struct_size = sizeof(gow_open_options),
		.common = options->common,
	};
}

struct work {
	const gow_upgrade_options *options;
	struct gow_layouts *layouts;
	const struct gow_layout *to; /* one of those built in */
	gow_upgrade_result *result;
};

/* The row wanted, which is the image's own if that is of that version already. */
static void choose_rows(const struct work *work, struct gow_upgrade_job *job)
{
	const struct gow_layout *row;

	job->rows = gow_layouts_rows(work->layouts, &job->row_count);
	row = gow_layout_among(job->rows, job->row_count, work->to->version);
	job->to = row ? row : work->to;
}

static int upgrade_at(void *context, struct gow_location *location, bool look, bool *needed,
                      gow_error *error)
{
	struct work *work = context;
	const gow_upgrade_options *options = work->options;
	const bool dry_run = options->common.flags & GOW_COMMON_DRY_RUN;
	struct gow_upgrade_job job = {
		.file = location->file,
		.lock = &location->lock,
		.rollback = options->flags & GOW_UPGRADE_ROLLBACK,
		.dry_run = look,
		.looks = look && !dry_run,
		.monitor = options->common.monitor,
	};
	struct gow_proof proof = {
		.wanted = options->common.flags & GOW_COMMON_DIGEST && (dry_run || !look),
		.file = location->file,
		.lock = &location->lock,
		.monitor = options->common.monitor,
	};
	int code = gow_pending_layouts(location->file, &work->layouts, error);

	if (code)
		return code;
	choose_rows(work, &job);
	proof.rows = job.rows;
	proof.row_count = job.row_count;
	code = gow_proof_begin(&proof, error);
	if (!code)
		code = gow_upgrade_file(&job, work->result, error);
	*needed = !code && work->result->changed;
	/* There is nothing to do, and the digest is wanted all the same. */
	if (!code && look && !dry_run && !*needed) {
		proof.wanted = options->common.flags & GOW_COMMON_DIGEST;
		code = gow_proof_begin(&proof, error);
	}
	if (code)
		return code;
	work->result->in_use = location->lock.in_use;
	return gow_proof_conclude(&proof, look ? NULL : location->file, &work->result->digests,
	                          error);
}

static int upgrade_in_place(const char *path, const gow_upgrade_options *options,
                            const struct gow_layout *to, gow_upgrade_result *result,
                            gow_error *error)
{
	const gow_open_options open_options = open_options_of(options);
	struct work work = { .options = options, .to = to, .result = result };
	int code = gow_layouts_load(options->common.layout, options->common.monitor, &work.layouts,
	                            error);

	if (!code)
		code = gow_location_change(path, &open_options, upgrade_at, &work, error);
	gow_layouts_free(work.layouts);
	return code;
}

/* What version it is, and whether it can become the one wanted. Whatever is to be said of it is said
 * when it is converted. */
static int check_source(const char *path, const gow_open_options *options,
                        const struct gow_layout *to, gow_upgrade_result *outcome, gow_error *error)
{
	gow_open_options quiet = *options;
	gow_monitor monitor = { .note = NULL };
	gow_image *image;
	int code;

	if (options->common.monitor) {
		monitor = *options->common.monitor;
		monitor.note = NULL;
		quiet.common.monitor = &monitor;
	}
	code = gow_image_open(path, &quiet, &image, error);
	if (code)
		return code;
	outcome->old_version = gow_image_version(image);
	outcome->old_file_size = gow_image_map(image)->file_size;
	gow_image_close(image);
	if (outcome->old_version <= to->version)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_ARGUMENT,
	                "is of version %u already, and cannot become version %u here; gow-convert "
	                "writes older versions",
	                outcome->old_version, to->version);
}

/* A new file with what the guest sees is what converting makes. */
static int upgrade_to_new(const char *path, const gow_upgrade_options *options,
                          const struct gow_layout *to, gow_upgrade_result *result, gow_error *error)
{
	static const gow_format formats[] = { GOW_FORMAT_PROBE, GOW_FORMAT_GOW1, GOW_FORMAT_GOW2,
		                              GOW_FORMAT_GOW3 };
	const gow_open_options open_options = open_options_of(options);
	const gow_convert_options convert = {
		.struct_size = sizeof convert,
		.common = options->common,
		.flags = options->common.flags & GOW_COMMON_DIGEST ? GOW_CONVERT_VERIFY : 0u,
		.source_format = GOW_FORMAT_GOW,
		.dest_format = formats[to->version],
	};
	gow_convert_result converted = { .struct_size = sizeof converted };
	gow_upgrade_result outcome = { .changed = false };
	int code;

	if (options->flags & GOW_UPGRADE_ROLLBACK)
		return gow_fail(error, GOW_ERR_ARGUMENT, "a rollback is done in place only");
	code = check_source(path, &open_options, to, &outcome, error);
	if (!code) /* gow-convert would advise an option that is not there */
		code = gow_draft_check(options->output, false, error);
	if (!code)
		code = gow_convert(path, options->output, &convert, &converted, error);
	if (code)
		return code;
	outcome.new_version = to->version;
	outcome.in_use = converted.in_use;
	outcome.moved_bytes = converted.data_bytes;
	outcome.written_bytes = converted.data_bytes + gow_layout_header_end(to);
	outcome.extra_bytes = outcome.new_file_size = converted.file_size;
	/* Verifying has found the same on both sides. */
	outcome.digests = (gow_digests){ converted.digest, converted.digest };
	*result = outcome;
	return GOW_OK;
}

int gow_upgrade(const char *path, const gow_upgrade_options *options, gow_upgrade_result *result,
                gow_error *error)
{
	gow_upgrade_options use = { .struct_size = sizeof use };
	gow_upgrade_result outcome = { .struct_size = sizeof outcome };
	const struct gow_layout *to;
	int code = gow_take_options(options, &use, sizeof use, GOW_UPGRADE_ROLLBACK, error);

	if (!code)
		code = gow_check_result(result, error);
	if (!code)
		code = gow_layouts_check_writing(use.common.layout, error);
	if (code)
		return code;
	to = use.to ? gow_layout_of(use.to) : &gow_layouts[gow_layout_count - 1];
	if (!to)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no version %u", use.to);
	code = use.output ? upgrade_to_new(path, &use, to, &outcome, error)
	                  : upgrade_in_place(path, &use, to, &outcome, error);
	if (!code)
		gow_give_result(result, &outcome, sizeof outcome);
	return code;
}
