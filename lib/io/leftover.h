/* SPDX-License-Identifier: BSD-2-Clause */
/* leftover.h - what an earlier run has left under a name that the tools use makes way for the next. */
#ifndef GOW_IO_LEFTOVER_H
#define GOW_IO_LEFTOVER_H

#include "io/directory.h"

enum { GOW_OWN_MAGIC = 8 }; /* bytes that a file of ours begins with */

/* Files of ours, by what they begin with; word is what one is called in messages. */
struct gow_own_kind {
	const char *word;
	const uint8_t *magic, *other; /* other: NULL where there is only one */
};

/*
 * Removes what stands under the name, if it is of that kind, garbled or not, or holds nothing: no bytes, or zeros
 * only, as a run leaves that came to its end at once. So does what is no regular file. Anything
 * else is somebody's, and stays: GOW_ERR_EXISTS.
 */
int gow_remove_leftover(struct gow_directory *directory, const char *name,
                        const struct gow_own_kind *kind, gow_error *error);

/* Removes the name if it still stands for that open file, and otherwise leaves it alone. */
int gow_remove_if_same(struct gow_directory *directory, const char *name,
                       const struct gow_file *file, gow_error *error);

#endif
