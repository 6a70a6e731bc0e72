/* SPDX-License-Identifier: BSD-2-Clause */
/* plan.h - the findings and the plan of a repair, shown step by step. */
#ifndef GOW_CMD_REPAIR_PLAN_H
#define GOW_CMD_REPAIR_PLAN_H

#include "repair/job.h"

/* For gow_repair_options.found and .step; the context is a repair_job. */
void repair_show_finding(void *context, const gow_finding *finding);
void repair_show_step(void *context, const gow_repair_step *step);

/* Begins the image's document, with a plan that may stay empty, if no step did. */
void repair_begin_document(struct repair_job *job);

#endif
