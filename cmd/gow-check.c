/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-check - says whether an image is safe to boot, and everything that is wrong with it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/digest.h"
#include "common/findings.h"
#include "common/options.h"
#include "common/size.h"

enum { BOOT = 1, DATA, MANIFEST, WRITE_MANIFEST, FORCE_SHARE };

static const struct poptOption options[] = {
	OPTION_FLAG("boot", '\0', BOOT, "exit 0 if there are advisory findings only"),
	OPTION_FLAG("data", '\0', DATA, "read every allocated block, too"),
	OPTION_VALUE("manifest", '\0', MANIFEST, "compare the guest's disk with a manifest",
	             "FILE"),
	OPTION_VALUE("write-manifest", '\0', WRITE_MANIFEST,
	             "write a manifest of the guest's disk to a new file", "FILE"),
	OPTION_FLAG("force-share", '\0', FORCE_SHARE, "read the image even while it is written to"),
	OPTIONS_DIGEST,
	OPTIONS_LAYOUT,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct check_job {
	bool boot, data;
	gow_digest_options proof; /* its strings are owned */
	gow_digest found;         /* "" where there is none */
};

static int take_file(struct cli *cli, const char *option, const char *value, const char **file)
{
	char *copy = (char *)*file;
	int status;

	if (!value[0])
		return cli_usage(cli, "%s: a file's name is missing", option);
	status = cli_keep(cli, &copy, option, value);
	*file = copy;
	return status;
}

static int take(struct cli *cli, int option, const char *value)
{
	struct check_job *job = cli->own;

	if (option == MANIFEST)
		return take_file(cli, "--manifest", value, &job->proof.manifest);
	if (option == WRITE_MANIFEST)
		return take_file(cli, "--write-manifest", value, &job->proof.write_manifest);
	job->boot |= option == BOOT;
	job->data |= option == DATA;
	if (option == FORCE_SHARE)
		cli->shared.flags |= GOW_COMMON_FORCE_SHARE;
	return EXIT_CLEAN;
}

static int status_of(const struct check_job *job, const gow_check *check)
{
	if (gow_check_count(check, GOW_CORRUPT))
		return EXIT_CORRUPT;
	return gow_check_count(check, GOW_ADVISORY) && !job->boot ? EXIT_ADVISORY : EXIT_CLEAN;
}

static int print_json(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                      struct doc *doc, gow_error *error)
{
	const struct check_job *job = cli->own;
	int code;

	doc_begin(doc, &cli->out, cli->tool->name, image);
	doc_uint_or_null(doc, info->version != 0, "version", info->version);
	if (info->foreign)
		doc_text(doc, "layout", info->layout);
	doc_uint_or_null(doc, info->preamble_readable, "logical_size", info->logical_size);
	code = findings_json(doc, check, cli->report.verbose, error);
	if (code)
		return code;
	if (cli->digest)
		digest_json(doc, "digest", &job->found);
	if (info->pending)
		doc_text(doc, "pending", info->pending);
	if (info->in_use)
		doc_bool(doc, "in_use", true);
	doc_uint(doc, "time", (uint64_t)time(NULL));
	doc_bool(doc, "changed", false);
	doc_end(doc, status_of(cli->own, check));
	return GOW_OK;
}

/* Whether gow-repair can do anything about what is corrupt. */
static bool is_repairable(const gow_check *check)
{
	const gow_finding *findings;
	size_t count = gow_check_findings(check, &findings);

	for (size_t i = 0; i < count; i++)
		if (findings[i].problem->severity == GOW_CORRUPT && findings[i].problem->fix)
			return true;
	return false;
}

static bool reads_data(const struct cli *cli)
{
	const struct check_job *job = cli->own;

	return job->data || cli->digest || job->proof.manifest || job->proof.write_manifest;
}

static void print_summary(struct cli *cli, const char *image, const gow_check *check,
                          const gow_info *info)
{
	const struct check_job *job = cli->own;
	struct out *out = &cli->out;
	char size[SIZE_TEXT], summary[SIZE_TEXT];

	(void)findings_summary(check, summary, sizeof summary);
	out_name(out, image);
	if (gow_check_count(check, GOW_CORRUPT)) {
		out_print(out, ": ");
		findings_severity(out, GOW_CORRUPT);
		out_print(out, ": %s; do not boot; %s", summary,
		          is_repairable(check) ? "gow-repair -n shows what can be repaired"
		                               : "bring it back from a backup");
	} else {
		if (info->foreign)
			out_print(out, ": layout %s, ", info->layout);
		else
			out_print(out, ": GOW %u, ", info->version);
		out_print(out, "%s, ", size_short(size, sizeof size, info->logical_size));
		if (gow_check_count(check, GOW_ADVISORY))
			out_print(out, "safe to boot, %s", summary);
		else
			out_print(out, "sound%s", reads_data(cli) ? ", all data readable" : "");
		if (job->proof.manifest)
			out_print(out, ", same as the manifest");
	}
	out_print(out, "%s\n", info->in_use ? " (in use: this may be changing)" : "");
}

static int print(struct cli *cli, const char *image, gow_check *check, const gow_info *info,
                 struct doc *doc, gow_error *error)
{
	int code;

	if (cli->json)
		return print_json(cli, image, check, info, doc, error);
	if (!cli_prints(cli))
		return GOW_OK;
	code = findings_text(&cli->out, image, check, cli->report.verbose, error);
	if (code)
		return code;
	if (info->pending)
		out_print(&cli->out, "    %s\n", info->pending);
	if (cli->digest)
		digest_text(&cli->out, image, &((const struct check_job *)cli->own)->found);
	print_summary(cli, image, check, info);
	return GOW_OK;
}

static int check_image(struct cli *cli, const char *image)
{
	struct check_job *job = cli->own;
	const gow_open_options open_options = cli_open_options(cli, GOW_OPEN_STEADY);
	struct doc doc = { .out = NULL };
	gow_check *check = NULL;
	gow_error error;
	gow_info info = { .struct_size = sizeof info };
	int status = EXIT_CLEAN;
	int code = gow_check_open(image, &open_options, &check, &error);

	job->found.text[0] = '\0';
	if (!code && (cli->digest || job->proof.manifest || job->proof.write_manifest))
		code = gow_check_digest(check, &job->proof, &job->found, &error);
	else if (!code && job->data)
		code = gow_check_data(check, &error);
	if (!code)
		code = gow_check_info(check, &info, &error);
	if (!code) {
		status = status_of(job, check);
		code = print(cli, image, check, &info, &doc, &error);
	}
	gow_check_close(check);
	return code ? cli_fail(cli, &doc, image, &error) : status;
}

static int run(struct cli *cli)
{
	const struct check_job *job = cli->own;

	if ((job->proof.manifest || job->proof.write_manifest) &&
	    (cli->arg_count != 1 || cli->files_from))
		return cli_usage(cli, "a manifest is of one image; name just one");
	/* Standard output is for the manifest alone. */
	if (job->proof.write_manifest && gow_is_standard_output(job->proof.write_manifest))
		cli_redirect(cli, STDERR_FILENO);
	return batch_run(cli, check_image);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-check",
		.arguments = "IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct check_job job = { .proof.struct_size = sizeof job.proof };
	int status = cli_main(&tool, &job, argc, argv);

	free((void *)job.proof.manifest);
	free((void *)job.proof.write_manifest);
	return status;
}
