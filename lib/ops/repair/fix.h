/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fix.h - how each problem is fixed. A fix adds steps to a plan; the plan gets this table as a
 * parameter, and knows no fix.
 */
#ifndef GOW_OPS_REPAIR_FIX_H
#define GOW_OPS_REPAIR_FIX_H

#include "ops/repair/plan.h"

extern const struct gow_fix gow_fixes[GOW_PROBLEM_COUNT]; /* by id */
extern const gow_problem_id gow_fix_order[GOW_PROBLEM_COUNT];
extern const struct gow_fix_table gow_fix_table; /* both */

#endif
