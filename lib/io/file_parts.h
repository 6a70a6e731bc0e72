/* SPDX-License-Identifier: BSD-2-Clause */
/* file_parts.h - what the files of the wrappers (file.h) have in common. */
#ifndef GOW_IO_FILE_PARTS_H
#define GOW_IO_FILE_PARTS_H

#include "io/file.h"

/* Fails because the backend cannot; what says what. */
int gow_file_cannot(const struct gow_file *file, const char *what, gow_error *error);

/* Fails for a range that no file can have: offset + size exceeds INT64_MAX. */
int gow_file_check_range(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

/* To be called before the content changes: what next_data found is remembered. */
void gow_file_forget_run(struct gow_file *file);

#endif
