/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/pending.h"

#include <stdio.h>
#include <stdlib.h>

#include "image/undo.h"

/* Finds one kind of record; leaves pending alone where there is none. */
typedef int (*finder)(struct gow_file *file, const struct gow_header *header,
                      struct gow_pending *pending, gow_error *error);

static int find_repair(struct gow_file *file, const struct gow_header *header,
                       struct gow_pending *pending, gow_error *error)
{
	struct gow_undo_place place = { .rows = header->layout, .row_count = 1 };
	struct gow_undo *undo = NULL;
	bool missing = false;
	char doubt[sizeof pending->what - 64];
	char *name;
	int code = gow_folder_of(file->name, &place.folder, &name, error);

	if (code)
		return code;
	place.image = name;
	code = gow_undo_find(&place, file, false, &undo, &missing, doubt, sizeof doubt, error);
	if (!code && (undo || missing))
		pending->kind = GOW_PENDING_REPAIR;
	if (!code && undo)
		(void)snprintf(pending->what, sizeof pending->what, "%s (%.200s)",
		               undo->done ? "taking back a repair" : "repair", undo->what);
	else if (!code && missing)
		(void)snprintf(pending->what, sizeof pending->what, "repair; %.200s", doubt);
	gow_undo_close(undo);
	gow_folder_close(place.folder);
	free(name);
	return code;
}

/* One for every way of changing an image in place; ends with NULL. */
static const finder finders[] = {
	find_repair,
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
