/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.h - tables of many megabytes. */
#ifndef GOW_BASE_MEMORY_H
#define GOW_BASE_MEMORY_H

#include <stdint.h>

#include "base/error.h"

/*
 * A table of count 32-bit numbers, their values undefined; freed with free(). Asks for huge
 * pages: a map has 16 MiB, and taking it page by page costs more than checking it.
 */
int gow_alloc_table(size_t count, uint32_t **table, gow_error *error);

#endif
