/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/rewrite.h"

#include "common/digest.h"
#include "common/exit.h"
#include "common/size.h"

int rewrite_check_output(struct cli *cli, const char *output, const char *in_place)
{
	if (output && (cli->arg_count != 1 || cli->files_from))
		return cli_usage(cli, "--output: one image makes one new file");
	if (output && in_place)
		return cli_usage(cli, "%s works in place; it takes no --output", in_place);
	return EXIT_CLEAN;
}

void rewrite_print_names(struct cli *cli, const char *image, const char *output)
{
	out_name(&cli->out, image);
	if (!output)
		return;
	out_print(&cli->out, " -> ");
	out_name(&cli->out, output);
}

void rewrite_print_end(struct cli *cli, uint64_t extra_bytes, bool in_use)
{
	char extra[SIZE_TEXT];

	if (cli->dry_run)
		out_print(&cli->out, ", %s of disk needed",
		          size_long(extra, sizeof extra, extra_bytes));
	out_end_line(&cli->out, in_use);
}

void rewrite_json_begin(struct doc *doc, struct cli *cli, const char *image, const char *output)
{
	doc_begin(doc, &cli->out, cli->tool->name, image);
	if (output)
		doc_text(doc, "output", output);
}

void rewrite_json_end(struct doc *doc, struct cli *cli, bool in_use, const gow_digests *digests)
{
	if (in_use)
		doc_bool(doc, "in_use", true);
	if (cli->digest)
		digests_json(doc, digests);
	if (cli->dry_run)
		doc_bool(doc, "dry_run", true);
	doc_end(doc, EXIT_CLEAN);
}

void rewrite_print_digests(struct cli *cli, const char *image, const char *output,
                           const gow_digests *digests)
{
	if (cli->digest && !cli->json && cli_prints(cli))
		digests_text(&cli->out, output ? output : image, digests);
}
