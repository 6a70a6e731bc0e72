/* SPDX-License-Identifier: BSD-2-Clause */
/* job.h - one run of gow-repair: its options, and the image at hand. */
#ifndef GOW_CMD_REPAIR_JOB_H
#define GOW_CMD_REPAIR_JOB_H

#include "common/cli.h"

struct repair_job {
	gow_repair_options options;
	bool preen, yes, undo;
	char *salvage, *undo_file, *manifest; /* owned */
	struct cli *cli;
	const char *image;
	struct doc doc; /* begun by the first step, if there is one */
};

#endif
