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

enum { GOW_WINDOWS = 4 /* places in the file that are read at the same time */ };

/* Bytes of the file that were fetched. */
struct gow_window {
	uint64_t offset;
	size_t size; /* bytes that are there; 0: none */
	size_t room;
	uint8_t *data;
	uint64_t used;  /* when, by the count of reads */
	double seconds; /* that fetching them took */
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
	/* Reads all of a range that lies inside the file. */
	int (*fetch)(void *context, uint64_t offset, void *buf, size_t size, gow_error *error);
	void *context;
};

/* Gives what one window has of the range, which begins inside the file: at least one byte. It fails
 * only where a fetch of what is asked for fails, whatever else was fetched with it. */
int gow_windows_read(struct gow_windows *windows, uint64_t offset, void *buf, size_t size,
                     size_t *got, gow_error *error);

/* What was fetched is not what is there now. */
void gow_windows_forget(struct gow_windows *windows);

void gow_windows_release(struct gow_windows *windows);

#endif
