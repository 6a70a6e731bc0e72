/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor.h - talking to the caller while an operation runs; a NULL monitor hears nothing. */
#ifndef GOW_BASE_MONITOR_H
#define GOW_BASE_MONITOR_H

#include "base/error.h"
#include "gow.h"

/* Tells how far phase is; GOW_ERR_STOPPED if the caller wants to stop. */
int gow_tick(const gow_monitor *monitor, const char *phase, uint64_t done, uint64_t total,
             gow_error *error);

void gow_note(const gow_monitor *monitor, gow_note_level level, const char *file,
              const char *fmt, ...) GOW_PRINTF(4, 5);

#endif
