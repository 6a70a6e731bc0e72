/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_read.c - reading from an NBD server: ranges are cut into pieces, several of which are in
 * flight on one connection; what a broken connection has not brought is asked for again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "io/modules/nbd.h"

enum { IN_FLIGHT = 8 }; /* requests at a time */

/* A piece of a range on its way. */
struct piece {
	uint64_t offset;
	size_t size; /* 0: this place is free */
	char *buf;
	char *bounce;   /* what is read where the server wants multiples; NULL: buf itself */
	size_t skip;    /* bytes of it before the piece */
	int64_t cookie; /* -1: not asked for, or to be asked for again */
	int tries;
	double not_before; /* when to ask again */
};

/* A list of ranges, cut into pieces: how far it is. */
struct batch {
	const struct gow_remote_range *ranges;
	size_t count, index;
	size_t done; /* of ranges[index] */
	struct piece pieces[IN_FLIGHT];
	double heard; /* when the last answer came */
};

static bool is_over(const struct batch *batch)
{
	for (size_t i = 0; i < IN_FLIGHT; i++)
		if (batch->pieces[i].size)
			return false;
	return batch->index >= batch->count;
}

static void take_piece(const struct gow_remote *remote, struct batch *batch, struct piece *piece)
{
	const struct gow_remote_range *range = &batch->ranges[batch->index];
	const uint64_t before = (range->offset + batch->done) % remote->least;
	size_t size = range->size - batch->done;

	if (size > GOW_NBD_REQUEST_BEST)
		size = GOW_NBD_REQUEST_BEST;
	/* With what is read before it, so that multiples are asked for. */
	if (size > remote->most - before)
		size = (size_t)(remote->most - before);
	*piece = (struct piece){ .offset = range->offset + batch->done,
		                 .size = size,
		                 .buf = (char *)range->buf + batch->done,
		                 .cookie = -1 };
	batch->done += size;
	if (batch->done == range->size) {
		batch->index++;
		batch->done = 0;
	}
}

/* Asks for a piece, or for the multiples around it. */
static int ask(struct gow_remote *remote, struct piece *piece, gow_error *error)
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
static void settle(struct piece *piece)
{
	if (piece->bounce)
		memcpy(piece->buf, piece->bounce + piece->skip, piece->size);
	free(piece->bounce);
	*piece = (struct piece){ .size = 0 };
}

static int issue(struct gow_remote *remote, struct batch *batch, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < IN_FLIGHT && !code; i++) {
		struct piece *piece = &batch->pieces[i];

		if (!piece->size && batch->index < batch->count)
			take_piece(remote, batch, piece);
		if (!piece->size || piece->cookie != -1 || gow_nbd_now() < piece->not_before)
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
static int put_back(const struct gow_remote *remote, struct piece *piece, gow_error *error)
{
	const int code = gow_nbd_fail(error, "cannot read");

	if (nbd_get_errno() == EINVAL && remote->size % remote->least &&
	    piece->offset + piece->size > remote->size - remote->size % remote->least)
		return gow_fail(error, GOW_ERR_IO,
		                "the server reads multiples of %llu bytes only, so the last %llu "
		                "bytes of the export cannot be read: serve it in another way",
		                (unsigned long long)remote->least,
		                (unsigned long long)(remote->size % remote->least));
	if (!may_pass(nbd_get_errno()) || ++piece->tries >= GOW_NBD_TRIES)
		return gow_fail_at_offset(error, code, piece->offset);
	piece->cookie = -1;
	piece->not_before = gow_nbd_now() + 0.05 * (1 << piece->tries);
	return GOW_OK;
}

static int retire(struct gow_remote *remote, struct batch *batch, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < IN_FLIGHT && !code; i++) {
		struct piece *piece = &batch->pieces[i];
		int over;

		if (!piece->size || piece->cookie == -1)
			continue;
		over = nbd_aio_command_completed(remote->nbd, (uint64_t)piece->cookie);
		if (over == 0)
			continue;
		if (over == -1 && gow_nbd_is_broken(remote))
			return gow_nbd_fail(error, "the connection broke");
		batch->heard = gow_nbd_now();
		if (over == 1)
			settle(piece);
		else
			code = put_back(remote, piece, error);
	}
	return code;
}

/* Reads until all is there, something fails, or the server is silent. */
static int read_on(struct gow_remote *remote, struct batch *batch, gow_error *error)
{
	const double begun = gow_nbd_now();
	int code = GOW_OK;

	while (!code && !is_over(batch)) {
		const double since = batch->heard > begun ? batch->heard : begun;

		code = issue(remote, batch, error);
		if (!code)
			code = gow_nbd_turn(remote, error);
		if (!code)
			code = retire(remote, batch, error);
		if (!code && gow_nbd_now() - since > GOW_NBD_STALL_SECONDS && batch->heard <= since)
			return gow_nbd_silent(error, GOW_NBD_STALL_SECONDS);
	}
	return code;
}

/* Another connection for what is left, unless the server was silent for too long. */
static int read_again(struct gow_remote *remote, struct batch *batch, gow_error *error)
{
	const double patience = remote->wait > GOW_NBD_PATIENCE_SECONDS ? remote->wait
	                                                                : GOW_NBD_PATIENCE_SECONDS;

	if (gow_nbd_now() - batch->heard >= patience)
		return gow_nbd_silent(error, gow_nbd_now() - batch->heard);
	for (size_t i = 0; i < IN_FLIGHT; i++)
		batch->pieces[i].cookie = -1;
	return gow_nbd_reconnect(remote, error);
}

int gow_nbd_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                 gow_error *error)
{
	struct batch batch = { .ranges = ranges, .count = count, .heard = gow_nbd_now() };
	int code = remote->nbd ? GOW_OK : gow_nbd_reconnect(remote, error);

	for (int breaks = 0; !code; breaks++) {
		code = read_on(remote, &batch, error);
		if (!code || code == GOW_ERR_STOPPED || breaks >= GOW_NBD_TRIES ||
		    (!gow_nbd_is_broken(remote) &&
		     gow_nbd_now() - batch.heard <= GOW_NBD_STALL_SECONDS))
			break;
		code = read_again(remote, &batch, error);
	}
	/* Answers of abandoned requests must not reach buffers that the caller frees. */
	if (code && remote->nbd) {
		nbd_close(remote->nbd);
		remote->nbd = NULL;
	}
	for (size_t i = 0; i < IN_FLIGHT; i++)
		free(batch.pieces[i].bounce);
	return code;
}
