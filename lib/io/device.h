/* SPDX-License-Identifier: BSD-2-Clause */
/* device.h - what the system itself uses a block device for. */
#ifndef GOW_IO_DEVICE_H
#define GOW_IO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/file.h"

/* Writes "mounted at /mnt", "used as swap"; false, and nothing written, where path is no block device
 * or nothing is known. */
bool gow_device_use(const char *path, char *use, size_t size);

/*
 * Whether bytes of the one are bytes of the other, as far as the kernel says: path is a device that is
 * made of the file or of the device that is open (a loop, a partition, a mapped device), or the other
 * way round.
 */
bool gow_device_overlaps(const struct gow_file *file, const char *path);

#endif
