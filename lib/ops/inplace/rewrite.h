/* SPDX-License-Identifier: BSD-2-Clause */
/* rewrite.h - the same image anew, its blocks in logical order and none too many. */
#ifndef GOW_OPS_REWRITE_H
#define GOW_OPS_REWRITE_H

#include "gow.h"

/* gow_compact into options->output. */
int gow_rewrite(const char *path, const gow_compact_options *options, gow_compact_result *result,
                gow_error *error);

#endif
