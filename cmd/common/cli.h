/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli.h - what every tool is: options, arguments, one run, an exit status. A tool fills in a
 * cli_tool and has cli_main (main.c) do the rest.
 */
#ifndef GOW_CMD_CLI_H
#define GOW_CMD_CLI_H

#include <popt.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/document.h"
#include "common/exit.h"
#include "common/out.h"
#include "common/progress.h"
#include "common/report.h"
#include "gow.h"

struct cli;

/* As many arguments as there are. */
#define CLI_MANY SIZE_MAX

struct cli_tool {
	const char *name;
	const char *arguments;            /* for the help: "IMAGE..." */
	bool streams;                     /* an argument - is standard input or output */
	size_t min_args, max_args;        /* --files-from stands for as many as are missing */
	const struct poptOption *options; /* the tool's own, and those of options.h it takes */
	/* One of the tool's own options, by its val, which is below CLI_SHARED. 0, or the status to
	 * exit with. value is the caller's, and NULL for an option without one. */
	int (*take)(struct cli *cli, int option, const char *value);
	/* The work; returns the exit status. */
	int (*run)(struct cli *cli);
};

/* All that a running tool knows. */
struct cli {
	const struct cli_tool *tool;
	void *own; /* the tool's own options */

	bool json;
	gow_common shared; /* what every operation gets */
	bool dry_run;      /* that --dry-run and --digest were given, too */
	bool digest;
	char *files_from; /* owned; NULL: none */
	char *layout;     /* the same */
	bool null_separated;

	const char *const *args; /* owned by popt */
	size_t arg_count;

	struct out out; /* results */
	struct report report;
	struct progress progress;
	gow_monitor monitor; /* for the library */

	poptContext popt;
	enum progress_mode progress_mode;
	int progress_fd;
	bool answered; /* --help and the like: there is nothing more to do */
};

/* The whole of a tool's main. own is handed on in cli->own. */
int cli_main(const struct cli_tool *tool, void *own, int argc, char **argv);

/* Says what is wrong with the command line; returns EXIT_USAGE. */
int cli_usage(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Keeps an option's value in *to, which is owned (free), and NULL: an option is given once. Returns 0,
 * or the status to exit with: that has been reported, and *to is as it was.
 */
int cli_keep(struct cli *cli, char **to, const char *option, const char *value);

/* The same for the name of a file, which - is not: standard input and output are refused. */
int cli_keep_file(struct cli *cli, char **to, const char *option, const char *value);

/* Whether results are wanted at all: with --json they are, even if --quiet. */
bool cli_prints(const struct cli *cli);

/* How to open an image as the options say, with more flags (GOW_OPEN_...). */
gow_open_options cli_open_options(const struct cli *cli, unsigned flags);

/* Results go to another descriptor from now on; nothing may have been written yet. */
void cli_redirect(struct cli *cli, int fd);

/*
 * The work on image failed: says so, with --json in its document, too (which is finished, if it
 * was begun), and discards what it had of a result. Returns the bit of the exit status.
 */
int cli_fail(struct cli *cli, struct doc *doc, const char *image, const gow_error *failure);

#endif
