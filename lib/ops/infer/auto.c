/* SPDX-License-Identifier: BSD-2-Clause */
/* auto.c - the layout of an image for whoever wants to read it: --layout auto. */
#include <stdlib.h>

#include "base/error.h"
#include "base/monitor.h"
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

int gow_infer_find_layout(struct gow_file *file, const gow_monitor *monitor,
                          struct gow_layouts **layouts, gow_error *error)
{
	struct gow_infer *infer = calloc(1, sizeof *infer);
	struct gow_layouts *known = NULL;
	int code = infer ? gow_layouts_load(NULL, monitor, &known, error)
	                 : gow_fail_memory(error, sizeof *infer);

	if (!code)
		code = gow_infer_layout(file, known, infer, error);
	if (!code)
		code = choose(file, monitor, infer, layouts, error);
	gow_layouts_free(known);
	free(infer);
	return code;
}
