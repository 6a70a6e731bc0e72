/* SPDX-License-Identifier: BSD-2-Clause */
/* manifest_file.h - manifests in files and in streams; "-" is standard input or output. */
#ifndef GOW_OPS_CHECK_MANIFEST_FILE_H
#define GOW_OPS_CHECK_MANIFEST_FILE_H

#include "io/lock.h"

/* One to be read, more than once: what comes as a stream is copied to a temporary file first. */
int gow_manifest_input(const char *path, const gow_common *common, struct gow_file **file,
                       struct gow_lock *lock, gow_error *error);

/* Copies a manifest that is whole to standard output. */
int gow_manifest_output(struct gow_file *file, const gow_monitor *monitor, gow_error *error);

#endif
