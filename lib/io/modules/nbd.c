/* SPDX-License-Identifier: BSD-2-Clause */
/* nbd.c - objects on NBD servers, by libnbd: their holes, writing to them, and the module. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "io/modules/nbd.h"

enum {
	CHANGE_SECONDS = 60, /* without an answer to a write or a flush, which may take long */
	ZEROS = 64 << 10     /* what is written where the server has no request for zeros */
};

/* ---- holes -------------------------------------------------------------------------------- */

struct extents {
	uint64_t offset; /* where the next one begins */
	struct gow_nbd_run run;
	bool found; /* data was found */
	bool over;  /* and ended */
};

/* The signature is libnbd's. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_extents(void *context, const char *name, uint64_t offset, uint32_t *entries,
                      size_t count, int *error) /* NOLINT(readability-non-const-parameter) */
{
	struct extents *extents = context;

	(void)error;
	if (strcmp(name, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || offset != extents->offset)
		return 0;
	for (size_t i = 0; i + 1 < count && !extents->over; i += 2) {
		const bool zero = entries[i + 1] & LIBNBD_STATE_ZERO;

		if (!zero && !extents->found) {
			extents->found = true;
			extents->run.start = extents->offset;
		}
		extents->offset += entries[i];
		if (!zero)
			extents->run.end = extents->offset;
		extents->over = extents->found && zero;
	}
	return 0;
}

/* Asks where the next data is, at most so many requests far after it was found. */
static int ask_status(struct gow_remote *remote, uint64_t offset, gow_error *error)
{
	const uint64_t from = offset - offset % remote->least;
	struct extents extents = { .offset = from, .run = { .asked = from } };
	int code;

	while (extents.offset < remote->size && !extents.found) {
		const uint64_t before = extents.offset;
		uint64_t size = remote->size - before;

		if (size > (1u << 30))
			size = 1u << 30;
		/* The end of an export whose size is no multiple: the server cannot be asked. */
		if (size < remote->least) {
			extents.found = true;
			extents.run.start = before;
			extents.run.end = remote->size;
			break;
		}
		size -= size % remote->least;
		code = gow_nbd_await(
			remote,
			nbd_aio_block_status(remote->nbd, size, before,
		                             (nbd_extent_callback){ .callback = on_extents,
		                                                    .user_data = &extents },
		                             NBD_NULL_COMPLETION, 0),
			GOW_NBD_STALL_SECONDS, "cannot ask for holes", error);
		if (code)
			return code;
		if (extents.offset == before)
			return gow_fail(error, GOW_ERR_IO,
			                "the server reports nothing about its holes");
	}
	if (extents.offset > remote->size)
		extents.offset = remote->size;
	if (!extents.found)
		extents.run.start = extents.run.end = remote->size;
	if (extents.run.end > remote->size)
		extents.run.end = remote->size;
	remote->run = extents.run;
	return GOW_OK;
}

/* The same, over another connection or after a pause where that may help. */
static int ask_patiently(struct gow_remote *remote, uint64_t offset, gow_error *error)
{
	const double begun = gow_clock();
	int code = GOW_OK;

	for (int tries = 1;; tries++) {
		if (!remote->nbd)
			code = gow_nbd_reconnect(remote, error);
		if (!code)
			code = ask_status(remote, offset, error);
		if (!code || code == GOW_ERR_STOPPED || code == GOW_ERR_CHANGED ||
		    tries >= GOW_NBD_TRIES || gow_clock() - begun >= GOW_NBD_PATIENCE_SECONDS)
			break;
		/* The answer may come later, to what is not there any more. */
		gow_nbd_hang_up(remote);
		code = gow_nbd_pause(remote, 0.05 * (1 << tries), error);
		if (code)
			break;
	}
	if (code)
		gow_nbd_hang_up(remote);
	return code;
}

static int nbd_next_data(struct gow_remote *remote, uint64_t offset, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	const struct gow_nbd_run *run = &remote->run;
	int code = GOW_OK;

	if (!(offset >= run->asked && offset < run->end))
		code = ask_patiently(remote, offset, error);
	if (code)
		return code;
	*start = offset > run->start ? offset : run->start;
	*end = run->end;
	if (*start >= remote->size)
		*start = *end = remote->size;
	return GOW_OK;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int begin_change(struct gow_remote *remote, gow_error *error)
{
	/* Where data was is not where it will be. */
	remote->run = (struct gow_nbd_run){ .end = 0 };
	/* What was written and not flushed may be gone with a connection, so there is no second. */
	return remote->nbd && !gow_nbd_is_broken(remote)
	               ? GOW_OK
	               : gow_fail(error, GOW_ERR_IO, "the connection broke while writing");
}

/* After a failure nothing is believed of what was written, and no answer may come any more. */
static int drop(struct gow_remote *remote, int code)
{
	gow_nbd_hang_up(remote);
	return code;
}

/* Writes bytes that the server takes as one request. */
static int write_piece(struct gow_remote *remote, uint64_t offset, const void *buf, size_t size,
                       gow_error *error)
{
	int code = begin_change(remote, error);

	if (code)
		return code;
	code = gow_nbd_await(remote,
	                     nbd_aio_pwrite(remote->nbd, buf, size, offset, NBD_NULL_COMPLETION, 0),
	                     CHANGE_SECONDS, "cannot write", error);
	return code ? drop(remote, code) : GOW_OK;
}

/* Writes a part of what the server takes as a whole only: the rest of it is read first. */
static int write_part(struct gow_remote *remote, uint64_t offset, const void *buf, size_t size,
                      gow_error *error)
{
	const uint64_t start = offset - offset % remote->least;
	const size_t whole = (size_t)(remote->size - start < remote->least ? remote->size - start
	                                                                   : remote->least);
	char *bytes = malloc(whole);
	int code = bytes ? begin_change(remote, error) : gow_fail_memory(error, whole);

	if (!code) {
		code = gow_nbd_await(
			remote,
			nbd_aio_pread(remote->nbd, bytes, whole, start, NBD_NULL_COMPLETION, 0),
			CHANGE_SECONDS, "cannot read what is beside", error);
		if (code)
			(void)drop(remote, code);
	}
	if (!code) {
		memcpy(bytes + (offset - start), buf, size);
		code = write_piece(remote, start, bytes, whole, error);
	}
	free(bytes);
	return code;
}

/* How much of a range one request is about, of most bytes at most. *whole is false where that is only a
 * part of what the server takes as a whole. */
static uint64_t next_request(const struct gow_remote *remote, uint64_t offset, uint64_t size,
                             uint64_t most, bool *whole)
{
	const uint64_t least = remote->least, inside = offset % least;
	const uint64_t part = size < most ? size : most;

	*whole = !inside && part >= least;
	if (*whole)
		return part - part % least;
	return size < least - inside ? size : least - inside;
}

static int nbd_write(struct gow_remote *remote, uint64_t offset, const void *buf, size_t size,
                     gow_error *error)
{
	const char *bytes = buf;
	int code = GOW_OK;

	while (size && !code) {
		bool whole;
		const size_t part = (size_t)next_request(remote, offset, size, remote->most,
		                                         &whole);

		code = whole ? write_piece(remote, offset, bytes, part, error)
		             : write_part(remote, offset, bytes, part, error);
		offset += part;
		bytes += part;
		size -= part;
	}
	return code;
}

static int write_zeros(struct gow_remote *remote, uint64_t offset, uint64_t size, gow_error *error)
{
	static const uint8_t zeros[ZEROS];
	int code = GOW_OK;

	while (size && !code) {
		const size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;

		code = nbd_write(remote, offset, zeros, part, error);
		offset += part;
		size -= part;
	}
	return code;
}

static int zero_piece(struct gow_remote *remote, uint64_t offset, uint64_t size, gow_error *error)
{
	const int code = gow_nbd_await(
		remote, nbd_aio_zero(remote->nbd, size, offset, NBD_NULL_COMPLETION, 0),
		CHANGE_SECONDS, "cannot write zeros", error);

	return code ? drop(remote, code) : GOW_OK;
}

static int nbd_zero_range(struct gow_remote *remote, uint64_t offset, uint64_t size,
                          gow_error *error)
{
	int code = begin_change(remote, error);

	if (code)
		return code;
	if (nbd_can_zero(remote->nbd) != 1)
		return write_zeros(remote, offset, size, error);
	while (size && !code) {
		bool whole;
		const uint64_t part = next_request(remote, offset, size, 1u << 30, &whole);

		code = whole ? zero_piece(remote, offset, part, error)
		             : write_zeros(remote, offset, part, error);
		offset += part;
		size -= part;
	}
	return code;
}

static int nbd_sync(struct gow_remote *remote, gow_error *error)
{
	int code = begin_change(remote, error);

	if (code)
		return code;
	if (nbd_can_flush(remote->nbd) != 1)
		return GOW_OK;
	code = gow_nbd_await(remote, nbd_aio_flush(remote->nbd, NBD_NULL_COMPLETION, 0),
	                     CHANGE_SECONDS, "cannot flush", error);
	return code ? drop(remote, code) : GOW_OK;
}

/* ---- the module --------------------------------------------------------------------------- */

static void nbd_end(struct gow_remote *remote)
{
	if (!remote)
		return;
	if (remote->nbd && nbd_aio_is_ready(remote->nbd) == 1)
		(void)nbd_aio_disconnect(remote->nbd, 0);
	nbd_close(remote->nbd);
	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT; i++)
		free(remote->pieces[i].bounce);
	free(remote->uri);
	free(remote);
}

/* The URI with its scheme in small letters, which libnbd wants. */
static char *copy_uri(const char *uri)
{
	char *copy = strdup(uri);

	for (char *p = copy; p && *p && *p != ':'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static int nbd_begin(const struct gow_remote_request *request, struct gow_remote **result,
                     struct gow_remote_info *info, gow_error *error)
{
	struct gow_remote *remote = calloc(1, sizeof *remote);
	int code;

	if (!remote)
		return gow_fail_memory(error, sizeof *remote);
	remote->uri = copy_uri(request->uri);
	remote->write = request->write;
	remote->wait = request->wait_seconds;
	remote->tries = request->tries;
	remote->stop = request->stop;
	remote->context = request->context;
	code = remote->uri ? gow_nbd_connect(remote, error) : gow_fail_memory(error, 1);
	if (!code)
		code = gow_nbd_measure(remote, info, error);
	if (code) {
		nbd_end(remote);
		return code;
	}
	*result = remote;
	return GOW_OK;
}

extern const struct gow_module gow_module;
const struct gow_module gow_module = {
	.abi = GOW_MODULE_ABI,
	.library = "libnbd",
	.open = nbd_begin,
	.read = gow_nbd_read,
	.begin = gow_nbd_begin,
	.finish = gow_nbd_finish,
	.abandon = gow_nbd_abandon,
	.next_data = nbd_next_data,
	.write = nbd_write,
	.zero = nbd_zero_range,
	.sync = nbd_sync,
	.close = nbd_end,
};
