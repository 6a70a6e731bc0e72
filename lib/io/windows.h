/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * windows.h - what was read of a file that answers slowly: a few places in it, each read ahead of
 * whoever reads in order. For one thread at a time.
 */
#ifndef GOW_IO_WINDOWS_H
#define GOW_IO_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "gow.h"
#include "io/module.h"

enum { GOW_WINDOWS = 4 /* places in the file that are read at the same time */ };

/* A place in the file, and bytes that were fetched there. */
struct gow_window {
	uint64_t offset;
	size_t size; /* bytes that are there; 0: none */
	size_t room;
	uint8_t *data;
	uint64_t used; /* when, by the count of reads */
	uint64_t
		next; /* behind the last fetch, kept here or not; 0: there was none, or it failed */
	size_t fetched;                 /* bytes of it, or so many of them */
	double seconds;                 /* that these took */
	struct gow_remote_range coming; /* what follows, begun already; size 0: nothing */
	uint8_t *spare;                 /* its memory, or NULL */
};

struct gow_window_range {
	uint64_t start, end;
};

/* All zeros to begin with. */
struct gow_windows {
	struct gow_window list[GOW_WINDOWS];
	struct gow_window_range failed; /* could not be fetched as a whole; empty: nothing failed */
	uint64_t reads;
	uint64_t file_size;
	uint64_t expected;     /* reading in order ends there: nothing behind it is begun */
	double (*clock)(void); /* gow_clock */
	/* Reads all of a range that lies inside the file. */
	int (*fetch)(void *context, uint64_t offset, void *buf, size_t size, gow_error *error);
	/* The same of a range that is wanted later, as those of a module; NULL: there is no such thing. */
	void (*begin)(void *context, const struct gow_remote_range *range);
	int (*finish)(void *context, const struct gow_remote_range *range, gow_error *error);
	void (*abandon)(void *context, const struct gow_remote_range *range);
	void *context;
};

/* Gives what one window has of the range, which begins inside the file: at least one byte. It fails
 * only where a fetch of what is asked for fails, whatever else was fetched with it. */
int gow_windows_read(struct gow_windows *windows, uint64_t offset, void *buf, size_t size,
                     size_t *got, gow_error *error);

/* Gives what is there of the range already, from its beginning on; how many bytes. */
size_t gow_windows_take(struct gow_windows *windows, uint64_t offset, void *buf, size_t size);

/* What was fetched is not what is there now. */
void gow_windows_forget(struct gow_windows *windows);

/* To be called while what was begun can be abandoned. */
void gow_windows_release(struct gow_windows *windows);

#endif
