/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "gow.h"

/* One call of fprintf, so that lines of processes that share a terminal do not mix. */
static void put_line(const struct report *report, const char *file, const char *label,
                     const char *text)
{
	char *shown = gow_shown_name(file ? file : "");
	char *clean_file = shown ? text_one_line(shown) : NULL;
	char *clean_text = text_one_line(text);

	progress_erase(report->progress);
	(void)fprintf(stderr, "%s: %s%s%s%s\n", report->tool, clean_file ? clean_file : "?",
	              file ? ": " : "", label, clean_text ? clean_text : "no memory");
	free(shown);
	free(clean_file);
	free(clean_text);
}

void report_error(const struct report *report, const char *file, const char *fmt, ...)
{
	char *text;
	va_list args;
	int size;

	va_start(args, fmt);
	size = vasprintf(&text, fmt, args);
	va_end(args);
	put_line(report, file, "", size >= 0 ? text : "no memory");
	if (size >= 0)
		free(text);
}

void report_failure(const struct report *report, const char *file, const gow_error *error)
{
	char text[sizeof error->what + 512];

	put_line(report, error->file[0] ? error->file : file, "",
	         gow_error_text(error, text, sizeof text));
}

void report_note(const struct report *report, gow_note_level level, const char *file,
                 const char *text)
{
	const char *label = report->colour ? "\033[33mwarning:\033[0m " : "warning: ";

	if (level == GOW_NOTE_DETAIL && !report->verbose)
		return;
	if (report->quiet && level != GOW_NOTE_IN_USE)
		return;
	put_line(report, file, level == GOW_NOTE_DETAIL ? "" : label, text);
}
