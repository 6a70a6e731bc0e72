/* SPDX-License-Identifier: BSD-2-Clause */
/* signals.h - all signal handling of the tools. The only state that is not in a struct. */
#ifndef GOW_CMD_SIGNALS_H
#define GOW_CMD_SIGNALS_H

#include <stdbool.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP only ask to stop, and SIGUSR1 only asks for a line of
 * progress; those that were ignored at the start (nohup) stay so. A broken pipe and a file grown
 * over the limit are errors of the call that hit them, not the end of the process.
 */
void signals_install(void);

/* Whether a signal asked to stop. */
bool signals_stop(void);

/* Whether SIGUSR1 came since this was last asked. */
bool signals_take_status(void);

#endif
