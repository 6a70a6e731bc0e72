/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_read.c - reading from an NBD server: ranges are cut into pieces, several of which are in
 * flight on one connection; what a broken connection has not brought is asked for again.
 *
 * Ranges that were begun wait in the queue, and stay there until they are finished or abandoned.
 * Whoever waits for one of them lets the others go on. What becomes of those is theirs alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "io/modules/nbd.h"

/* ---- the queue ---------------------------------------------------------------------------- */

static struct gow_nbd_queued *find(struct gow_remote *remote, const struct gow_remote_range *range)
{
	for (size_t i = 0; i < GOW_NBD_QUEUE; i++)
		if (remote->queue[i].range == range)
			return &remote->queue[i];
	return NULL;
}

/* A free place for the range, or NULL. */
static struct gow_nbd_queued *add(struct gow_remote *remote, const struct gow_remote_range *range)
{
	struct gow_nbd_queued *place = find(remote, NULL);

	if (place)
		*place = (struct gow_nbd_queued){ .range = range, .number = ++remote->begun };
	return place;
}

/* The one that was begun first of those that are not all asked for; or NULL. */
static struct gow_nbd_queued *next_to_ask(struct gow_remote *remote)
{
	struct gow_nbd_queued *first = NULL;

	for (size_t i = 0; i < GOW_NBD_QUEUE; i++) {
		struct gow_nbd_queued *at = &remote->queue[i];

		if (at->range && !at->code && at->taken < at->range->size &&
		    (!first || at->number < first->number))
			first = at;
	}
	return first;
}

/* Its answers must not reach a buffer that the caller frees: the connection ends if some are under
 * way, and what is asked for besides will be asked for again. */
static void take_off(struct gow_remote *remote, struct gow_nbd_queued *queued)
{
	bool under_way = false;

	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT; i++) {
		struct gow_nbd_piece *piece = &remote->pieces[i];

		if (piece->size && piece->of == queued)
			under_way |= piece->cookie != -1;
	}
	if (under_way)
		gow_nbd_hang_up(remote);
	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT; i++) {
		struct gow_nbd_piece *piece = &remote->pieces[i];

		if (piece->size && piece->of == queued) {
			free(piece->bounce);
			*piece = (struct gow_nbd_piece){ .size = 0 };
		}
	}
	queued->range = NULL;
}

/* ---- pieces ------------------------------------------------------------------------------- */

static void take_piece(const struct gow_remote *remote, struct gow_nbd_queued *queued,
                       struct gow_nbd_piece *piece)
{
	const struct gow_remote_range *range = queued->range;
	const uint64_t before = (range->offset + queued->taken) % remote->least;
	size_t size = range->size - queued->taken;

	if (size > GOW_NBD_REQUEST_BEST)
		size = GOW_NBD_REQUEST_BEST;
	/* With what is read before it, so that multiples are asked for. */
	if (size > remote->most - before)
		size = (size_t)(remote->most - before);
	*piece = (struct gow_nbd_piece){ .of = queued,
		                         .offset = range->offset + queued->taken,
		                         .size = size,
		                         .buf = (char *)range->buf + queued->taken,
		                         .cookie = -1 };
	queued->taken += size;
}

/* Asks for a piece, or for the multiples around it. */
static int ask(struct gow_remote *remote, struct gow_nbd_piece *piece, gow_error *error)
{
	const uint64_t least = remote->least;
	const uint64_t start = piece->offset - piece->offset % least;
	uint64_t end = piece->offset + piece->size;

	end += (least - end % least) % least;
	if (end > remote->size)
		end = remote->size;
	piece->skip = (size_t)(piece->offset - start);
	if (end - start != piece->size && !piece->bounce) {
		piece->bounce = malloc((size_t)(end - start));
		if (!piece->bounce)
			return gow_fail_memory(error, (size_t)(end - start));
	}
	piece->cookie = nbd_aio_pread(remote->nbd, piece->bounce ? piece->bounce : piece->buf,
	                              (size_t)(end - start), start, NBD_NULL_COMPLETION, 0);
	return piece->cookie == -1 ? gow_nbd_fail(error, "cannot read") : GOW_OK;
}

/* The bytes of a piece are there. */
static void settle(struct gow_nbd_piece *piece)
{
	if (piece->bounce)
		memcpy(piece->buf, piece->bounce + piece->skip, piece->size);
	free(piece->bounce);
	piece->of->came += piece->size;
	*piece = (struct gow_nbd_piece){ .size = 0 };
}

/* Asks for as much as may be in flight. */
static int issue(struct gow_remote *remote, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT && !code; i++) {
		struct gow_nbd_piece *piece = &remote->pieces[i];
		struct gow_nbd_queued *queued = piece->size ? NULL : next_to_ask(remote);

		if (queued)
			take_piece(remote, queued, piece);
		if (!piece->size || piece->cookie != -1 || gow_clock() < piece->not_before)
			continue;
		code = ask(remote, piece, error);
	}
	return code;
}

/* Whether a server may answer otherwise when it is asked again. */
static bool may_pass(int number)
{
	return number != EINVAL && number != EPERM && number != ERANGE && number != EOVERFLOW &&
	       number != ENOTSUP;
}

/* The server refused a piece. */
static int put_back(const struct gow_remote *remote, struct gow_nbd_piece *piece, gow_error *error)
{
	const int code = gow_nbd_fail(error, "cannot read");

	if (nbd_get_errno() == EINVAL && remote->size % remote->least &&
	    piece->offset + piece->size > remote->size - remote->size % remote->least)
		return gow_fail(error, GOW_ERR_IO,
		                "the server reads multiples of %llu bytes only, so the last %llu "
		                "bytes of the export cannot be read: serve it in another way",
		                (unsigned long long)remote->least,
		                (unsigned long long)(remote->size % remote->least));
	if (!may_pass(nbd_get_errno()) || ++piece->tries >= *remote->tries)
		return gow_fail_at_offset(error, code, piece->offset);
	piece->cookie = -1;
	piece->not_before = gow_clock() + 0.05 * (1 << piece->tries);
	return GOW_OK;
}

/* The server refused a piece, which may be the end of its range. */
static void refuse(struct gow_remote *remote, struct gow_nbd_piece *piece)
{
	struct gow_nbd_queued *queued = piece->of;
	gow_error why;
	const int code = put_back(remote, piece, &why);

	if (!code)
		return;
	if (!queued->code) {
		queued->code = code;
		queued->error = why;
	}
	free(piece->bounce);
	*piece = (struct gow_nbd_piece){ .size = 0 };
}

/* Looks what has come. */
static int retire(struct gow_remote *remote, gow_error *error)
{
	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT; i++) {
		struct gow_nbd_piece *piece = &remote->pieces[i];
		int over;

		if (!piece->size || piece->cookie == -1)
			continue;
		over = nbd_aio_command_completed(remote->nbd, (uint64_t)piece->cookie);
		if (over == 0)
			continue;
		if (over == -1 && gow_nbd_is_broken(remote))
			return gow_nbd_fail(error, "the connection broke");
		remote->heard = gow_clock();
		if (over == 1)
			settle(piece);
		else
			refuse(remote, piece);
	}
	return GOW_OK;
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* Reads until all of that range is there, something fails, or the server is silent. */
static int read_on(struct gow_remote *remote, struct gow_nbd_queued *queued, gow_error *error)
{
	const double begun = gow_clock();
	int code = GOW_OK;

	while (!code) {
		const double since = remote->heard > begun ? remote->heard : begun;

		code = retire(remote, error);
		if (!code)
			code = issue(remote, error);
		if (code || queued->code || queued->came == queued->range->size)
			break;
		code = gow_nbd_turn(remote, error);
		if (!code && gow_clock() - since > GOW_NBD_STALL_SECONDS && remote->heard <= since)
			return gow_nbd_silent(error, GOW_NBD_STALL_SECONDS);
	}
	if (!code && queued->code && error)
		*error = queued->error;
	return code ? code : queued->code;
}

/* Another connection for what is left, unless the server was silent for too long. */
static int read_again(struct gow_remote *remote, gow_error *error)
{
	const double patience = remote->wait > GOW_NBD_PATIENCE_SECONDS ? remote->wait
	                                                                : GOW_NBD_PATIENCE_SECONDS;

	if (gow_clock() - remote->heard >= patience)
		return gow_nbd_silent(error, gow_clock() - remote->heard);
	return gow_nbd_reconnect(remote, error);
}

static int finish(struct gow_remote *remote, struct gow_nbd_queued *queued, gow_error *error)
{
	int code = remote->nbd ? GOW_OK : gow_nbd_reconnect(remote, error);

	remote->heard = gow_clock();
	for (int breaks = 0; !code; breaks++) {
		code = read_on(remote, queued, error);
		if (!code || code == GOW_ERR_STOPPED || queued->code || breaks >= *remote->tries ||
		    (!gow_nbd_is_broken(remote) &&
		     gow_clock() - remote->heard <= GOW_NBD_STALL_SECONDS))
			break;
		code = read_again(remote, error);
	}
	/* The next one begins with a connection that nothing is known against. */
	if (code && !queued->code)
		gow_nbd_hang_up(remote);
	take_off(remote, queued);
	return code;
}

/* ---- the module's calls ------------------------------------------------------------------- */

void gow_nbd_begin(struct gow_remote *remote, const struct gow_remote_range *range)
{
	/* One place is left for what is read meanwhile. What fails will be seen by whoever waits. */
	if (remote->waiting + 1 < GOW_NBD_QUEUE && add(remote, range)) {
		remote->waiting++;
		if (remote->nbd)
			(void)issue(remote, NULL);
	}
}

int gow_nbd_finish(struct gow_remote *remote, const struct gow_remote_range *range,
                   gow_error *error)
{
	struct gow_nbd_queued *queued = find(remote, range);

	if (queued)
		remote->waiting--;
	else
		queued = add(remote, range);
	return finish(remote, queued, error);
}

void gow_nbd_abandon(struct gow_remote *remote, const struct gow_remote_range *range)
{
	struct gow_nbd_queued *queued = find(remote, range);

	if (!queued)
		return;
	remote->waiting--;
	take_off(remote, queued);
}

int gow_nbd_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                 gow_error *error)
{
	size_t begun = 0;
	int code = GOW_OK;

	for (size_t i = 0; i < count && !code; i++) {
		for (; begun < count && begun < i + GOW_NBD_IN_FLIGHT; begun++)
			gow_nbd_begin(remote, &ranges[begun]);
		code = gow_nbd_finish(remote, &ranges[i], error);
	}
	for (size_t i = 0; i < begun; i++)
		gow_nbd_abandon(remote, &ranges[i]);
	return code;
}
