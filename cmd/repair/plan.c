/* SPDX-License-Identifier: BSD-2-Clause */
#include "repair/plan.h"

#include <inttypes.h>

#include "common/findings.h"

void repair_begin_document(struct repair_job *job)
{
	if (job->doc.out)
		return;
	doc_begin(&job->doc, &job->cli->out, job->cli->tool->name, job->image);
	doc_array(&job->doc, "plan");
}

static void add_step(struct repair_job *job, const gow_repair_step *step)
{
	struct doc *doc = &job->doc;

	repair_begin_document(job);
	doc_object(doc, NULL);
	if (step->problem)
		doc_text(doc, "id", step->problem->name);
	else
		doc_null(doc, "id");
	doc_text(doc, "kind", gow_step_name(step->kind));
	doc_uint(doc, "offset", step->offset);
	doc_uint(doc, "length", step->length);
	doc_uint_unless_nowhere(doc, "source", step->source);
	doc_uint_unless_nowhere(doc, "value", step->value);
	doc_bool(doc, "preen", step->preen);
	doc_text(doc, "effect", gow_effect_name(step->effect));
	doc_uint_unless_nowhere(doc, "guest_start", step->guest_start);
	doc_uint_unless_nowhere(doc, "guest_length", step->guest_length);
	doc_uint_unless_nowhere(doc, "other_start", step->other_start);
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

/* Whether it is about a range of bytes. */
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

void repair_show_step(void *context, const gow_repair_step *step)
{
	struct repair_job *job = context;

	if (job->cli->json)
		add_step(job, step);
	else if (cli_prints(job->cli))
		print_step(job, step);
}

void repair_show_finding(void *context, const gow_finding *finding)
{
	struct repair_job *job = context;

	if (!job->cli->json && cli_prints(job->cli))
		finding_text(&job->cli->out, job->image, finding);
}
