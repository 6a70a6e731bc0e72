/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/cli.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/options.h"
#include "common/signals.h"
#include "common/streams.h"

/* ---- the library's monitor --------------------------------------------------------------- */

static int show_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct cli *cli = context;

	return progress_tick(&cli->progress, phase, done, total);
}

static void show_note(void *context, gow_note_level level, const char *file, const char *text)
{
	const struct cli *cli = context;

	report_note(&cli->report, level, file, text);
}

/* ---- life -------------------------------------------------------------------------------- */

static void begin(struct cli *cli, const struct cli_tool *tool, void *own)
{
	*cli = (struct cli){ .tool = tool, .own = own };
	cli->report = (struct report){
		.tool = tool->name,
		.colour = streams_colour(STDERR_FILENO),
		.progress = &cli->progress,
	};
	cli->shared.monitor = &cli->monitor;
	cli->monitor = (gow_monitor){
		.struct_size = sizeof cli->monitor,
		.context = cli,
		.progress = show_progress,
		.note = show_note,
	};
	out_init(&cli->out, STDOUT_FILENO, &cli->progress);
}

/* Lets the last results out; the bit of the exit status if that failed. */
static int end(struct cli *cli)
{
	const char *name = cli->out.fd == STDOUT_FILENO ? "standard output" : "standard error";
	int failed;

	progress_end(&cli->progress);
	failed = out_close(&cli->out);
	if (cli->popt)
		(void)poptFreeContext(cli->popt);
	free(cli->files_from);
	free(cli->layout);
	if (failed == EINTR)
		return EXIT_STOPPED;
	if (!failed)
		return EXIT_CLEAN;
	report_error(&cli->report, name, "cannot write the result: %s", strerror(failed));
	return EXIT_ERROR;
}

/* Left to itself, malloc keeps tables as large as a header once some have been freed; the memory
 * is bounded only if they go back to the system. */
static void bound_memory(void)
{
	enum { LARGE = 256 << 10 };

	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
}

/* Whether the exit status is the tool's own. */
static bool is_over;

/* popt and libarchive end the program by exit(1) where there is no memory for a name. That status
 * means something else here. */
static void correct_status(void)
{
	if (!is_over)
		_exit(EXIT_ERROR);
}

int cli_main(const struct cli_tool *tool, void *own, int argc, char **argv)
{
	struct cli cli;
	int status;

	if (!streams_fill())
		return EXIT_ERROR; /* and nowhere to say so */
	if (atexit(correct_status) != 0)
		return EXIT_ERROR;
	bound_memory();
	signals_install();
	begin(&cli, tool, own);
	status = options_parse(&cli, argc, argv);
	if (!status && !cli.answered) {
		progress_init(&cli.progress, cli.progress_mode, cli.progress_fd, cli.report.quiet);
		status = tool->run(&cli);
	}
	status |= end(&cli);
	is_over = true;
	return status;
}
