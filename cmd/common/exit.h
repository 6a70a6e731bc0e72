/* SPDX-License-Identifier: BSD-2-Clause */
/* exit.h - the exit status, a bitmask: what every bit means, and which one an error sets. */
#ifndef GOW_CMD_EXIT_H
#define GOW_CMD_EXIT_H

enum {
	EXIT_CLEAN = 0,
	EXIT_REPAIRED = 1, /* problems were found, and all of them repaired */
	EXIT_ADVISORY = 2, /* only advisory findings are left */
	EXIT_CORRUPT = 4,  /* corrupt findings are left */
	EXIT_ERROR = 8,    /* the work could not be done */
	EXIT_USAGE = 16,
	EXIT_STOPPED = 32, /* by a signal */
	EXIT_BUSY = 64,    /* another process has the image */
	EXIT_ALL = 127
};

/* The bit for a gow_code; EXIT_CLEAN for GOW_OK. */
int exit_of_code(int code);

#endif
