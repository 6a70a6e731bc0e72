/* SPDX-License-Identifier: BSD-2-Clause */
/* The public call of synchronising. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/growing.h"
#include "image/layout_table.h"
#include "io/draft.h"
#include "ops/sync/job.h"

int gow_sync_safe_point(struct gow_sync_job *job, const char *phase, uint64_t done, uint64_t total,
                        gow_error *error)
{
	const int code = gow_safe_point(job->monitor, phase, done, total,
	                                job->copy ? &job->copy->lock : NULL, error);

	return code ? code : gow_lock_poll(&job->master.lock, error);
}

/* ---- a copy's content --------------------------------------------------------------------- */

/* After a failure that another run cannot go on from, nothing is left behind. */
static void drop_leavings(struct gow_sync_job *job, int code)
{
	const bool useless = code == GOW_ERR_CORRUPT && !job->in_place;

	if (useless)
		(void)gow_sync_record_remove(&job->record, NULL);
	if (job->new_copy && (useless || !job->record.file)) {
		(void)gow_directory_remove(job->copy->directory, job->copy->name, NULL);
		(void)gow_directory_sync(job->copy->directory, NULL);
	}
}

/* All that a real run does to the copy. */
static int bring_up(struct gow_sync_job *job, gow_error *error)
{
	int code = gow_sync_go_round(job, error);

	if (!code && gow_sync_has_work(job))
		code = gow_sync_switch(job, error);
	if (!code && job->new_copy)
		code = gow_sync_copy_publish(job, error);
	if (code)
		drop_leavings(job, code);
	return code ? code : gow_sync_record_remove(&job->record, error);
}

/* ---- a copy that there is ---------------------------------------------------------------- */

static int check_other(const struct gow_sync_job *job, gow_error *error)
{
	return gow_file_same(job->master.file, job->copy->file)
	               ? gow_fail(error, GOW_ERR_ARGUMENT, "is the master itself")
	               : GOW_OK;
}

/* Nor may the master have a name that is needed beside the copy. */
static int check_names(const struct gow_sync_job *job, const char *copy, gow_error *error)
{
	static const char *const endings[] = { ".gow-sync", ".gow-sync.new" };
	char *real = realpath(copy, NULL);
	int code = GOW_OK;

	for (size_t i = 0; i < sizeof endings / sizeof *endings && !code; i++) {
		char *name = NULL;

		if (asprintf(&name, "%s%s", real ? real : copy, endings[i]) < 0) {
			name = NULL;
			code = gow_fail_memory(error, strlen(copy));
		} else if (gow_file_is_at(job->master.file, name))
			code = gow_fail_in_file(
				error,
				gow_fail(error, GOW_ERR_ARGUMENT,
			                 "is the master, and a name that gow-sync needs for its "
			                 "work on %s: rename it",
			                 copy),
				name);
		free(name);
	}
	free(real);
	return code;
}

static void release_copy(struct gow_sync_job *job)
{
	gow_sync_plan_release(job);
	gow_sync_record_release(&job->record);
	gow_sync_disk_release(&job->disk);
	job->copy = NULL;
}

static int look(struct gow_sync_job *job, bool *needed, gow_error *error)
{
	int code;

	job->looking = !gow_sync_is_dry_run(job);
	code = gow_sync_plan(job, error);
	job->looking = false;
	*needed |= job->result->changed || job->in_place;
	job->result->rounds = 1;
	return code;
}

int gow_sync_work(struct gow_sync_job *job, struct gow_location *location, bool only_look,
                  bool *needed, gow_error *error)
{
	bool found = false, behind = false;
	int code;

	job->copy = location;
	job->in_place = job->options->flags & GOW_SYNC_IN_PLACE;
	code = check_other(job, error);
	if (!code)
		code = gow_sync_recover(job, only_look, &found, error);
	*needed = found;
	job->result->rounds = 0;
	/* The copy is read and judged when it is open for writing: once is enough. */
	if (!code && only_look && !gow_sync_is_dry_run(job))
		code = gow_sync_copy_is_behind(job, &behind, error);
	*needed |= behind;
	if (!code && !behind)
		code = gow_sync_copy_load(job, only_look, error);
	if (!code && !behind)
		code = only_look ? look(job, needed, error) : bring_up(job, error);
	job->in_place = false;
	release_copy(job);
	return code;
}

static int sync_at(void *context, struct gow_location *location, bool only_look, bool *needed,
                   gow_error *error)
{
	return gow_sync_work(context, location, only_look, needed, error);
}

/* ---- a copy that is made ----------------------------------------------------------------- */

static int make_copy(struct gow_sync_job *job, const char *path, gow_error *error)
{
	struct gow_location location = { .file = NULL };
	int closed, code = gow_sync_copy_new(job, path, &location, error);

	job->result->created = true;
	if (code && job->copy && !gow_sync_is_dry_run(job) && !job->resumed) {
		drop_leavings(job, code);
	} else if (!code && gow_sync_is_dry_run(job)) {
		code = gow_sync_plan(job, error);
		job->result->rounds = 1;
	} else if (!code) {
		code = bring_up(job, error);
	}
	release_copy(job);
	closed = gow_location_close(&location, code ? NULL : error);
	return code ? code : closed;
}

/* ---- the call ---------------------------------------------------------------------------- */

/* Whether there is a copy already. */
static int look_for_copy(const char *path, bool *missing, gow_error *error)
{
	gow_error why;
	int code = gow_name_is_uri(path) ? gow_fail(error, GOW_ERR_UNSUPPORTED,
	                                            "is on a server: a copy is a local file")
	                                 : gow_draft_check(path, false, &why);

	*missing = !code;
	if (!gow_name_is_uri(path) && code && code != GOW_ERR_EXISTS && error)
		*error = why;
	return code == GOW_ERR_EXISTS ? GOW_OK : gow_fail_in_file(error, code, path);
}

static int sync_copy(struct gow_sync_job *job, const char *copy, gow_error *error)
{
	gow_open_options options = { .common = job->options->common };
	bool missing = false;
	int code = look_for_copy(copy, &missing, error);

	/* The layout is the master's. */
	options.common.layout = NULL;
	if (!code)
		code = gow_sync_master_open(&job->master, error);
	if (!code)
		code = check_names(job, copy, error);
	if (!code)
		gow_header_warn_rounded(job->master.file, job->master.disk.layout, job->monitor);
	if (!code)
		code = gow_sync_wanted_load(job, error);
	if (!code)
		code = gow_sync_check_numbers(job, error);
	if (code)
		return code;
	return missing ? make_copy(job, copy, error)
	               : gow_location_change(copy, &options, sync_at, job, error);
}

static int run(const char *master, const char *copy, const gow_sync_options *options,
               gow_sync_result *result, gow_error *error)
{
	struct gow_layouts *layouts = NULL;
	struct gow_sync_job job = {
		.options = options,
		.result = result,
		.monitor = options->common.monitor,
		.rows = gow_layouts,
		.row_count = gow_layout_count,
		.master = {
			.name = master,
			.options = { .common = options->common, .flags = GOW_OPEN_STEADY },
			.connections = options->connections,
			.rate = (double)options->limit_rate,
		},
	};
	struct gow_sync_cost cost;
	int code = gow_layouts_load(options->common.layout, options->common.monitor, &layouts,
	                            error);

	if (code)
		return code;
	job.master.rows = gow_layouts_rows(layouts, &job.master.row_count);
	code = sync_copy(&job, copy, error);
	if (!code)
		result->digest = job.wanted.digest;
	cost = gow_sync_master_cost(&job.master);
	result->fetched_bytes = cost.bytes;
	if (!gow_sync_is_dry_run(&job))
		result->requests = cost.requests;
	gow_sync_master_close(&job.master);
	gow_sync_wanted_release(&job.wanted);
	gow_layouts_free(layouts);
	return code;
}

int gow_sync(const char *master, const char *copy, const gow_sync_options *options,
             gow_sync_result *result, gow_error *error)
{
	gow_sync_options use = { .struct_size = sizeof use };
	gow_sync_result told = { .struct_size = sizeof told, .first_diverged = GOW_NOWHERE };
	int code = gow_take_options(options, &use, sizeof use,
	                            GOW_SYNC_FORCE | GOW_SYNC_IN_PLACE | GOW_SYNC_VERIFY, error);

	if (!code)
		code = gow_check_result(result, error);
	if (code)
		return code;
	code = run(master, copy, &use, &told, error);
	told.changed &= !code;
	gow_give_result(result, &told, sizeof told);
	return code;
}
