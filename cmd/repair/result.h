/* SPDX-License-Identifier: BSD-2-Clause */
/* result.h - the result of a repair: its exit status, and how it is shown. */
#ifndef GOW_CMD_REPAIR_RESULT_H
#define GOW_CMD_REPAIR_RESULT_H

#include "repair/job.h"

/* Returns the bit of the exit status. */
int repair_show_result(struct repair_job *job, const gow_repair_result *result);

#endif
