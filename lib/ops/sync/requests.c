/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/sync/requests.h"

#include <stdlib.h>

#include "base/error.h"

enum {
	REQUEST_LEAST = 4, /* blocks of one request, where there are as many neighbours */
	GAP = 1,           /* blocks that are fetched for nothing rather than ask twice */
	GAP_SHARE = 256,   /* and one of so many in all */
	SLOW_MOST = 8,   /* the least that a request may have at most: two that are not too small */
	SECOND_SHARE = 8 /* with a rate a request takes no more than such a part of a second */
};

/* A block to be fetched. */
struct want {
	uint32_t physical; /* in the master */
	uint32_t logical;
};

struct gow_sync_requests {
	const struct gow_sync_job *job;
	struct want *wants; /* by their place in the master */
	uint32_t count, next;
	uint32_t gaps_left;
	uint32_t request_most; /* blocks */
};

/* ---- what is to be fetched --------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct want *one = a, *other = b;

	return (one->physical > other->physical) - (one->physical < other->physical);
}

static int collect_wants(struct gow_sync_requests *requests, gow_error *error)
{
	const struct gow_sync_job *job = requests->job;
	const size_t most = (size_t)job->needed_count + 1;

	requests->wants = malloc(most * sizeof *requests->wants);
	if (!requests->wants)
		return gow_fail_memory(error, most * sizeof *requests->wants);
	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++)
		if (gow_get_bit(job->needed, i) && !gow_get_bit(job->there, i))
			requests->wants[requests->count++] =
				(struct want){ job->master.disk.entries[i], i };
	qsort(requests->wants, requests->count, sizeof *requests->wants, by_place);
	requests->gaps_left = requests->count / GAP_SHARE;
	return GOW_OK;
}

/* Small requests where the blocks are to come slowly, so that they come evenly. */
static uint32_t choose_most(const struct gow_sync_job *job)
{
	const double rate = job->master.rate, blocks = rate / SECOND_SHARE / GOW_BLOCK_SIZE;

	if (job->window)
		return (uint32_t)gow_min(job->window / 2, GOW_SYNC_REQUEST_MOST);
	if (rate <= 0 || blocks >= GOW_SYNC_REQUEST_MOST)
		return GOW_SYNC_REQUEST_MOST;
	return (uint32_t)gow_max(SLOW_MOST, (uint32_t)blocks);
}

int gow_sync_requests_new(const struct gow_sync_job *job, struct gow_sync_requests **requests,
                          gow_error *error)
{
	struct gow_sync_requests *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->job = job;
	made->request_most = choose_most(job);
	code = collect_wants(made, error);
	if (code)
		gow_sync_requests_free(made);
	else
		*requests = made;
	return code;
}

void gow_sync_requests_free(struct gow_sync_requests *requests)
{
	if (!requests)
		return;
	free(requests->wants);
	free(requests);
}

uint32_t gow_sync_requests_blocks(const struct gow_sync_requests *requests)
{
	return requests->count;
}

/* ---- one request ------------------------------------------------------------------------- */

size_t gow_sync_size_of(const struct gow_sync_job *job, uint32_t physical)
{
	const struct gow_sync_disk *master = &job->master.disk;
	const uint64_t at = gow_layout_block_offset(master->layout, physical);

	return (size_t)gow_min(GOW_BLOCK_SIZE, master->file_size - at);
}

/* How many of the blocks that come next are neighbours in the master, as far as it matters. */
static uint32_t count_run(const struct gow_sync_requests *requests)
{
	const struct want *first = &requests->wants[requests->next];
	const uint32_t most = (uint32_t)gow_min(requests->count - requests->next,
	                                        requests->request_most + REQUEST_LEAST);
	uint32_t run = 0;

	while (run < most && first[run].physical == first->physical + run)
		run++;
	return run;
}

/* How many blocks of a run one request gets, so that what is left is no crumb. */
static uint32_t choose_take(const struct gow_sync_requests *requests, uint32_t run)
{
	const uint32_t most = requests->request_most;

	if (run <= most)
		return run;
	return run - most < REQUEST_LEAST && most >= 2 * REQUEST_LEAST ? run - REQUEST_LEAST : most;
}

/* Adds the next block to the request. */
static void add_block(struct gow_sync_requests *requests, struct gow_sync_request *request)
{
	const struct gow_sync_job *job = requests->job;
	const struct want *want = &requests->wants[requests->next++];

	request->range.size += gow_sync_size_of(job, want->physical);
	request->at[request->row_count] = request->blocks++;
	request->rows[request->row_count++] = (struct gow_sync_row){
		.logical = want->logical,
		.physical = job->places[want->logical],
		.number = gow_sync_number(&job->master.disk, want->logical),
	};
}

static void add_blocks(struct gow_sync_requests *requests, struct gow_sync_request *request,
                       uint32_t count)
{
	while (count--)
		add_block(requests, request);
}

/* Whether the gap between the request and the run behind it is too small to ask twice. */
static bool joins(const struct gow_sync_requests *requests, const struct gow_sync_request *request,
                  uint32_t last, uint32_t run)
{
	return run && requests->gaps_left &&
	       requests->wants[requests->next].physical == last + 1 + GAP &&
	       request->blocks + GAP + run <= requests->request_most;
}

bool gow_sync_requests_next(struct gow_sync_requests *requests, struct gow_sync_request *request)
{
	uint32_t run = count_run(requests);

	*request = (struct gow_sync_request){ .next = NULL };
	if (!run)
		return false;
	request->range.offset = gow_layout_block_offset(requests->job->master.disk.layout,
	                                                requests->wants[requests->next].physical);
	add_blocks(requests, request, choose_take(requests, run));
	run = count_run(requests);
	while (joins(requests, request, requests->wants[requests->next - 1].physical, run)) {
		request->range.size += (size_t)GAP * GOW_BLOCK_SIZE;
		request->blocks += GAP;
		requests->gaps_left -= GAP;
		add_blocks(requests, request, run);
		run = count_run(requests);
	}
	return true;
}
