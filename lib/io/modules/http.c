/* SPDX-License-Identifier: BSD-2-Clause */
/* http.c - objects on web servers: the module, and how one is opened. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "io/modules/http.h"

enum {
	/* Requests in flight to a server that takes so long to be connected to, or to answer: */
	CONNECTIONS_FAR = 16,
	FAR_CONNECT_US = 5000,
	FAR_ANSWER_US = 15000,
	OPEN_SECONDS = 14, /* for opening in all, unless the caller waits longer */
	REQUEST_BEST = 1 << 20
};

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
		remote->welcome = GOW_HTTP_CONNECTIONS;
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
	remote->tries = request->tries;
	remote->patient = request->wait_seconds > 0;
	remote->deadline = gow_clock() + fmax(request->wait_seconds, OPEN_SECONDS);
	remote->connections = request->connections ? request->connections : CONNECTIONS_FAR;
	if (remote->connections > GOW_HTTP_CONNECTIONS_MOST)
		remote->connections = GOW_HTTP_CONNECTIONS_MOST;
	remote->welcome = remote->connections;
	code = prepare(remote, request->uri, error);
	if (!code)
		code = gow_http_read(remote, &probe, 1, error);
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
		                          .request_best = REQUEST_BEST };
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
	.read = gow_http_read,
	.begin = gow_http_begin_range,
	.finish = gow_http_finish_range,
	.abandon = gow_http_abandon_range,
	.pour = gow_http_pour,
	.stream = gow_http_stream,
	.close = http_close,
};
