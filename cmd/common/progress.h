/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - how far a long operation is: a bar on a terminal, or JSON Lines for a program.
 * SIGUSR1 gets one such line whatever was asked for.
 */
#ifndef GOW_CMD_PROGRESS_H
#define GOW_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_mode {
	PROGRESS_AUTO, /* a bar on a terminal; JSON if there is a descriptor for it */
	PROGRESS_NEVER,
	PROGRESS_BAR, /* a bar on a terminal, at once */
	PROGRESS_JSON
};

struct progress {
	enum progress_mode mode;
	int fd; /* JSON goes here; -1: to standard error */
	bool bar;
	double begun;   /* the operation, in seconds of the monotonic clock */
	double shown;   /* the last bar or line; 0: none in this phase */
	bool stale;     /* there is something newer than what was last shown */
	unsigned width; /* of the bar that stands on the terminal; 0: none */
	char phase[32];
	uint64_t done, total;
};

/* The name of a mode, as on the command line; false: no such name. */
bool progress_mode_by_name(const char *name, enum progress_mode *mode);

/* When the options are known. fd: -1 for none. */
void progress_init(struct progress *progress, enum progress_mode mode, int fd, bool quiet);

/* Around every operation; the seconds count from its beginning. */
void progress_begin(struct progress *progress);
void progress_end(struct progress *progress);

/* The library's monitor calls this; not 0: a signal wants the work to stop. */
int progress_tick(struct progress *progress, const char *phase, uint64_t done, uint64_t total);

/* Takes the bar off the terminal, before something else is written there. */
void progress_erase(struct progress *progress);

#endif
