/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-repair - repairs what gow-check finds, and undoes that. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/options.h"
#include "common/size.h"
#include "repair/ask.h"
#include "repair/job.h"
#include "repair/plan.h"
#include "repair/result.h"
#include "repair/undo.h"

enum {
	PREEN = 1,
	YES,
	UNDO,
	SIZE,
	SALVAGE,
	UNDO_FILE,
	ASSUME_VERSION,
	RESET_VERSIONS,
	CLEAR_PENDING,
	MANIFEST
};

static const struct poptOption options[] = {
	OPTION_FLAG("preen", 'p', PREEN, "repair what needs no judgement and can lose nothing"),
	OPTION_FLAG("yes", 'y', YES, "repair everything that can be repaired"),
	OPTION_FLAG("undo", '\0', UNDO, "undo the last repair, byte for byte"),
	OPTION_VALUE("size", '\0', SIZE, "use this as the logical size where it is wrong", "SIZE"),
	OPTION_VALUE("salvage", '\0', SALVAGE, "save unreferenced blocks in this new file", "FILE"),
	OPTION_VALUE("undo-file", '\0', UNDO_FILE, "put the undo file there, not beside the image",
	             "FILE"),
	OPTION_VALUE("assume-version", '\0', ASSUME_VERSION,
	             "rebuild a ruined preamble as this version", "1|2|3"),
	OPTION_FLAG("reset-versions", '\0', RESET_VERSIONS,
	            "start exhausted version numbers anew; discard every copy"),
	OPTION_FLAG("clear-pending", '\0', CLEAR_PENDING,
	            "forget an interrupted change whose record is lost; the data may be wrong"),
	OPTION_VALUE("manifest", '\0', MANIFEST,
	             "with --clear-pending: only if the guest's disk agrees with it", "FILE"),
	OPTIONS_DIGEST,
	OPTIONS_DRY_RUN,
	OPTIONS_LAYOUT,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

/* ---- options ----------------------------------------------------------------------------- */

static int take_size(struct cli *cli, struct repair_job *job, const char *value)
{
	const char *wrong = size_parse(value, &job->options.size);

	if (!wrong && (!job->options.size || job->options.size % 512))
		wrong = "a disk has a multiple of 512 bytes, and at least so many";
	return wrong ? cli_usage(cli, "--size: '%s': %s", value, wrong) : EXIT_CLEAN;
}

static int take_version(struct cli *cli, struct repair_job *job, const char *value)
{
	uint64_t version;

	if (number_parse(value, 1, 3, &version))
		return cli_usage(cli, "--assume-version: '%s': 1, 2 and 3 are known", value);
	job->options.assume_version = (unsigned)version;
	return EXIT_CLEAN;
}

/* It is read once more when the image has been opened for writing. */
static int take_manifest(struct cli *cli, struct repair_job *job, const char *value)
{
	struct stat st;

	if (stat(value, &st) == 0 && S_ISFIFO(st.st_mode))
		return cli_usage(cli, "--manifest: '%s': a pipe cannot be read twice", value);
	return cli_keep_file(cli, &job->manifest, "--manifest", value);
}

static int take(struct cli *cli, int option, const char *value)
{
	struct repair_job *job = cli->own;

	switch (option) {
	case SIZE:
		return take_size(cli, job, value);
	case SALVAGE:
		return cli_keep_file(cli, &job->salvage, "--salvage", value);
	case UNDO_FILE:
		return cli_keep_file(cli, &job->undo_file, "--undo-file", value);
	case ASSUME_VERSION:
		return take_version(cli, job, value);
	case MANIFEST:
		return take_manifest(cli, job, value);
	default:
		job->preen |= option == PREEN;
		job->yes |= option == YES;
		job->undo |= option == UNDO;
		if (option == RESET_VERSIONS)
			job->options.flags |= GOW_REPAIR_RESET_VERSIONS;
		if (option == CLEAR_PENDING)
			job->options.flags |= GOW_REPAIR_CLEAR_PENDING;
		return EXIT_CLEAN;
	}
}

/* ---- the work ---------------------------------------------------------------------------- */

static int repair_image(struct cli *cli, const char *image)
{
	struct repair_job *job = cli->own;
	gow_repair_result result = { .struct_size = sizeof result };
	gow_error error;

	job->image = image;
	job->doc = (struct doc){ .out = NULL };
	if (gow_repair(image, &job->options, &result, &error))
		return cli_fail(cli, &job->doc, image, &error);
	return repair_show_result(job, &result);
}

/* An option that is for one image only. */
static const char *single_option(const struct repair_job *job)
{
	if (job->salvage)
		return "--salvage";
	if (job->undo_file)
		return "--undo-file";
	if (job->manifest)
		return "--manifest";
	return job->options.assume_version ? "--assume-version" : NULL;
}

static int check_usage(struct cli *cli, const struct repair_job *job)
{
	const char *single = single_option(job);

	if (job->preen && job->yes)
		return cli_usage(cli, "--preen and --yes: one of them");
	if (job->undo &&
	    (job->preen || job->yes || single || job->options.size || job->options.flags))
		return cli_usage(cli, "--undo takes no option for a repair but --dry-run");
	if (single && (cli->arg_count != 1 || cli->files_from))
		return cli_usage(cli, "%s is for one image", single);
	if (job->preen && job->options.flags & GOW_REPAIR_CLEAR_PENDING)
		return cli_usage(cli, "--clear-pending needs judgement, --preen has none");
	if (job->manifest && !(job->options.flags & GOW_REPAIR_CLEAR_PENDING))
		return cli_usage(cli, "--manifest goes with --clear-pending");
	if (job->preen && job->options.assume_version)
		return cli_usage(cli, "--assume-version needs judgement, --preen has none");
	if (!job->undo && !job->preen && !job->yes && !cli->dry_run &&
	    (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)))
		return cli_usage(cli, "without a terminal to ask on, one of -n, -p, -y and --undo "
		                      "is needed");
	return EXIT_CLEAN;
}

static int run(struct cli *cli)
{
	struct repair_job *job = cli->own;
	int status = check_usage(cli, job);

	if (status)
		return status;
	job->cli = cli;
	job->options.level = job->preen                 ? GOW_REPAIR_PREEN
	                     : job->yes || cli->dry_run ? GOW_REPAIR_ALL
	                                                : GOW_REPAIR_ASK;
	job->options.struct_size = sizeof job->options;
	job->options.common = cli->shared;
	job->options.salvage = job->salvage;
	job->options.undo_file = job->undo_file;
	job->options.manifest = job->manifest;
	job->options.ask = repair_ask;
	job->options.found = repair_show_finding;
	job->options.step = repair_show_step;
	job->options.context = job;
	return batch_run(cli, job->undo ? repair_undo_image : repair_image);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-repair",
		.arguments = "-n | -p | -y | --undo IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct repair_job job = { .image = NULL };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.salvage);
	free(job.undo_file);
	free(job.manifest);
	return status;
}
