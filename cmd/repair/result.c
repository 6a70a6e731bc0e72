/* SPDX-License-Identifier: BSD-2-Clause */
#include "repair/result.h"

#include <inttypes.h>

#include "common/digest.h"
#include "common/findings.h"
#include "repair/plan.h"

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
	int status = result->changed ? EXIT_REPAIRED : EXIT_CLEAN;

	if (job->cli->dry_run)
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

	repair_begin_document(job);
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
	if (job->cli->digest)
		digests_json(doc, &result->digests);
	if (job->cli->dry_run)
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
	if (job->cli->dry_run)
		return !result->steps       ? "nothing would be changed"
		       : result->left_count ? "would be repaired as far as chosen"
		                            : "would be repaired";
	if (status & EXIT_CORRUPT)
		return result->changed ? "repaired in part; do not boot"
		                       : "not repaired; do not boot";
	if (status & EXIT_ADVISORY)
		return result->changed ? "repaired, safe to boot, with advisory findings left"
		                       : "safe to boot; the advisory findings are left";
	return result->changed ? "repaired" : "sound; nothing to repair";
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
		          job->cli->dry_run ? "would be saved" : "saved");
	if (job->cli->dry_run && result->undo_bytes)
		out_print(out,
		          "; the undo file takes %" PRIu64 " bytes, and the image grows by "
		          "%" PRIu64,
		          result->undo_bytes, result->growth);
	if (result->undo_file[0])
		out_print(out, "; gow-repair --undo undoes it (");
	if (result->undo_file[0])
		out_name(out, result->undo_file);
	out_print(out, "%s\n", result->undo_file[0] ? ")" : "");
	if (job->cli->digest)
		digests_text(out, job->image, &result->digests);
}

int repair_show_result(struct repair_job *job, const gow_repair_result *result)
{
	int status = status_of(job, result);

	if (job->cli->json)
		print_json(job, result, status);
	else if (cli_prints(job->cli))
		print_text(job, result, status);
	return status;
}
