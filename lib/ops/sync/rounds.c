/* SPDX-License-Identifier: BSD-2-Clause */
/* rounds.c - planning and fetching, again for as long as the master changes meanwhile. */
#include "base/error.h"
#include "base/monitor.h"
#include "ops/sync/job.h"

enum {
	ROUNDS = 5,        /* that a master may take us through */
	RECORD_SHARE = 512 /* a byte of record for so many of blocks, and more */
};

/* What is going to be read and written. */
static int measure(struct gow_sync_job *job, gow_error *error)
{
	gow_sync_result *result = job->result;
	const struct gow_sync_cost before = gow_sync_master_cost(&job->master);
	struct gow_sync_cost look;
	uint64_t bytes = 0, requests = 0;
	int code = gow_sync_fetch_cost(job, &bytes, &requests, error);

	if (!code)
		code = gow_sync_measure_places(job, &result->disk_bytes, error);
	result->needed_blocks = job->needed_count;
	result->resumed |= job->there_count != 0;
	result->in_place = job->in_place;
	result->changed = job->needed_count || job->differs || job->new_copy;
	result->fetch_bytes = before.bytes + bytes;
	result->requests = before.requests + requests;
	look = gow_sync_master_plan_check(&job->master, before.bytes + bytes);
	if (result->changed) {
		result->fetch_bytes += look.bytes;
		result->requests += look.requests;
	}
	return code;
}

int gow_sync_plan(struct gow_sync_job *job, gow_error *error)
{
	int code = gow_sync_plan_make(job, error);

	if (!code)
		code = gow_sync_give_places(job, error);
	return code ? code : measure(job, error);
}

/* Room for the blocks, their record, and the undo file of the switch. */
static int check_room(const struct gow_sync_job *job, gow_error *error)
{
	const uint64_t header = 4 * sizeof(uint32_t) * (uint64_t)job->master.disk.logical_blocks;

	return gow_check_room(job->copy->file,
	                      job->result->disk_bytes + (job->needed_count ? header : 0) +
	                              job->result->disk_bytes / RECORD_SHARE,
	                      error);
}

/* What stands beside the copy before the first block comes. */
static int begin(struct gow_sync_job *job, gow_error *error)
{
	int code = GOW_OK;

	if (job->needed_count > job->there_count)
		code = check_room(job, error);
	if (!code && !job->new_copy)
		code = gow_sync_check_name(job, error);
	if (!code && !job->record.file)
		code = gow_sync_record_begin(&job->record, job->in_place, error);
	if (code || !job->in_place)
		return code;
	gow_note(job->monitor, GOW_NOTE_WARNING, job->copy->file->name,
	         "is changed in place: it cannot be used until that is finished");
	return gow_sync_mark(job, error);
}

/* Fetches what is missing; *changed: the master is another one than it was. */
static int fetch(struct gow_sync_job *job, bool *changed, gow_error *error)
{
	int code = begin(job, error);

	*changed = false;
	if (!code) {
		code = gow_sync_fetch(job, error);
		*changed = code == GOW_ERR_CHANGED;
	}
	if (*changed)
		return GOW_OK;
	if (!code)
		code = gow_sync_master_check(&job->master, changed, error);
	return code || *changed ? code : gow_sync_compare_fetched(job, error);
}

static int give_up(const struct gow_sync_job *job, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CHANGED,
	                    "changed %d times while it was read: try again when it is at rest; %s",
	                    ROUNDS,
	                    job->in_place ? "the copy stays pending until then"
	                                  : "the copy keeps its old content");

	return gow_fail_in_file(error, code, job->master.name);
}

/* Opens the master anew; *changed: it changed while it was being opened. */
static int reopen(struct gow_sync_job *job, bool *changed, gow_error *error)
{
	int code = gow_sync_master_open(&job->master, error);

	if (!code)
		code = gow_sync_wanted_load(job, error);
	*changed = code == GOW_ERR_CHANGED;
	return *changed ? GOW_OK : code;
}

bool gow_sync_has_work(const struct gow_sync_job *job)
{
	return job->result->changed || (job->in_place && job->record.file);
}

int gow_sync_go_round(struct gow_sync_job *job, gow_error *error)
{
	bool changed = true;
	int code = GOW_OK;

	while (!code && changed) {
		if (job->result->rounds == ROUNDS)
			return give_up(job, error);
		changed = false;
		if (job->result->rounds++)
			code = reopen(job, &changed, error);
		if (!code && !changed)
			code = gow_sync_plan(job, error);
		if (!code && !changed && gow_sync_has_work(job))
			code = fetch(job, &changed, error);
	}
	return code;
}
