/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/remote.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/monitor.h"
#include "io/module_load.h"
#include "io/remote_parts.h"

enum { PIECES = 64 /* ranges handed to a module at once */ };

/* ---- reading ------------------------------------------------------------------------------ */

static struct remote_file *remote_of(const struct gow_file *file)
{
	return (struct remote_file *)(void *)file;
}

/* Fetches a range in requests that are in flight together. */
static int fetch(void *context, uint64_t offset, void *buf, size_t size, gow_error *error)
{
	struct remote_file *file = context;
	const size_t piece = gow_file_preferred_request(&file->base);
	struct gow_remote_range pieces[PIECES];
	uint8_t *to = buf;
	int code = GOW_OK;

	while (size && !code) {
		size_t count = 0;

		for (; size && count < PIECES; count++) {
			const size_t part = size < piece ? size : piece;

			pieces[count] = (struct gow_remote_range){ offset, part, to };
			offset += part;
			to += part;
			size -= part;
		}
		code = gow_remote_read_ranges(file, pieces, count, error);
	}
	return code;
}

static void begin_ahead(void *context, const struct gow_remote_range *range)
{
	const struct remote_file *file = context;

	file->module->begin(file->remote, range);
}

static int finish_ahead(void *context, const struct gow_remote_range *range, gow_error *error)
{
	return gow_remote_finish_range(context, range, error);
}

static void abandon_ahead(void *context, const struct gow_remote_range *range)
{
	const struct remote_file *file = context;

	file->module->abandon(file->remote, range);
}

static int remote_read(struct gow_file *base, uint64_t offset, void *buf, size_t size, size_t *got,
                       gow_error *error)
{
	struct remote_file *file = remote_of(base);
	size_t done = 0;
	int code = GOW_OK;

	if (offset >= file->info.size)
		size = 0;
	else if (size > file->info.size - offset)
		size = (size_t)(file->info.size - offset);
	(void)pthread_mutex_lock(&file->mutex);
	while (done < size && !code) {
		size_t part = 0;

		code = gow_windows_read(&file->windows, offset + done, (uint8_t *)buf + done,
		                        size - done, &part, error);
		done += part;
	}
	(void)pthread_mutex_unlock(&file->mutex);
	*got = done;
	if (code && code != GOW_ERR_STOPPED)
		code = gow_fail_at_offset(error, code, offset + done);
	return gow_fail_in_file(error, code, base->name);
}

static int remote_size(struct gow_file *base, uint64_t *size, gow_error *error)
{
	(void)error;
	*size = remote_of(base)->info.size;
	return GOW_OK;
}

static int remote_next_data(struct gow_file *base, uint64_t offset, uint64_t *start, uint64_t *end,
                            gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!file->info.has_holes || !file->module->next_data) {
		*start = offset < file->info.size ? offset : file->info.size;
		*end = file->info.size;
		return GOW_OK;
	}
	(void)pthread_mutex_lock(&file->mutex);
	code = file->module->next_data(file->remote, offset, start, end, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

/* ---- writing ------------------------------------------------------------------------------ */

static int cannot_write(gow_error *error)
{
	return gow_fail(error, GOW_ERR_UNSUPPORTED, "a file on a server is only read");
}

static int remote_write(struct gow_file *base, uint64_t offset, const void *buf, size_t size,
                        gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!file->module->write)
		return cannot_write(error);
	if (offset > file->info.size || size > file->info.size - offset)
		return gow_fail(error, GOW_ERR_NO_SPACE, "the export has only %llu bytes",
		                (unsigned long long)file->info.size);
	(void)pthread_mutex_lock(&file->mutex);
	gow_windows_forget(&file->windows);
	code = file->module->write(file->remote, offset, buf, size, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

static int remote_zero(struct gow_file *base, uint64_t offset, uint64_t size, gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!file->module->zero)
		return cannot_write(error);
	(void)pthread_mutex_lock(&file->mutex);
	gow_windows_forget(&file->windows);
	code = file->module->zero(file->remote, offset, size, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

static int remote_sync(struct gow_file *base, gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!file->module->sync)
		return GOW_OK;
	(void)pthread_mutex_lock(&file->mutex);
	code = file->module->sync(file->remote, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

static int remote_close(struct gow_file *base, gow_error *error)
{
	struct remote_file *file = remote_of(base);

	(void)error;
	gow_windows_release(&file->windows);
	if (file->remote)
		file->module->close(file->remote);
	(void)pthread_mutex_destroy(&file->mutex);
	free(file->base.name);
	free(file);
	return GOW_OK;
}

static const struct gow_file_ops remote_ops = {
	.read = remote_read,
	.write = remote_write,
	.size = remote_size,
	.sync = remote_sync,
	.next_data = remote_next_data,
	.zero = remote_zero,
	.close = remote_close,
};

/* ---- the public half ---------------------------------------------------------------------- */

bool gow_file_is_remote(const struct gow_file *file)
{
	return file->ops == &remote_ops;
}

const char *gow_remote_identity(const struct gow_file *file)
{
	return gow_file_is_remote(file) ? remote_of(file)->info.identity : "";
}

bool gow_remote_has_proof(const struct gow_file *file)
{
	return gow_file_is_remote(file) && remote_of(file)->info.has_proof;
}

void gow_file_expect(struct gow_file *base, uint64_t end)
{
	struct remote_file *file = remote_of(base);

	if (!gow_file_is_remote(base))
		return;
	(void)pthread_mutex_lock(&file->mutex);
	file->windows.expected = end;
	(void)pthread_mutex_unlock(&file->mutex);
}

void gow_remote_count(const struct gow_file *file, uint64_t *bytes, uint64_t *requests)
{
	const bool remote = gow_file_is_remote(file);

	*bytes = remote ? remote_of(file)->fetched : 0;
	*requests = remote ? remote_of(file)->requests : 0;
}

int gow_file_read_ranges(struct gow_file *base, const struct gow_remote_range *ranges, size_t count,
                         gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code = GOW_OK;

	if (!gow_file_is_remote(base)) {
		for (size_t i = 0; i < count && !code; i++)
			code = gow_file_read_all(base, ranges[i].offset, ranges[i].buf,
			                         ranges[i].size, error);
		return code;
	}
	(void)pthread_mutex_lock(&file->mutex);
	code = gow_remote_read_ranges(file, ranges, count, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

/* ---- one after the other ------------------------------------------------------------------ */

bool gow_file_begins_ranges(const struct gow_file *file)
{
	return gow_file_is_remote(file) && remote_of(file)->module->begin;
}

void gow_file_begin_range(struct gow_file *base, struct gow_remote_range *range)
{
	struct remote_file *file = remote_of(base);
	size_t there;

	(void)pthread_mutex_lock(&file->mutex);
	there = gow_windows_take(&file->windows, range->offset, range->buf, range->size);
	range->offset += there;
	range->buf = (uint8_t *)range->buf + there;
	range->size -= there;
	if (range->size)
		file->module->begin(file->remote, range);
	(void)pthread_mutex_unlock(&file->mutex);
}

int gow_file_finish_range(struct gow_file *base, const struct gow_remote_range *range,
                          gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!range->size)
		return GOW_OK;
	(void)pthread_mutex_lock(&file->mutex);
	code = gow_remote_finish_range(file, range, error);
	(void)pthread_mutex_unlock(&file->mutex);
	if (code && code != GOW_ERR_STOPPED)
		code = gow_fail_at_offset(error, code, range->offset);
	return gow_fail_in_file(error, code, base->name);
}

void gow_file_abandon_range(struct gow_file *base, const struct gow_remote_range *range)
{
	struct remote_file *file = remote_of(base);

	(void)pthread_mutex_lock(&file->mutex);
	file->module->abandon(file->remote, range);
	(void)pthread_mutex_unlock(&file->mutex);
}

/* ---- as it comes -------------------------------------------------------------------------- */

bool gow_file_pours(const struct gow_file *file)
{
	return gow_file_is_remote(file) && remote_of(file)->module->pour;
}

int gow_file_pour(struct gow_file *base, uint64_t offset, size_t size, gow_remote_taker take,
                  void *context, gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	(void)pthread_mutex_lock(&file->mutex);
	code = gow_remote_pour(file, offset, size, take, context, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

/* ---- streams ------------------------------------------------------------------------------ */

int gow_file_read_stream(struct gow_file *base, const struct gow_remote_stream *stream,
                         gow_error *error)
{
	struct remote_file *file = remote_of(base);
	int code;

	if (!gow_file_is_remote(base) || !file->module->stream)
		return gow_file_read_in_batches(base, stream, error);
	(void)pthread_mutex_lock(&file->mutex);
	code = gow_remote_stream(file, stream, error);
	(void)pthread_mutex_unlock(&file->mutex);
	return gow_fail_in_file(error, code, base->name);
}

/* What a module asks while it waits. Another thread than the monitor's stops by its flag. */
static bool must_stop(void *context)
{
	const struct remote_file *file = context;
	bool stop;

	if (gow_has_stop_flag(&stop))
		return stop;
	return pthread_equal(file->opener, pthread_self()) &&
	       gow_tick(file->monitor, file->remote ? "network" : "connect", file->fetched,
	                file->info.size, NULL) != GOW_OK;
}

static int open_file(struct remote_file *file, const struct gow_scheme *scheme, const char *uri,
                     const struct gow_remote_options *options, gow_error *error)
{
	const struct gow_remote_request request = {
		.uri = uri,
		.write = options->write,
		.connections = options->connections,
		.wait_seconds = options->wait_seconds,
		.tries = &file->tries,
		.stop = must_stop,
		.context = file,
	};
	int code;

	gow_remote_begin(file);
	file->opener = pthread_self();
	file->monitor = options->monitor;
	if (options->write && !scheme->writes)
		return gow_fail(error, GOW_ERR_UNSUPPORTED, "nothing can be written over %s://",
		                scheme->name);
	code = gow_module_load(scheme, &file->module, error);
	if (code)
		return code;
	return file->module->open(&request, &file->remote, &file->info, error);
}

int gow_remote_open(const char *uri, const struct gow_remote_options *options,
                    struct gow_file **file, gow_error *error)
{
	const struct gow_scheme *scheme = gow_scheme_of(uri);
	struct remote_file *made = calloc(1, sizeof *made);
	char *shown = gow_shown_name(uri);
	int code;

	if (!made || !shown) {
		free(made);
		free(shown);
		return gow_fail_memory(error, sizeof *made);
	}
	made->base = (struct gow_file){ .ops = &remote_ops,
		                        .name = shown,
		                        .read_only = !options->write };
	(void)pthread_mutex_init(&made->mutex, NULL);
	code = scheme ? open_file(made, scheme, uri, options, error)
	              : gow_refuse_scheme(shown, error);
	if (code) {
		(void)gow_fail_in_file(error, code, shown);
		(void)remote_close(&made->base, NULL);
		return code;
	}
	made->base.preferred_request = (size_t)made->info.request_best;
	made->base.rounding = made->info.rounding;
	made->windows = (struct gow_windows){
		.file_size = made->info.size, .clock = gow_clock, .fetch = fetch, .context = made
	};
	if (made->module->begin) {
		made->windows.begin = begin_ahead;
		made->windows.finish = finish_ahead;
		made->windows.abandon = abandon_ahead;
	}
	*file = &made->base;
	return GOW_OK;
}
