/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/remote.h"

enum {
	GAP_MOST = 64 << 10, /* bytes that are fetched for nothing, to save a request */
	GROUP_MOST = 1 << 20 /* bytes of one request */
};

/* Ranges in the order of the file, and the requests that they make. */
struct gathering {
	struct gow_remote_range *sorted;   /* as they were given */
	struct gow_remote_range *requests; /* what is fetched for them */
	size_t count;                      /* of requests */
	uint8_t *bytes;                    /* of all requests, one behind the other */
};

static int by_offset(const void *a, const void *b)
{
	const struct gow_remote_range *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Whether the range goes with the request before it, which grows then. */
static bool joins(struct gow_remote_range *request, const struct gow_remote_range *range)
{
	const uint64_t end = range->offset + range->size;

	if (range->offset > request->offset + request->size + GAP_MOST ||
	    end - request->offset > GROUP_MOST)
		return false;
	if (end > request->offset + request->size)
		request->size = (size_t)(end - request->offset);
	return true;
}

static int plan(struct gathering *gathering, size_t count, gow_error *error)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++) {
		const size_t made = gathering->count;

		if (!made || !joins(&gathering->requests[made - 1], &gathering->sorted[i]))
			gathering->requests[gathering->count++] = gathering->sorted[i];
	}
	for (size_t i = 0; i < gathering->count; i++)
		size += gathering->requests[i].size;
	gathering->bytes = malloc(size ? size : 1);
	if (!gathering->bytes)
		return gow_fail_memory(error, size);
	size = 0;
	for (size_t i = 0; i < gathering->count; i++) {
		gathering->requests[i].buf = gathering->bytes + size;
		size += gathering->requests[i].size;
	}
	return GOW_OK;
}

static void hand_out(const struct gathering *gathering, size_t count)
{
	const struct gow_remote_range *request = gathering->requests;

	for (size_t i = 0; i < count; i++) {
		const struct gow_remote_range *range = &gathering->sorted[i];

		while (range->offset >= request->offset + request->size && range->size)
			request++;
		memcpy(range->buf, (uint8_t *)request->buf + (range->offset - request->offset),
		       range->size);
	}
}

int gow_file_read_gathered(struct gow_file *base, const struct gow_remote_range *ranges,
                           size_t count, gow_error *error)
{
	struct gathering gathering = {
		.sorted = calloc(count + 1, sizeof *ranges),
		.requests = calloc(count + 1, sizeof *ranges),
	};
	int code = gathering.sorted && gathering.requests
	                   ? GOW_OK
	                   : gow_fail_memory(error, (count + 1) * sizeof *ranges);

	if (!code) {
		memcpy(gathering.sorted, ranges, count * sizeof *ranges);
		qsort(gathering.sorted, count, sizeof *ranges, by_offset);
		code = plan(&gathering, count, error);
	}
	if (!code)
		code = gow_file_read_ranges(base, gathering.requests, gathering.count, error);
	if (!code)
		hand_out(&gathering, count);
	free(gathering.sorted);
	free(gathering.requests);
	free(gathering.bytes);
	return code;
}
