/* SPDX-License-Identifier: BSD-2-Clause */
/* library.h - what libarchive answers. */
#ifndef GOW_DISK_ARCHIVE_LIBRARY_H
#define GOW_DISK_ARCHIVE_LIBRARY_H

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>

#include "gow.h"

/*
 * A call of libarchive failed: `code`, with `what` before its words. GOW_ERR_MEMORY where memory ran
 * out, which libarchive often says only by errno; so errno is 0 before its calls.
 */
int gow_library_failed(struct archive *archive, gow_code code, const char *what, gow_error *error);

/* How many bytes a filter has passed on (0: the plain ones) or taken (-1). */
int gow_library_bytes(struct archive *archive, int filter, uint64_t *bytes, gow_error *error);

/* Whether a compressor may be told to use threads: where none can be started, or memory is limited,
 * it would fail. */
bool gow_library_may_thread(void);

#endif
