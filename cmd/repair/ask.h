/* SPDX-License-Identifier: BSD-2-Clause */
/* ask.h - asking on the terminal about each repair. */
#ifndef GOW_CMD_REPAIR_ASK_H
#define GOW_CMD_REPAIR_ASK_H

#include "gow.h"

/* For gow_repair_options.ask; the context is a repair_job. */
gow_answer repair_ask(void *context, const gow_problem *problem, const gow_place *place);

#endif
