/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/signals.h"

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_place(struct doc *doc, const char *key, const gow_place *place)
{
	doc_object(doc, key);
	doc_uint_unless_nowhere(doc, "logical", place->logical);
	doc_uint_unless_nowhere(doc, "physical", place->physical);
	doc_uint_unless_nowhere(doc, "offset", place->offset);
	doc_uint_unless_nowhere(doc, "other", place->other);
	doc_close(doc);
}

static int visit_json(void *context, const gow_place *place)
{
	struct doc *doc = context;

	add_place(doc, NULL, place);
	return doc->out->failed || signals_stop();
}

void finding_json(struct doc *doc, const gow_finding *finding)
{
	const gow_problem *problem = finding->problem;

	doc_text(doc, "id", problem->name);
	doc_text(doc, "severity", gow_severity_name(problem->severity));
	doc_uint(doc, "count", finding->count);
	doc_text(doc, "message", problem->title);
	add_place(doc, "first", &finding->first);
	if (problem->fix)
		doc_text(doc, "fix", problem->fix);
	else
		doc_null(doc, "fix");
}

static int add_finding(struct doc *doc, gow_check *check, const gow_finding *finding, bool places,
                       gow_error *error)
{
	int code = GOW_OK;

	doc_object(doc, NULL);
	finding_json(doc, finding);
	if (places) {
		doc_array(doc, "blocks");
		code = gow_check_each_place(check, finding->problem->id, visit_json, doc, error);
		if (code)
			return code;
		doc_close(doc);
	}
	doc_close(doc);
	return GOW_OK;
}

int findings_json(struct doc *doc, gow_check *check, bool places, gow_error *error)
{
	const gow_finding *findings;
	size_t count = gow_check_findings(check, &findings);

	doc_uint(doc, "corrupt", gow_check_count(check, GOW_CORRUPT));
	doc_uint(doc, "advisory", gow_check_count(check, GOW_ADVISORY));
	doc_array(doc, "findings");
	for (size_t i = 0; i < count; i++) {
		int code = add_finding(doc, check, &findings[i], places, error);

		if (code)
			return code;
	}
	doc_close(doc);
	return GOW_OK;
}

/* ---- text -------------------------------------------------------------------------------- */

void findings_severity(struct out *out, gow_severity severity)
{
	const char *colour = severity == GOW_CORRUPT ? "\033[1;31m" : "\033[33m";
	const char *name = gow_severity_name(severity);

	if (out->colour)
		out_print(out, "%s%s\033[0m", colour, name);
	else
		out_print(out, "%s", name);
}

static void print_place(struct out *out, const gow_place *place)
{
	const char *comma = "";

	if (place->logical != GOW_NOWHERE && place->other != GOW_NOWHERE) {
		out_print(out, "logical blocks %" PRIu64 " and %" PRIu64, place->logical,
		          place->other);
		comma = ", ";
	} else if (place->logical != GOW_NOWHERE) {
		out_print(out, "logical block %" PRIu64, place->logical);
		comma = ", ";
	}
	if (place->physical != GOW_NOWHERE) {
		out_print(out, "%sphysical block %" PRIu64, comma, place->physical);
		comma = ", ";
	}
	if (place->offset != GOW_NOWHERE)
		out_print(out, "%soffset %" PRIu64, comma, place->offset);
}

static int visit_text(void *context, const gow_place *place)
{
	struct out *out = context;

	out_print(out, "    ");
	print_place(out, place);
	out_print(out, "\n");
	return out->failed || signals_stop();
}

/* "3 map entries: "; nothing where there can only be one. */
static void print_count(struct out *out, const gow_finding *finding)
{
	const char *unit = finding->problem->unit;
	size_t length = strlen(unit);

	if (strcmp(unit, "header") == 0 || strcmp(unit, "journal") == 0)
		return;
	if (finding->count == 1)
		out_print(out, "1 %s: ", unit);
	else if (unit[length - 1] == 'y')
		out_print(out, "%" PRIu64 " %.*s%s: ", finding->count, (int)length - 1, unit,
		          "ies");
	else
		out_print(out, "%" PRIu64 " %ss: ", finding->count, unit);
}

void finding_text(struct out *out, const char *image, const gow_finding *finding)
{
	out_name(out, image);
	out_print(out, ": %s (", finding->problem->name);
	findings_severity(out, finding->problem->severity);
	out_print(out, "): ");
	print_count(out, finding);
	out_print(out, finding->count == 1 ? "%s: " : "%s; first: ", finding->problem->title);
	print_place(out, &finding->first);
	out_print(out, "\n");
}

int findings_text(struct out *out, const char *image, gow_check *check, bool places,
                  gow_error *error)
{
	const gow_finding *findings;
	size_t count = gow_check_findings(check, &findings);

	for (size_t i = 0; i < count; i++) {
		int code = GOW_OK;

		finding_text(out, image, &findings[i]);
		if (places)
			code = gow_check_each_place(check, findings[i].problem->id, visit_text, out,
			                            error);
		if (code)
			return code;
	}
	return GOW_OK;
}

const char *findings_summary(const gow_check *check, char *buf, size_t size)
{
	unsigned corrupt = gow_check_count(check, GOW_CORRUPT);
	unsigned advisory = gow_check_count(check, GOW_ADVISORY);
	int used = 0;

	if (corrupt)
		used = snprintf(buf, size, "%u corrupt finding%s%s", corrupt,
		                corrupt == 1 ? "" : "s", advisory ? ", " : "");
	if (corrupt && advisory)
		(void)snprintf(buf + used, size - (size_t)used, "%u advisory", advisory);
	else if (!corrupt)
		(void)snprintf(buf, size, "%u advisory finding%s", advisory,
		               advisory == 1 ? "" : "s");
	return buf;
}
