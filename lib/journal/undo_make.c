/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/draft.h"
#include "io/leftover.h"
#include "io/readback.h"
#include "journal/undo.h"

typedef int (*filler)(void *context, struct gow_file *file, gow_error *error);

static int refuse_taken(struct gow_directory *directory, const char *name, gow_error *error)
{
	struct gow_file *taken = NULL;
	int code = gow_directory_open_file(directory, name, 0, &taken, error);

	if (!code && taken)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_EXISTS,
		                                 "exists already; an undo file is never replaced"),
		                        taken->name);
	(void)gow_file_close(taken, NULL);
	return code;
}

/* On some file systems all files are somebody's, or everybody's: no record is left there, since it
 * would not be believed when it is needed (open_trusted). */
static int check_believed(const struct gow_file *made, const struct gow_file *image,
                          gow_error *error)
{
	struct gow_owner owner, model;
	int code = gow_file_owner(made, &owner, error);

	if (!code)
		code = gow_file_owner(image, &model, error);
	if (code ||
	    (gow_owner_is_trusted(&owner, &model) && !gow_owner_lets_in_more(&owner, &model)))
		return code;
	code = gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "would %s there, as its file system has it, and would not be believed "
	                "when it is needed: its place is on another one (gow-repair --undo-file)",
	                gow_owner_is_trusted(&owner, &model) ? "be open to others to write"
	                                                     : "belong to another user");
	return gow_fail_in_file(error, code, made->name);
}

static const struct gow_own_kind own = { "an undo file", head_magic, link_magic };

/* Gives what was made its name, which may have been taken meanwhile, as may the one that it has. */
static int take_name(struct gow_directory *directory, const char *meanwhile, const char *name,
                     const struct gow_file *made, gow_error *error)
{
	int code = gow_directory_rename_new(directory, meanwhile, name, error);

	if (code)
		return gow_fail_in_file(error, code, made->name);
	return gow_directory_check_entry(directory, name, made, NULL, error);
}

/* Makes a file that stands under its name only when it is whole and durable; *file is open then.
 * It has an ending meanwhile; what a crash left of an earlier attempt makes way. */
static int publish(struct gow_directory *directory, const char *name, const char *ending,
                   const struct gow_file *like, filler fill_file, void *context,
                   struct gow_file **file, gow_error *error)
{
	struct gow_file *made = NULL;
	char *meanwhile;
	int code;

	if (asprintf(&meanwhile, "%s%s", name, ending) < 0)
		return gow_fail_memory(error, strlen(name));
	code = refuse_taken(directory, name, error);
	if (!code)
		code = gow_remove_leftover(directory, meanwhile, &own, error);
	if (!code)
		code = gow_directory_open_file(directory, meanwhile, GOW_DIRECTORY_CREATE, &made,
		                               error);
	if (!code)
		code = gow_dress_like(made, like, error);
	if (!code)
		code = gow_file_close_to_others(made, error);
	if (!code)
		code = check_believed(made, like, error);
	if (!code)
		code = fill_file(context, made, error);
	if (!code) {
		made->name[strlen(made->name) - strlen(ending)] = '\0';
		code = take_name(directory, meanwhile, name, made, error);
	}
	if (!code) {
		code = gow_directory_sync(directory, error);
		if (code) /* nothing has been changed by it: it must not be found later */
			(void)gow_remove_if_same(directory, name, made, NULL);
	} else if (made) {
		(void)gow_remove_if_same(directory, meanwhile, made, NULL);
	}
	free(meanwhile);
	if (code)
		(void)gow_file_close(made, NULL);
	else
		*file = made;
	return code;
}

struct filling {
	struct gow_undo *undo;
	struct gow_file *image;
	struct gow_file *overlay;
};

/* Before there is anything else in it, so that whatever a crash leaves is known to be ours. */
static int tag(struct gow_file *made, gow_error *error)
{
	int code = gow_file_write(made, 0, head_magic, sizeof head_magic, error);

	return code ? code : gow_file_sync(made, error);
}

static int fill_undo(void *context, struct gow_file *file, gow_error *error)
{
	const struct filling *filling = context;
	struct gow_undo *undo = filling->undo;
	const struct gow_undo_place place = { .rows = undo->layout, .row_count = 1 };
	struct gow_undo now = { .file = file };
	int code = tag(file, error);

	if (code)
		return code;
	undo->file = file;
	code = gow_undo_fill(undo, filling->image, filling->overlay, error);
	undo->file = NULL;
	if (code)
		return code;
	gow_file_drop_cache(file);
	code = gow_undo_verify(&place, &now, error);
	if (!code && (now.spoilt || now.done || now.undone ||
	              memcmp(now.end_digest, undo->end_digest, GOW_UNDO_DIGEST) != 0))
		code = gow_fail_read_back(file, GOW_NOWHERE, error);
	return code;
}

static int fill_pointer(void *context, struct gow_file *file, gow_error *error)
{
	const char *path = context;
	uint32_t length = (uint32_t)strlen(path);
	uint8_t bytes[12 + PATH_MAX + 8];
	int code;

	memcpy(bytes, link_magic, 8);
	gow_record_put(bytes + 8, 4, length);
	memcpy(bytes + 12, path, length); // NOLINT(bugprone-not-null-terminated-result): counted
	gow_record_put(bytes + 12 + length, 8, XXH3_64bits(bytes, 12 + length));
	code = gow_file_write(file, 0, bytes, 12 + length + 8, error);
	if (!code)
		code = gow_file_sync(file, error);
	return code ? code : gow_file_check_written(file, 0, bytes, 12 + length + 8, error);
}

/* Makes the undo file at path, away from the image, and the pointer to it. */
static int make_elsewhere(const struct gow_undo_place *place, const char *name, const char *path,
                          struct filling *filling, gow_error *error)
{
	struct gow_file *pointer = NULL;
	struct gow_undo *undo = filling->undo;
	struct gow_undo_spot spot = { .directory = NULL };
	int code = gow_undo_find_spot(place, path, &spot, error);

	undo->pointed = spot.full;
	if (!code)
		code = gow_undo_refuse_beside(place, &spot, filling->image, "leave --undo-file out",
		                              error);
	if (!code)
		code = publish(spot.directory, spot.name, unfinished_elsewhere, filling->image,
		               fill_undo, filling, &undo->file, error);
	if (!code) {
		code = publish(place->directory, name, unfinished, filling->image, fill_pointer,
		               undo->pointed, &pointer, error);
		if (code)
			(void)gow_remove_if_same(spot.directory, spot.name, undo->file, NULL);
	}
	(void)gow_file_close(pointer, NULL);
	spot.full = NULL; /* the undo file's */
	gow_undo_leave_spot(&spot);
	return code;
}

int gow_undo_make(const struct gow_undo_place *place, struct gow_file *image,
                  struct gow_file *overlay, const struct gow_layout *layout, const char *what,
                  const char *pointed, struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	struct filling filling = { made, image, overlay };
	char *name = NULL;
	int code = made ? gow_undo_next_layer(place, &made->layer, &name, error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code) {
		made->layout = layout;
		(void)snprintf(made->what, sizeof made->what, "%s", what);
	}
	if (!code && pointed)
		code = make_elsewhere(place, name, pointed, &filling, error);
	else if (!code)
		code = publish(place->directory, name, unfinished, image, fill_undo, &filling,
		               &made->file, error);
	free(name);
	if (code)
		gow_undo_close(made);
	else
		*undo = made;
	return code;
}
