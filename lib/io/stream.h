/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - pipes and the like: bytes in order, without a place to go back to. Waiting for the
 * other end asks the monitor now and then whether to stop.
 */
#ifndef GOW_IO_STREAM_H
#define GOW_IO_STREAM_H

#include "gow.h"

/* Whether a name stands for standard input, by any of its names; gow_is_standard_output (gow.h) is
 * the same of standard output. */
bool gow_is_standard_input(const char *name);

/* A descriptor with its name for messages; neither is owned. */
struct gow_stream {
	int fd;
	const char *name;
	const gow_monitor *monitor;
	uint64_t position; /* bytes taken or given so far */
	bool may_wait;     /* the other end is somebody who may keep us waiting; set by the first
	                    * write */
};

/* Reads size bytes; *got falls short of it only at the end. */
int gow_stream_read(struct gow_stream *stream, void *buf, size_t size, size_t *got,
                    gow_error *error);

/* Writes all of it, or fails. */
int gow_stream_write(struct gow_stream *stream, const void *buf, size_t size, gow_error *error);

#endif
