/* SPDX-License-Identifier: BSD-2-Clause */
/* http.c - objects on web servers: ranges over reused connections, several at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/modules/http.h"

enum {
	CONNECTIONS = 4,      /* requests in flight, unless the caller says */
	CONNECTIONS_FAR = 16, /* to a server that takes so long to be connected to, or to answer: */
	FAR_CONNECT_US = 5000,
	FAR_ANSWER_US = 15000,
	TRIES = 5,             /* of one request, before the object is given up */
	OPEN_SECONDS = 14,     /* for opening in all, unless the caller waits longer */
	PATIENCE_SECONDS = 20, /* without a byte in all, unless the caller waits longer */
	POLL_MS = 200,         /* between two looks whether to stop */
	PAUSE_MS = 50,         /* the same while all requests wait to be tried again */
	PROGRESS = 16 << 10,   /* bytes of an answer that broke off: it does not count as a try */
	REQUEST_BEST = 1 << 20,
	REQUEST_MOST = 16 << 20
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

/* Ends what is in flight after a failure. */
static void abandon(struct gow_remote *remote)
{
	for (size_t i = 0; i < remote->connections; i++) {
		if (remote->transfers[i].range && remote->transfers[i].not_before <= 0)
			gow_http_end(remote, &remote->transfers[i]);
		remote->transfers[i].range = NULL;
	}
}

/* Whether a request that failed is worth another try, *pause seconds from now. */
static bool may_try_again(const struct gow_remote *remote, const struct gow_http_transfer *transfer,
                          double *pause)
{
	const double patience = remote->wait > PATIENCE_SECONDS ? remote->wait : PATIENCE_SECONDS;

	*pause = pause_before(transfer->tries < 5 ? transfer->tries : 5);
	if (remote->size)
		return transfer->tries < TRIES && gow_http_now() - remote->heard < patience;
	return (remote->patient || transfer->tries < TRIES) &&
	       gow_http_now() + *pause + GOW_HTTP_CONNECT_SECONDS <= remote->deadline;
}

/* One request is over: done, to be tried again, or the end of all. */
static int settle(struct gow_remote *remote, struct gow_http_transfer *transfer, CURLcode result,
                  const struct gow_remote_stream *stream, gow_error *error)
{
	const struct gow_remote_range *range = transfer->range;
	bool again, progress;
	double pause;
	int code = gow_http_judge(remote, transfer, result, &again, error);

	gow_http_end(remote, transfer);
	progress = transfer->got - transfer->from >= PROGRESS;
	transfer->tries = progress ? 1 : transfer->tries + 1;
	/* Too many connections for it, perhaps. */
	if (code && again && remote->welcome > CONNECTIONS)
		remote->welcome = CONNECTIONS;
	if (code && again && may_try_again(remote, transfer, &pause)) {
		transfer->not_before = gow_http_now() + (progress ? 0.01 : pause);
		return GOW_OK;
	}
	transfer->range = NULL;
	if (!code)
		stream->done(stream->context, range);
	return code;
}

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

/* Gives an idle transfer the next range, if there is one. */
static int feed_one(struct gow_remote *remote, struct gow_http_transfer *transfer,
                    const struct gow_remote_stream *stream, bool wait, gow_error *error)
{
	const struct gow_remote_range *range = stream->next(stream->context, wait);

	if (!range)
		return GOW_OK;
	transfer->tries = 0;
	transfer->got = 0;
	return gow_http_begin(remote, transfer, range, error);
}

/* Gives idle transfers work, and begins again those whose pause is over; *busy: how many have
 * something to do, which is none at the end only. */
static int feed(struct gow_remote *remote, const struct gow_remote_stream *stream, unsigned *busy,
                gow_error *error)
{
	int code = GOW_OK;

	*busy = 0;
	for (size_t i = 0; i < remote->connections && !code; i++) {
		struct gow_http_transfer *transfer = &remote->transfers[i];

		if (!transfer->range && i < remote->welcome) {
			code = feed_one(remote, transfer, stream, false, error);
		} else if (transfer->range && transfer->not_before > 0 &&
		           gow_http_now() >= transfer->not_before) {
			code = gow_http_begin(remote, transfer, transfer->range, error);
			transfer->not_before = 0;
		}
		if (code)
			transfer->range = NULL;
		*busy += transfer->range != NULL;
	}
	if (code || *busy)
		return code;
	code = feed_one(remote, &remote->transfers[0], stream, true, error);
	if (code)
		remote->transfers[0].range = NULL;
	*busy = remote->transfers[0].range != NULL;
	remote->heard = gow_http_now(); /* it may have been a while */
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

static int http_stream(struct gow_remote *remote, const struct gow_remote_stream *stream,
                       gow_error *error)
{
	unsigned busy = 0;
	int code;

	for (size_t i = 0; i < remote->connections; i++)
		remote->transfers[i].not_before = 0;
	remote->heard = gow_http_now();
	do {
		code = feed(remote, stream, &busy, error);
		if (!code && busy)
			code = turn(remote, error);
		if (!code)
			code = collect(remote, stream, error);
	} while (!code && busy);
	if (code)
		abandon(remote);
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

static int http_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                     gow_error *error)
{
	struct array array = { .next = ranges, .end = ranges + count };
	const struct gow_remote_stream stream = { .context = &array,
		                                  .next = next_of_array,
		                                  .done = done_of_array };

	return http_stream(remote, &stream, error);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void http_close(struct gow_remote *remote)
{
	if (!remote)
		return;
	for (size_t i = 0; i < remote->connections; i++)
		curl_easy_cleanup(remote->transfers[i].easy);
	(void)curl_multi_cleanup(remote->multi);
	curl_slist_free_all(remote->headers);
	free(remote->uri);
	free(remote);
}

static int prepare(struct gow_remote *remote, const char *uri, gow_error *error)
{
	remote->multi = curl_multi_init();
	remote->uri = strdup(uri);
	/* A server that packs what it sends has no ranges of it. */
	remote->headers = curl_slist_append(NULL, "Accept-Encoding: identity");
	if (!remote->multi || !remote->uri || !remote->headers)
		return gow_fail_memory(error, sizeof *remote);
	for (size_t i = 0; i < remote->connections; i++) {
		struct gow_http_transfer *transfer = &remote->transfers[i];
		int code;

		transfer->remote = remote;
		transfer->easy = curl_easy_init();
		if (!transfer->easy)
			return gow_fail_memory(error, sizeof *transfer);
		code = gow_http_set_up(transfer, uri, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

/* A strong ETag makes the server itself refuse to mix two objects. */
static int remember(struct gow_remote *remote, const struct gow_http_answer *answer,
                    gow_error *error)
{
	const size_t length = strlen(answer->etag);
	char line[GOW_HTTP_HEADER_SIZE + 16];
	struct curl_slist *longer;

	remote->first = *answer;
	remote->size = answer->total;
	/* One that is too long for us has lost its end. */
	if (length < 2 || answer->etag[0] != '"' || answer->etag[length - 1] != '"')
		return GOW_OK;
	(void)snprintf(line, sizeof line, "If-Range: %s", answer->etag);
	longer = curl_slist_append(remote->headers, line);
	if (!longer)
		return gow_fail_memory(error, sizeof line);
	remote->headers = longer;
	return GOW_OK;
}

/* A server that is far away gets more requests at a time: most of the time they are under way. */
static void choose_connections(struct gow_remote *remote)
{
	CURL *easy = remote->transfers[0].easy;
	curl_off_t looked_up = 0, connected = 0, sent = 0, answered = 0;

	if (!curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &looked_up) &&
	    !curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected) &&
	    !curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent) &&
	    !curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &answered) &&
	    connected - looked_up < FAR_CONNECT_US && answered - sent < FAR_ANSWER_US)
		remote->welcome = CONNECTIONS;
}

static int http_open(const struct gow_remote_request *request, struct gow_remote **result,
                     struct gow_remote_info *info, gow_error *error)
{
	struct gow_remote *remote;
	/* Not one byte: busybox takes 0-0 for all. */
	uint8_t bytes[2];
	const struct gow_remote_range probe = { .offset = 0, .size = sizeof bytes, .buf = bytes };
	int code;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return gow_fail(error, GOW_ERR_IO, "libcurl cannot be set up");
	remote = calloc(1, sizeof *remote);
	if (!remote)
		return gow_fail_memory(error, sizeof *remote);
	remote->stop = request->stop;
	remote->context = request->context;
	remote->wait = request->wait_seconds;
	remote->patient = request->wait_seconds > 0;
	remote->deadline = gow_http_now() + fmax(request->wait_seconds, OPEN_SECONDS);
	remote->connections = request->connections ? request->connections : CONNECTIONS_FAR;
	if (remote->connections > GOW_HTTP_CONNECTIONS_MOST)
		remote->connections = GOW_HTTP_CONNECTIONS_MOST;
	remote->welcome = remote->connections;
	code = prepare(remote, request->uri, error);
	if (!code)
		code = http_read(remote, &probe, 1, error);
	if (!code)
		code = remember(remote, &remote->transfers[0].answer, error);
	if (code) {
		http_close(remote);
		return code;
	}
	if (!request->connections)
		choose_connections(remote);
	*info = (struct gow_remote_info){ .size = remote->size,
		                          .has_proof = gow_http_is_proof(&remote->first),
		                          .request_best = REQUEST_BEST,
		                          .request_most = REQUEST_MOST };
	(void)snprintf(info->identity, sizeof info->identity, "%.100s|%.100s", remote->first.etag,
	               remote->first.modified);
	*result = remote;
	return GOW_OK;
}

extern const struct gow_module gow_module;
const struct gow_module gow_module = {
	.abi = GOW_MODULE_ABI,
	.library = "libcurl " LIBCURL_VERSION,
	.open = http_open,
	.read = http_read,
	.stream = http_stream,
	.close = http_close,
};
