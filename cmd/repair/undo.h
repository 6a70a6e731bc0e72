/* SPDX-License-Identifier: BSD-2-Clause */
/* undo.h - undoing a repair: the work on one image, and how its result is shown. */
#ifndef GOW_CMD_REPAIR_UNDO_H
#define GOW_CMD_REPAIR_UNDO_H

#include "common/cli.h"

/* For batch_run: returns the bit of the exit status. */
int repair_undo_image(struct cli *cli, const char *image);

#endif
