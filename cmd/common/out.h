/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * out.h - where results go. A result is held back until it is whole, so that one that fails
 * leaves nothing; what is longer than OUT_HELD bytes is written as it comes, so that memory stays
 * bounded.
 */
#ifndef GOW_CMD_OUT_H
#define GOW_CMD_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/progress.h"

enum { OUT_HELD = 1 << 20 };

struct out {
	int fd;
	bool colour;
	struct progress *progress; /* not owned; its bar gives way */
	char *held;                /* OUT_HELD bytes, made when first needed */
	size_t used;
	bool begun; /* a part of this result is written already */
	bool wrote;
	int failed; /* errno of the first failure; nothing is written after it */
};

void out_init(struct out *out, int fd, struct progress *progress);

void out_write(struct out *out, const char *data, size_t size);
void out_print(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What others chose, without the control characters that would break the line or the terminal. */
void out_text(struct out *out, const char *text);

/* The same of a file's name or a URI, of which the user and the password are left out. */
void out_name(struct out *out, const char *name);

/* Ends a line about an image, and says whether it was in use while it was read. */
void out_end_line(struct out *out, bool in_use);

/* A result could not even be made (errno): as if writing it had failed. */
void out_fail(struct out *out, int reason);

/* The result is whole: lets it out. */
void out_commit(struct out *out);

/* The result failed: drops what is held. Whether a part is out already. */
bool out_abandon(struct out *out);

/* Ends it: lets out what is held, closes, frees. 0, or the errno of the first failure. */
int out_close(struct out *out);

#endif
