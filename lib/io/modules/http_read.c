/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_read.c - reading from a web server: several requests in flight over reused connections, and
 * again what did not come.
 *
 * Ranges that were begun wait in the queue, and stay there until they are finished or abandoned.
 * Whoever waits for something lets them go on. One transfer is left to whoever waits.
 */
#include "base/clock.h"
#include "base/error.h"
#include "io/modules/http.h"

enum {
	TRIES = 5,             /* of opening, unless the caller waits */
	PATIENCE_SECONDS = 20, /* without a byte in all, unless the caller waits longer */
	POLL_MS = 200,         /* between two looks whether to stop */
	PAUSE_MS = 50,         /* the same while all requests wait to be tried again */
	PROGRESS = 16 << 10    /* bytes of an answer that broke off: it does not count as a try */
};

static bool asked_to_stop(const struct gow_remote *remote)
{
	return remote->stop && remote->stop(remote->context);
}

/* ---- many requests ------------------------------------------------------------------------ */

/* 0.2 s, then twice as long each time. */
static double pause_before(int tries)
{
	return 0.1 * (double)(1 << tries);
}

/* Gives up what a transfer has to do. */
static void drop(struct gow_remote *remote, struct gow_http_transfer *transfer)
{
	if (transfer->range && transfer->not_before <= 0)
		gow_http_end(remote, transfer);
	transfer->range = NULL;
	transfer->queued = NULL;
	transfer->not_before = 0;
}

/* Ends a stream's requests after a failure. */
static void drop_stream(struct gow_remote *remote)
{
	for (size_t i = 0; i < remote->connections; i++)
		if (!remote->transfers[i].queued)
			drop(remote, &remote->transfers[i]);
}

/* Whether a request that failed is worth another try, *pause seconds from now. */
static bool may_try_again(const struct gow_remote *remote, const struct gow_http_transfer *transfer,
                          double *pause)
{
	const double patience = remote->wait > PATIENCE_SECONDS ? remote->wait : PATIENCE_SECONDS;

	*pause = pause_before(transfer->tries < 5 ? transfer->tries : 5);
	if (remote->size)
		return transfer->tries < *remote->tries && gow_clock() - remote->heard < patience;
	return (remote->patient || transfer->tries < TRIES) &&
	       gow_clock() + *pause + GOW_HTTP_CONNECT_SECONDS <= remote->deadline;
}

/* Where what fails of a transfer's range is told: of one that was begun, to whoever wants it. */
static gow_error *error_of(const struct gow_http_transfer *transfer, gow_error *error)
{
	return transfer->queued ? &transfer->queued->error : error;
}

/* A transfer is through with its range, well or not. */
static int end_range(struct gow_http_transfer *transfer, const struct gow_remote_stream *stream,
                     int code)
{
	const struct gow_remote_range *range = transfer->range;
	struct gow_http_queued *queued = transfer->queued;

	transfer->range = NULL;
	transfer->queued = NULL;
	if (queued) {
		queued->state = GOW_HTTP_OVER;
		queued->code = code;
		return GOW_OK;
	}
	if (!code)
		stream->done(stream->context, range);
	return code;
}

/* One request is over: done, to be tried again, or the end of all. */
static int settle(struct gow_remote *remote, struct gow_http_transfer *transfer, CURLcode result,
                  const struct gow_remote_stream *stream, gow_error *error)
{
	bool again, progress;
	double pause;
	int code = gow_http_judge(remote, transfer, result, &again, error_of(transfer, error));

	gow_http_end(remote, transfer);
	progress = transfer->got - transfer->from >= PROGRESS;
	transfer->tries = progress ? 1 : transfer->tries + 1;
	/* Too many connections for it, perhaps. */
	if (code && again && remote->welcome > GOW_HTTP_CONNECTIONS)
		remote->welcome = GOW_HTTP_CONNECTIONS;
	if (code && again && may_try_again(remote, transfer, &pause)) {
		transfer->not_before = gow_clock() + (progress ? 0.01 : pause);
		return GOW_OK;
	}
	return end_range(transfer, stream, code);
}

/* Looks which requests are over. */
static int collect(struct gow_remote *remote, const struct gow_remote_stream *stream,
                   gow_error *error)
{
	int left;
	CURLMsg *message;

	while ((message = curl_multi_info_read(remote->multi, &left)) != NULL) {
		char *private = NULL;
		int code;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) || !private)
			return gow_fail(error, GOW_ERR_IO, "libcurl lost a request");
		code = settle(remote, (struct gow_http_transfer *)(void *)private,
		              message->data.result, stream, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

static int begin(struct gow_remote *remote, struct gow_http_transfer *transfer,
                 const struct gow_remote_range *range, const struct gow_remote_stream *stream,
                 gow_error *error)
{
	int code = gow_http_begin(remote, transfer, range, error_of(transfer, error));

	transfer->not_before = 0;
	return code ? end_range(transfer, stream, code) : GOW_OK;
}

/* The first request of a range, by an idle transfer; queued: it was begun before it is wanted. */
static int ask(struct gow_remote *remote, struct gow_http_transfer *transfer,
               const struct gow_remote_range *range, struct gow_http_queued *queued,
               const struct gow_remote_stream *stream, gow_error *error)
{
	transfer->queued = queued;
	transfer->tries = 0;
	transfer->got = 0;
	return begin(remote, transfer, range, stream, error);
}

/* Gives an idle transfer the next range, if there is one. */
static int feed_one(struct gow_remote *remote, struct gow_http_transfer *transfer,
                    const struct gow_remote_stream *stream, bool wait, gow_error *error)
{
	const struct gow_remote_range *range = stream->next(stream->context, wait);

	return range ? ask(remote, transfer, range, NULL, stream, error) : GOW_OK;
}

/* Begins those again whose pause is over. */
static int try_again(struct gow_remote *remote, const struct gow_remote_stream *stream,
                     gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < remote->connections && !code; i++) {
		struct gow_http_transfer *transfer = &remote->transfers[i];

		if (transfer->range && transfer->not_before > 0 &&
		    gow_clock() >= transfer->not_before)
			code = begin(remote, transfer, transfer->range, stream, error);
	}
	return code;
}

/* Gives idle transfers work; *busy: how many of the stream have something to do, which is none at the
 * end only. */
static int feed(struct gow_remote *remote, const struct gow_remote_stream *stream, unsigned *busy,
                gow_error *error)
{
	int code = try_again(remote, stream, error);

	*busy = 0;
	for (size_t i = 0; i < remote->connections && !code; i++) {
		struct gow_http_transfer *transfer = &remote->transfers[i];

		if (!transfer->range && i < remote->welcome)
			code = feed_one(remote, transfer, stream, false, error);
		*busy += transfer->range && !transfer->queued;
	}
	if (code || *busy)
		return code;
	code = feed_one(remote, &remote->transfers[0], stream, true, error);
	*busy = remote->transfers[0].range != NULL;
	remote->heard = gow_clock(); /* it may have been a while */
	return code;
}

/* How many requests libcurl has. */
static int count_begun(const struct gow_remote *remote)
{
	int begun = 0;

	for (size_t i = 0; i < remote->connections; i++)
		begun += remote->transfers[i].range && remote->transfers[i].not_before <= 0;
	return begun;
}

/* Lets requests go on; waits for bytes unless some of them are over already. */
static int turn(struct gow_remote *remote, gow_error *error)
{
	const int begun = count_begun(remote);
	int running;

	if (curl_multi_perform(remote->multi, &running) ||
	    (running == begun &&
	     curl_multi_poll(remote->multi, NULL, 0, running ? POLL_MS : PAUSE_MS, NULL)))
		return gow_fail(error, GOW_ERR_IO, "libcurl failed");
	return asked_to_stop(remote) ? gow_fail(error, GOW_ERR_STOPPED, "stopped on request")
	                             : GOW_OK;
}

int gow_http_stream(struct gow_remote *remote, const struct gow_remote_stream *stream,
                    gow_error *error)
{
	unsigned busy = 0;
	int code;

	remote->heard = gow_clock();
	do {
		code = feed(remote, stream, &busy, error);
		if (!code && busy)
			code = turn(remote, error);
		if (!code)
			code = collect(remote, stream, error);
	} while (!code && busy);
	if (code)
		drop_stream(remote);
	return code;
}

/* Ranges that are all known. */
struct array {
	const struct gow_remote_range *next, *end;
};

static const struct gow_remote_range *next_of_array(void *context, bool wait)
{
	struct array *array = context;

	(void)wait;
	return array->next < array->end ? array->next++ : NULL;
}

static void done_of_array(void *context, const struct gow_remote_range *range)
{
	(void)context;
	(void)range;
}

int gow_http_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                  gow_error *error)
{
	struct array array = { .next = ranges, .end = ranges + count };
	const struct gow_remote_stream stream = { .context = &array,
		                                  .next = next_of_array,
		                                  .done = done_of_array };

	return gow_http_stream(remote, &stream, error);
}

int gow_http_pour(struct gow_remote *remote, uint64_t offset, size_t size, gow_remote_taker take,
                  void *context, gow_error *error)
{
	const struct gow_remote_range range = { .offset = offset, .size = size };

	remote->take = take;
	remote->take_context = context;
	return gow_http_read(remote, &range, 1, error);
}

/* ---- ranges that are begun ----------------------------------------------------------------- */

static struct gow_http_queued *find(struct gow_remote *remote, const struct gow_remote_range *range)
{
	for (size_t i = 0; i < GOW_HTTP_QUEUE; i++)
		if (remote->queue[i].range == range)
			return &remote->queue[i];
	return NULL;
}

/* The one that has waited longest; or NULL. */
static struct gow_http_queued *next_waiting(struct gow_remote *remote)
{
	struct gow_http_queued *first = NULL;

	for (size_t i = 0; i < GOW_HTTP_QUEUE; i++) {
		struct gow_http_queued *at = &remote->queue[i];

		if (at->range && at->state == GOW_HTTP_WAITING &&
		    (!first || at->number < first->number))
			first = at;
	}
	return first;
}

/* Gives idle transfers what waits in the queue, all but the first. */
static void feed_queue(struct gow_remote *remote)
{
	struct gow_http_queued *queued = next_waiting(remote);

	for (size_t i = 1; i < remote->welcome && queued; i++) {
		struct gow_http_transfer *transfer = &remote->transfers[i];

		if (transfer->range)
			continue;
		queued->state = GOW_HTTP_ASKED;
		(void)ask(remote, transfer, queued->range, queued, NULL, NULL);
		queued = next_waiting(remote);
	}
}

void gow_http_begin_range(struct gow_remote *remote, const struct gow_remote_range *range)
{
	struct gow_http_queued *place = find(remote, NULL);
	int running;

	/* Without room for it, it is read when it is wanted. */
	if (!place || remote->welcome < 2)
		return;
	*place = (struct gow_http_queued){ .range = range, .number = ++remote->begun };
	feed_queue(remote);
	/* So that it is sent. What fails here fails again where somebody waits. */
	(void)curl_multi_perform(remote->multi, &running);
}

static bool is_under_way(const struct gow_http_queued *queued)
{
	return queued->state == GOW_HTTP_WAITING || queued->state == GOW_HTTP_ASKED;
}

int gow_http_finish_range(struct gow_remote *remote, const struct gow_remote_range *range,
                          gow_error *error)
{
	struct gow_http_queued *queued = find(remote, range);
	int code = GOW_OK;

	if (!queued)
		return gow_http_read(remote, range, 1, error);
	remote->heard = gow_clock();
	while (!code && is_under_way(queued)) {
		feed_queue(remote);
		code = try_again(remote, NULL, error);
		if (!code)
			code = turn(remote, error);
		if (!code)
			code = collect(remote, NULL, error);
	}
	if (!code && queued->code) {
		code = queued->code;
		if (error)
			*error = queued->error;
	}
	gow_http_abandon_range(remote, range);
	return code;
}

void gow_http_abandon_range(struct gow_remote *remote, const struct gow_remote_range *range)
{
	struct gow_http_queued *queued = find(remote, range);

	if (!queued)
		return;
	for (size_t i = 0; i < remote->connections; i++)
		if (remote->transfers[i].queued == queued)
			drop(remote, &remote->transfers[i]);
	queued->range = NULL;
}
