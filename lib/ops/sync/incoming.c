/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/sync/incoming.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/monitor.h"
#include "base/thread.h"

enum {
	WINDOW = 120,   /* blocks that are asked for, and not kept yet: less than 8 MiB */
	MOMENT_MS = 200 /* that half of them may take to come */
};

struct gow_sync_incoming {
	struct gow_sync_job *job;
	struct gow_sync_requests *requests;
	struct gow_sync_request *ahead; /* cut, and not asked for yet; the thread's */
	uint32_t window;                /* blocks */
	bool all_asked;                 /* there are no more requests; the thread's */
	pthread_t thread;
	bool running;
	bool here; /* no thread could be started: the caller's reads, when it takes */
	atomic_bool stop;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	struct gow_sync_list asked; /* for, in the order in which that was done */
	struct gow_sync_list came;
	uint32_t keeping; /* blocks that are in neither list, and have room in the window */
	bool over;        /* the thread has ended, and why: */
	int code;
	gow_error error;
};

/* ---- lists ------------------------------------------------------------------------------- */

static void list_init(struct gow_sync_list *list)
{
	*list = (struct gow_sync_list){ .end = &list->first };
}

static void list_add(struct gow_sync_list *list, struct gow_sync_request *request)
{
	request->next = NULL;
	*list->end = request;
	list->end = &request->next;
	list->blocks += request->blocks;
}

/* Takes the one with that range out of the list. */
static struct gow_sync_request *list_take(struct gow_sync_list *list,
                                          const struct gow_remote_range *range)
{
	struct gow_sync_request **at = &list->first, *request;

	while (&(*at)->range != range)
		at = &(*at)->next;
	request = *at;
	*at = request->next;
	if (!request->next)
		list->end = at;
	list->blocks -= request->blocks;
	return request;
}

static void free_request(struct gow_sync_request *request)
{
	if (request)
		free(request->range.buf);
	free(request);
}

static void list_free(struct gow_sync_list *list)
{
	while (list->first) {
		struct gow_sync_request *request = list->first;

		list->first = request->next;
		free_request(request);
	}
	list_init(list);
}

/* ---- the thread that reads --------------------------------------------------------------- */

static void fail_memory(struct gow_sync_incoming *in, size_t size)
{
	(void)pthread_mutex_lock(&in->mutex);
	in->code = gow_fail_memory(&in->error, size);
	(void)pthread_mutex_unlock(&in->mutex);
}

/* Cuts the next request, with a buffer; false: there is none, or no memory. */
static bool look_ahead(struct gow_sync_incoming *in)
{
	struct gow_sync_request *request;

	if (in->ahead)
		return true;
	request = malloc(sizeof *request);
	if (!request) {
		fail_memory(in, sizeof *request);
		return false;
	}
	in->all_asked = !gow_sync_requests_next(in->requests, request);
	if (!in->all_asked) {
		request->range.buf = malloc((size_t)request->blocks * GOW_BLOCK_SIZE);
		if (request->range.buf) {
			in->ahead = request;
			return true;
		}
		fail_memory(in, (size_t)request->blocks * GOW_BLOCK_SIZE);
	}
	free(request);
	return false;
}

/* Whether the rate lets another request begin. The caller's thread waits for a moment only. */
static bool is_paid(const struct gow_sync_incoming *in, bool wait)
{
	double pause;

	while ((pause = gow_sync_master_pause(&in->job->master)) > 0 && wait &&
	       !atomic_load(&in->stop)) {
		gow_sync_nap(pause);
		wait = !in->here;
	}
	return pause <= 0;
}

/* Takes room in the window for the request that is ahead. */
static bool take_room(struct gow_sync_incoming *in, bool wait)
{
	bool room;

	(void)pthread_mutex_lock(&in->mutex);
	while (!(room = in->asked.blocks + in->came.blocks + in->keeping + in->ahead->blocks <=
	                in->window) &&
	       wait && !in->here && !atomic_load(&in->stop))
		(void)pthread_cond_wait(&in->changed, &in->mutex);
	if (room)
		list_add(&in->asked, in->ahead);
	(void)pthread_mutex_unlock(&in->mutex);
	return room;
}

static const struct gow_remote_range *next_range(void *context, bool wait)
{
	struct gow_sync_incoming *in = context;
	const struct gow_remote_range *range;

	if (!is_paid(in, wait) || atomic_load(&in->stop) || !look_ahead(in) || !take_room(in, wait))
		return NULL;
	range = &in->ahead->range;
	in->ahead = NULL;
	gow_sync_master_count(&in->job->master, range->size);
	return range;
}

/* What is past the end of the master's file, and of the disk, is zeros. */
static void finish_rows(const struct gow_sync_job *job, struct gow_sync_request *request)
{
	const struct gow_sync_disk *master = &job->master.disk;

	for (uint32_t i = 0; i < request->row_count; i++) {
		const uint32_t logical = request->rows[i].logical;
		const uint64_t inside = master->logical_size - (uint64_t)logical * GOW_BLOCK_SIZE;
		const size_t there = gow_sync_size_of(job, master->entries[logical]);
		const size_t size = (size_t)gow_min(there, inside);
		uint8_t *block = gow_sync_block_of(request, i);

		memset(block + size, 0, GOW_BLOCK_SIZE - size);
		gow_hash_block(block, &request->rows[i].hash);
	}
}

static void range_done(void *context, const struct gow_remote_range *range)
{
	struct gow_sync_incoming *in = context;
	struct gow_sync_request *request;

	(void)pthread_mutex_lock(&in->mutex);
	request = list_take(&in->asked, range);
	in->keeping += request->blocks; /* in no list meanwhile */
	(void)pthread_mutex_unlock(&in->mutex);
	finish_rows(in->job, request);
	(void)pthread_mutex_lock(&in->mutex);
	in->keeping -= request->blocks;
	list_add(&in->came, request);
	(void)pthread_cond_broadcast(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
}

/* Reads until next_range has no more; over: this was all. */
static void read_stream(struct gow_sync_incoming *in)
{
	const struct gow_remote_stream stream = { .context = in,
		                                  .next = next_range,
		                                  .done = range_done };

	gow_error error;
	const int code = gow_file_read_stream(in->job->master.file, &stream, &error);

	(void)pthread_mutex_lock(&in->mutex);
	if (code && !in->code) {
		in->code = code;
		in->error = error;
	}
	in->over = !in->here || in->code || in->all_asked || atomic_load(&in->stop);
	(void)pthread_cond_broadcast(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
}

static void *read_all(void *context)
{
	struct gow_sync_incoming *in = context;

	gow_set_stop_flag(&in->stop);
	read_stream(in);
	return NULL;
}

/* ---- the caller's side ------------------------------------------------------------------- */

/* Without a thread, blocks are read as they are taken: slower, but right. */
static void start(struct gow_sync_incoming *in)
{
	in->running = gow_thread_start(&in->thread, read_all, in);
	in->here = !in->running;
}

void gow_sync_incoming_stop(struct gow_sync_incoming *in)
{
	atomic_store(&in->stop, true);
	if (!in->running)
		return;
	(void)pthread_mutex_lock(&in->mutex);
	(void)pthread_cond_broadcast(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
	(void)pthread_join(in->thread, NULL);
	in->running = false;
}

int gow_sync_incoming_new(struct gow_sync_job *job, struct gow_sync_incoming **incoming,
                          gow_error *error)
{
	struct gow_sync_incoming *in = calloc(1, sizeof *in);
	int code;

	if (!in)
		return gow_fail_memory(error, sizeof *in);
	in->job = job;
	in->window = job->window ? job->window : WINDOW;
	list_init(&in->asked);
	list_init(&in->came);
	(void)pthread_mutex_init(&in->mutex, NULL); /* neither can fail here */
	gow_condition_init(&in->changed);
	code = gow_sync_requests_new(job, &in->requests, error);
	if (code) {
		gow_sync_incoming_free(in);
		return code;
	}
	start(in);
	*incoming = in;
	return GOW_OK;
}

void gow_sync_incoming_free(struct gow_sync_incoming *in)
{
	if (!in)
		return;
	gow_sync_incoming_stop(in);
	list_free(&in->asked);
	list_free(&in->came);
	free_request(in->ahead);
	gow_sync_requests_free(in->requests);
	(void)pthread_cond_destroy(&in->changed);
	(void)pthread_mutex_destroy(&in->mutex);
	free(in);
}

uint64_t gow_sync_incoming_total(const struct gow_sync_incoming *in)
{
	return (uint64_t)gow_sync_requests_blocks(in->requests) * GOW_BLOCK_SIZE;
}

int gow_sync_incoming_result(const struct gow_sync_incoming *in, gow_error *error)
{
	if (in->code && error)
		*error = in->error;
	return in->code;
}

void gow_sync_incoming_take(struct gow_sync_incoming *in, struct gow_sync_list *group, bool *over)
{
	const struct timespec until = gow_moment_after(MOMENT_MS);

	list_init(group);
	if (in->here && !in->over)
		read_stream(in); /* a window of it, or what the rate allows */
	(void)pthread_mutex_lock(&in->mutex);
	while (!in->here && !in->over && in->came.blocks < in->window / 2)
		if (pthread_cond_timedwait(&in->changed, &in->mutex, &until) != 0)
			break;
	*over = in->over;
	in->keeping += in->came.blocks;
	if (in->came.first) {
		*group = in->came;
		list_init(&in->came);
	}
	(void)pthread_mutex_unlock(&in->mutex);
}

void gow_sync_incoming_kept(struct gow_sync_incoming *in, struct gow_sync_list *group)
{
	const uint32_t blocks = group->blocks;

	list_free(group);
	(void)pthread_mutex_lock(&in->mutex);
	in->keeping -= blocks;
	(void)pthread_cond_broadcast(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
}
