/* SPDX-License-Identifier: BSD-2-Clause */
/* undo_spot.c - which names an undo file may take, and what is made beside it. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "io/draft.h"
#include "journal/undo.h"
#include "journal/undo_format.h"

/* ---- beside the image ----------------------------------------------------------------------- */

int gow_undo_next_layer(const struct gow_undo_place *place, uint32_t *layer, char **name,
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
	int code = gow_undo_next_layer(place, &layer, &name, error);

	if (!code && is_too_long(name, unfinished))
		code = gow_fail(error, GOW_ERR_LIMIT,
		                "has a name too long for an undo file, which has %s%s added to it "
		                "while it is made; rename the image first",
		                name + strlen(place->image), unfinished);
	free(name);
	return code;
}

/* ---- elsewhere ------------------------------------------------------------------------------ */

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

void gow_undo_leave_spot(struct gow_undo_spot *spot)
{
	gow_directory_close(spot->directory);
	free(spot->name);
	free(spot->full);
	*spot = (struct gow_undo_spot){ .directory = NULL };
}

int gow_undo_find_spot(const struct gow_undo_place *place, const char *path,
                       struct gow_undo_spot *spot, gow_error *error)
{
	int code = gow_directory_reach(place->directory, path, &spot->directory, &spot->name,
	                               error);

	if (code)
		*spot = (struct gow_undo_spot){ .directory = NULL };
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

int gow_undo_refuse_beside(const struct gow_undo_place *place, const struct gow_undo_spot *spot,
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

static int refuse_unfinished(const struct gow_undo_spot *spot, gow_error *error)
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
	struct gow_undo_spot spot = { .directory = NULL };
	int code = gow_undo_find_spot(place, pointed, &spot, error);

	if (!code)
		code = gow_undo_refuse_beside(place, &spot, image, "leave --undo-file out", error);
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
	gow_undo_leave_spot(&spot);
	return code;
}

int gow_undo_check_other(const struct gow_undo_place *place, const char *path, const char *pointed,
                         const struct gow_file *image, gow_error *error)
{
	struct gow_undo_spot spot = { .directory = NULL }, undo = { .directory = NULL };
	int code = gow_undo_find_spot(place, path, &spot, error);

	if (!code)
		code = gow_undo_refuse_beside(place, &spot, image, "name another file", error);
	if (!code)
		code = refuse_unfinished(&spot, error);
	if (!code && pointed)
		code = gow_undo_find_spot(place, pointed, &undo, error);
	if (!code && pointed)
		code = refuse_same(spot.full, undo.full, "", error);
	if (!code && pointed)
		code = refuse_same(spot.full, undo.full, unfinished_elsewhere, error);
	gow_undo_leave_spot(&spot);
	gow_undo_leave_spot(&undo);
	return code;
}
