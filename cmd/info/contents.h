/* SPDX-License-Identifier: BSD-2-Clause */
/* contents.h - what the guest's disk holds, in words and as JSON. */
#ifndef GOW_CMD_CONTENTS_H
#define GOW_CMD_CONTENTS_H

#include "common/cli.h"

/* "guest", null where nothing is known of it. */
void contents_json(struct doc *doc, const gow_contents *contents);
void contents_text(struct out *out, const gow_contents *contents);

/* Says so where something on the disk reaches past its end. */
void contents_warn(const struct cli *cli, const char *image, const gow_contents *contents,
                   uint64_t logical_size);

#endif
