/* SPDX-License-Identifier: BSD-2-Clause */
/* xxh.h - XXH3 by libxxhash; where it can, with the widest vectors that the processor has. */
#ifndef GOW_BASE_XXH_H
#define GOW_BASE_XXH_H

#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#endif
