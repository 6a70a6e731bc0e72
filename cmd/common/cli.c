/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int cli_keep(struct cli *cli, char **to, const char *option, const char *value)
{
	if (*to)
		return cli_usage(cli, "%s: given twice", option);
	*to = strdup(value);
	if (*to)
		return EXIT_CLEAN;
	report_error(&cli->report, NULL, "no memory");
	return EXIT_ERROR;
}

int cli_keep_file(struct cli *cli, char **to, const char *option, const char *value)
{
	return strcmp(value, "-") == 0
	               ? cli_usage(cli,
	                           "%s: standard input and output cannot be used here; a file "
	                           "of the name - is ./-",
	                           option)
	               : cli_keep(cli, to, option, value);
}

bool cli_prints(const struct cli *cli)
{
	return cli->json || !cli->report.quiet;
}

gow_open_options cli_open_options(const struct cli *cli, unsigned flags)
{
	return (gow_open_options){
		.struct_size = sizeof(gow_open_options),
		.common = cli->shared,
		.flags = flags,
	};
}

void cli_redirect(struct cli *cli, int fd)
{
	free(cli->out.held);
	out_init(&cli->out, fd, &cli->progress);
}

/* "file" is there only where the failure is about another file than the image. */
static void add_file(struct doc *doc, const char *image, const gow_error *error)
{
	char *shown_image = gow_shown_name(image), *shown = gow_shown_name(error->file);

	if (shown_image && shown && shown[0] && strcmp(shown, shown_image) != 0)
		doc_text(doc, "file", shown);
	free(shown_image);
	free(shown);
}

static void add_failure(struct doc *doc, const char *image, const gow_error *error, int status)
{
	char text[sizeof error->what + 512];

	doc_close_to_top(doc);
	doc_text(doc, "error", gow_code_name(error->code));
	add_file(doc, image, error);
	doc_text(doc, "message", gow_error_text(error, text, sizeof text));
	doc_end(doc, status);
}

int cli_fail(struct cli *cli, struct doc *doc, const char *image, const gow_error *failure)
{
	gow_error explained = *failure, *error = &explained;
	int status = exit_of_code((int)error->code);

	/* Work that stopped because its results cannot be written: reported once, at the end. */
	if (cli->out.failed && error->code == GOW_ERR_STOPPED)
		return cli->out.failed == EINTR ? EXIT_STOPPED : EXIT_ERROR;
	gow_explain_not_gow(error->file[0] ? error->file : image, error);
	progress_end(&cli->progress);
	report_failure(&cli->report, image, error);
	if (cli->json) {
		if (!doc->out)
			doc_begin(doc, &cli->out, cli->tool->name, image);
		add_failure(doc, image, error, status);
	} else if (out_abandon(&cli->out)) {
		out_print(&cli->out, "# incomplete\n");
	}
	out_commit(&cli->out);
	return status;
}
