/* SPDX-License-Identifier: BSD-2-Clause */
/* auto.c - the layout of an image for whoever wants to read it: --layout auto. */
#include <stdlib.h>

#include "base/error.h"
#include "base/monitor.h"
#include "journal/pending.h"
#include "ops/infer/infer.h"

static int refuse(const struct gow_file *file, const struct gow_infer *infer, gow_error *error)
{
	const size_t last = infer->evidence_count - 1;
	int code = gow_fail(error, GOW_ERR_NOT_GOW,
	                    "its layout cannot be inferred (%s%s%s); see gow-probe -v, or give a "
	                    "layout file",
	                    gow_probe_verdict_name(infer->verdict),
	                    infer->evidence_count ? ": " : "",
	                    infer->evidence_count ? infer->evidence[last].says : "");

	return gow_fail_in_file(error, code, file->name);
}

/* The best candidate, if it is good enough to be read by. */
static int choose(const struct gow_file *file, const gow_monitor *monitor,
                  const struct gow_infer *infer, struct gow_layouts **layouts, gow_error *error)
{
	if (infer->verdict < GOW_PROBE_LIKELY)
		return refuse(file, infer, error);
	if (infer->verdict == GOW_PROBE_LIKELY)
		gow_note(monitor, GOW_NOTE_WARNING, file->name,
		         "its layout is likely, and not proven: what is shown may be wrong (see "
		         "gow-probe -v)");
	return gow_layouts_of_row(&infer->candidates[0].row, layouts, error);
}

static int infer_layout(struct gow_file *file, const gow_monitor *monitor,
                        const struct gow_layouts *known, struct gow_layouts **layouts,
                        gow_error *error)
{
	struct gow_infer *infer = calloc(1, sizeof *infer);
	int code = infer ? gow_infer_layout(file, known, infer, error)
	                 : gow_fail_memory(error, sizeof *infer);

	if (!code)
		code = choose(file, monitor, infer, layouts, error);
	free(infer);
	return code;
}

int gow_infer_find_layout(struct gow_file *file, const gow_common *common,
                          struct gow_layouts **layouts, gow_error *error)
{
	const bool infer = gow_layouts_are_inferred(common->layout);
	struct gow_layouts *known = NULL;
	int code = gow_layouts_load(infer ? NULL : common->layout, common->monitor, &known, error);

	if (!code)
		code = gow_pending_layouts(file, &known, error);
	/* The record of a change is better than any evidence. */
	if (!code && infer && !known->given)
		code = infer_layout(file, common->monitor, known, layouts, error);
	else if (!code) {
		*layouts = known;
		known = NULL;
	}
	gow_layouts_free(known);
	return code;
}
