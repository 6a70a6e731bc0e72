/* SPDX-License-Identifier: BSD-2-Clause */
/* rewrite.h - what the tools that change an image in place, or write a new one with -o, share. */
#ifndef GOW_CMD_REWRITE_H
#define GOW_CMD_REWRITE_H

#include "common/cli.h"
#include "common/document.h"
#include "gow.h"

/* Checks --output, where output is not NULL: there is one image, and in_place (the name of an option
 * that works in place, or NULL) was not given. Returns an exit status. */
int rewrite_check_output(struct cli *cli, const char *output, const char *in_place);

/* The image, and the new one where there is one. */
void rewrite_print_names(struct cli *cli, const char *image, const char *output);

/* Ends a line about what was done, or what a dry run would need (out_end_line). */
void rewrite_print_end(struct cli *cli, uint64_t extra_bytes, bool in_use);

/* Begins and ends a document about one image. */
void rewrite_json_begin(struct doc *doc, struct cli *cli, const char *image, const char *output);
void rewrite_json_end(struct doc *doc, struct cli *cli, bool in_use, const gow_digests *digests);

/* The line with the digests, where they were asked for. */
void rewrite_print_digests(struct cli *cli, const char *image, const char *output,
                           const gow_digests *digests);

#endif
