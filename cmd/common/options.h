/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h - the options that tools share, as tables to be included in a tool's own. */
#ifndef GOW_CMD_OPTIONS_H
#define GOW_CMD_OPTIONS_H

#include <popt.h>

#include "common/cli.h"

/* A tool's own options have smaller numbers. */
enum { CLI_SHARED = 1000 };

extern const struct poptOption options_common[];
extern const struct poptOption options_progress[];
extern const struct poptOption options_batch[];
extern const struct poptOption options_lock[];
extern const struct poptOption options_dry_run[];
extern const struct poptOption options_digest[];
extern const struct poptOption options_layout[];

/* clang-format off */
/* popt does not write to a table, although its type says so. */
#define OPTIONS_INCLUDE(table, title) \
	{ NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)(table), 0, title, NULL }
#define OPTIONS_COMMON   OPTIONS_INCLUDE(options_common, "Common options:")
#define OPTIONS_PROGRESS OPTIONS_INCLUDE(options_progress, "Progress:")
#define OPTIONS_BATCH    OPTIONS_INCLUDE(options_batch, "Many images:")
#define OPTIONS_LOCK     OPTIONS_INCLUDE(options_lock, "Other users of the image:")
#define OPTIONS_DRY_RUN  OPTIONS_INCLUDE(options_dry_run, NULL)
#define OPTIONS_LAYOUT   OPTIONS_INCLUDE(options_layout, NULL)
#define OPTIONS_DIGEST   OPTIONS_INCLUDE(options_digest, NULL)

/* An option without a value, and one with: option is handed to the tool's take. */
#define OPTION_FLAG(name, letter, option, text) \
	{ name, letter, POPT_ARG_NONE, NULL, option, text, NULL }
#define OPTION_VALUE(name, letter, option, text, value) \
	{ name, letter, POPT_ARG_STRING, NULL, option, text, value }
/* clang-format on */

/* Parses the command line. EXIT_CLEAN to continue (unless cli->answered), or the status to exit
 * with. */
int options_parse(struct cli *cli, int argc, char **argv);

#endif
