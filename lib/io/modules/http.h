/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - requests of an object on a web server, for the parts of the module: http_answer.c reads
 * the headers of an answer, http_request.c makes one request and judges how it ended, http_read.c
 * keeps several in flight, and http.c opens the object, and is the module.
 */
#ifndef GOW_IO_MODULES_HTTP_H
#define GOW_IO_MODULES_HTTP_H

#include <curl/curl.h>

#include "io/module.h"

enum {
	GOW_HTTP_CONNECTIONS_MOST = 64,
	GOW_HTTP_CONNECTIONS = 4,     /* requests in flight, unless the caller says */
	GOW_HTTP_QUEUE = 16,          /* ranges that were begun */
	GOW_HTTP_CONNECT_SECONDS = 5, /* to reach the server */
	GOW_HTTP_HEADER_SIZE = 256
};

/* What one answer said of the object. */
struct gow_http_answer {
	char etag[GOW_HTTP_HEADER_SIZE];
	char modified[GOW_HTTP_HEADER_SIZE];
	char date[GOW_HTTP_HEADER_SIZE]; /* of the answer */
	uint64_t start, end, total;      /* of Content-Range; end is exclusive */
	bool has_range;
	bool no_total; /* Content-Range has a '*' for it */
};

/* A range that was begun, and is neither finished nor abandoned. */
struct gow_http_queued {
	const struct gow_remote_range *range; /* NULL: this place is free */
	uint64_t number;                      /* in the order of beginning */
	enum {
		GOW_HTTP_WAITING, /* for a transfer */
		GOW_HTTP_ASKED,   /* a transfer has it */
		GOW_HTTP_OVER
	} state;
	int code; /* of what failed, and */
	gow_error error;
};

/* One request of a range. */
struct gow_http_transfer {
	struct gow_remote *remote;
	CURL *easy;
	const struct gow_remote_range *range; /* NULL: this transfer is idle */
	struct gow_http_queued *queued;       /* of which it is the range; or NULL */
	size_t got;                           /* bytes of it that are there */
	size_t from;                          /* how many were there when this request began */
	bool overflow;                        /* more came than was asked for */
	int tries;
	double not_before; /* seconds of the monotonic clock: when to try again; 0: not waiting */
	struct gow_http_answer answer;
	char reason[CURL_ERROR_SIZE];
};

struct gow_remote {
	CURLM *multi;
	struct gow_http_transfer transfers[GOW_HTTP_CONNECTIONS_MOST];
	size_t connections; /* so many of these are used */
	size_t welcome;     /* and so many get new work: the server has refused more */
	struct gow_http_queued queue[GOW_HTTP_QUEUE];
	uint64_t begun;             /* ranges so far */
	struct curl_slist *headers; /* that are sent, with If-Range once it is known */
	char *uri;
	struct gow_http_answer first; /* what the object is compared with */
	uint64_t size;
	double deadline;  /* of opening, by the monotonic clock */
	bool patient;     /* while opening: try until the deadline, however often */
	double heard;     /* when the last bytes came */
	const int *tries; /* of a request, at most */
	double wait;      /* seconds that the caller wants to wait for a silent server */
	bool (*stop)(void *context);
	void *context;
	gow_remote_taker take; /* of what is poured: a range without memory */
	void *take_context;
};

/* ---- http_answer.c ------------------------------------------------------------------------ */

/* Takes what a line of the headers says of the object. */
void gow_http_take_line(struct gow_http_answer *answer, const char *line, size_t size);

/* Whether the entity tag is another one after every change of the object, however soon. */
bool gow_http_is_proof(const struct gow_http_answer *answer);

/* What an answer other than 206 means; *again where trying once more may help. */
int gow_http_judge_status(long status, bool *again, gow_error *error);

/* ---- http_request.c ----------------------------------------------------------------------- */

/* Prepares a transfer for requests of that object. */
int gow_http_set_up(struct gow_http_transfer *transfer, const char *uri, gow_error *error);

/* Asks for what the transfer does not have yet of the range; ends with gow_http_end. */
int gow_http_begin(struct gow_remote *remote, struct gow_http_transfer *transfer,
                   const struct gow_remote_range *range, gow_error *error);
void gow_http_end(struct gow_remote *remote, struct gow_http_transfer *transfer);

/* Judges a request that is over, with libcurl's result; *again where trying once more may help. */
int gow_http_judge(const struct gow_remote *remote, struct gow_http_transfer *transfer,
                   CURLcode code, bool *again, gow_error *error);

/* ---- http_read.c: members of struct gow_module -------------------------------------------- */

int gow_http_stream(struct gow_remote *remote, const struct gow_remote_stream *stream,
                    gow_error *error);
int gow_http_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                  gow_error *error);
int gow_http_pour(struct gow_remote *remote, uint64_t offset, size_t size, gow_remote_taker take,
                  void *context, gow_error *error);
void gow_http_begin_range(struct gow_remote *remote, const struct gow_remote_range *range);
int gow_http_finish_range(struct gow_remote *remote, const struct gow_remote_range *range,
                          gow_error *error);
void gow_http_abandon_range(struct gow_remote *remote, const struct gow_remote_range *range);

#endif
