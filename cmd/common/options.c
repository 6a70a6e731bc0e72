/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/size.h"

enum shared_option {
	QUIET = CLI_SHARED,
	VERBOSE,
	JSON,
	LIST_OPTIONS,
	VERSION,
	HELP,
	USAGE,
	PROGRESS,
	PROGRESS_FD,
	FILES_FROM,
	NULL_SEPARATED,
	NO_LOCK,
	WAIT,
	DRY_RUN,
	DIGEST,
	LAYOUT,
};

const struct poptOption options_common[] = {
	OPTION_FLAG("quiet", 'q', QUIET, "print errors only"),
	OPTION_FLAG("verbose", 'v', VERBOSE, "print details, too"),
	OPTION_FLAG("json", '\0', JSON, "print one JSON document per image, on one line"),
	OPTION_FLAG("list-options", '\0', LIST_OPTIONS, "print every option, one per line"),
	OPTION_FLAG("version", '\0', VERSION, "print the version"),
	OPTION_FLAG("help", '\0', HELP, "print this help"),
	OPTION_FLAG("usage", '\0', USAGE, "print the usage in short"),
	POPT_TABLEEND
};

const struct poptOption options_progress[] = {
	OPTION_VALUE("progress", '\0', PROGRESS,
	             "how to show progress (auto: a bar, on a terminal only)",
	             "auto|never|bar|json"),
	OPTION_VALUE("progress-fd", '\0', PROGRESS_FD,
	             "write progress, as JSON, to this descriptor", "N"),
	POPT_TABLEEND
};

const struct poptOption options_batch[] = {
	OPTION_VALUE("files-from", '\0', FILES_FROM,
	             "take names of images from FILE, too, one a line (-: standard input)", "FILE"),
	OPTION_FLAG("null", '0', NULL_SEPARATED, "the names in FILE are ended by NUL"),
	POPT_TABLEEND
};

const struct poptOption options_lock[] = {
	OPTION_FLAG("no-lock", '\0', NO_LOCK, "take no locks (for file systems without them)"),
	OPTION_VALUE("wait", '\0', WAIT, "while the image is busy, try again for so long",
	             "SECONDS"),
	POPT_TABLEEND
};

const struct poptOption options_dry_run[] = {
	OPTION_FLAG("dry-run", 'n', DRY_RUN, "say what would be done, and change nothing"),
	POPT_TABLEEND
};

const struct poptOption options_digest[] = {
	OPTION_FLAG("digest", '\0', DIGEST, "print the guest digest, too"),
	POPT_TABLEEND,
};

const struct poptOption options_layout[] = {
	OPTION_VALUE("layout", '\0', LAYOUT,
	             "where everything stands in the image: a file, or a known name",
	             "FILE|NAME|auto"),
	POPT_TABLEEND
};

/* ---- answers ----------------------------------------------------------------------------- */

static void list_options(struct out *out, const struct poptOption *table)
{
	for (const struct poptOption *option = table;
	     option->longName || option->shortName || option->arg; option++) {
		if ((option->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE)
			list_options(out, option->arg);
		if (option->longName)
			out_print(out, "--%s\n", option->longName);
		if (option->shortName)
			out_print(out, "-%c\n", option->shortName);
	}
}

/* popt writes to a stream; results go through out. */
static void print_help(struct cli *cli, void (*print)(poptContext, FILE *, int))
{
	char arguments[128];
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream) {
		out_fail(&cli->out, errno);
		return;
	}
	/* The short form names every option itself. */
	(void)snprintf(arguments, sizeof arguments, "%s%s",
	               print == poptPrintHelp ? "[OPTION...] " : "", cli->tool->arguments);
	poptSetOtherOptionHelp(cli->popt, arguments);
	print(cli->popt, stream, 0);
	if (fclose(stream) == 0)
		out_write(&cli->out, text, size);
	else
		out_fail(&cli->out, errno);
	free(text);
}

static int answer(struct cli *cli, enum shared_option option)
{
	cli->answered = true;
	if (option == LIST_OPTIONS)
		list_options(&cli->out, cli->tool->options);
	else if (option == VERSION)
		out_print(&cli->out, "%s (gow-tools) %s\n", cli->tool->name, gow_version());
	else
		print_help(cli, option == HELP ? poptPrintHelp : poptPrintUsage);
	return EXIT_CLEAN;
}

/* ---- values ------------------------------------------------------------------------------ */

static int take_progress_fd(struct cli *cli, const char *value)
{
	uint64_t fd;
	const char *wrong = number_parse(value, 0, INT_MAX, &fd);
	int mode;

	if (wrong)
		return cli_usage(cli, "--progress-fd: '%s': %s", value, wrong);
	if (fd == STDOUT_FILENO)
		return cli_usage(cli, "--progress-fd: standard output is for results");
	mode = fcntl((int)fd, F_GETFL);
	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY)
		return cli_usage(cli, "--progress-fd: %d is not open for writing", (int)fd);
	cli->progress_fd = (int)fd;
	return EXIT_CLEAN;
}

static int take_files_from(struct cli *cli, const char *value)
{
	return cli_keep(cli, &cli->files_from, "--files-from", value);
}

static int take_wait(struct cli *cli, const char *value)
{
	const char *wrong = seconds_parse(value, &cli->shared.wait_seconds);

	return wrong ? cli_usage(cli, "--wait: '%s': %s", value, wrong) : EXIT_CLEAN;
}

static int take_layout(struct cli *cli, const char *value)
{
	int status;

	status = cli_keep_file(cli, &cli->layout, "--layout", value);
	cli->shared.layout = cli->layout;
	return status;
}

static int take_value(struct cli *cli, enum shared_option option, const char *value)
{
	if (option == PROGRESS_FD)
		return take_progress_fd(cli, value);
	if (option == FILES_FROM)
		return take_files_from(cli, value);
	if (option == WAIT)
		return take_wait(cli, value);
	if (option == LAYOUT)
		return take_layout(cli, value);
	if (!progress_mode_by_name(value, &cli->progress_mode))
		return cli_usage(cli, "--progress: '%s': auto, never, bar and json are known",
		                 value);
	return EXIT_CLEAN;
}

static int take_shared(struct cli *cli, enum shared_option option, const char *value)
{
	switch (option) {
	case QUIET:
		cli->report.quiet = true;
		return EXIT_CLEAN;
	case VERBOSE:
		cli->report.verbose = true;
		return EXIT_CLEAN;
	case JSON:
		cli->json = true;
		return EXIT_CLEAN;
	case NULL_SEPARATED:
		cli->null_separated = true;
		return EXIT_CLEAN;
	case NO_LOCK:
		cli->shared.flags |= GOW_COMMON_NO_LOCK;
		return EXIT_CLEAN;
	case DRY_RUN:
		cli->dry_run = true;
		cli->shared.flags |= GOW_COMMON_DRY_RUN;
		return EXIT_CLEAN;
	case DIGEST:
		cli->digest = true;
		cli->shared.flags |= GOW_COMMON_DIGEST;
		return EXIT_CLEAN;
	case LIST_OPTIONS:
	case VERSION:
	case HELP:
	case USAGE:
		return answer(cli, option);
	default:
		return take_value(cli, option, value);
	}
}

/* ---- the command line -------------------------------------------------------------------- */

static int no_memory(const struct cli *cli)
{
	report_error(&cli->report, NULL, "no memory");
	return EXIT_ERROR;
}

/* popt leaves out what it had no memory for, a value or an argument; only errno shows it. */
static int next_option(struct cli *cli)
{
	errno = 0;
	return poptGetNextOpt(cli->popt);
}

static int take_options(struct cli *cli)
{
	int option;

	while ((option = next_option(cli)) > 0) {
		char *value = poptGetOptArg(cli->popt);
		int status = errno == ENOMEM ? no_memory(cli)
		             : option < CLI_SHARED
		                     ? cli->tool->take(cli, option, value)
		                     : take_shared(cli, (enum shared_option)option, value);

		free(value);
		if (status || cli->answered)
			return status;
	}
	if (errno == ENOMEM)
		return no_memory(cli);
	if (option < -1)
		return cli_usage(cli, "%s: %s", poptBadOption(cli->popt, POPT_BADOPTION_NOALIAS),
		                 poptStrerror(option));
	return EXIT_CLEAN;
}

static int take_arguments(struct cli *cli)
{
	static const char *const none[] = { NULL };
	const char **args = poptGetArgs(cli->popt);

	cli->args = args ? args : none;
	while (cli->args[cli->arg_count])
		cli->arg_count++;
	if (cli->arg_count < cli->tool->min_args && !cli->files_from)
		return cli_usage(cli, "an argument is missing: %s %s", cli->tool->name,
		                 cli->tool->arguments);
	if (cli->arg_count > cli->tool->max_args)
		return cli_usage(cli, "one argument too many: '%s'",
		                 cli->args[cli->tool->max_args]);
	for (const char *const *arg = cli->args; *arg && !cli->tool->streams; arg++)
		if (strcmp(*arg, "-") == 0)
			return cli_usage(cli, "-: standard input and output cannot be used here; a "
			                      "file of that name is ./-");
	return EXIT_CLEAN;
}

int options_parse(struct cli *cli, int argc, char **argv)
{
	int status;

	cli->progress_fd = -1;
	errno = 0;
	cli->popt = poptGetContext(cli->tool->name, argc, (const char **)argv, cli->tool->options,
	                           POPT_CONTEXT_NO_EXEC);
	if (!cli->popt || errno == ENOMEM)
		return no_memory(cli);
	status = take_options(cli);
	return status || cli->answered ? status : take_arguments(cli);
}
