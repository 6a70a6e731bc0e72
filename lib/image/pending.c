/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/pending.h"

/* Finds one kind of record; leaves pending alone where there is none. */
typedef int (*finder)(struct gow_file *file, const struct gow_header *header,
                      struct gow_pending *pending, gow_error *error);

/* One for every way of changing an image in place; ends with NULL. */
static const finder finders[] = {
	NULL,
};

int gow_pending_find(struct gow_file *file, const struct gow_header *header,
                     struct gow_pending *pending, gow_error *error)
{
	int code = GOW_OK;

	*pending = (struct gow_pending){ .kind = GOW_PENDING_NONE };
	for (size_t i = 0; finders[i] && !code && pending->kind == GOW_PENDING_NONE; i++)
		code = finders[i](file, header, pending, error);
	return code;
}
