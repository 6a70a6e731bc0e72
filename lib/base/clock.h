/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h - how long something takes. */
#ifndef GOW_BASE_CLOCK_H
#define GOW_BASE_CLOCK_H

#include <time.h>

/* Seconds of the clock that nobody sets. */
static inline double gow_clock(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* it cannot fail */
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The moment, by that clock, so many milliseconds from now. */
static inline struct timespec gow_moment_after(int milliseconds)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += milliseconds / 1000;
	time.tv_nsec += milliseconds % 1000 * 1000000L;
	if (time.tv_nsec >= 1000000000L) {
		time.tv_nsec -= 1000000000L;
		time.tv_sec++;
	}
	return time;
}

#endif
