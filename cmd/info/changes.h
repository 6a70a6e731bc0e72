/* SPDX-License-Identifier: BSD-2-Clause */
/* changes.h - what of an image is newer than a number, or than another image. */
#ifndef GOW_CMD_CHANGES_H
#define GOW_CMD_CHANGES_H

#include "common/cli.h"

/* Prints the blocks of image whose number is above since, in the document or as lines. */
int changes_since(struct cli *cli, const char *image, gow_check *check, uint32_t since,
                  struct doc *doc, gow_error *error);

/* Prints how image and other differ; the document, if one is wanted, is begun by this. */
int changes_compare(struct cli *cli, const char *image, const char *other, bool data,
                    struct doc *doc, gow_error *error);

#endif
