/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd.h - one connection to an NBD server, for the parts of the module: nbd_connect.c makes it and
 * makes it again, nbd_trust.c has whom to trust, nbd_read.c reads over it, nbd.c asks for holes,
 * writes, and is the module.
 */
#ifndef GOW_IO_MODULES_NBD_H
#define GOW_IO_MODULES_NBD_H

#include <libnbd.h>

#include "io/module.h"

enum {
	GOW_NBD_TRIES = 5,              /* of connecting, and of asking for holes */
	GOW_NBD_STALL_SECONDS = 10,     /* without an answer: then another connection is tried */
	GOW_NBD_PATIENCE_SECONDS = 20,  /* the same in all, unless the caller waits longer */
	GOW_NBD_REQUEST_BEST = 1 << 20, /* bytes */
	GOW_NBD_IN_FLIGHT = 8,          /* requests at a time */
	GOW_NBD_QUEUE = 16              /* ranges that were begun */
};

/* What the server reported last of its holes: data from start to end, nothing from asked to start. */
struct gow_nbd_run {
	uint64_t asked, start, end;
};

/* A range that was begun: how much was cut off of it, and came. */
struct gow_nbd_queued {
	const struct gow_remote_range *range; /* NULL: this place is free */
	uint64_t number;                      /* by which they are asked for */
	size_t taken, came;
	int code; /* why it cannot be read, and */
	gow_error error;
};

/* A piece of one on its way. */
struct gow_nbd_piece {
	struct gow_nbd_queued *of;
	uint64_t offset;
	size_t size; /* 0: this place is free */
	char *buf;
	char *bounce;   /* what is read where the server wants multiples; NULL: buf itself */
	size_t skip;    /* bytes of it before the piece */
	int64_t cookie; /* -1: not asked for, or to be asked for again */
	int tries;
	double not_before; /* when to ask again */
};

struct gow_remote {
	struct nbd_handle *nbd; /* NULL: there is no connection */
	char *uri;
	char trust[64]; /* the temporary directory, or "" */
	bool write;
	uint64_t size;
	uint64_t most;  /* bytes of a request */
	uint64_t least; /* what its offset and size must be multiples of */
	struct gow_nbd_run run;
	struct gow_nbd_queued queue[GOW_NBD_QUEUE];
	size_t waiting; /* of these: begun by somebody who has not come for them */
	uint64_t begun; /* in all */
	struct gow_nbd_piece pieces[GOW_NBD_IN_FLIGHT];
	double heard; /* when the last answer came to a piece */
	double wait;
	const int *tries; /* of a request, at most */
	bool (*stop)(void *context);
	void *context;
};

/* ---- nbd_connect.c ------------------------------------------------------------------------ */

/* Sleeps, unless it is stopped. */
int gow_nbd_pause(const struct gow_remote *remote, double seconds, gow_error *error);

/* Fills the error with libnbd's own words about the call that failed last; returns its code. */
int gow_nbd_fail(gow_error *error, const char *what);
/* For a server that has not answered for so many seconds. */
int gow_nbd_silent(gow_error *error, double seconds);

/* Connects, trying again with longer and longer pauses. */
int gow_nbd_connect(struct gow_remote *remote, gow_error *error);
/* What the server says of the export; GOW_ERR_CHANGED where its size is another than before. */
int gow_nbd_measure(struct gow_remote *remote, struct gow_remote_info *info, gow_error *error);
/* Closes the connection, if there is one: what was asked for over it is to be asked for again. */
void gow_nbd_hang_up(struct gow_remote *remote);
/* The same, and makes another. */
int gow_nbd_reconnect(struct gow_remote *remote, gow_error *error);
bool gow_nbd_is_broken(const struct gow_remote *remote);

/* Lets the connection work for a moment; GOW_ERR_STOPPED where the caller asked for that. */
int gow_nbd_turn(struct gow_remote *remote, gow_error *error);
/* Waits until one request is over, at most patience seconds; cookie is -1 where it could not even be
 * made. */
int gow_nbd_await(struct gow_remote *remote, int64_t cookie, double patience, const char *what,
                  gow_error *error);

/* ---- nbd_trust.c -------------------------------------------------------------------------- */

/* Says whom to trust, if the URI is one with TLS. */
int gow_nbd_trust(struct gow_remote *remote, gow_error *error);
/* Removes what that made; the connection has read it by then. */
void gow_nbd_forget_trust(struct gow_remote *remote);

/* ---- nbd_read.c --------------------------------------------------------------------------- */

/* The module's. */
int gow_nbd_read(struct gow_remote *remote, const struct gow_remote_range *ranges, size_t count,
                 gow_error *error);
void gow_nbd_begin(struct gow_remote *remote, const struct gow_remote_range *range);
int gow_nbd_finish(struct gow_remote *remote, const struct gow_remote_range *range,
                   gow_error *error);
void gow_nbd_abandon(struct gow_remote *remote, const struct gow_remote_range *range);

#endif
