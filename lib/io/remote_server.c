/* SPDX-License-Identifier: BSD-2-Clause */
/* remote_server.c - asking the server: what it cannot give, how often that is tried, and whether it is
 * there at all. */
#include "base/bytes.h"
#include "base/error.h"
#include "io/remote_parts.h"

enum {
	TRIES = 5,      /* of a request, before its range is given up */
	TRIES_MORE = 2, /* the same after another one was given up, */
	LOST = 16       /* and after so many, one */
};

/* ---- whether it is there ------------------------------------------------------------------ */

/* Whether the server was given up before: then nothing more is asked of it. */
static int check_server(const struct remote_file *file, gow_error *error)
{
	if (file->gone.code && error)
		*error = file->gone;
	return (int)file->gone.code;
}

/*
 * After a range that could not be read. It may be that the server cannot read this one: whoever can do
 * without it goes on. A server that does not even give what it gave first is gone, and would be waited
 * for with every range.
 */
static int look_for_server(struct remote_file *file, int code, gow_error *error)
{
	uint8_t bytes[512];
	const struct gow_remote_range first = {
		.size = (size_t)gow_min(sizeof bytes, file->info.size), .buf = bytes
	};
	gow_error why;
	int look;

	if (code != GOW_ERR_IO)
		return code;
	look = file->module->read(file->remote, &first, 1, &why);
	if (look != GOW_ERR_IO) {
		if (look && error)
			*error = why;
		return look ? look : code;
	}
	file->gone = why;
	file->gone.code = GOW_ERR_UNREACHABLE;
	return check_server(file, error);
}

/* ---- asking it ---------------------------------------------------------------------------- */

void gow_remote_begin(struct remote_file *file)
{
	file->failed = 0;
	file->tries = TRIES;
}

/* Takes notice of how something was read. Where much cannot be, each piece would take seconds of
 * asking again. One that can be read brings back the patience. */
static int take_notice(struct remote_file *file, int code, gow_error *error)
{
	if (!code)
		file->failed = 0;
	else if (code == GOW_ERR_IO && file->failed < LOST)
		file->failed++;
	file->tries = TRIES;
	code = look_for_server(file, code, error);
	if (file->failed)
		file->tries = file->failed < LOST ? TRIES_MORE : 1;
	return code;
}

/* Counts what is to be asked for; whether there is a server to ask. */
static int begin_asking(struct remote_file *file, uint64_t requests, uint64_t bytes,
                        gow_error *error)
{
	file->requests += requests;
	file->fetched += bytes;
	return check_server(file, error);
}

int gow_remote_read_ranges(struct remote_file *file, const struct gow_remote_range *ranges,
                           size_t count, gow_error *error)
{
	uint64_t bytes = 0;
	int code;

	for (size_t i = 0; i < count; i++)
		bytes += ranges[i].size;
	code = begin_asking(file, count, bytes, error);
	if (code)
		return code;
	code = file->module->read(file->remote, ranges, count, error);
	return take_notice(file, code, error);
}

int gow_remote_finish_range(struct remote_file *file, const struct gow_remote_range *range,
                            gow_error *error)
{
	int code = begin_asking(file, 1, range->size, error);

	if (code) {
		file->module->abandon(file->remote, range);
		return code;
	}
	code = file->module->finish(file->remote, range, error);
	return take_notice(file, code, error);
}

int gow_remote_pour(struct remote_file *file, uint64_t offset, size_t size, gow_remote_taker take,
                    void *context, gow_error *error)
{
	int code = begin_asking(file, 1, size, error);

	if (code)
		return code;
	code = file->module->pour(file->remote, offset, size, take, context, error);
	return take_notice(file, code, error);
}

/* ---- streams ------------------------------------------------------------------------------ */

/* Counts what goes through. */
struct counted {
	struct remote_file *file;
	const struct gow_remote_stream *stream;
};

static const struct gow_remote_range *next_counted(void *context, bool wait)
{
	struct counted *counted = context;
	const struct gow_remote_range *range = counted->stream->next(counted->stream->context,
	                                                             wait);

	if (range)
		(void)begin_asking(counted->file, 1, range->size, NULL);
	return range;
}

static void done_counted(void *context, const struct gow_remote_range *range)
{
	struct counted *counted = context;

	counted->stream->done(counted->stream->context, range);
}

int gow_remote_stream(struct remote_file *file, const struct gow_remote_stream *stream,
                      gow_error *error)
{
	struct counted counted = { .file = file, .stream = stream };
	const struct gow_remote_stream through = { .context = &counted,
		                                   .next = next_counted,
		                                   .done = done_counted };
	int code = check_server(file, error);

	if (code)
		return code;
	code = file->module->stream(file->remote, &through, error);
	return take_notice(file, code, error);
}
