/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-convert - copies a guest's disk from one format to another. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/options.h"
#include "common/size.h"
#include "convert/metadata.h"

enum {
	FROM = 1,
	TO,
	FORCE,
	SALVAGE,
	VERIFY,
	DROP_ZEROS,
	COMPRESS,
	MEMBER,
	MEMBER_NAME,
	OCCURRENCE,
	METADATA
};

static const struct poptOption options[] = {
	OPTION_VALUE("from", 'f', FROM, "SOURCE's format (default: by its content)",
	             "raw|gow|gow1|gow2|gow3|tar"),
	OPTION_VALUE("to", 'O', TO, "DEST's format (default: by its name)",
	             "raw|gow|gow1|gow2|gow3|tar"),
	OPTION_VALUE("compress", '\0', COMPRESS,
	             "how to compress an archive (default: by its name)",
	             "zstd|gzip|xz|lz4|none[:LEVEL]"),
	OPTION_VALUE("member", '\0', MEMBER, "what to put into an archive (an image)",
	             "raw|gow|gow1|gow2|gow3"),
	OPTION_FLAG("drop-zeros", '\0', DROP_ZEROS,
	            "read SOURCE twice, to put no blocks of zeros into an archive"),
	OPTION_VALUE("member-name", '\0', MEMBER_NAME,
	             "which file of an archive to read (the only disk in it)", "NAME"),
	OPTION_VALUE("occurrence", '\0', OCCURRENCE,
	             "which of the members named --member-name to read, from 1 on", "N"),
	OPTION_FLAG("force", '\0', FORCE, "replace DEST if it exists"),
	OPTION_FLAG("metadata-only", '\0', METADATA,
	            "save an image's header and map without its data, or restore them"),
	OPTION_FLAG("salvage", '\0', SALVAGE, "read what is readable of a damaged SOURCE"),
	OPTION_FLAG("verify", '\0', VERIFY, "read DEST back and compare"),
	OPTIONS_DRY_RUN,
	OPTIONS_LAYOUT,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct convert_job {
	gow_convert_options options;
	bool metadata;
	struct cli *cli;
	const char *source, *dest;
	char *member_name; /* owned */
	struct doc doc;    /* begun by the first loss, if there is one */
};

static int take_format(struct cli *cli, const char *option, const char *value, bool archive,
                       gow_format *format)
{
	gow_format found = gow_format_by_name(value);

	if (found == GOW_FORMAT_PROBE || (found == GOW_FORMAT_TAR && !archive))
		return cli_usage(cli, "%s: '%s': raw, gow, gow1, gow2%s are known", option, value,
		                 archive ? ", gow3 and tar" : " and gow3");
	*format = found;
	return EXIT_CLEAN;
}

/* NAME or NAME:LEVEL. */
static int take_compression(struct cli *cli, const char *value, gow_convert_options *job)
{
	size_t length = strcspn(value, ":");
	char name[16] = "";
	uint64_t level;

	if (length < sizeof name)
		memcpy(name, value, length);
	job->compression = gow_compression_by_name(name);
	if (job->compression == GOW_COMPRESSION_BY_NAME)
		return cli_usage(cli, "--compress: '%s': zstd, gzip, xz, lz4 and none are known",
		                 value);
	job->level = GOW_LEVEL_USUAL;
	if (value[length]) {
		const char *wrong = number_parse(value + length + 1, 0, INT_MAX, &level);

		if (wrong)
			return cli_usage(cli, "--compress: '%s': %s", value, wrong);
		job->level = (int)level;
	}
	return EXIT_CLEAN;
}

static int take_occurrence(struct cli *cli, const char *value)
{
	struct convert_job *job = cli->own;
	uint64_t number;
	const char *wrong = number_parse(value, 1, INT_MAX, &number);

	if (wrong)
		return cli_usage(cli, "--occurrence: '%s': %s", value, wrong);
	job->options.occurrence = (unsigned)number;
	return EXIT_CLEAN;
}

static int take(struct cli *cli, int option, const char *value)
{
	static const unsigned flags[] = {
		[FORCE] = GOW_CONVERT_FORCE,
		[SALVAGE] = GOW_CONVERT_SALVAGE,
		[VERIFY] = GOW_CONVERT_VERIFY,
		[DROP_ZEROS] = GOW_CONVERT_DROP_ZEROS,
	};
	struct convert_job *job = cli->own;

	switch (option) {
	case FROM:
		return take_format(cli, "--from", value, true, &job->options.source_format);
	case TO:
		return take_format(cli, "--to", value, true, &job->options.dest_format);
	case MEMBER:
		return take_format(cli, "--member", value, false, &job->options.member_format);
	case COMPRESS:
		return take_compression(cli, value, &job->options);
	case MEMBER_NAME:
		return cli_keep(cli, &job->member_name, "--member-name", value);
	case OCCURRENCE:
		return take_occurrence(cli, value);
	case METADATA:
		job->metadata = true;
		return EXIT_CLEAN;
	default:
		job->options.flags |= flags[option];
		return EXIT_CLEAN;
	}
}

/* ---- losses, as they are found -------------------------------------------------------------- */

/* With --salvage there is always a list, be it empty. */
static void begin_document(struct convert_job *job)
{
	if (job->doc.out)
		return;
	doc_begin(&job->doc, &job->cli->out, job->cli->tool->name, job->source);
	doc_name(&job->doc, "dest", job->dest);
	if (job->options.flags & GOW_CONVERT_SALVAGE)
		doc_array(&job->doc, "losses");
}

static void add_loss(struct convert_job *job, const gow_loss *loss)
{
	begin_document(job);
	doc_object(&job->doc, NULL);
	doc_text(&job->doc, "kind", gow_loss_name(loss->kind));
	doc_uint(&job->doc, "start", loss->start);
	doc_uint(&job->doc, "length", loss->length);
	doc_close(&job->doc);
}

static void print_loss(struct convert_job *job, const gow_loss *loss)
{
	static const char *const outcome[] = {
		[GOW_LOSS_UNREADABLE] = "replaced by zeros",
		[GOW_LOSS_UNMAPPED] = "replaced by zeros",
		[GOW_LOSS_SHARED] = "copied, but another block claims the same data",
		[GOW_LOSS_BEYOND_SIZE] = "past the end of the disk, left out",
	};

	out_name(&job->cli->out, job->source);
	out_print(&job->cli->out, ": %s: %" PRIu64 " bytes from %" PRIu64 " on: %s\n",
	          gow_loss_name(loss->kind), loss->length, loss->start, outcome[loss->kind]);
}

static void show_loss(void *context, const gow_loss *loss)
{
	struct convert_job *job = context;

	if (job->cli->json)
		add_loss(job, loss);
	else if (cli_prints(job->cli))
		print_loss(job, loss);
}

/* ---- the result -------------------------------------------------------------------------- */

static void print_json(struct convert_job *job, const gow_convert_result *result, int status)
{
	struct doc *doc = &job->doc;

	begin_document(job);
	doc_close_to_top(doc);
	doc_text(doc, "source_format", gow_format_name(result->source_format));
	doc_text(doc, "dest_format", gow_format_name(result->dest_format));
	doc_uint(doc, "source_size", result->source_size);
	doc_uint(doc, "logical_size", result->logical_size);
	doc_uint(doc, "data_bytes", result->data_bytes);
	doc_uint(doc, "file_size", result->file_size);
	if (job->options.flags & GOW_CONVERT_SALVAGE)
		doc_bool(doc, "damaged", result->damaged);
	if (result->raw && result->recognized[0])
		doc_text(doc, "recognized", result->recognized);
	else if (result->raw)
		doc_null(doc, "recognized");
	if (result->in_use)
		doc_bool(doc, "in_use", true);
	if (result->digest.text[0])
		doc_text(doc, "digest", result->digest.text);
	if (job->cli->dry_run)
		doc_bool(doc, "dry_run", true);
	doc_end(doc, status);
}

static void print_text(struct convert_job *job, const gow_convert_result *result)
{
	struct out *out = &job->cli->out;
	bool dry_run = job->cli->dry_run;
	char logical[SIZE_TEXT], data[SIZE_TEXT], file[SIZE_TEXT];

	if (result->damaged) {
		out_name(out, job->source);
		out_print(out, ": damaged: %" PRIu64 " part%s lost or in doubt\n", result->losses,
		          result->losses == 1 ? "" : "s");
	}
	out_name(out, job->source);
	out_print(out, " -> ");
	out_name(out, job->dest);
	out_print(out, ": %s%s, %s, %s of data", dry_run ? "would be " : "",
	          gow_format_name(result->dest_format),
	          size_short(logical, sizeof logical, result->logical_size),
	          size_short(data, sizeof data, result->data_bytes));
	if (dry_run)
		out_print(out, ", in a file of %s",
		          size_long(file, sizeof file, result->file_size));
	if (result->verified)
		out_print(out, ", verified (%s)", result->digest.text);
	out_end_line(out, result->in_use);
}

/* ---- the work ---------------------------------------------------------------------------- */

/* What the other options ask of this one. */
static void complete_options(struct cli *cli, struct convert_job *job)
{
	job->cli = cli;
	job->source = cli->args[0];
	job->dest = cli->args[1];
	job->options.struct_size = sizeof job->options;
	job->options.common = cli->shared;
	job->options.lost = show_loss;
	job->options.lost_context = job;
	job->options.member_name = job->member_name;
}

/* The time of the archive's members, which makes the same bytes on every day. */
static int take_time(struct cli *cli, int64_t *mtime)
{
	const char *value = getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;
	const char *wrong = value ? number_parse(value, 0, INT64_MAX, &seconds) : NULL;

	if (wrong)
		return cli_usage(cli, "SOURCE_DATE_EPOCH: '%s': %s", value, wrong);
	*mtime = value ? (int64_t)seconds : GOW_TIME_OF_SOURCE;
	return EXIT_CLEAN;
}

static int run(struct cli *cli)
{
	struct convert_job *job = cli->own;
	gow_convert_result result = { .struct_size = sizeof result };
	gow_error error;
	int status;

	complete_options(cli, job);
	if (job->options.occurrence && !job->member_name)
		return cli_usage(cli, "--occurrence goes with --member-name");
	status = take_time(cli, &job->options.mtime);
	if (status)
		return status;
	if (gow_is_standard_output(job->dest)) {
		if (isatty(STDOUT_FILENO) && !cli->dry_run)
			return cli_usage(cli, "standard output is a terminal, which takes no disk");
		/* Standard output is for the disk alone. */
		cli_redirect(cli, STDERR_FILENO);
	}
	if (job->metadata)
		return metadata_convert(cli, job->source, job->dest, &job->options);
	if (gow_convert(job->source, job->dest, &job->options, &result, &error))
		return cli_fail(cli, &job->doc, job->source, &error);
	status = result.damaged ? EXIT_CORRUPT : EXIT_CLEAN;
	if (cli->json)
		print_json(job, &result, status);
	else if (cli_prints(cli))
		print_text(job, &result);
	return status;
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-convert",
		.arguments = "SOURCE DEST",
		.streams = true,
		.min_args = 2,
		.max_args = 2,
		.options = options,
		.take = take,
		.run = run,
	};
	struct convert_job job = { .options = { .level = GOW_LEVEL_USUAL } };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.member_name);
	return status;
}
