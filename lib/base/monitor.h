/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor.h - reports to the caller while an operation runs; a NULL monitor gets no calls. */
#ifndef GOW_BASE_MONITOR_H
#define GOW_BASE_MONITOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "gow.h"

/* Tells how far phase is; GOW_ERR_STOPPED if the caller wants to stop. */
int gow_tick(const gow_monitor *monitor, const char *phase, uint64_t done, uint64_t total,
             gow_error *error);

void gow_note(const gow_monitor *monitor, gow_note_level level, const char *file, const char *fmt,
              ...) GOW_PRINTF(4, 5);

/*
 * A thread of ours has no monitor, whose functions are called by the caller's threads only. It
 * says here which flag asks it to stop, and what waits for long in that thread looks at it. NULL:
 * none, as at first.
 */
void gow_set_stop_flag(const atomic_bool *flag);

/* Whether this thread has such a flag, and *stop is what it says. */
bool gow_has_stop_flag(bool *stop);

#endif
