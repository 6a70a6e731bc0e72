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
		code = gow_directory_remove(directory, meanwhile, error);
	if (!code)
		code = gow_directory_open_file(directory, meanwhile, GOW_DIRECTORY_CREATE, &made,
		                               error);
	if (!code)
		code = gow_dress_like(made, like, error);
	if (!code) /* a record that others may write to is not believed (open_trusted) */
		code = gow_file_close_to_others(made, error);
	if (!code)
		code = fill_file(context, made, error);
	if (!code)
		code = gow_directory_rename(directory, meanwhile, name, error);
	if (!code) {
		made->name[strlen(made->name) - strlen(ending)] = '\0';
		code = gow_directory_sync(directory, error);
		if (code) /* nothing has been changed by it: it must not be found later */
			(void)gow_directory_remove(directory, name, NULL);
	} else if (made) {
		(void)gow_directory_remove(directory, meanwhile, NULL);
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

static int fill_undo(void *context, struct gow_file *file, gow_error *error)
{
	const struct filling *filling = context;
	struct gow_undo *undo = filling->undo;
	const struct gow_undo_place place = { .rows = undo->layout, .row_count = 1 };
	struct gow_undo now = { .file = file };
	int code;

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

/* The absolute name of a file that is yet to be made in directory, allocated. */
static int absolute(const struct gow_directory *directory, const char *name, char **path,
                    gow_error *error)
{
	char *real = realpath(directory->path, NULL);
	int code = GOW_OK;

	*path = NULL;
	if (!real)
		code = gow_fail_in_file(
			error, gow_fail_errno(error, errno, "cannot find the directory any more"),
			directory->path);
	else if (asprintf(path, "%s/%s", real, name) < 0)
		code = gow_fail_memory(error, strlen(real));
	else if (strlen(*path) >= PATH_MAX)
		code = gow_fail_in_file(error, gow_fail(error, GOW_ERR_LIMIT, "is too long a name"),
		                        *path);
	free(real);
	return code;
}

/* A name that layers have, or are going to have: the pointer would stand in its way. */
static int refuse_beside(const struct gow_undo_place *place, const char *path, gow_error *error)
{
	char *image;
	int code = absolute(place->directory, place->image, &image, error);
	const size_t length = image ? strlen(image) : 0;

	if (!code && strncmp(path, image, length) == 0 &&
	    strncmp(path + length, suffix, sizeof suffix - 1) == 0)
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_ARGUMENT,
		                                 "is a name for undo files beside the image; leave "
		                                 "--undo-file out"),
		                        path);
	free(image);
	return code;
}

int gow_undo_check_pointed(const struct gow_undo_place *place, const char *pointed,
                           gow_error *error)
{
	struct gow_directory *directory;
	char *name, *full = NULL;
	int code = gow_directory_reach(place->directory, pointed, &directory, &name, error);

	if (code)
		return code;
	code = absolute(directory, name, &full, error);
	if (!code)
		code = refuse_beside(place, full, error);
	if (!code)
		code = gow_fail_in_file(error, gow_draft_check_no_device(directory->path, error),
		                        full);
	gow_directory_close(directory);
	free(name);
	free(full);
	return code;
}

/* Makes the undo file at path, away from the image, and the pointer to it. */
static int make_elsewhere(const struct gow_undo_place *place, const char *name, const char *path,
                          struct filling *filling, gow_error *error)
{
	struct gow_file *pointer = NULL;
	struct gow_undo *undo = filling->undo;
	struct gow_directory *directory;
	char *there;
	int code = gow_directory_reach(place->directory, path, &directory, &there, error);

	if (code)
		return code;
	code = absolute(directory, there, &undo->pointed, error);
	if (!code)
		code = refuse_beside(place, undo->pointed, error);
	if (!code)
		code = publish(directory, there, unfinished_elsewhere, filling->image, fill_undo,
		               filling, &undo->file, error);
	if (!code) {
		code = publish(place->directory, name, unfinished, filling->image, fill_pointer,
		               undo->pointed, &pointer, error);
		if (code)
			(void)gow_directory_remove(directory, there, NULL);
	}
	(void)gow_file_close(pointer, NULL);
	gow_directory_close(directory);
	free(there);
	return code;
}

int gow_undo_make(const struct gow_undo_place *place, struct gow_file *image,
                  struct gow_file *overlay, const struct gow_layout *layout, const char *what,
                  const char *pointed, struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	struct filling filling = { made, image, overlay };
	uint32_t *layers = NULL;
	char *name = NULL;
	size_t count = 0;
	int code = made ? gow_undo_list_layers(place, true, &layers, &count, error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code && count && layers[0] == LAYER_MAX)
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "there is no number left for another undo file");
	if (!code) {
		made->layer = count ? layers[0] + 1 : 1;
		made->layout = layout;
		(void)snprintf(made->what, sizeof made->what, "%s", what);
		name = gow_undo_name(place, made->layer);
		if (!name)
			code = gow_fail_memory(error, strlen(place->image));
	}
	if (!code && pointed)
		code = make_elsewhere(place, name, pointed, &filling, error);
	else if (!code)
		code = publish(place->directory, name, unfinished, image, fill_undo, &filling,
		               &made->file, error);
	free(layers);
	free(name);
	if (code)
		gow_undo_close(made);
	else
		*undo = made;
	return code;
}
