/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-repair - mends what gow-check finds, and takes that back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/digest.h"
#include "common/findings.h"
#include "common/options.h"
#include "common/signals.h"
#include "common/size.h"

enum { PREEN = 1, YES, UNDO, SIZE, SALVAGE, UNDO_FILE, ASSUME_VERSION, RESET_VERSIONS };

static const struct poptOption options[] = {
	OPTION_FLAG("preen", 'p', PREEN, "mend what needs no judgement and can lose nothing"),
	OPTION_FLAG("yes", 'y', YES, "mend everything that has a mend"),
	OPTION_FLAG("undo", '\0', UNDO, "take the last repair back, byte for byte"),
	OPTION_VALUE("size", '\0', SIZE, "mend a wrong logical size with this one", "SIZE"),
	OPTION_VALUE("salvage", '\0', SALVAGE, "save blocks that nobody names in this new file",
	             "FILE"),
	OPTION_VALUE("undo-file", '\0', UNDO_FILE,
	             "keep what undoes the repair there, not beside the image", "FILE"),
	OPTION_VALUE("assume-version", '\0', ASSUME_VERSION,
	             "rebuild a ruined preamble as this version", "1|2|3"),
	OPTION_FLAG("reset-versions", '\0', RESET_VERSIONS,
	            "start exhausted version numbers anew; every copy must be thrown away"),
	OPTIONS_DIGEST,
	OPTIONS_DRY_RUN,
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND
};

struct repair_job {
	gow_repair_options options;
	bool preen, yes, undo;
	char *salvage, *undo_file; /* owned */
	struct cli *cli;
	const char *image;
	struct doc doc; /* begun by the first step, if there is one */
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

static int take_file(struct cli *cli, char **file, const char *name, const char *value)
{
	if (*file)
		return cli_usage(cli, "%s: one file only", name);
	*file = strdup(value);
	if (*file)
		return EXIT_CLEAN;
	report_error(&cli->report, NULL, "no memory");
	return EXIT_ERROR;
}

static int take(struct cli *cli, int option, const char *value)
{
	struct repair_job *job = cli->own;

	switch (option) {
	case SIZE:
		return take_size(cli, job, value);
	case SALVAGE:
		return take_file(cli, &job->salvage, "--salvage", value);
	case UNDO_FILE:
		return take_file(cli, &job->undo_file, "--undo-file", value);
	case ASSUME_VERSION:
		return take_version(cli, job, value);
	default:
		job->preen |= option == PREEN;
		job->yes |= option == YES;
		job->undo |= option == UNDO;
		job->options.reset_versions |= option == RESET_VERSIONS;
		return EXIT_CLEAN;
	}
}

/* ---- asking ------------------------------------------------------------------------------ */

static void print_number(const char *before, uint64_t number)
{
	if (number != GOW_NOWHERE)
		(void)fprintf(stderr, "%s%" PRIu64, before, number);
}

static void print_question(const struct repair_job *job, const gow_problem *problem,
                           const gow_place *place)
{
	progress_erase(&job->cli->progress);
	(void)fprintf(stderr, "%s: %s (%s): %s", job->image, problem->name,
	              gow_severity_name(problem->severity), problem->title);
	print_number("; logical block ", place->logical);
	print_number(" and ", place->other);
	print_number("; physical block ", place->physical);
	print_number("; offset ", place->offset);
	(void)fprintf(stderr, "\n%s: %s? [y]es, [n]o, [a]ll of this kind, [q]uit: ", job->image,
	              problem->fix);
	(void)fflush(stderr);
}

/* The first character of a line; 0: there was none to be had. */
static char read_answer(void)
{
	char first = '\0', byte = '\0';

	while (byte != '\n') {
		ssize_t got = read(STDIN_FILENO, &byte, 1);

		if (got < 0 && errno == EINTR && !signals_stop())
			continue;
		if (got <= 0)
			return '\0';
		if (!first && byte != ' ' && byte != '\t')
			first = byte;
	}
	return first;
}

static gow_answer ask(void *context, const gow_problem *problem, const gow_place *place)
{
	const struct repair_job *job = context;

	for (;;) {
		print_question(job, problem, place);
		switch (read_answer()) {
		case 'y':
		case 'Y':
			return GOW_ANSWER_YES;
		case 'n':
		case 'N':
			return GOW_ANSWER_NO;
		case 'a':
		case 'A':
			return GOW_ANSWER_ALL;
		case '\0':
			(void)fputc('\n', stderr);
			return GOW_ANSWER_QUIT;
		case 'q':
		case 'Q':
			return GOW_ANSWER_QUIT;
		default:
			break;
		}
	}
}

/* ---- the plan, as it is told ------------------------------------------------------------- */

static void add_number(struct doc *doc, const char *key, uint64_t number)
{
	if (number != GOW_NOWHERE)
		doc_uint(doc, key, number);
}

static void begin_document(struct repair_job *job)
{
	if (job->doc.out)
		return;
	doc_begin(&job->doc, &job->cli->out, job->cli->tool->name, job->image);
	doc_array(&job->doc, "plan");
}

static void add_step(struct repair_job *job, const gow_repair_step *step)
{
	struct doc *doc = &job->doc;

	begin_document(job);
	doc_object(doc, NULL);
	if (step->problem)
		doc_text(doc, "id", step->problem->name);
	else
		doc_null(doc, "id");
	doc_text(doc, "kind", gow_step_name(step->kind));
	doc_uint(doc, "offset", step->offset);
	doc_uint(doc, "length", step->length);
	add_number(doc, "source", step->source);
	add_number(doc, "value", step->value);
	doc_bool(doc, "preen", step->preen);
	doc_text(doc, "effect", gow_effect_name(step->effect));
	add_number(doc, "guest_start", step->guest_start);
	add_number(doc, "guest_length", step->guest_length);
	add_number(doc, "other_start", step->other_start);
	doc_text(doc, "message", step->text);
	doc_close(doc);
}

static void print_guest(struct out *out, const gow_repair_step *step)
{
	uint64_t last;

	if (step->effect == GOW_EFFECT_RESIZED) {
		out_print(out, "; the guest's disk has %" PRIu64 " bytes then", step->guest_length);
		return;
	}
	if (step->guest_length == GOW_NOWHERE)
		return;
	last = step->guest_length - 1;
	if (step->effect == GOW_EFFECT_LOST)
		out_print(out, "; LOST: ");
	else
		out_print(out, "; ");
	out_print(out, "guest bytes %" PRIu64 "-%" PRIu64, step->guest_start,
	          step->guest_start + last);
	if (step->other_start != GOW_NOWHERE)
		out_print(out, " or %" PRIu64 "-%" PRIu64, step->other_start,
		          step->other_start + last);
	if (step->effect == GOW_EFFECT_SUSPECT)
		out_print(out, " may be foreign data: look");
}

/* Whether it is about bytes that can be named. */
static bool has_range(const gow_repair_step *step)
{
	return step->kind != GOW_STEP_ROLL_BACK && step->kind != GOW_STEP_FINISH;
}

static void print_step(struct repair_job *job, const gow_repair_step *step)
{
	struct out *out = &job->cli->out;

	out_print(out, "  %s: %s", step->problem ? step->problem->name : "preamble", step->text);
	if (step->value != GOW_NOWHERE)
		out_print(out, ", %" PRIu64, step->value);
	if (has_range(step))
		out_print(out, " (%" PRIu64 " bytes at %" PRIu64, step->length, step->offset);
	if (step->source != GOW_NOWHERE)
		out_print(out, " from %" PRIu64, step->source);
	if (has_range(step))
		out_print(out, ")");
	print_guest(out, step);
	out_print(out, "\n");
}

static void hear_step(void *context, const gow_repair_step *step)
{
	struct repair_job *job = context;

	if (job->cli->json)
		add_step(job, step);
	else if (cli_prints(job->cli))
		print_step(job, step);
}

static void hear_finding(void *context, const gow_finding *finding)
{
	struct repair_job *job = context;

	if (!job->cli->json && cli_prints(job->cli))
		finding_text(&job->cli->out, job->image, finding);
}

/* ---- what came of it --------------------------------------------------------------------- */

static bool has_severity(const gow_finding *finding, gow_severity severity)
{
	return finding->problem->severity == severity;
}

/* A dry run changes nothing: the status is gow-check's. */
static int status_of_dry_run(const gow_repair_result *result)
{
	/* A preamble that has to be rebuilt is worse than any finding. */
	int status = result->evidence[0] ? EXIT_CORRUPT : EXIT_CLEAN;

	for (size_t i = 0; i < result->found_count; i++)
		status |= has_severity(&result->found[i], GOW_CORRUPT) ? EXIT_CORRUPT
		                                                       : EXIT_ADVISORY;
	return status & EXIT_CORRUPT ? EXIT_CORRUPT : status;
}

static int status_of(const struct repair_job *job, const gow_repair_result *result)
{
	int status = result->changed ? EXIT_MENDED : EXIT_CLEAN;

	if (job->options.dry_run)
		return status_of_dry_run(result);
	for (size_t i = 0; i < result->left_count; i++) {
		if (has_severity(&result->left[i].finding, GOW_CORRUPT))
			return EXIT_CORRUPT;
		status |= EXIT_ADVISORY;
	}
	return status;
}

static void add_findings(struct doc *doc, const gow_repair_result *result)
{
	doc_array(doc, "findings");
	for (size_t i = 0; i < result->found_count; i++) {
		doc_object(doc, NULL);
		finding_json(doc, &result->found[i]);
		doc_close(doc);
	}
	doc_close(doc);
	doc_array(doc, "left");
	for (size_t i = 0; i < result->left_count; i++) {
		doc_object(doc, NULL);
		finding_json(doc, &result->left[i].finding);
		doc_text(doc, "why", result->left[i].why);
		doc_close(doc);
	}
	doc_close(doc);
}

static void print_json(struct repair_job *job, const gow_repair_result *result, int status)
{
	struct doc *doc = &job->doc;

	begin_document(job);
	doc_close_to_top(doc);
	add_findings(doc, result);
	if (result->evidence[0])
		doc_text(doc, "evidence", result->evidence);
	if (result->damaged_entries)
		doc_uint(doc, "lost_entries", result->damaged_entries);
	if (job->options.salvage)
		doc_uint(doc, "salvaged_blocks", result->salvaged_blocks);
	doc_uint(doc, "undo_bytes", result->undo_bytes);
	doc_uint(doc, "growth", result->growth);
	if (result->undo_file[0])
		doc_text(doc, "undo_file", result->undo_file);
	if (job->options.digest)
		digests_json(doc, &result->digests);
	if (job->options.dry_run)
		doc_bool(doc, "dry_run", true);
	doc_bool(doc, "changed", result->changed);
	doc_end(doc, status);
}

static void print_left(struct repair_job *job, const gow_repair_result *result)
{
	struct out *out = &job->cli->out;

	for (size_t i = 0; i < result->left_count; i++)
		out_print(out, "  %s: left: %s\n", result->left[i].finding.problem->name,
		          result->left[i].why);
}

static const char *outcome_of(const struct repair_job *job, const gow_repair_result *result,
                              int status)
{
	if (job->options.dry_run)
		return !result->steps        ? "nothing would be changed"
		       : result->left_count ? "would be mended as far as told"
		                            : "would be mended";
	if (status & EXIT_CORRUPT)
		return result->changed ? "mended in part; do not boot" : "not mended; do not boot";
	if (status & EXIT_ADVISORY)
		return result->changed ? "mended, safe to boot, with advisory findings left"
		                       : "safe to boot; the advisory findings are left";
	return result->changed ? "mended" : "sound; nothing to mend";
}

static void print_text(struct repair_job *job, const gow_repair_result *result, int status)
{
	struct out *out = &job->cli->out;

	print_left(job, result);
	out_name(out, job->image);
	out_print(out, ": %s", outcome_of(job, result, status));
	if (result->evidence[0])
		out_print(out, "; %s", result->evidence);
	if (result->damaged_entries)
		out_print(out, "; %" PRIu64 " block%s of the guest lost their mapping",
		          result->damaged_entries, result->damaged_entries == 1 ? "" : "s");
	if (job->options.salvage)
		out_print(out, "; %" PRIu64 " blocks %s", result->salvaged_blocks,
		          job->options.dry_run ? "would be saved" : "saved");
	if (job->options.dry_run && result->undo_bytes)
		out_print(out,
		          "; it takes %" PRIu64 " bytes for the undo file, and the image grows by "
		          "%" PRIu64,
		          result->undo_bytes, result->growth);
	if (result->undo_file[0])
		out_print(out, "; gow-repair --undo takes it back (");
	if (result->undo_file[0])
		out_name(out, result->undo_file);
	out_print(out, "%s\n", result->undo_file[0] ? ")" : "");
	if (job->options.digest)
		digests_text(out, job->image, &result->digests);
}

static int repair_image(struct cli *cli, const char *image)
{
	struct repair_job *job = cli->own;
	gow_repair_result result;
	gow_error error;
	int status;

	job->image = image;
	job->doc = (struct doc){ .out = NULL };
	if (gow_repair(image, &job->options, &result, &error))
		return cli_fail(cli, &job->doc, image, &error);
	status = status_of(job, &result);
	if (cli->json)
		print_json(job, &result, status);
	else if (cli_prints(cli))
		print_text(job, &result, status);
	return status;
}

/* ---- taking back ------------------------------------------------------------------------- */

static void print_undo_json(struct cli *cli, const char *image, const gow_undo_result *result)
{
	struct doc doc;

	doc_begin(&doc, &cli->out, cli->tool->name, image);
	doc_text(&doc, "undo_file", result->undo_file);
	doc_text(&doc, "repair", result->what);
	doc_bool(&doc, "interrupted", result->interrupted);
	doc_uint(&doc, "old_size", result->old_size);
	doc_uint(&doc, "new_size", result->new_size);
	doc_uint(&doc, "layers_left", result->layers_left);
	if (cli->digest)
		digests_json(&doc, &result->digests);
	if (cli->dry_run)
		doc_bool(&doc, "dry_run", true);
	doc_bool(&doc, "changed", result->changed);
	doc_end(&doc, EXIT_CLEAN);
}

static void print_undo_text(struct cli *cli, const char *image, const gow_undo_result *result)
{
	struct out *out = &cli->out;

	out_name(out, image);
	out_print(out, ": %s: the %srepair (%s); the file %s %" PRIu64 " bytes long",
	          cli->dry_run ? "would be taken back" : "taken back",
	          result->interrupted ? "interrupted " : "", result->what,
	          cli->dry_run ? "would be" : "is", result->old_size);
	if (result->layers_left)
		out_print(out, "; %u more can be taken back", result->layers_left);
	out_print(out, "\n");
	if (cli->digest)
		digests_text(out, image, &result->digests);
}

static int undo_image(struct cli *cli, const char *image)
{
	const gow_undo_options undo_options = {
		.dry_run = cli->dry_run,
		.digest = cli->digest,
		.no_lock = cli->no_lock,
		.wait_seconds = cli->wait_seconds,
		.monitor = &cli->monitor,
	};
	struct doc doc = { .out = NULL };
	gow_undo_result result;
	gow_error error;

	if (gow_repair_undo(image, &undo_options, &result, &error))
		return cli_fail(cli, &doc, image, &error);
	if (cli->json)
		print_undo_json(cli, image, &result);
	else if (cli_prints(cli))
		print_undo_text(cli, image, &result);
	return EXIT_CLEAN;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* What is about one image only. */
static const char *single_option(const struct repair_job *job)
{
	if (job->salvage)
		return "--salvage";
	if (job->undo_file)
		return "--undo-file";
	return job->options.assume_version ? "--assume-version" : NULL;
}

static int check_usage(struct cli *cli, const struct repair_job *job)
{
	const char *single = single_option(job);

	if (job->preen && job->yes)
		return cli_usage(cli, "--preen and --yes: one of them");
	if (job->undo && (job->preen || job->yes || single || job->options.size ||
	                  job->options.reset_versions))
		return cli_usage(cli, "--undo goes with none of the options for a repair but "
		                      "--dry-run");
	if (single && (cli->arg_count != 1 || cli->files_from))
		return cli_usage(cli, "%s is for one image", single);
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
	job->options.dry_run = cli->dry_run;
	job->options.digest = cli->digest;
	job->options.no_lock = cli->no_lock;
	job->options.wait_seconds = cli->wait_seconds;
	job->options.salvage = job->salvage;
	job->options.undo_file = job->undo_file;
	job->options.monitor = &cli->monitor;
	job->options.ask = ask;
	job->options.found = hear_finding;
	job->options.step = hear_step;
	job->options.context = job;
	return batch_run(cli, job->undo ? undo_image : repair_image);
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
	return status;
}
