/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_request.c - one request of a range, by libcurl.
 *
 * Every answer is compared with what the first one said of the object (ETag, Last-Modified,
 * length). If-Range is sent where the server gave a strong ETag, since then it answers 200 with
 * the whole object instead of a part of another one. TLS is always verified.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/error.h"
#include "io/modules/http.h"

enum {
	STALL_SECONDS = 10, /* with less than so many bytes: then another connection is tried */
	STALL_BYTES = 640,
	REDIRECTS = 10,
	/* Bytes between the kernel and on_data. A processor's cache should keep them; and malloc maps
	 * what is larger anew for every request. */
	BUFFER = 96 << 10
};

/* ---- what arrives ------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
	struct gow_http_transfer *transfer = context;

	gow_http_take_line(&transfer->answer, line, size * count);
	return size * count;
}

/* Whether a part that arrived is of the object that was opened, and the part that was asked for. */
static int judge_part(const struct gow_remote *remote, const struct gow_http_transfer *transfer,
                      gow_error *error)
{
	const struct gow_http_answer *answer = &transfer->answer;

	if (answer->no_total)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "the server does not say how long the object is: "
		                "download the file first");
	if (answer->total > INT64_MAX)
		return gow_fail(error, GOW_ERR_IO,
		                "the server says that the object is larger than files can be");
	if (!answer->has_range || answer->start != transfer->range->offset + transfer->from)
		return gow_fail(error, GOW_ERR_IO,
		                "the server sent another part than the one asked for");
	if (remote->size &&
	    (answer->total != remote->size || strcmp(answer->etag, remote->first.etag) != 0 ||
	     strcmp(answer->modified, remote->first.modified) != 0))
		return gow_fail(error, GOW_ERR_CHANGED,
		                "the object was replaced on the server while "
		                "it was read: run the command again");
	return GOW_OK;
}

static void keep(struct gow_http_transfer *transfer, const char *data, size_t size)
{
	const struct gow_remote *remote = transfer->remote;
	char *buf = transfer->range->buf;

	if (buf)
		memcpy(buf + transfer->got, data, size);
	else
		remote->take(remote->take_context, data, size);
	transfer->got += size;
}

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
	struct gow_http_transfer *transfer = context;
	long status = 0;

	size *= count;
	/* Only a part is wanted; the body of an error, or of the whole object, is not. */
	if (curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status) || status != 206)
		return 0;
	/* What was not asked for, or is of another object, never reaches the caller's memory. */
	if (transfer->got == transfer->from && judge_part(transfer->remote, transfer, NULL))
		return 0;
	if (size > transfer->range->size - transfer->got) {
		transfer->overflow = true;
		return 0;
	}
	keep(transfer, data, size);
	transfer->remote->heard = gow_clock();
	return size;
}

/* ---- a request ---------------------------------------------------------------------------- */

static int fail_curl(gow_error *error, const char *what, CURLcode code)
{
	return gow_fail(error, code == CURLE_OUT_OF_MEMORY ? GOW_ERR_MEMORY : GOW_ERR_IO, "%s: %s",
	                what, curl_easy_strerror(code));
}

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (!code)                                                                         \
			code = curl_easy_setopt(easy, (option), (value));                          \
	} while (0)

int gow_http_set_up(struct gow_http_transfer *transfer, const char *uri, gow_error *error)
{
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;
	const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");

	SET(CURLOPT_URL, uri);
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, transfer->reason);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	/* What was asked for over TLS never comes without. */
	SET(CURLOPT_REDIR_PROTOCOLS_STR, strncasecmp(uri, "https", 5) ? "http,https" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, (long)REDIRECTS);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
	SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	SET(CURLOPT_USERAGENT, "gow-tools/" GOW_VERSION);
	SET(CURLOPT_CONNECTTIMEOUT, (long)GOW_HTTP_CONNECT_SECONDS);
	SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES / STALL_SECONDS);
	SET(CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	SET(CURLOPT_BUFFERSIZE, (long)BUFFER);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, transfer);
	/* libcurl does not look at these by itself. */
	if (file && *file)
		SET(CURLOPT_CAINFO, file);
	if (directory && *directory)
		SET(CURLOPT_CAPATH, directory);
	return code ? fail_curl(error, "cannot prepare a request", code) : GOW_OK;
}

int gow_http_begin(struct gow_remote *remote, struct gow_http_transfer *transfer,
                   const struct gow_remote_range *range, gow_error *error)
{
	CURL *easy = transfer->easy;
	CURLcode code = CURLE_OK;
	char text[64];

	/* What came before a connection broke is not asked for again. */
	transfer->from = transfer->got;
	(void)snprintf(text, sizeof text, "%llu-%llu",
	               (unsigned long long)range->offset + transfer->from,
	               (unsigned long long)range->offset + range->size - 1);
	transfer->range = range;
	transfer->overflow = false;
	transfer->answer = (struct gow_http_answer){ .has_range = false };
	transfer->reason[0] = '\0';
	SET(CURLOPT_RANGE, text);
	SET(CURLOPT_HTTPHEADER, remote->headers);
	if (code)
		return fail_curl(error, "cannot prepare a request", code);
	if (curl_multi_add_handle(remote->multi, easy))
		return gow_fail(error, GOW_ERR_MEMORY, "cannot begin a request");
	return GOW_OK;
}

void gow_http_end(struct gow_remote *remote, struct gow_http_transfer *transfer)
{
	(void)curl_multi_remove_handle(remote->multi, transfer->easy);
}

/* What libcurl quotes may be the proxy's URL: its user and password are taken out. */
static void hide_passwords(char *text)
{
	char *quote = strchr(text, '\'');

	while (quote) {
		char *begin = quote + 1;
		size_t length = strcspn(begin, "'");
		const char *at = memrchr(begin, '@', length);
		char *end = begin + length;
		char *host = memmem(begin, length, "://", 3);

		if (at) {
			begin = host ? host + 3 : begin;
			(void)memmove(begin, at + 1, strlen(at + 1) + 1);
			end -= at + 1 - begin;
		}
		quote = *end ? strchr(end + 1, '\'') : NULL;
	}
}

/* Whether the object turned out to be empty, which servers say in two ways. */
static bool is_empty(struct gow_http_transfer *transfer, long status)
{
	curl_off_t length = -1;

	if (status == 200 && curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
	                                       &length) != CURLE_OK)
		length = -1;
	return !transfer->remote->size && (status == 416 || length == 0);
}

/* libcurl's answers for what may pass by itself. */
static bool may_pass(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static const char *what_to_do(CURLcode code)
{
	if (code == CURLE_SSL_CONNECT_ERROR)
		return ": does the server answer https at this port?";
	return may_pass(code) ? ": is the server running? Try again later" : "";
}

/* Judges a request that is over. */
int gow_http_judge(const struct gow_remote *remote, struct gow_http_transfer *transfer,
                   CURLcode code, bool *again, gow_error *error)
{
	long status = 0;

	*again = false;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status))
		status = 0;
	hide_passwords(transfer->reason);
	/* Of a proxy that was asked for a way to the server. */
	if (!status && (curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status) ||
	                status != 407))
		status = 0;
	if (status == 407)
		return gow_http_judge_status(status, again, error);
	if (is_empty(transfer, status))
		return gow_fail(error, GOW_ERR_IO, "the object is empty");
	if (transfer->overflow)
		return gow_fail(error, GOW_ERR_IO, "the server sent more than was asked for");
	/* on_data refuses the body of other answers, which libcurl calls a write error. */
	if (status == 200 && remote->size)
		return gow_fail(error, GOW_ERR_CHANGED,
		                "the object was replaced on the server while "
		                "it was read: run the command again");
	if (status >= 200 && status != 206 && (!code || code == CURLE_WRITE_ERROR))
		return gow_http_judge_status(status, again, error);
	if (code == CURLE_WRITE_ERROR && judge_part(remote, transfer, error))
		return judge_part(remote, transfer, error);
	if (code == CURLE_URL_MALFORMAT && status / 100 == 3)
		return gow_fail(error, GOW_ERR_IO,
		                "the server redirects (%ld) to what is not a valid URI", status);
	if (code == CURLE_URL_MALFORMAT)
		return gow_fail(error, GOW_ERR_IO, GOW_BAD_URI);
	/* A connection that broke after the last byte has brought all that was asked of it. */
	if (code && !(may_pass(code) && status == 206 && transfer->got == transfer->range->size)) {
		*again = may_pass(code);
		return gow_fail(error, GOW_ERR_IO, "%s%s",
		                transfer->reason[0] ? transfer->reason : curl_easy_strerror(code),
		                what_to_do(code));
	}
	/* An object may be shorter than what is asked of it first. */
	if (transfer->got < transfer->range->size &&
	    (remote->size || transfer->got != transfer->answer.total)) {
		*again = true;
		return gow_fail(error, GOW_ERR_IO, "the server sent %zu bytes of a part of %zu",
		                transfer->got, transfer->range->size);
	}
	return judge_part(remote, transfer, error);
}
