/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/pending.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "io/overlay.h"
#include "io/uri.h"
#include "journal/sync_record.h"
#include "journal/trailer.h"
#include "journal/undo.h"

/* Finds one kind of record; leaves pending alone where there is none. */
typedef int (*finder)(struct gow_file *file, const struct gow_header *header,
                      struct gow_pending *pending, gow_error *error);

/* Looks for the undo file of an interrupted repair beside the image. */
static int find_undo_by(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        struct gow_undo_search *found, gow_error *error)
{
	struct gow_undo_place place = { .rows = rows, .row_count = row_count };
	char *name;
	int code = gow_directory_of(file->name, &place.directory, &name, error);

	if (code)
		return code;
	place.image = name;
	code = gow_undo_find(&place, file, false, found, error);
	gow_directory_close(place.directory);
	free(name);
	return code;
}

static int find_undo(struct gow_file *file, const struct gow_header *header,
                     struct gow_undo_search *found, gow_error *error)
{
	return find_undo_by(file, header->layout, 1, found, error);
}

/* Finds an interrupted repair by its undo file; with lost, by a pointer to one that is missing. */
static int find_repair_by(struct gow_file *file, const struct gow_header *header, bool lost,
                          struct gow_pending *pending, gow_error *error)
{
	struct gow_undo_search found;
	int code = header->pending ? find_undo(file, header, &found, error) : GOW_OK;

	if (code || !header->pending)
		return code;
	if (lost && !found.undo && found.missing) {
		pending->kind = GOW_PENDING_REPAIR;
		(void)snprintf(pending->what, sizeof pending->what, "repair; %.200s", found.doubt);
	} else if (!lost && found.undo) {
		pending->kind = GOW_PENDING_REPAIR;
		(void)snprintf(pending->what, sizeof pending->what, "%s (%.200s)",
		               found.undo->done ? "taking back a repair" : "repair",
		               found.undo->what);
	}
	gow_undo_close(found.undo);
	return GOW_OK;
}

static int find_repair(struct gow_file *file, const struct gow_header *header,
                       struct gow_pending *pending, gow_error *error)
{
	return find_repair_by(file, header, false, pending, error);
}

/* A pointer to an undo file that is missing counts only where no other record is found: its repair
 * may have ended long ago. */
static int find_lost_repair(struct gow_file *file, const struct gow_header *header,
                            struct gow_pending *pending, gow_error *error)
{
	return find_repair_by(file, header, true, pending, error);
}

/* A copy that gow-sync was overwriting in place. */
static int find_sync(struct gow_file *file, const struct gow_header *header,
                     struct gow_pending *pending, gow_error *error)
{
	struct gow_directory *directory;
	struct gow_sync_record record;
	bool found = false;
	char *name;
	int code = header->pending ? gow_directory_of(file->name, &directory, &name, error)
	                           : GOW_OK;

	if (code || !header->pending)
		return code;
	code = gow_sync_record_init(&record, directory, name, error);
	if (!code) {
		code = gow_sync_record_open(&record, false, &found, error);
		if (found && record.in_place) {
			pending->kind = GOW_PENDING_SYNC;
			(void)snprintf(pending->what, sizeof pending->what,
			               "synchronising in place (%.200s); run gow-sync again",
			               record.name);
		}
		gow_sync_record_release(&record);
	}
	gow_directory_close(directory);
	free(name);
	return code;
}

int gow_pending_view(struct gow_file *file, const struct gow_header *header, struct gow_file **view,
                     gow_error *error)
{
	struct gow_file *made = NULL;
	struct gow_undo_search found;
	int code = find_undo(file, header, &found, error);

	*view = NULL;
	if (code || !found.undo)
		return code;
	code = gow_overlay_new(file, &made, error);
	if (!code)
		code = gow_undo_lay(found.undo, made, error);
	gow_undo_close(found.undo);
	if (code) {
		(void)gow_file_close(made, NULL);
		return code;
	}
	gow_overlay_own_base(made);
	*view = made;
	return GOW_OK;
}

/* Whether the file, read by that layout, is in the middle of a change. */
static bool is_pending_by(struct gow_file *file, const struct gow_layout *layout)
{
	struct gow_header header;

	return !gow_header_read(file, layout, 1, &header, NULL) && header.pending;
}

/* Takes the layout of the record, if no other is like it. */
static int take_layout(struct gow_file *file, const struct gow_undo *undo,
                       struct gow_layouts **layouts, gow_error *error)
{
	struct gow_layouts *made = NULL;
	int code;

	if (undo->layout != &undo->recorded || !is_pending_by(file, undo->layout))
		return GOW_OK;
	code = gow_layouts_of_row(undo->layout, &made, error);
	if (code)
		return code;
	gow_layouts_free(*layouts);
	*layouts = made;
	return GOW_OK;
}

/* Adds the layouts before and after, as the record behind an image has them. */
static int add_upgrade_layouts(struct gow_file *file, struct gow_layouts *layouts, gow_error *error)
{
	struct gow_trailer trailer;
	bool found;
	int code = gow_trailer_find_last(file, &trailer, &found, NULL);

	if (code == GOW_ERR_MEMORY)
		return gow_fail_memory(error, GOW_TRAILER_SECTOR);
	if (code || !found || trailer.format == GOW_TRAILER_OLD_FORMAT)
		return GOW_OK;
	code = gow_layouts_add(layouts, &trailer.from, error);
	return code ? code : gow_layouts_add(layouts, &trailer.to, error);
}

int gow_pending_layouts(struct gow_file *file, struct gow_layouts **layouts, gow_error *error)
{
	bool known;
	struct gow_undo_search found;
	const struct gow_layout *rows;
	struct gow_header header;
	size_t count;
	int code;

	/* Nothing lies beside what is on a server. */
	if ((*layouts && (*layouts)->given) || gow_name_is_uri(file->name))
		return GOW_OK;
	rows = gow_layouts_rows(*layouts, &count);
	code = gow_header_read(file, rows, count, &header, error);
	if (code != GOW_ERR_NOT_GOW && (code || !header.pending))
		return code;
	known = !code;
	if (known) {
		rows = header.layout;
		count = 1;
	}
	code = find_undo_by(file, rows, count, &found, NULL);
	if (code == GOW_ERR_MEMORY)
		return gow_fail_memory(error, sizeof found);
	if (code || !found.undo)
		return known || !*layouts ? GOW_OK : add_upgrade_layouts(file, *layouts, error);
	code = take_layout(file, found.undo, layouts, error);
	gow_undo_close(found.undo);
	return code;
}

/* One for every way of changing an image in place, in the order of certainty; ends with NULL. */
static const finder finders[] = {
	find_repair, gow_trailer_find_pending, find_sync, find_lost_repair, NULL,
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
