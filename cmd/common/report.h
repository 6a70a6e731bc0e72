/* SPDX-License-Identifier: BSD-2-Clause */
/* report.h - messages to standard error: "TOOL: FILE: what is wrong (where): why". */
#ifndef GOW_CMD_REPORT_H
#define GOW_CMD_REPORT_H

#include <stdbool.h>

#include "common/progress.h"
#include "gow.h"

struct report {
	const char *tool;
	bool quiet;   /* errors only */
	bool verbose; /* details, too */
	bool colour;
	struct progress *progress; /* not owned; its bar gives way */
};

/* An error. file may be NULL. */
void report_error(const struct report *report, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A library's error about file, unless the error names another. */
void report_failure(const struct report *report, const char *file, const gow_error *error);

/* What the user should know, or (details) asked to know. */
void report_note(const struct report *report, gow_note_level level, const char *file,
                 const char *text);

#endif
