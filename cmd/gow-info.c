/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-info - shows what an image says about itself, and where its blocks are. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/findings.h"
#include "common/options.h"
#include "common/signals.h"
#include "common/size.h"
#include "info/changes.h"
#include "info/contents.h"
#include "info/picture.h"

enum { MAP = 1, SINCE, COMPARE, DATA, PICTURE };

static const struct poptOption options[] = {
	OPTION_FLAG("map", '\0', MAP, "list the extents: runs of adjacent blocks"),
	OPTION_VALUE("since", '\0', SINCE, "list the blocks whose version number is above N", "N"),
	OPTION_VALUE("compare", '\0', COMPARE, "list the blocks that differ from those of OTHER",
	             "OTHER"),
	OPTION_FLAG("data", '\0', DATA, "with --compare: by what the guest reads, not by number"),
	{ "picture", '\0', POPT_ARG_STRING | POPT_ARGFLAG_OPTIONAL, NULL, PICTURE,
	  "draw where the blocks are, or write that to a new file", "FILE.svg" },
	OPTIONS_LAYOUT,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct info_job {
	bool map, data, newer, draws;
	uint32_t since; /* with newer */
	char *other;    /* to compare with, owned; NULL: none */
	char *picture;  /* the file to draw to, owned; NULL: the terminal, if it draws at all */
	bool again;     /* an image was shown before this one */
};

static int take_since(struct cli *cli, const char *value)
{
	struct info_job *job = cli->own;
	uint64_t number;
	const char *wrong = number_parse(value, 0, UINT32_MAX, &number);

	if (wrong)
		return cli_usage(cli, "--since: '%s': %s", value, wrong);
	job->newer = true;
	job->since = (uint32_t)number;
	return EXIT_CLEAN;
}

static int take(struct cli *cli, int option, const char *value)
{
	struct info_job *job = cli->own;

	switch (option) {
	case SINCE:
		return take_since(cli, value);
	case COMPARE:
		return cli_keep_file(cli, &job->other, "--compare", value);
	case PICTURE:
		job->draws = true;
		return value && *value ? cli_keep_file(cli, &job->picture, "--picture", value)
		                       : EXIT_CLEAN;
	case MAP:
		job->map = true;
		return EXIT_CLEAN;
	default:
		job->data = true;
		return EXIT_CLEAN;
	}
}

/* ---- JSON -------------------------------------------------------------------------------- */

static int print_json(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                      const gow_contents *contents, struct doc *doc, gow_error *error)
{
	const struct info_job *job = cli->own;
	int code;

	doc_begin(doc, &cli->out, cli->tool->name, image);
	doc_uint_or_null(doc, info->version, "version", info->version);
	if (info->foreign)
		doc_text(doc, "layout", info->layout);
	doc_uint_or_null(doc, info->preamble_readable, "logical_size", info->logical_size);
	doc_uint(doc, "block_size", GOW_BLOCK_SIZE);
	doc_uint_or_null(doc, info->preamble_readable, "block_count", info->block_count);
	doc_uint(doc, "present_blocks", info->present_blocks);
	doc_uint_or_null(doc, info->map_readable, "allocated_blocks", info->allocated_blocks);
	doc_uint_or_null(doc, info->map_readable, "leaked_blocks", info->leaked_blocks);
	doc_uint(doc, "file_size", info->file_size);
	doc_uint(doc, "data_start", info->data_start);
	if (info->map_readable)
		doc_double(doc, "fragmentation", info->fragmentation);
	else
		doc_null(doc, "fragmentation");
	if (info->has_versions)
		doc_uint_or_null(doc, info->map_readable, "highest_version", info->highest_version);
	if (info->pending)
		doc_text(doc, "pending", info->pending);
	if (job->picture)
		doc_name(doc, "picture", job->picture);
	if (info->in_use)
		doc_bool(doc, "in_use", true);
	contents_json(doc, contents);
	code = findings_json(doc, check, false, error);
	if (!code && job->newer)
		code = changes_since(cli, image, check, job->since, doc, error);
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
                       const gow_info *info, const gow_contents *contents)
{
	out_print(out, "%-18s ", "image:");
	out_name(out, image);
	if (info->version)
		out_print(out, "\n%-18s %u\n", "version:", info->version);
	else
		out_print(out, "\n%-18s %s\n", "version:", "none");
	if (info->foreign)
		out_print(out, "%-18s %s\n", "layout:", info->layout);
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
	contents_text(out, contents);
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

static int print_extents(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                         gow_error *error)
{
	if (!cli->json)
		print_map_header(&cli->out, image, check, info);
	return gow_check_each_extent(check, cli->json ? visit_json : visit_text, &cli->out, error);
}

static int print(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                 struct doc *doc, gow_error *error)
{
	struct info_job *job = cli->own;
	bool lists = job->map || job->newer;
	gow_contents contents = { .struct_size = sizeof contents };
	int code = gow_check_contents(check, &contents, error);

	if (code)
		return code;
	contents_warn(cli, image, &contents, info->logical_size);
	if (job->picture)
		code = picture_write_svg(job->picture, image, check, info, error);
	if (code || !cli_prints(cli))
		return code;
	if (cli->json)
		code = print_json(cli, image, check, info, &contents, doc, error);
	else if (job->again && !lists)
		out_print(&cli->out, "\n");
	job->again = true;
	if (!code && job->map)
		code = print_extents(cli, image, check, info, error);
	else if (!cli->json && job->newer)
		code = changes_since(cli, image, check, job->since, doc, error);
	else if (!cli->json && job->draws && !job->picture)
		code = picture_print(cli, image, check, info, error);
	else if (!cli->json)
		print_text(&cli->out, image, check, info, &contents);
	return code;
}

static int show(struct cli *cli, const char *image)
{
	const gow_open_options open_options = cli_open_options(cli, 0);
	struct doc doc = { .out = NULL };
	gow_check *check = NULL;
	gow_error error;
	gow_info info = { .struct_size = sizeof info };
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

static int compare(struct cli *cli, const char *image)
{
	const struct info_job *job = cli->own;
	struct doc doc = { .out = NULL };
	gow_error error;

	if (changes_compare(cli, image, job->other, job->data, &doc, &error))
		return cli_fail(cli, &doc, image, &error);
	return EXIT_CLEAN;
}

static int run(struct cli *cli)
{
	const struct info_job *job = cli->own;

	if (job->map + job->newer + (job->other != NULL) + job->draws > 1)
		return cli_usage(cli, "--map, --since, --compare and --picture do not go together");
	if (job->draws && !job->picture && cli->json)
		return cli_usage(cli, "--picture and --json: a file is needed, --picture=FILE.svg");
	if (job->picture && (cli->arg_count != 1 || cli->files_from))
		return cli_usage(cli, "--picture=%s is the picture of one image", job->picture);
	if (job->data && !job->other)
		return cli_usage(cli, "--data goes with --compare");
	return batch_run(cli, job->other ? compare : show);
}

/* popt would take the image for the value of an option that needs none, so it gets an empty one. */
static void part_picture(int argc, char **argv)
{
	static char none[] = "--picture=";

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--picture") == 0)
			argv[i] = none;
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
	int status;

	part_picture(argc, argv);
	status = cli_main(&tool, &job, argc, argv);
	free(job.other);
	free(job.picture);
	return status;
}
