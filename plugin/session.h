/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * session.h - the one image that a run of nbdkit serves, with its lock and lease, and the thread
 * that looks for somebody else who wants to open it.
 */
#ifndef GOW_PLUGIN_SESSION_H
#define GOW_PLUGIN_SESSION_H

#include <pthread.h>

#include "gow.h"

struct session {
	char *path;
	char *shown; /* the path for messages: of a URI without its secrets */
	char *layout;
	bool read_only;
	gow_image *image;
	pthread_rwlock_t lock; /* of image: shared to read, exclusive to change */
	bool given_up;         /* the image was left to somebody else */
};

extern struct session gow;

/* Puts question marks for control characters, which a terminal or a log would obey. */
void session_clean(char *text);

/* Reports an error to nbdkit; the result is -1. */
int complain(const gow_error *error);

/* Opens the image as path, layout and read_only say; -1 after complaining. */
int session_open(void);

/* Begins to look for somebody who waits for the image: it is flushed and left to him then, and
 * nbdkit is asked to end. One that is only read is served on, and a warning printed. After nbdkit's
 * fork, which ends threads. */
int session_watch(void);

/* Flushes and closes the image. May be called again. */
void session_close(void);

#endif
