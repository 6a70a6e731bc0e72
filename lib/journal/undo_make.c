/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/draft.h"
#include "io/leftover.h"
#include "io/readback.h"
#include "journal/undo.h"

typedef int (*filler)(void *context, struct gow_file *file, gow_error *error);

/* ---- names ------------------------------------------------------------------------------- */

/* The layer that comes next, and the name of its file, allocated. */
static int next_layer(const struct gow_undo_place *place, uint32_t *layer, char **name,
                      gow_error *error)
{
	uint32_t *layers = NULL;
	size_t count = 0;
	int code = gow_undo_list_layers(place, true, &layers, &count, error);

	if (!code && count && layers[0] == LAYER_MAX)
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "there is no number left for another undo file");
	if (!code) {
		*layer = count ? layers[0] + 1 : 1;
		*name = gow_undo_name(place, *layer);
		if (!*name)
			code = gow_fail_memory(error, strlen(place->image));
	}
	free(layers);
	return code;
}

/* A name is longer while its file is made. */
static bool is_too_long(const char *name, const char *ending)
{
	return strlen(name) + strlen(ending) > NAME_MAX;
}

int gow_undo_check_name(const struct gow_undo_place *place, gow_error *error)
{
	uint32_t layer;
	char *name = NULL;
	int code = next_layer(place, &layer, &name, error);

	if (!code && is_too_long(name, unfinished))
		code = gow_fail(error, GOW_ERR_LIMIT,
		                "has a name too long for an undo file, which has %s%s added to it "
		                "while it is made; rename the image first",
		                name + strlen(place->image), unfinished);
	free(name);
	return code;
}

/* ---- files ------------------------------------------------------------------------------- */

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
	if (!code) /* a record that others may write to is not believed (open_trusted) */
		code = gow_file_close_to_others(made, error);
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

/* Where a file is to be made. */
struct spot {
	struct gow_directory *directory; /* NULL: nothing was found */
	char *name;                      /* in it */
	char *full;                      /* its absolute name */
};

static void leave_spot(struct spot *spot)
{
	gow_directory_close(spot->directory);
	free(spot->name);
	free(spot->full);
	*spot = (struct spot){ .directory = NULL };
}

/* To be left also when it fails. */
static int find_spot(const struct gow_undo_place *place, const char *path, struct spot *spot,
                     gow_error *error)
{
	int code = gow_directory_reach(place->directory, path, &spot->directory, &spot->name,
	                               error);

	if (code)
		*spot = (struct spot){ .directory = NULL };
	return code ? code : absolute(spot->directory, spot->name, &spot->full, error);
}

/* Whether a name is one of those that layers have, or are going to have. Not all file systems tell
 * small letters from capitals. */
static bool is_name_of_layer(const struct gow_undo_place *place, const char *name)
{
	const size_t length = strlen(place->image);

	return strncasecmp(name, place->image, length) == 0 &&
	       strncasecmp(name + length, suffix, sizeof suffix - 1) == 0;
}

/* The pointer would stand in its way. The directory may be the image's by another path. */
static int refuse_beside(const struct gow_undo_place *place, const struct spot *spot,
                         const struct gow_file *image, const char *hint, gow_error *error)
{
	int code;

	if (!is_name_of_layer(place, spot->name) ||
	    gow_directory_check_entry(spot->directory, place->image, image, NULL, NULL))
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_ARGUMENT, "is a name for undo files beside the image; %s",
	                hint);
	return gow_fail_in_file(error, code, spot->full);
}

/* Whether it is what some undo file is called while it is made, beside an image or elsewhere: the next
 * one of that name would take a finished one for its leftover. */
static bool is_unfinished_name(const char *name)
{
	const size_t ending = sizeof unfinished - 1, middle = sizeof suffix - 1;
	size_t length = strlen(name);

	if (length < ending || strcmp(name + length - ending, unfinished) != 0)
		return false;
	length -= ending;
	if (length && isdigit((unsigned char)name[length - 1])) {
		while (length && isdigit((unsigned char)name[length - 1]))
			length--;
		length -= length && name[length - 1] == '.';
	}
	return length >= middle && strncmp(name + length - middle, suffix, middle) == 0;
}

static int refuse_unfinished(const struct spot *spot, gow_error *error)
{
	return is_unfinished_name(spot->name)
	               ? gow_fail_in_file(error,
	                                  gow_fail(error, GOW_ERR_ARGUMENT,
	                                           "is a name for undo files that are not "
	                                           "finished; name another file"),
	                                  spot->full)
	               : GOW_OK;
}

/* Neither what is made nor the name that it has meanwhile may be the image's. */
static int refuse_image(const struct gow_file *image, const char *full, gow_error *error)
{
	char *meanwhile;
	bool same = gow_file_is_at(image, full);

	if (asprintf(&meanwhile, "%s%s", full, unfinished_elsewhere) < 0)
		return gow_fail_memory(error, strlen(full));
	same = same || gow_file_is_at(image, meanwhile);
	free(meanwhile);
	return same ? gow_fail_in_file(error,
	                               gow_fail(error, GOW_ERR_ARGUMENT,
	                                        "would take the name of the image itself; name "
	                                        "another file"),
	                               full)
	            : GOW_OK;
}

/* Fails where a path is the one that is not to be meant, by its absolute name. */
static int refuse_same(const char *full, const char *taken, const char *ending, gow_error *error)
{
	const size_t length = strlen(taken);

	if (strncasecmp(full, taken, length) != 0 || strcasecmp(full + length, ending) != 0)
		return GOW_OK;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_ARGUMENT,
	                                 "is what the undo file is called, or is called while it "
	                                 "is made; name another file"),
	                        full);
}

int gow_undo_check_pointed(const struct gow_undo_place *place, const char *pointed,
                           const struct gow_file *image, gow_error *error)
{
	struct spot spot = { .directory = NULL };
	int code = find_spot(place, pointed, &spot, error);

	if (!code)
		code = refuse_beside(place, &spot, image, "leave --undo-file out", error);
	if (!code)
		code = refuse_unfinished(&spot, error);
	if (!code)
		code = refuse_image(image, spot.full, error);
	if (!code)
		code = gow_fail_in_file(error, gow_draft_check_no_device(spot.full, error),
		                        spot.full);
	if (!code && is_too_long(spot.name, unfinished_elsewhere))
		code = gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_LIMIT,
		                                 "is too long a name: it has %s added to it while "
		                                 "it is made",
		                                 unfinished_elsewhere),
		                        spot.full);
	leave_spot(&spot);
	return code;
}

int gow_undo_check_other(const struct gow_undo_place *place, const char *path, const char *pointed,
                         const struct gow_file *image, gow_error *error)
{
	struct spot spot = { .directory = NULL }, undo = { .directory = NULL };
	int code = find_spot(place, path, &spot, error);

	if (!code)
		code = refuse_beside(place, &spot, image, "name another file", error);
	if (!code)
		code = refuse_unfinished(&spot, error);
	if (!code && pointed)
		code = find_spot(place, pointed, &undo, error);
	if (!code && pointed)
		code = refuse_same(spot.full, undo.full, "", error);
	if (!code && pointed)
		code = refuse_same(spot.full, undo.full, unfinished_elsewhere, error);
	leave_spot(&spot);
	leave_spot(&undo);
	return code;
}

/* Makes the undo file at path, away from the image, and the pointer to it. */
static int make_elsewhere(const struct gow_undo_place *place, const char *name, const char *path,
                          struct filling *filling, gow_error *error)
{
	struct gow_file *pointer = NULL;
	struct gow_undo *undo = filling->undo;
	struct spot spot = { .directory = NULL };
	int code = find_spot(place, path, &spot, error);

	undo->pointed = spot.full;
	if (!code)
		code = refuse_beside(place, &spot, filling->image, "leave --undo-file out", error);
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
	leave_spot(&spot);
	return code;
}

int gow_undo_make(const struct gow_undo_place *place, struct gow_file *image,
                  struct gow_file *overlay, const struct gow_layout *layout, const char *what,
                  const char *pointed, struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	struct filling filling = { made, image, overlay };
	char *name = NULL;
	int code = made ? next_layer(place, &made->layer, &name, error)
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
