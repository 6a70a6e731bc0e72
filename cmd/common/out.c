/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/streams.h"
#include "common/text.h"
#include "gow.h"

void out_init(struct out *out, int fd, struct progress *progress)
{
	*out = (struct out){ .fd = fd, .progress = progress, .colour = streams_colour(fd) };
}

static void let_out(struct out *out, const char *data, size_t size)
{
	if (out->failed || !size)
		return;
	progress_erase(out->progress);
	out->wrote = true;
	out->begun = true;
	out->failed = streams_write(out->fd, data, size);
}

static void let_out_held(struct out *out)
{
	let_out(out, out->held, out->used);
	out->used = 0;
}

void out_write(struct out *out, const char *data, size_t size)
{
	if (!out->held && !out->failed) {
		out->held = malloc(OUT_HELD);
		if (!out->held)
			out_fail(out, ENOMEM);
	}
	if (out->failed)
		return;
	if (size > OUT_HELD - out->used)
		let_out_held(out);
	if (size > OUT_HELD) {
		let_out(out, data, size);
		return;
	}
	memcpy(out->held + out->used, data, size);
	out->used += size;
}

void out_print(struct out *out, const char *fmt, ...)
{
	char line[512];
	char *text = line;
	va_list args;
	int size;

	va_start(args, fmt);
	size = vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	if (size >= (int)sizeof line) {
		va_start(args, fmt);
		size = vasprintf(&text, fmt, args);
		va_end(args);
	}
	if (size >= 0)
		out_write(out, text, (size_t)size);
	else
		out_fail(out, errno);
	if (size >= (int)sizeof line)
		free(text);
}

void out_text(struct out *out, const char *text)
{
	char *clean = text_one_line(text);

	if (clean)
		out_write(out, clean, strlen(clean));
	else
		out_fail(out, ENOMEM);
	free(clean);
}

void out_name(struct out *out, const char *name)
{
	char *shown = gow_shown_name(name);

	if (shown)
		out_text(out, shown);
	else
		out_fail(out, ENOMEM);
	free(shown);
}

void out_end_line(struct out *out, bool in_use)
{
	out_print(out, "%s\n", in_use ? " (in use: this may mix old and new)" : "");
}

void out_fail(struct out *out, int reason)
{
	if (!out->failed)
		out->failed = reason;
}

void out_commit(struct out *out)
{
	let_out_held(out);
	out->begun = false;
}

bool out_abandon(struct out *out)
{
	bool begun = out->begun;

	out->used = 0;
	out->begun = false;
	return begun;
}

int out_close(struct out *out)
{
	out_commit(out);
	/* Some file systems report only now that there was no room. Messages may still follow on
	 * standard error. */
	if (out->wrote && out->fd != STDERR_FILENO && close(out->fd) < 0)
		out_fail(out, errno);
	free(out->held);
	out->held = NULL;
	return out->failed;
}
