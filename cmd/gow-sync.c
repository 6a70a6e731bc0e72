/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-sync - keeps a copy of a master image in step by version numbers. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/cli.h"
#include "common/digest.h"
#include "common/options.h"
#include "common/size.h"

enum { IN_PLACE = 1, MANIFEST, VERIFY, FORCE, LIMIT_RATE, CONNECTIONS };

enum { CONNECTIONS_MOST = 64 };

static const struct poptOption options[] = {
	OPTION_FLAG("in-place", '\0', IN_PLACE,
	            "overwrite blocks where they stand: COPY is pending meanwhile"),
	OPTION_VALUE("manifest", '\0', MANIFEST, "COPY must be this disk in the end", "FILE|URI"),
	OPTION_FLAG("verify", '\0', VERIFY, "read all of MASTER, and compare"),
	OPTION_FLAG("force", '\0', FORCE, "make a COPY that diverged the master's again"),
	OPTION_VALUE("limit-rate", '\0', LIMIT_RATE, "fetch so many bytes a second at most",
	             "RATE"),
	OPTION_VALUE("connections", '\0', CONNECTIONS, "requests at the same time over HTTP", "N"),
	OPTIONS_DRY_RUN,
	OPTIONS_LAYOUT,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct sync_job {
	gow_sync_options options;
	char *manifest; /* owned */
};

static int take_manifest(struct cli *cli, const char *value)
{
	struct sync_job *job = cli->own;

	return cli_keep_file(cli, &job->manifest, "--manifest", value);
}

static int take_rate(struct cli *cli, const char *value)
{
	struct sync_job *job = cli->own;
	const char *wrong = size_parse(value, &job->options.limit_rate);

	if (!wrong && !job->options.limit_rate)
		wrong = "nothing would ever come";
	return wrong ? cli_usage(cli, "--limit-rate: '%s': %s", value, wrong) : EXIT_CLEAN;
}

static int take_connections(struct cli *cli, const char *value)
{
	struct sync_job *job = cli->own;
	uint64_t number;
	const char *wrong = number_parse(value, 1, CONNECTIONS_MOST, &number);

	if (wrong)
		return cli_usage(cli, "--connections: '%s': %s", value, wrong);
	job->options.connections = (unsigned)number;
	return EXIT_CLEAN;
}

static int take(struct cli *cli, int option, const char *value)
{
	struct sync_job *job = cli->own;

	switch (option) {
	case IN_PLACE:
		job->options.flags |= GOW_SYNC_IN_PLACE;
		return EXIT_CLEAN;
	case VERIFY:
		job->options.flags |= GOW_SYNC_VERIFY;
		return EXIT_CLEAN;
	case FORCE:
		job->options.flags |= GOW_SYNC_FORCE;
		return EXIT_CLEAN;
	case MANIFEST:
		return take_manifest(cli, value);
	case LIMIT_RATE:
		return take_rate(cli, value);
	default:
		return take_connections(cli, value);
	}
}

/* ---- results ----------------------------------------------------------------------------- */

static bool is_checked(const struct sync_job *job)
{
	return job->manifest || job->options.flags & GOW_SYNC_VERIFY;
}

static void begin_json(struct cli *cli, struct doc *doc, const gow_sync_result *result)
{
	doc_begin(doc, &cli->out, cli->tool->name, cli->args[1]);
	doc_name(doc, "master", cli->args[0]);
	doc_bool(doc, "changed", result->changed && !cli->dry_run);
	doc_bool(doc, "created", result->created && !cli->dry_run);
	doc_bool(doc, "in_place", result->in_place);
	doc_bool(doc, "resumed", result->resumed);
	doc_uint(doc, "newer_blocks", result->newer_blocks);
	doc_uint(doc, "needed_blocks", result->needed_blocks);
	doc_uint(doc, "unmapped_blocks", result->unmapped_blocks);
	doc_uint(doc, "diverged_blocks", result->diverged_blocks);
	if (result->diverged_blocks)
		doc_uint(doc, "first_diverged", result->first_diverged);
	doc_uint(doc, "fetch_bytes", result->fetch_bytes);
	doc_uint(doc, "fetched_bytes", result->fetched_bytes);
	doc_uint(doc, "requests", result->requests);
	doc_uint(doc, "disk_bytes", result->disk_bytes);
	doc_uint(doc, "rounds", result->rounds);
	if (cli->dry_run)
		doc_bool(doc, "dry_run", true);
}

static void print_done(struct cli *cli, const gow_sync_result *result)
{
	char bytes[SIZE_TEXT];

	if (!result->changed && !result->created) {
		out_print(&cli->out, ": in step with the master\n");
		return;
	}
	out_print(&cli->out,
	          ": %s%" PRIu64 " newer blocks, %" PRIu64 " given up, %s in %" PRIu64
	          " requests%s\n",
	          result->created ? "made: " : "", result->newer_blocks, result->unmapped_blocks,
	          size_long(bytes, sizeof bytes, result->fetched_bytes), result->requests,
	          result->rounds > 1 ? "; the master changed meanwhile" : "");
}

static void print_plan(struct cli *cli, const gow_sync_result *result)
{
	char bytes[SIZE_TEXT], disk[SIZE_TEXT];

	if (!result->changed && !result->created) {
		out_print(&cli->out, ": in step with the master\n");
		return;
	}
	out_print(&cli->out,
	          ": %swould fetch %" PRIu64 " blocks, %s in %" PRIu64 " requests, give up %" PRIu64
	          " blocks, and take %s of disk\n",
	          result->created ? "would be made: " : "", result->needed_blocks,
	          size_long(bytes, sizeof bytes, result->fetch_bytes), result->requests,
	          result->unmapped_blocks, size_short(disk, sizeof disk, result->disk_bytes));
}

static void print_text(struct cli *cli, const gow_sync_result *result)
{
	out_name(&cli->out, cli->args[1]);
	if (cli->dry_run)
		print_plan(cli, result);
	else
		print_done(cli, result);
	if (is_checked(cli->own) && result->digest.text[0])
		digest_text(&cli->out, cli->args[1], &result->digest);
}

static int run(struct cli *cli)
{
	struct sync_job *job = cli->own;
	struct doc doc = { .out = NULL };
	gow_sync_result result = { .struct_size = sizeof result };
	gow_error error;
	int code;

	job->options.struct_size = sizeof job->options;
	job->options.common = cli->shared;
	job->options.manifest = job->manifest;
	progress_begin(&cli->progress);
	code = gow_sync(cli->args[0], cli->args[1], &job->options, &result, &error);
	progress_end(&cli->progress);
	if (cli->json)
		begin_json(cli, &doc, &result);
	if (code)
		return cli_fail(cli, &doc, cli->args[1], &error);
	if (cli->json) {
		if (is_checked(job))
			digest_json(&doc, "digest", &result.digest);
		doc_end(&doc, EXIT_CLEAN);
	} else if (cli_prints(cli)) {
		print_text(cli, &result);
	}
	out_commit(&cli->out);
	return EXIT_CLEAN;
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-sync",
		.arguments = "MASTER COPY",
		.min_args = 2,
		.max_args = 2,
		.options = options,
		.take = take,
		.run = run,
	};
	struct sync_job job = { .manifest = NULL };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.manifest);
	return status;
}
