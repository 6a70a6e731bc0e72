/* SPDX-License-Identifier: BSD-2-Clause */
/* recognize.h - whether what was taken for a raw disk holds what a disk has. */
#ifndef GOW_OPS_RECOGNIZE_H
#define GOW_OPS_RECOGNIZE_H

#include "disk/disk.h"

/* Names what the disk that was copied holds ("gpt", "ntfs"; "zeros" where there is nothing else in
 * it); "" where it is nothing that is known. */
void gow_recognize(struct gow_sample *sample, const struct gow_copy *copy, char *found, size_t size);

#endif
