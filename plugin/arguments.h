/* SPDX-License-Identifier: BSD-2-Clause */
/* arguments.h - what nbdkit's own command line says. */
#ifndef GOW_PLUGIN_ARGUMENTS_H
#define GOW_PLUGIN_ARGUMENTS_H

#include <stdbool.h>

/*
 * Whether nbdkit was started with -r. It hands that to a plugin only when a client connects, which is
 * too late: the lock is taken before. So the command line is read.
 */
bool started_read_only(void);

#endif
