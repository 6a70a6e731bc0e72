/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams of ranges from what can only read ranges that are all known. */
#include "io/remote.h"

enum { TOGETHER = 16 /* ranges of a stream that are read by one call, at most */ };

/* As many ranges as there are now, one at least unless it is the end. */
static size_t gather(const struct gow_remote_stream *stream,
                     const struct gow_remote_range *ranges[TOGETHER])
{
	size_t count = 0;

	while (count < TOGETHER) {
		ranges[count] = stream->next(stream->context, !count);
		if (!ranges[count])
			break;
		count++;
	}
	return count;
}

int gow_file_read_in_batches(struct gow_file *base, const struct gow_remote_stream *stream,
                             gow_error *error)
{
	const struct gow_remote_range *ranges[TOGETHER];
	struct gow_remote_range copies[TOGETHER];
	size_t count;
	int code = GOW_OK;

	while (!code && (count = gather(stream, ranges)) != 0) {
		for (size_t i = 0; i < count; i++)
			copies[i] = *ranges[i];
		code = gow_file_read_ranges(base, copies, count, error);
		for (size_t i = 0; i < count && !code; i++)
			stream->done(stream->context, ranges[i]);
	}
	return code;
}
