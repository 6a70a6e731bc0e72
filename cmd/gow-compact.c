/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-compact - gives back the space of leaked blocks and of blocks that hold only zeros. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/options.h"
#include "common/rewrite.h"
#include "common/size.h"

enum { KEEP_ZEROS = 1, PUNCH, OUTPUT };

static const struct poptOption options[] = {
	OPTION_FLAG("keep-zeros", '\0', KEEP_ZEROS, "leave blocks of zeros allocated"),
	OPTION_FLAG("punch", '\0', PUNCH, "make holes in the file, and move nothing"),
	OPTION_VALUE("output", 'o', OUTPUT,
	             "write a new image in logical order, leave IMAGE as it is", "OUT"),
	OPTIONS_DIGEST,
	OPTIONS_DRY_RUN,
	OPTIONS_LAYOUT,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct compact_job {
	gow_compact_options options;
	char *output; /* owned */
};

static int take(struct cli *cli, int option, const char *value)
{
	struct compact_job *job = cli->own;

	switch (option) {
	case KEEP_ZEROS:
		job->options.flags |= GOW_COMPACT_KEEP_ZEROS;
		return EXIT_CLEAN;
	case PUNCH:
		job->options.flags |= GOW_COMPACT_PUNCH;
		return EXIT_CLEAN;
	default:
		return cli_keep_file(cli, &job->output, "--output", value);
	}
}

static void print_json(struct cli *cli, const char *image, const gow_compact_result *result)
{
	const struct compact_job *job = cli->own;
	struct doc doc;

	rewrite_json_begin(&doc, cli, image, job->output);
	doc_bool(&doc, "changed", result->changed && !cli->dry_run);
	doc_uint(&doc, "leaked_blocks", result->leaked_blocks);
	doc_uint(&doc, "zero_blocks", result->zero_blocks);
	doc_uint(&doc, "moved_blocks", result->moved_blocks);
	doc_uint(&doc, "moved_bytes", result->moved_blocks * GOW_BLOCK_SIZE);
	doc_uint(&doc, "written_bytes", result->written_bytes);
	doc_uint(&doc, "punched_bytes", result->punched_bytes);
	doc_uint(&doc, "extra_bytes", result->extra_bytes);
	doc_uint(&doc, "bytes_before", result->old_file_size);
	doc_uint(&doc, "bytes_after", result->new_file_size);
	rewrite_json_end(&doc, cli, result->in_use, &result->digests);
}

static void print_text(struct cli *cli, const char *image, const gow_compact_result *result)
{
	const struct compact_job *job = cli->own;
	char before[SIZE_TEXT], after[SIZE_TEXT], bytes[SIZE_TEXT];

	rewrite_print_names(cli, image, job->output);
	if (!job->output && !result->changed) {
		out_print(&cli->out, ": compact already, %s",
		          size_long(after, sizeof after, result->new_file_size));
		out_end_line(&cli->out, result->in_use);
		return;
	}
	out_print(&cli->out,
	          ": %s %" PRIu64 " leaked and %" PRIu64 " zero blocks, %s %" PRIu64 ", %s written",
	          cli->dry_run ? "would give back" : "gave back", result->leaked_blocks,
	          result->zero_blocks, cli->dry_run ? "move" : "moved", result->moved_blocks,
	          size_long(bytes, sizeof bytes, result->written_bytes));
	if (job->options.flags & GOW_COMPACT_PUNCH)
		out_print(&cli->out, ", %s of holes",
		          size_long(bytes, sizeof bytes, result->punched_bytes));
	out_print(&cli->out, ", %s -> %s", size_long(before, sizeof before, result->old_file_size),
	          size_long(after, sizeof after, result->new_file_size));
	rewrite_print_end(cli, result->extra_bytes, result->in_use);
}

static int compact_image(struct cli *cli, const char *image)
{
	const struct compact_job *job = cli->own;
	struct doc doc = { .out = NULL };
	gow_compact_result result = { .struct_size = sizeof result };
	gow_error error;

	if (gow_compact(image, &job->options, &result, &error))
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
	struct compact_job *job = cli->own;
	int status = rewrite_check_output(
		cli, job->output, job->options.flags & GOW_COMPACT_PUNCH ? "--punch" : NULL);

	if (status)
		return status;
	job->options.struct_size = sizeof job->options;
	job->options.common = cli->shared;
	job->options.output = job->output;
	return batch_run(cli, compact_image);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-compact",
		.arguments = "IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct compact_job job = { .output = NULL };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.output);
	return status;
}
