/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/pending.h"

#include <stdio.h>
#include <stdlib.h>

#include "image/undo.h"
#include "io/overlay.h"
#include "image/trailer.h"

/* Finds one kind of record; leaves pending alone where there is none. */
typedef int (*finder)(struct gow_file *file, const struct gow_header *header,
                      struct gow_pending *pending, gow_error *error);

/* Looks for the undo file of an interrupted repair beside the image. */
static int find_undo(struct gow_file *file, const struct gow_header *header,
                     struct gow_undo **undo, bool *missing, char *doubt, size_t doubt_size,
                     gow_error *error)
{
	struct gow_undo_place place = { .rows = header->layout, .row_count = 1 };
	char *name;
	int code = gow_folder_of(file->name, &place.folder, &name, error);

	if (code)
		return code;
	place.image = name;
	code = gow_undo_find(&place, file, false, undo, missing, doubt, doubt_size, error);
	gow_folder_close(place.folder);
	free(name);
	return code;
}

static int find_repair(struct gow_file *file, const struct gow_header *header,
                       struct gow_pending *pending, gow_error *error)
{
	struct gow_undo *undo;
	char doubt[sizeof pending->what];
	bool missing;
	int code = find_undo(file, header, &undo, &missing, doubt, sizeof doubt, error);

	if (code)
		return code;
	if (undo || missing)
		pending->kind = GOW_PENDING_REPAIR;
	if (undo)
		(void)snprintf(pending->what, sizeof pending->what, "%s (%.200s)",
		               undo->done ? "taking back a repair" : "repair", undo->what);
	else if (missing)
		(void)snprintf(pending->what, sizeof pending->what, "repair; %.200s", doubt);
	gow_undo_close(undo);
	return GOW_OK;
}

int gow_pending_view(struct gow_file *file, const struct gow_header *header,
                     struct gow_file **view, gow_error *error)
{
	struct gow_file *made = NULL;
	struct gow_undo *undo;
	char doubt[256];
	bool missing;
	int code = find_undo(file, header, &undo, &missing, doubt, sizeof doubt, error);

	*view = NULL;
	if (code || !undo)
		return code;
	code = gow_overlay_new(file, &made, error);
	if (!code)
		code = gow_undo_lay(undo, made, error);
	gow_undo_close(undo);
	if (code) {
		(void)gow_file_close(made, NULL);
		return code;
	}
	gow_overlay_own_base(made);
	*view = made;
	return GOW_OK;
}

/* One for every way of changing an image in place; ends with NULL. */
static const finder finders[] = {
	find_repair,
	gow_trailer_find_pending,
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
