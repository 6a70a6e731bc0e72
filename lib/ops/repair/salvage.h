/* SPDX-License-Identifier: BSD-2-Clause */
/* salvage.h - saving blocks that no guest can see any more. */
#ifndef GOW_OPS_SALVAGE_H
#define GOW_OPS_SALVAGE_H

#include "io/directory.h"
#include "io/lock.h"
#include "ops/repair/plan.h"

/*
 * Writes the unreferenced blocks of base when the plan has been carried out (leaks, and what
 * the plan unmaps) to a new, sparse file at path: physical block number n at n * GOW_BLOCK_SIZE;
 * and a list of them to path with ".index" added. Both are durable when this succeeds. Makes
 * nothing where there are none. *blocks says how many; path NULL: only count them. The new file's
 * directory is reached by the means of `directory`, which is the image's; lock is the image's, too.
 */
int gow_salvage(struct gow_plan *plan, struct gow_file *base, struct gow_lock *lock,
                struct gow_directory *directory, const char *path, uint64_t *blocks,
                gow_error *error);

#endif
