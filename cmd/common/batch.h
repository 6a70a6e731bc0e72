/* SPDX-License-Identifier: BSD-2-Clause */
/* batch.h - the same work on many images: those of the command line and of --files-from. */
#ifndef GOW_CMD_BATCH_H
#define GOW_CMD_BATCH_H

#include "common/cli.h"

/* Does the work on one image, and returns its exit status. */
typedef int (*batch_job)(struct cli *cli, const char *image);

/*
 * Does job on every image; one that fails does not stop the rest, a signal does. Returns the OR
 * of all statuses.
 */
int batch_run(struct cli *cli, batch_job job);

/*
 * A list from Windows has a carriage return at the end of every line (unless there is a file of that
 * name), and may have a mark before the first. Ends the name before the one; returns the length that
 * is left, which is that of the name's end where it begins with the other.
 */
size_t batch_drop_windows(char *name, size_t length, bool first);

#endif
