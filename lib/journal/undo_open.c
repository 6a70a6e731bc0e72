/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/leftover.h"
#include "journal/undo.h"

/* If file is a pointer, *path is where it leads, allocated. */
static int read_pointer(const struct gow_undo *undo, char **path, gow_error *error)
{
	uint8_t bytes[12 + PATH_MAX + 8];
	uint64_t length;
	size_t got;
	/* No more than it takes to tell: what cannot be read further on may not matter. */
	int code = gow_file_read(undo->file, 0, bytes, 12, &got, error);

	*path = NULL;
	if (code || got < 12 || memcmp(bytes, link_magic, 8) != 0)
		return code;
	code = gow_file_read(undo->file, 0, bytes, sizeof bytes, &got, error);
	if (code)
		return code;
	length = gow_record_get(bytes + 8, 4);
	if (length >= PATH_MAX || got != 12 + length + 8 || bytes[12] != '/' ||
	    memchr(bytes + 12, '\0', (size_t)length) ||
	    gow_record_get(bytes + 12 + length, 8) != XXH3_64bits(bytes, 12 + (size_t)length))
		return gow_undo_bad(undo, "the pointer to it is damaged", 0, error);
	*path = strndup((const char *)bytes + 12, (size_t)length);
	return *path ? GOW_OK : gow_fail_memory(error, (size_t)length);
}

/* Fails unless nobody else owns it, or may write to it but not to the image. */
static int check_owner(const struct gow_owner *owner, const struct gow_owner *model,
                       gow_error *error)
{
	const bool more = gow_owner_lets_in_more(owner, model);

	if (gow_owner_is_trusted(owner, model) && !more)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED, "%s",
	                more ? "can be written to by other users, so it is not "
	                       "believed; if it is yours, chmod go-w"
	                     : "belongs to another user, so it is not believed");
}

/* Opens what stands under the name, if it may be believed. Asked before, so that opening another
 * user's file does nothing, and afterwards, since the name may lead elsewhere by then. */
static int open_trusted(struct gow_directory *directory, const char *name,
                        const struct gow_owner *model, bool write, struct gow_file **file,
                        gow_error *error)
{
	struct gow_owner owner;
	char *full;
	int code = gow_directory_owner(directory, name, &owner, error);

	if (code)
		return code;
	code = check_owner(&owner, model, error);
	if (!code) {
		code = gow_directory_open_file(directory, name, write ? GOW_DIRECTORY_WRITE : 0,
		                               file, error);
		if (code || !*file)
			return code;
		code = gow_file_owner(*file, &owner, error);
		if (!code)
			code = check_owner(&owner, model, error);
	}
	if (!code)
		return GOW_OK;
	(void)gow_file_close(*file, NULL);
	*file = NULL;
	if (asprintf(&full, "%s/%s", directory->path, name) < 0)
		return code;
	code = gow_fail_in_file(error, code, full);
	free(full);
	return code;
}

/* The directory that a pointer leads to; NULL: it is gone. */
static int reach_pointed(const struct gow_undo_place *place, const char *pointed,
                         struct gow_directory **directory, char **name, gow_error *error)
{
	gow_error why = { .file = "" };
	int code = gow_directory_reach(place->directory, pointed, directory, name, &why);

	if (!code)
		return GOW_OK;
	*directory = NULL;
	if (why.sys_errno == ENOENT || why.sys_errno == ENOTDIR)
		return GOW_OK;
	if (error)
		*error = why;
	return code;
}

/* Goes where the pointer leads, which is checked before it is opened for writing. */
static int follow_pointer(const struct gow_undo_place *place, struct gow_undo *undo, bool write,
                          gow_error *error)
{
	struct gow_file *there = NULL;
	struct gow_directory *directory = NULL;
	char *name;
	struct gow_owner image;
	int code = gow_directory_owner(place->directory, place->image, &image, error);

	if (!code)
		code = reach_pointed(place, undo->pointed, &directory, &name, error);
	if (!code && directory) {
		code = open_trusted(directory, name, &image, write, &there, error);
		gow_directory_close(directory);
		free(name);
		if (code) /* which names what the pointer leads to */
			return code;
	}
	if (!code && there) {
		(void)gow_file_close(undo->file, NULL);
		undo->file = there;
		return GOW_OK;
	}
	if (!code)
		code = gow_fail_errno(error, ENOENT,
		                      "leads to an undo file that must be brought back, %s",
		                      undo->pointed);
	return gow_fail_in_file(error, code, undo->file->name);
}

static int no_layer(const struct gow_undo_place *place, const char *name, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH, "is gone");
	char *full;

	if (asprintf(&full, "%s/%s", place->directory->path, name) < 0)
		return gow_fail_memory(error, strlen(name));
	code = gow_fail_in_file(error, code, full);
	free(full);
	return code;
}

int gow_undo_open(const struct gow_undo_place *place, uint32_t layer, bool write,
                  struct gow_undo **undo, gow_error *error)
{
	struct gow_undo *made = calloc(1, sizeof *made);
	char *name = gow_undo_name(place, layer);
	int code;

	struct gow_owner image;

	if (!made || !name)
		code = gow_fail_memory(error, sizeof *made);
	else
		code = gow_directory_owner(place->directory, place->image, &image, error);
	if (!code)
		code = open_trusted(place->directory, name, &image, write, &made->file, error);
	if (!code && !made->file)
		code = no_layer(place, name, error);
	if (!code) {
		made->layer = layer;
		code = read_pointer(made, &made->pointed, error);
	}
	if (!code && made->pointed)
		code = follow_pointer(place, made, write, error);
	if (!code)
		code = gow_undo_verify(place, made, error);
	free(name);
	if (code)
		gow_undo_close(made);
	else
		*undo = made;
	return code;
}

void gow_undo_close(struct gow_undo *undo)
{
	if (!undo)
		return;
	(void)gow_file_close(undo->file, NULL);
	free(undo->pointed);
	free(undo);
}

/* Whether the name in that directory is still the undo file's. */
static int check_there(struct gow_directory *directory, const char *name,
                       const struct gow_undo *undo, gow_error *error)
{
	if (gow_directory_check_entry(directory, name, undo->file, NULL, NULL) != GOW_ERR_CHANGED)
		return GOW_OK;
	return gow_fail_in_file(
		error,
		gow_fail(error, GOW_ERR_CHANGED, "the undo file was removed or replaced meanwhile"),
		undo->file->name);
}

int gow_undo_check_there(const struct gow_undo_place *place, const struct gow_undo *undo,
                         gow_error *error)
{
	struct gow_directory *directory = NULL;
	char *name;
	int code;

	if (!undo->pointed) {
		name = gow_undo_name(place, undo->layer);
		code = name ? check_there(place->directory, name, undo, error)
		            : gow_fail_memory(error, strlen(place->image));
	} else {
		code = gow_directory_reach(place->directory, undo->pointed, &directory, &name,
		                           error);
		if (code)
			return code;
		code = check_there(directory, name, undo, error);
		gow_directory_close(directory);
	}
	free(name);
	return code;
}

uint64_t gow_undo_number_of(const struct gow_file *image)
{
	struct gow_file_identity identity;

	return gow_file_identity(image, &identity, NULL)
	               ? 0
	               : XXH3_64bits(identity.words, sizeof identity.words);
}

bool gow_undo_is_anothers(const struct gow_undo *undo, const struct gow_file *image)
{
	return undo->pointed && undo->image && undo->image != gow_undo_number_of(image);
}

/* The pointer goes first: one that leads nowhere would stand in the way. */
int gow_undo_remove(const struct gow_undo_place *place, const struct gow_undo *undo,
                    const struct gow_file *image, gow_error *error)
{
	char *name = gow_undo_name(place, undo->layer);
	struct gow_directory *directory;
	char *there;
	int code;

	if (!name)
		return gow_fail_memory(error, strlen(place->image));
	/* A pointer is not open any more; what it leads to is. */
	code = undo->pointed ? gow_directory_remove(place->directory, name, error)
	                     : gow_remove_if_same(place->directory, name, undo->file, error);

	free(name);
	if (!code)
		code = gow_directory_sync(place->directory, error);
	if (code || !undo->pointed || gow_undo_is_anothers(undo, image))
		return code;
	code = reach_pointed(place, undo->pointed, &directory, &there, error);
	if (code || !directory)
		return code;
	code = gow_remove_if_same(directory, there, undo->file, error);
	if (!code)
		code = gow_directory_sync(directory, error);
	gow_directory_close(directory);
	free(there);
	return code;
}
