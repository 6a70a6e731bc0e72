/* SPDX-License-Identifier: BSD-2-Clause */
/* streams.h - the standard file descriptors, as they were left to us. */
#ifndef GOW_CMD_STREAMS_H
#define GOW_CMD_STREAMS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Opens /dev/null on those of 0, 1 and 2 that are closed, so that no image ever gets such a
 * number; the wrong way round, so that using what was closed is still an error (EBADF). False if
 * that cannot be done.
 */
bool streams_fill(void);

/* Writes everything, however slowly fd takes it; 0, or errno. A signal that asks to stop ends it
 * with EINTR. */
int streams_write(int fd, const void *data, size_t size);

/* Whether a new file of that name would be one among the devices: the name of one was mistyped. */
bool streams_is_device_name(const char *path);

/* Whether fd is a terminal that may be written to in colour (NO_COLOR, TERM=dumb). */
bool streams_colour(int fd);

#endif
