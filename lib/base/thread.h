/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.h - threads of the library's own, which whoever calls it does not notice. */
#ifndef GOW_BASE_THREAD_H
#define GOW_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* How many processors this process may run on; at least 1. */
unsigned gow_processors(void);

/* Starts a thread to which no signal is delivered: those are for the program's own threads. False
 * where there is no room for one, and the caller does the work itself. */
bool gow_thread_start(pthread_t *thread, void *(*work)(void *), void *context);

/* A condition whose waits go by the clock that nobody sets (gow_moment_after). */
void gow_condition_init(pthread_cond_t *condition);

#endif
