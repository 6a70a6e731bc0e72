/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-upgrade - makes an image one of a newer version, in place or as a new file. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/options.h"
#include "common/rewrite.h"
#include "common/size.h"

enum { TO = 1, OUTPUT, ROLLBACK };

static const struct poptOption options[] = {
	OPTION_VALUE("to", '\0', TO, "the version wanted (3)", "2|3"),
	OPTION_VALUE("output", 'o', OUTPUT, "write a new image, leave IMAGE as it is", "OUT"),
	OPTION_FLAG("rollback", '\0', ROLLBACK, "take an interrupted upgrade back"),
	OPTIONS_DIGEST,
	OPTIONS_DRY_RUN,
	OPTIONS_LAYOUT,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct upgrade_job {
	gow_upgrade_options options;
	char *output; /* owned */
};

static int take(struct cli *cli, int option, const char *value)
{
	struct upgrade_job *job = cli->own;
	uint64_t version;

	if (option == OUTPUT)
		return cli_keep_file(cli, &job->output, "--output", value);
	if (option == ROLLBACK) {
		job->options.flags |= GOW_UPGRADE_ROLLBACK;
		return EXIT_CLEAN;
	}
	if (number_parse(value, 1, 3, &version) || version == 1)
		return cli_usage(cli,
		                 "--to: '%s': 2 and 3 are known; gow-convert writes older versions",
		                 value);
	job->options.to = (unsigned)version;
	return EXIT_CLEAN;
}

static void print_json(struct cli *cli, const char *image, const gow_upgrade_result *result)
{
	const struct upgrade_job *job = cli->own;
	struct doc doc;

	rewrite_json_begin(&doc, cli, image, job->output);
	doc_uint(&doc, "version_before", result->old_version);
	doc_uint(&doc, "version_after", result->new_version);
	doc_bool(&doc, "changed", result->changed && !cli->dry_run);
	doc_bool(&doc, "resumed", result->resumed);
	doc_bool(&doc, "rolled_back", result->rolled_back);
	doc_uint(&doc, "moved_bytes", result->moved_bytes);
	doc_uint(&doc, "written_bytes", result->written_bytes);
	doc_uint(&doc, "extra_bytes", result->extra_bytes);
	doc_uint(&doc, "bytes_before", result->old_file_size);
	doc_uint(&doc, "bytes_after", result->new_file_size);
	rewrite_json_end(&doc, cli, result->in_use, &result->digests);
}

static void print_text(struct cli *cli, const char *image, const gow_upgrade_result *result)
{
	const struct upgrade_job *job = cli->own;
	char moved[SIZE_TEXT], written[SIZE_TEXT];
	bool worked = result->changed || job->output;

	rewrite_print_names(cli, image, job->output);
	if (!worked && job->options.flags & GOW_UPGRADE_ROLLBACK) {
		out_print(&cli->out, ": nothing to roll back\n");
		return;
	}
	if (!worked) {
		out_print(&cli->out, ": version %u already", result->new_version);
		out_end_line(&cli->out, result->in_use);
		return;
	}
	if (result->changed && result->old_version == result->new_version && !result->rolled_back) {
		out_print(&cli->out,
		          ": version %u already; the record that it had left %s cut off\n",
		          result->new_version, cli->dry_run ? "would be" : "was");
		return;
	}
	out_print(&cli->out, ": %s%s version %u%s, %s moved, %s written",
	          cli->dry_run ? "would be " : "", result->rolled_back ? "rolled back to" : "made",
	          result->new_version,
	          result->resumed && !result->rolled_back ? ", resumed where it stopped" : "",
	          size_long(moved, sizeof moved, result->moved_bytes),
	          size_long(written, sizeof written, result->written_bytes));
	rewrite_print_end(cli, result->extra_bytes, result->in_use);
}

static int upgrade_image(struct cli *cli, const char *image)
{
	const struct upgrade_job *job = cli->own;
	struct doc doc = { .out = NULL };
	gow_upgrade_result result = { .struct_size = sizeof result };
	gow_error error;

	if (gow_upgrade(image, &job->options, &result, &error))
		return cli_fail(cli, &doc, image, &error);
	if (cli->json)
		print_json(cli, image, &result);
	else if (cli_prints(cli))
		print_text(cli, image, &result);
	rewrite_print_digests(cli, image, job->output, &result.digests);
	return EXIT_CLEAN;
}

static int run(struct cli *cli)
{
	struct upgrade_job *job = cli->own;
	const bool rollback = job->options.flags & GOW_UPGRADE_ROLLBACK;
	int status = rewrite_check_output(cli, job->output, rollback ? "--rollback" : NULL);

	if (status)
		return status;
	if (job->options.to && rollback)
		return cli_usage(cli,
		                 "--rollback goes back to where it came from; it takes no --to");
	job->options.struct_size = sizeof job->options;
	job->options.common = cli->shared;
	job->options.output = job->output;
	return batch_run(cli, upgrade_image);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-upgrade",
		.arguments = "IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct upgrade_job job = { .output = NULL };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.output);
	return status;
}
