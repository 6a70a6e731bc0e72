/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_connect.c - connecting to an NBD server, and waiting for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "io/modules/nbd.h"

enum {
	OPEN_SECONDS = 10, /* for connecting in all, unless the caller waits longer */
	POLL_MS = 200,
	PAUSE_MS = 50, /* of a pause, until it is looked whether to stop */
	REQUEST_MOST = 16 << 20,
	LEAST_MOST = 64 << 10 /* no server wants larger multiples (the protocol's limit) */
};

static bool asked_to_stop(const struct gow_remote *remote)
{
	return remote->stop && remote->stop(remote->context);
}

static int stopped(gow_error *error)
{
	return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
}

/* libnbd's own words, without the name of its call before them. */
int gow_nbd_fail(gow_error *error, const char *what)
{
	const char *why = nbd_get_error();
	const char *colon = why ? strstr(why, ": ") : NULL;
	const int number = nbd_get_errno();

	if (number == ENOSPC)
		return gow_fail_errno(error, number, "%s", what);
	return gow_fail(error, number == ENOMEM ? GOW_ERR_MEMORY : GOW_ERR_IO, "%s: %s", what,
	                colon ? colon + 2
	                : why ? why
	                      : strerror(number));
}

/* ---- connecting --------------------------------------------------------------------------- */

static int set_up(struct gow_remote *remote, gow_error *error)
{
	struct nbd_handle *nbd = nbd_create();

	remote->nbd = nbd;
	if (!nbd)
		return gow_nbd_fail(error, "cannot set up libnbd");
#if LIBNBD_HAVE_NBD_SET_PREAD_INITIALIZE
	/* Buffers are used only where the whole answer came; zeros first would take a tenth of the
	 * time. */
	if (nbd_set_pread_initialize(nbd, false) == -1)
		return gow_nbd_fail(error, "cannot set up libnbd");
#endif
	/* URIs of one process's own (nbd+vsock, commands) are not among the names that tools take. */
	if (nbd_set_uri_allow_transports(nbd, LIBNBD_ALLOW_TRANSPORT_TCP |
	                                              LIBNBD_ALLOW_TRANSPORT_UNIX) == -1 ||
	    nbd_set_uri_allow_local_file(nbd, true) == -1 ||
	    nbd_set_tls_verify_peer(nbd, true) == -1 ||
	    /* The end of an export of an odd size: the server decides. */
	    nbd_set_strict_mode(nbd, nbd_get_strict_mode(nbd) & ~(uint32_t)LIBNBD_STRICT_ALIGN) ==
	            -1 ||
	    nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == -1)
		return gow_nbd_fail(error, "cannot set up libnbd");
	return gow_nbd_trust(remote, error);
}

/* Whether libnbd could not go on because the server closed the connection that was being made. */
static bool was_turned_away(void)
{
	const char *why = nbd_get_error();

	return why && strstr(why, "is invalid in state");
}

/* Waits until the handshake is over, at most until the deadline. */
static int shake_hands(struct gow_remote *remote, double deadline, gow_error *error)
{
	/* libnbd's words have the URI in them, with what may be a password. */
	if (nbd_aio_connect_uri(remote->nbd, remote->uri) == -1)
		return nbd_get_errno() == EINVAL ? gow_fail(error, GOW_ERR_IO, GOW_BAD_URI)
		                                 : gow_nbd_fail(error, "cannot connect");
	while (nbd_aio_is_connecting(remote->nbd) == 1) {
		if (asked_to_stop(remote))
			return stopped(error);
		if (gow_clock() > deadline)
			return gow_fail(error, GOW_ERR_IO,
			                "the server does not answer: is it running, "
			                "and is this its address?");
		if (nbd_poll(remote->nbd, POLL_MS) == -1)
			return was_turned_away()
			               ? gow_fail(error, GOW_ERR_IO,
			                          "the server closes the connection at once: does "
			                          "it let this client in?")
			               : gow_nbd_fail(error, "cannot connect");
	}
	if (nbd_aio_is_ready(remote->nbd) != 1)
		return gow_nbd_fail(error, "cannot connect");
	return GOW_OK;
}

/* Connects once; *asked is false where it did not come to asking the server. */
static int connect_once(struct gow_remote *remote, double deadline, bool *asked, gow_error *error)
{
	int code = set_up(remote, error);

	*asked = !code;
	if (!code)
		code = shake_hands(remote, deadline, error);
	gow_nbd_forget_trust(remote);
	if (code) {
		nbd_close(remote->nbd);
		remote->nbd = NULL;
	}
	return code;
}

int gow_nbd_pause(const struct gow_remote *remote, double seconds, gow_error *error)
{
	const struct timespec part = { .tv_nsec = PAUSE_MS * 1000000L };
	const double until = gow_clock() + seconds;

	while (gow_clock() < until && !asked_to_stop(remote))
		(void)nanosleep(&part, NULL);
	return asked_to_stop(remote) ? stopped(error) : GOW_OK;
}

/* Whether the server may let us in when it is asked again. */
static bool may_connect(int code)
{
	const char *why = nbd_get_error();
	const int number = nbd_get_errno();

	return code != GOW_ERR_STOPPED && code != GOW_ERR_MEMORY && number != ENOTSUP &&
	       (number != EINVAL || was_turned_away()) && number != EPERM && number != EACCES &&
	       !(why && strstr(why, "gnutls"));
}

/* Connects, trying again with longer and longer pauses. */
int gow_nbd_connect(struct gow_remote *remote, gow_error *error)
{
	const double deadline = gow_clock() +
	                        (remote->wait > OPEN_SECONDS ? remote->wait : OPEN_SECONDS);
	double pause = 0.2;
	bool asked;
	int code;

	for (int tries = 1;; tries++) {
		code = connect_once(remote, deadline, &asked, error);
		if (!code || !asked || !may_connect(code) ||
		    (tries >= GOW_NBD_TRIES && remote->wait <= 0) ||
		    gow_clock() + pause >= deadline)
			return code;
		code = gow_nbd_pause(remote, pause, error);
		if (code)
			return code;
		pause = pause < 2 ? 2 * pause : pause;
	}
}

/* To sectors, as qemu-nbd does, or to the larger ones of disks. */
static uint64_t rounding_of(uint64_t size)
{
	return size % 4096 == 0 ? 4096 : size % 512 == 0 ? 512 : 0;
}

int gow_nbd_measure(struct gow_remote *remote, struct gow_remote_info *info, gow_error *error)
{
	struct nbd_handle *nbd = remote->nbd;
	const int64_t size = nbd_get_size(nbd);
	const int64_t most = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);
	const int64_t least = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);

	if (size == -1)
		return gow_nbd_fail(error, "the server does not say how large the export is");
	if (size < 0)
		return gow_fail(error, GOW_ERR_IO,
		                "the server says that the export is larger than files can be");
	if (remote->size && remote->size != (uint64_t)size)
		return gow_fail(error, GOW_ERR_CHANGED, "the export has another size than before");
	if (remote->write && nbd_is_read_only(nbd) != 0)
		return gow_fail(error, GOW_ERR_IO, "the export is read-only");
	remote->size = (uint64_t)size;
	remote->most = most > 0 && most < REQUEST_MOST ? (uint64_t)most : REQUEST_MOST;
	remote->least = least > 1 && least <= LEAST_MOST ? (uint64_t)least : 1;
	if (remote->most > remote->least)
		remote->most -= remote->most % remote->least;
	else
		remote->most = remote->least;
	*info = (struct gow_remote_info){
		.size = remote->size,
		.has_holes = nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1,
		.can_zero = nbd_can_zero(nbd) == 1,
		.rounding = rounding_of(remote->size),
		.request_best = GOW_NBD_REQUEST_BEST < remote->most ? GOW_NBD_REQUEST_BEST
		                                                    : remote->most,
	};
	return GOW_OK;
}

void gow_nbd_hang_up(struct gow_remote *remote)
{
	nbd_close(remote->nbd);
	remote->nbd = NULL;
	for (size_t i = 0; i < GOW_NBD_IN_FLIGHT; i++)
		remote->pieces[i].cookie = -1;
}

int gow_nbd_reconnect(struct gow_remote *remote, gow_error *error)
{
	struct gow_remote_info info;
	int code;

	gow_nbd_hang_up(remote);
	code = gow_nbd_connect(remote, error);
	return code ? code : gow_nbd_measure(remote, &info, error);
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* Lets the connection work for a moment. */
int gow_nbd_turn(struct gow_remote *remote, gow_error *error)
{
	if (nbd_poll(remote->nbd, POLL_MS) == -1)
		return gow_nbd_fail(error, "the connection broke");
	return asked_to_stop(remote) ? stopped(error) : GOW_OK;
}

bool gow_nbd_is_broken(const struct gow_remote *remote)
{
	return nbd_aio_is_dead(remote->nbd) == 1 || nbd_aio_is_closed(remote->nbd) == 1;
}

int gow_nbd_silent(gow_error *error, double seconds)
{
	return gow_fail(error, GOW_ERR_IO,
	                "the server has not answered for %.0f seconds: try again later", seconds);
}

/* Waits until one request is over; cookie is -1 where it could not even be made. */
int gow_nbd_await(struct gow_remote *remote, int64_t cookie, double patience, const char *what,
                  gow_error *error)
{
	const double begun = gow_clock();
	int over = 0, code = GOW_OK;

	if (cookie == -1)
		return gow_nbd_fail(error, what);
	while (!code && !over) {
		code = gow_nbd_turn(remote, error);
		if (!code)
			over = nbd_aio_command_completed(remote->nbd, (uint64_t)cookie);
		if (over == -1)
			code = gow_nbd_fail(error, what);
		else if (!code && !over && gow_clock() - begun > patience)
			code = gow_nbd_silent(error, patience);
	}
	return code;
}
