/* SPDX-License-Identifier: BSD-2-Clause */
/* http_answer.c - what an answer says: its headers, and what its status means. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "io/modules/http.h"

enum {
	ETAG_MOST = 100,      /* bytes of a tag that are compared */
	SETTLED_SECONDS = 60, /* since the last change */
	FIRST_DAY_SECONDS = 86400
};

/* If the line is that header, copies its value. */
static bool take_header(const char *line, size_t size, const char *name, char *value)
{
	const size_t length = strlen(name);

	if (size <= length || strncasecmp(line, name, length) != 0)
		return false;
	line += length;
	size -= length;
	while (size && (*line == ' ' || *line == '\t'))
		line++, size--;
	while (size && (line[size - 1] == '\r' || line[size - 1] == '\n' || line[size - 1] == ' '))
		size--;
	if (size >= GOW_HTTP_HEADER_SIZE)
		size = GOW_HTTP_HEADER_SIZE - 1;
	memcpy(value, line, size);
	value[size] = '\0';
	return true;
}

/* A number that ends with that character, of which *text is behind then. */
static bool take_number(const char **text, char after, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	if (errno || *end != after)
		return false;
	*text = after ? end + 1 : end;
	return true;
}

static void take_range(struct gow_http_answer *answer, const char *value)
{
	uint64_t first, last, total;

	if (strncasecmp(value, "bytes ", 6) != 0)
		return;
	value += 6;
	if (!take_number(&value, '-', &first) || !take_number(&value, '/', &last))
		return;
	answer->no_total = !strcmp(value, "*");
	if (!take_number(&value, '\0', &total) || last < first || last >= total)
		return;
	answer->has_range = true;
	answer->start = first;
	answer->end = last + 1;
	answer->total = total;
}

void gow_http_take_line(struct gow_http_answer *answer, const char *line, size_t size)
{
	char value[GOW_HTTP_HEADER_SIZE];

	if (size > 5 && !strncmp(line, "HTTP/", 5)) /* of a redirect, or of the answer itself */
		*answer = (struct gow_http_answer){ .has_range = false };
	else if (take_header(line, size, "content-range:", value))
		take_range(answer, value);
	else if (!take_header(line, size, "etag:", answer->etag) &&
	         !take_header(line, size, "last-modified:", answer->modified))
		(void)take_header(line, size, "date:", answer->date);
}

/*
 * A strong tag should be. But most servers make it of the file's time, in seconds, and its size: then
 * it is only once the time of the next change must be another one. The server's clock and its disk's
 * need not agree to the second. (A file's time that is that of no change, as in packages that set all
 * times to the beginning, is no proof either.)
 */
bool gow_http_is_proof(const struct gow_http_answer *answer)
{
	const time_t modified = curl_getdate(answer->modified, NULL);
	const time_t told = curl_getdate(answer->date, NULL);

	if (answer->etag[0] != '"' || strlen(answer->etag) > ETAG_MOST)
		return false;
	return !answer->modified[0] ||
	       (modified >= FIRST_DAY_SECONDS && told - modified >= SETTLED_SECONDS);
}

/* What an answer other than 206 means; *again where trying once more may help. */
int gow_http_judge_status(long status, bool *again, gow_error *error)
{
	*again = false;
	switch (status) {
	case 200:
		return gow_fail(
			error, GOW_ERR_UNSUPPORTED,
			"the server ignores ranges (it answers 200 to a request of a part): "
			"download the file first, or serve it with a server that knows ranges");
	case 401:
		return gow_fail(error, GOW_ERR_IO,
		                "the server wants a user and a password (401): "
		                "put them in ~/.netrc");
	case 407:
		return gow_fail(error, GOW_ERR_IO,
		                "the proxy wants a user and a password (407): "
		                "set http_proxy and https_proxy to http://USER:PASSWORD@HOST:PORT");
	case 403:
		return gow_fail(error, GOW_ERR_IO, "the server refuses access (403)");
	case 404:
	case 410:
		return gow_fail(error, GOW_ERR_IO, "there is no such object on the server (%ld)",
		                status);
	case 416:
		return gow_fail(error, GOW_ERR_CHANGED, "the object has become shorter (416)");
	case 412:
		return gow_fail(error, GOW_ERR_CHANGED,
		                "the object was replaced on the server (412)");
	case 429:
	case 503:
		*again = true;
		return gow_fail(error, GOW_ERR_BUSY, "the server is busy (%ld): try again later",
		                status);
	default:
		*again = status >= 500 || status == 408;
		return gow_fail(error, GOW_ERR_IO, "the server answers %ld", status);
	}
}
