/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-info - shows what an image says of itself, and where its blocks lie. */
#include <inttypes.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/findings.h"
#include "common/options.h"
#include "common/signals.h"
#include "common/size.h"

enum { MAP = 1 };

static const struct poptOption options[] = {
	OPTION_FLAG("map", '\0', MAP, "list the extents: runs of blocks that lie together"),
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND
};

struct info_job {
	bool map;
	bool again; /* an image was shown before this one */
};

static int take(struct cli *cli, int option, const char *value)
{
	struct info_job *job = cli->own;

	(void)value;
	job->map = option == MAP;
	return EXIT_CLEAN;
}

/* ---- JSON -------------------------------------------------------------------------------- */

/* A number, where what tells it could be read. */
static void add_known(struct doc *doc, bool readable, const char *key, uint64_t number)
{
	if (readable)
		doc_uint(doc, key, number);
	else
		doc_null(doc, key);
}

static int print_json(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                      struct doc *doc, gow_error *error)
{
	int code;

	doc_begin(doc, &cli->out, cli->tool->name, image);
	doc_uint(doc, "version", info->version);
	add_known(doc, info->preamble_readable, "logical_size", info->logical_size);
	doc_uint(doc, "block_size", GOW_BLOCK_SIZE);
	add_known(doc, info->preamble_readable, "block_count", info->block_count);
	doc_uint(doc, "present_blocks", info->present_blocks);
	add_known(doc, info->map_readable, "allocated_blocks", info->allocated_blocks);
	add_known(doc, info->map_readable, "leaked_blocks", info->leaked_blocks);
	doc_uint(doc, "file_size", info->file_size);
	doc_uint(doc, "data_start", info->data_start);
	if (info->map_readable)
		doc_double(doc, "fragmentation", info->fragmentation);
	else
		doc_null(doc, "fragmentation");
	if (info->has_versions)
		add_known(doc, info->map_readable, "highest_version", info->highest_version);
	if (info->pending)
		doc_text(doc, "pending", info->pending);
	if (info->in_use)
		doc_bool(doc, "in_use", true);
	code = findings_json(doc, check, false, error);
	if (!code)
		doc_end(doc, gow_check_count(check, GOW_CORRUPT) ? EXIT_CORRUPT : EXIT_CLEAN);
	return code;
}

static int visit_json(void *context, const gow_extent *extent)
{
	struct out *out = context;
	struct doc line;

	doc_begin_line(&line, out);
	doc_uint(&line, "start", extent->logical * GOW_BLOCK_SIZE);
	doc_uint(&line, "length", extent->blocks * GOW_BLOCK_SIZE);
	doc_uint(&line, "offset", extent->offset);
	if (extent->has_version)
		doc_uint(&line, "version", extent->version);
	doc_end_line(&line);
	return out->failed || signals_stop();
}

/* ---- text -------------------------------------------------------------------------------- */

static void print_size(struct out *out, const char *key, uint64_t size)
{
	char text[SIZE_TEXT];

	out_print(out, "%-18s %s\n", key, size_long(text, sizeof text, size));
}

static void print_blocks(struct out *out, const char *key, uint64_t blocks)
{
	char text[SIZE_TEXT];

	out_print(out, "%-18s %" PRIu64 " (%s)\n", key, blocks,
	          size_short(text, sizeof text, blocks * GOW_BLOCK_SIZE));
}

/* "corrupt: map.range, map.crosslink", and nothing where there is none of that severity. */
static void print_ids(struct out *out, const gow_check *check, gow_severity severity)
{
	const gow_finding *findings;
	size_t count = gow_check_findings(check, &findings);
	const char *comma = "";

	if (!gow_check_count(check, severity))
		return;
	findings_severity(out, severity);
	out_print(out, ":%*s", severity == GOW_CORRUPT ? 11 : 10, "");
	for (size_t i = 0; i < count; i++) {
		if (findings[i].problem->severity != severity)
			continue;
		out_print(out, "%s%s", comma, findings[i].problem->name);
		comma = ", ";
	}
	out_print(out, severity == GOW_CORRUPT ? " (do not boot; see gow-check, gow-repair)\n"
	                                       : " (see gow-check)\n");
}

static void print_text(struct out *out, const char *image, const gow_check *check,
                       const gow_info *info)
{
	out_print(out, "%-18s ", "image:");
	out_name(out, image);
	out_print(out, "\n%-18s %u\n", "version:", info->version);
	if (info->preamble_readable)
		print_size(out, "logical size:", info->logical_size);
	print_size(out, "file size:", info->file_size);
	print_size(out, "data start:", info->data_start);
	if (info->preamble_readable)
		out_print(out, "%-18s %" PRIu32 "\n", "block count:", info->block_count);
	print_blocks(out, "present blocks:", info->present_blocks);
	if (info->map_readable) {
		print_blocks(out, "allocated blocks:", info->allocated_blocks);
		print_blocks(out, "leaked blocks:", info->leaked_blocks);
		out_print(out, "%-18s %.1f %%\n", "fragmentation:", info->fragmentation * 100);
	}
	if (info->map_readable && info->has_versions)
		out_print(out, "%-18s %" PRIu32 "\n", "highest version:", info->highest_version);
	if (info->pending)
		out_print(out, "%-18s %s\n", "pending:", info->pending);
	if (info->in_use)
		out_print(out, "%-18s yes: what is shown here may be changing\n", "in use:");
	print_ids(out, check, GOW_CORRUPT);
	print_ids(out, check, GOW_ADVISORY);
}

static void print_map_header(struct out *out, const char *image, const gow_check *check,
                             const gow_info *info)
{
	out_print(out, "# ");
	out_name(out, image);
	out_print(out, ": logical physical blocks%s", info->has_versions ? " version" : "");
	if (gow_check_count(check, GOW_CORRUPT))
		out_print(out, " (corrupt: only what names a present block)");
	out_print(out, "\n");
}

static int visit_text(void *context, const gow_extent *extent)
{
	struct out *out = context;

	out_print(out, "%" PRIu64 " %" PRIu64 " %" PRIu64, extent->logical, extent->physical,
	          extent->blocks);
	if (extent->has_version)
		out_print(out, " %" PRIu32, extent->version);
	out_print(out, "\n");
	return out->failed || signals_stop();
}

/* ---- the work ---------------------------------------------------------------------------- */

static int print(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                 struct doc *doc, gow_error *error)
{
	struct info_job *job = cli->own;
	int code = GOW_OK;

	if (!cli_prints(cli))
		return GOW_OK;
	if (cli->json)
		code = print_json(cli, image, check, info, doc, error);
	else if (job->again && !job->map)
		out_print(&cli->out, "\n");
	job->again = true;
	if (!cli->json && job->map)
		print_map_header(&cli->out, image, check, info);
	else if (!cli->json)
		print_text(&cli->out, image, check, info);
	if (!code && job->map)
		code = gow_check_each_extent(check, cli->json ? visit_json : visit_text, &cli->out,
		                             error);
	return code;
}

static int show(struct cli *cli, const char *image)
{
	const gow_open_options open_options = cli_open_options(cli, 0);
	struct doc doc = { .out = NULL };
	gow_check *check = NULL;
	gow_error error;
	gow_info info;
	int status = EXIT_CLEAN;
	int code = gow_check_open(image, &open_options, &check, &error);

	if (!code)
		code = gow_check_info(check, &info, &error);
	if (!code)
		code = print(cli, image, check, &info, &doc, &error);
	if (!code && gow_check_count(check, GOW_CORRUPT))
		status = EXIT_CORRUPT;
	gow_check_close(check);
	return code ? cli_fail(cli, &doc, image, &error) : status;
}

static int run(struct cli *cli)
{
	return batch_run(cli, show);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-info",
		.arguments = "IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct info_job job = { .map = false };

	return cli_main(&tool, &job, argc, argv);
}
