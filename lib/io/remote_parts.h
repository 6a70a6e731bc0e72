/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * remote_parts.h - a file on a server, for the parts of the backend: remote.c is the file itself, and
 * remote_server.c asks the server's module, and judges from its answers what may still be had.
 */
#ifndef GOW_IO_REMOTE_PARTS_H
#define GOW_IO_REMOTE_PARTS_H

#include <pthread.h>

#include "io/remote.h"
#include "io/windows.h"

struct remote_file {
	struct gow_file base;
	const struct gow_module *module;
	struct gow_remote *remote;
	struct gow_remote_info info;
	pthread_t opener; /* the thread that may ask the monitor */
	const gow_monitor *monitor;
	pthread_mutex_t mutex; /* of all below, and of the module */
	struct gow_windows windows;
	uint64_t fetched, requests;
	unsigned failed; /* ranges that could not be read, since one could */
	int tries;       /* of a request, therefore */
	gow_error gone;  /* why the server was given up, if its code says so */
};

/* All of these are called with the mutex. */

/* A server of which nothing is known yet. */
void gow_remote_begin(struct remote_file *file);

/*
 * As the module's read, finish, pour and stream; counts requests and bytes. GOW_ERR_IO where the server cannot
 * read a range, of which whoever can do without it may read on; GOW_ERR_UNREACHABLE where it is gone.
 */
int gow_remote_read_ranges(struct remote_file *file, const struct gow_remote_range *ranges,
                           size_t count, gow_error *error);
int gow_remote_finish_range(struct remote_file *file, const struct gow_remote_range *range,
                            gow_error *error);
int gow_remote_pour(struct remote_file *file, uint64_t offset, size_t size, gow_remote_taker take,
                    void *context, gow_error *error);
int gow_remote_stream(struct remote_file *file, const struct gow_remote_stream *stream,
                      gow_error *error);

#endif
