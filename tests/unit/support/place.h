/* SPDX-License-Identifier: BSD-2-Clause */
/* place.h - a directory for every test that needs real files; gone when the program is. */
#ifndef GOW_TESTS_PLACE_H
#define GOW_TESTS_PLACE_H

#include <stddef.h>

/* The directory, made when first asked for. */
const char *place(void);

/* A path in it that nothing stands at yet; good until 16 more were asked for. */
const char *place_path(void);

/* Makes a file with that content. */
void place_file(const char *path, const void *bytes, size_t size);

/* How many names the directory of path holds, or with that prefix. */
size_t place_count(const char *directory, const char *prefix);

#endif
