/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/cli.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/options.h"
#include "common/signals.h"
#include "common/streams.h"

/* ---- the library's monitor --------------------------------------------------------------- */

static int hear_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct cli *cli = context;

	return progress_tick(&cli->progress, phase, done, total);
}

static void hear_note(void *context, gow_note_level level, const char *file, const char *text)
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
	cli->monitor = (gow_monitor){
		.context = cli,
		.progress = hear_progress,
		.note = hear_note,
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

int cli_main(const struct cli_tool *tool, void *own, int argc, char **argv)
{
	struct cli cli;
	int status;

	if (!streams_fill())
		return EXIT_ERROR; /* and nowhere to say so */
	bound_memory();
	signals_install();
	begin(&cli, tool, own);
	status = options_parse(&cli, argc, argv);
	if (!status && !cli.answered) {
		progress_init(&cli.progress, cli.progress_mode, cli.progress_fd,
		              cli.report.quiet);
		status = tool->run(&cli);
	}
	return status | end(&cli);
}

/* ---- for the tools ----------------------------------------------------------------------- */

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	report_error(&cli->report, NULL, "%s; see %s --help", text, cli->tool->name);
	return EXIT_USAGE;
}

bool cli_prints(const struct cli *cli)
{
	return cli->json || !cli->report.quiet;
}

gow_open_options cli_open_options(const struct cli *cli, unsigned flags)
{
	return (gow_open_options){
		.flags = flags | (cli->no_lock ? GOW_OPEN_NO_LOCK : 0u),
		.wait_seconds = cli->wait_seconds,
		.monitor = &cli->monitor,
	};
}

void cli_redirect(struct cli *cli, int fd)
{
	free(cli->out.held);
	out_init(&cli->out, fd, &cli->progress);
}

/* "file" is there only where the trouble is with another file than the image. */
static void tell_failure(struct doc *doc, const char *image, const gow_error *error, int status)
{
	char text[sizeof error->what + 512];

	doc_close_to_top(doc);
	doc_text(doc, "error", gow_code_name(error->code));
	if (error->file[0] && strcmp(error->file, image) != 0)
		doc_text(doc, "file", error->file);
	doc_text(doc, "message", gow_error_text(error, text, sizeof text));
	doc_end(doc, status);
}

int cli_fail(struct cli *cli, struct doc *doc, const char *image, const gow_error *error)
{
	int status = exit_of_code((int)error->code);

	/* Work that stopped because nobody takes its results: that is told once, at the end. */
	if (cli->out.failed && error->code == GOW_ERR_STOPPED)
		return cli->out.failed == EINTR ? EXIT_STOPPED : EXIT_ERROR;
	progress_end(&cli->progress);
	report_failure(&cli->report, image, error);
	if (cli->json) {
		if (!doc->out)
			doc_begin(doc, &cli->out, cli->tool->name, image);
		tell_failure(doc, image, error, status);
	} else if (out_abandon(&cli->out)) {
		out_print(&cli->out, "# incomplete\n");
	}
	out_commit(&cli->out);
	return status;
}
