/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fetching blocks. While others come, the caller's thread keeps those that came: durable in the copy,
 * and then in the record. So neither the network nor the disk waits for the other.
 */
#include <string.h>

#include "io/readback.h"
#include "ops/sync/incoming.h"

struct fetch {
	struct gow_sync_job *job;
	struct gow_sync_incoming *incoming;
	uint64_t kept; /* bytes */
};

/* ---- keeping what came ------------------------------------------------------------------- */

typedef int (*block_worker)(struct gow_file *file, uint64_t offset, const void *block, size_t size,
                            gow_error *error);

static int each_row(const struct fetch *fetch, const struct gow_sync_list *group, block_worker work,
                    gow_error *error)
{
	const struct gow_sync_job *job = fetch->job;
	int code = GOW_OK;

	for (const struct gow_sync_request *at = group->first; at; at = at->next)
		for (uint32_t i = 0; i < at->row_count && !code; i++)
			code = work(job->copy->file,
			            gow_layout_block_offset(job->disk.layout, at->rows[i].physical),
			            gow_sync_block_of(at, i), GOW_BLOCK_SIZE, error);
	return code;
}

/* The blocks, durable and read back. */
static int write_blocks(const struct fetch *fetch, const struct gow_sync_list *group,
                        gow_error *error)
{
	struct gow_file *file = fetch->job->copy->file;
	int code = each_row(fetch, group, gow_file_write, error);

	if (!code)
		code = gow_file_sync(file, error);
	if (code)
		return code;
	gow_file_drop_cache(file);
	return each_row(fetch, group, gow_file_compare, error);
}

/* Rows of many requests share a frame. */
static int add_rows(const struct fetch *fetch, const struct gow_sync_list *group, gow_error *error)
{
	struct gow_sync_job *job = fetch->job;
	struct gow_sync_row rows[GOW_SYNC_ROWS];
	uint32_t count = 0;
	int code = GOW_OK;

	for (const struct gow_sync_request *at = group->first; at && !code; at = at->next) {
		if (count + at->row_count > GOW_SYNC_ROWS) {
			code = gow_sync_record_add(&job->record, &job->master.identity, rows, count,
			                           error);
			count = 0;
		}
		memcpy(rows + count, at->rows, at->row_count * sizeof *rows);
		count += at->row_count;
	}
	return code ? code
	            : gow_sync_record_add(&job->record, &job->master.identity, rows, count, error);
}

static void note_rows(const struct fetch *fetch, const struct gow_sync_list *group)
{
	for (const struct gow_sync_request *at = group->first; at; at = at->next)
		for (uint32_t i = 0; i < at->row_count; i++)
			gow_sync_is_there(fetch->job, at->rows[i].logical, at->rows[i].physical);
}

static int keep_group(struct fetch *fetch, const struct gow_sync_list *group, gow_error *error)
{
	const bool in_place = fetch->job->in_place;
	int code = in_place ? add_rows(fetch, group, error) : write_blocks(fetch, group, error);

	if (!code)
		code = in_place ? write_blocks(fetch, group, error) : add_rows(fetch, group, error);
	if (!code)
		note_rows(fetch, group);
	for (const struct gow_sync_request *at = group->first; at; at = at->next)
		fetch->kept += (uint64_t)at->row_count * GOW_BLOCK_SIZE;
	return code;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* Keeps groups until no more come. What came before somebody stopped us is kept, too. */
static int keep_all(struct fetch *fetch, gow_error *error)
{
	struct gow_sync_list group;
	bool over = false;
	int code, failed = GOW_OK;

	do {
		code = gow_sync_safe_point(fetch->job, "fetch", fetch->kept,
		                           gow_sync_incoming_total(fetch->incoming), error);
		if (code)
			gow_sync_incoming_stop(fetch->incoming);
		gow_sync_incoming_take(fetch->incoming, &group, &over);
		if (group.first)
			failed = keep_group(fetch, &group, code ? NULL : error);
		gow_sync_incoming_kept(fetch->incoming, &group);
	} while (!code && !failed && !over);
	if (!code)
		code = failed;
	return code ? code : gow_sync_incoming_result(fetch->incoming, error);
}

int gow_sync_fetch(struct gow_sync_job *job, gow_error *error)
{
	struct fetch fetch = { .job = job };
	int code;

	if (job->needed_count == job->there_count)
		return GOW_OK;
	code = gow_sync_incoming_new(job, &fetch.incoming, error);
	if (!code)
		code = keep_all(&fetch, error);
	gow_sync_incoming_free(fetch.incoming);
	return code;
}

int gow_sync_fetch_cost(const struct gow_sync_job *job, uint64_t *bytes, uint64_t *requests,
                        gow_error *error)
{
	struct gow_sync_requests *cutter;
	struct gow_sync_request request;
	int code = gow_sync_requests_new(job, &cutter, error);

	*bytes = *requests = 0;
	if (code)
		return code;
	while (gow_sync_requests_next(cutter, &request)) {
		*bytes += request.range.size;
		++*requests;
	}
	gow_sync_requests_free(cutter);
	return GOW_OK;
}
