/* SPDX-License-Identifier: BSD-2-Clause */
/* device.h - what the system itself uses a block device for. */
#ifndef GOW_IO_DEVICE_H
#define GOW_IO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes "mounted at /mnt", "used as swap"; false, and nothing written, where path is no block device
 * or nothing is known. */
bool gow_device_use(const char *path, char *use, size_t size);

#endif
