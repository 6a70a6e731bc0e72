/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growing.h - structs of the public header that grow: an older caller's is shorter than ours, a
 * newer caller's longer. All of them begin with their size (gow.h says what that promises).
 *
 * A new member goes to the end, and may not take the place of what was padding there: an older
 * program's padding has any value. So these structs end without padding.
 */
#ifndef GOW_BASE_GROWING_H
#define GOW_BASE_GROWING_H

#include "gow.h"

/*
 * Copies the caller's options into full, of full_size bytes, which holds the defaults and its own
 * size; given may be NULL. GOW_ERR_ARGUMENT for a size that was not set, GOW_ERR_UNSUPPORTED for
 * a member behind ours that is not zero.
 */
int gow_take_struct(const void *given, void *full, size_t full_size, gow_error *error);

/*
 * The same for options that begin with struct_size, common and flags, as all do that have common
 * ones. known_flags are the flags of the operation that there are; another one is
 * GOW_ERR_UNSUPPORTED.
 */
int gow_take_options(const void *given, void *full, size_t full_size, unsigned known_flags,
                     gow_error *error);

/* Whether the caller's result can be written (NULL: not wanted); to be asked before any work. */
int gow_check_result(const void *given, gow_error *error);

/* Writes of full, of full_size bytes, as much as the caller's result has room for; what it has
 * behind that becomes zeros. given may be NULL. */
void gow_give_result(void *given, const void *full, size_t full_size);

#endif
