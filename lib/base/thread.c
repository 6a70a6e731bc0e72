/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>

unsigned gow_processors(void)
{
	cpu_set_t set;

	/* More processors than the set has room for: then there is more than one. */
	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set)
	                                                   : CPU_SETSIZE;
}

bool gow_thread_start(pthread_t *thread, void *(*work)(void *), void *context)
{
	sigset_t all, before;
	bool started;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(thread, NULL, work, context) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

void gow_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}
