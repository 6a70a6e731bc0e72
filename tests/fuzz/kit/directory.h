/* SPDX-License-Identifier: BSD-2-Clause */
/* directory.h - real files, in the directory that the target runs in and has for itself. */
#ifndef GOW_FUZZ_DIRECTORY_H
#define GOW_FUZZ_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "kit/input.h"

/* Nothing in it that was there before. */
void directory_clear(void);

/* How many names there are. */
unsigned directory_count(void);

/* Makes a file of what is left of the input, which is packed (packing.h); at most limit bytes. */
void directory_unpack(const char *name, const struct input *packed, uint64_t limit);

/* A hash of a file's length and bytes; holes are zeros. */
uint64_t directory_hash(const char *name);

/* Length of a file in bytes. */
uint64_t directory_length(const char *name);

/* The offset of the next byte at or after offset that is in no hole; UINT64_MAX: there is none. */
uint64_t directory_next_data(int fd, uint64_t offset);

/* Makes it fail to write further than so many bytes into a file. */
void directory_limit(uint64_t bytes);

#endif
