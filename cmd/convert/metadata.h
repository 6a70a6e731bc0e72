/* SPDX-License-Identifier: BSD-2-Clause */
/* metadata.h - gow-convert --metadata-only. */
#ifndef GOW_CMD_METADATA_H
#define GOW_CMD_METADATA_H

#include "common/cli.h"

/* Saves or restores, as the names and the options say; returns the exit status. */
int metadata_convert(struct cli *cli, const char *source, const char *dest,
                     const gow_convert_options *options);

#endif
