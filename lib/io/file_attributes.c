/* SPDX-License-Identifier: BSD-2-Clause */
/* file_attributes.c - what a file has besides its bytes: identity, attributes, the room left. */
#include <string.h>

#include "base/error.h"
#include "io/file_parts.h"

bool gow_file_same(const struct gow_file *a, const struct gow_file *b)
{
	struct gow_file_identity left, right;

	if (a == b)
		return true;
	return a->ops->identity && b->ops->identity && !a->ops->identity(a, &left, NULL) &&
	       !b->ops->identity(b, &right, NULL) && left.kind == right.kind &&
	       left.words[0] == right.words[0] && left.words[1] == right.words[1];
}

int gow_file_identity(const struct gow_file *file, struct gow_file_identity *identity,
                      gow_error *error)
{
	return file->ops->identity ? file->ops->identity(file, identity, error)
	                           : gow_file_cannot(file, "has no identity", error);
}

int gow_file_attributes(const struct gow_file *file, struct gow_file_attributes *attributes,
                        gow_error *error)
{
	return file->ops->attributes ? file->ops->attributes(file, attributes, error)
	                             : gow_file_cannot(file, "has no attributes", error);
}

int gow_file_each_xattr(const struct gow_file *file, gow_file_xattr_visitor visit, void *context,
                        gow_error *error)
{
	return file->ops->each_xattr ? file->ops->each_xattr(file, visit, context, error) : GOW_OK;
}

int gow_file_close_to_others(struct gow_file *file, gow_error *error)
{
	return file->ops->close_to_others ? file->ops->close_to_others(file, error) : GOW_OK;
}

int gow_dress_like(struct gow_file *file, const struct gow_file *like, gow_error *error)
{
	return file->ops->dress && like->ops->attributes ? file->ops->dress(file, like, error)
	                                                 : GOW_OK;
}

int gow_check_room_of(uint64_t room, uint64_t need, const char *name, gow_error *error)
{
	if (room >= need)
		return GOW_OK;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_NO_SPACE,
	                                 "needs %llu bytes, and its file system has %llu free; "
	                                 "nothing was written",
	                                 (unsigned long long)need, (unsigned long long)room),
	                        name);
}

int gow_check_room(const struct gow_file *file, uint64_t need, gow_error *error)
{
	uint64_t room = UINT64_MAX;
	int code = file->ops->room ? file->ops->room(file, &room, error) : GOW_OK;

	return code ? code : gow_check_room_of(room, need, file->name, error);
}
