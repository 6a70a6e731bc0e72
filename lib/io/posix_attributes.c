/* SPDX-License-Identifier: BSD-2-Clause */
/* What a file of the system has besides its bytes: identity, mode, owner, attributes, room. */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "io/posix.h"

static int failed(const struct gow_file *file, const char *what, gow_error *error)
{
	return gow_fail_in_file(error, gow_fail_errno(error, errno, "%s", what), file->name);
}

/* ---- identity ---------------------------------------------------------------------------- */

/* A device is the same whatever node it was opened by. */
static struct gow_file_identity identity_in(const struct stat *st)
{
	static const char kind = 'p';

	if (S_ISBLK(st->st_mode))
		return (struct gow_file_identity){ &kind, { UINT64_MAX, st->st_rdev } };
	return (struct gow_file_identity){ &kind, { st->st_dev, st->st_ino } };
}

int gow_posix_identity(const struct gow_file *file, struct gow_file_identity *identity,
                       gow_error *error)
{
	struct stat st;

	if (fstat(gow_posix_fd(file), &st) < 0)
		return failed(file, "cannot examine", error);
	*identity = identity_in(&st);
	return GOW_OK;
}

static bool is_same(const struct gow_file *file, const struct stat *st)
{
	const struct gow_file_identity there = identity_in(st);
	struct gow_file_identity here;

	if (!file->ops->identity || file->ops->identity(file, &here, NULL))
		return false;
	return here.kind == there.kind && here.words[0] == there.words[0] &&
	       here.words[1] == there.words[1];
}

bool gow_file_is_at(const struct gow_file *file, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && is_same(file, &st);
}

bool gow_file_is_standard_output(const struct gow_file *file)
{
	struct stat st;

	return fstat(STDOUT_FILENO, &st) == 0 && is_same(file, &st);
}

/* ---- mode, owner, attributes ------------------------------------------------------------- */

int gow_posix_attributes(const struct gow_file *file, struct gow_file_attributes *attributes,
                         gow_error *error)
{
	struct stat st;

	if (fstat(gow_posix_fd(file), &st) < 0)
		return failed(file, "cannot examine", error);
	*attributes = (struct gow_file_attributes){
		.is_regular = S_ISREG(st.st_mode),
		.mode = st.st_mode & 0777,
		.owner = st.st_uid,
		.group = st.st_gid,
		.mtime = st.st_mtim.tv_sec,
		.mtime_nanoseconds = st.st_mtim.tv_nsec,
	};
	return GOW_OK;
}

int gow_posix_each_xattr(const struct gow_file *file, gow_file_xattr_visitor visit, void *context,
                         gow_error *error)
{
	char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
	ssize_t size = flistxattr(gow_posix_fd(file), names, sizeof names);
	int code = GOW_OK, unread = GOW_OK;

	if (size < 0 && errno != ENOTSUP)
		return failed(file, "cannot list the extended attributes", error);
	for (char *name = names; !code && size > 0 && name < names + size;
	     name += strlen(name) + 1) {
		ssize_t length = fgetxattr(gow_posix_fd(file), name, value, sizeof value);

		if (length >= 0)
			code = visit(context, name, value, (size_t)length, error);
		else if (errno != ENODATA)
			unread = failed(file, "cannot read an extended attribute", error);
	}
	return code ? code : unread;
}

/* An access list by its name as an attribute, acl(5). */
static const char access_list[] = "system.posix_acl_access";

struct dressing {
	int fd;
	bool list_lost; /* the model has an access list, and it could not be copied */
};

/* What may not be copied (another file system, no right) is left out. */
static int set_xattr(void *context, const char *name, const void *value, size_t size,
                     gow_error *error)
{
	struct dressing *dressing = context;

	(void)error;
	if (fsetxattr(dressing->fd, name, value, size, 0) < 0 && !strcmp(name, access_list))
		dressing->list_lost = true;
	return GOW_OK;
}

int gow_posix_dress(struct gow_file *file, const struct gow_file *like, gow_error *error)
{
	struct gow_file_attributes theirs, own;
	const int fd = gow_posix_fd(file);
	struct dressing dressing = { .fd = fd };
	int code = gow_file_attributes(like, &theirs, error);
	mode_t mode;

	if (!code)
		code = gow_file_attributes(file, &own, error);
	if (code || !theirs.is_regular)
		return code; /* a device's owner is no model for a file's: 0600 stays */
	mode = theirs.mode & 0777;
	if (own.owner != theirs.owner || own.group != theirs.group) {
		if (fchown(fd, theirs.owner, theirs.group) < 0 &&
		    fchown(fd, (uid_t)-1, theirs.group) < 0)
			/* Another group may do no more than everybody could. */
			mode &= ~(mode_t)0070 | (mode & 0007) << 3;
	}
	/* A directory can give every new file an access list (a default ACL): it may let in whom the
	 * model does not. */
	if (fremovexattr(fd, access_list) < 0 && errno != ENODATA && errno != ENOTSUP)
		return failed(file, "cannot remove an access list that the directory gave it",
		              error);
	/* What cannot be read may be one. */
	if (gow_file_each_xattr(like, set_xattr, &dressing, NULL))
		dressing.list_lost = true;
	/* The mode's group bits are what the list gave at most, not what the group had. */
	if (dressing.list_lost)
		mode &= ~(mode_t)0070;
	if (fchmod(fd, mode) < 0)
		code = failed(file, "cannot set the mode", error);
	return code;
}

int gow_posix_close_to_others(struct gow_file *file, gow_error *error)
{
	struct gow_file_attributes own;
	int code = gow_file_attributes(file, &own, error);

	if (!code && own.is_regular && (own.mode & 0022) &&
	    fchmod(gow_posix_fd(file), own.mode & ~(mode_t)0022) < 0)
		code = failed(file, "cannot set the mode", error);
	return code;
}

/* ---- room -------------------------------------------------------------------------------- */

uint64_t gow_posix_room_in(const struct statvfs *fs)
{
	uint64_t blocks = geteuid() == 0 ? fs->f_bfree : fs->f_bavail;
	uint64_t room;

	/* No blocks at all: a file system without a limit (or a pseudo one). */
	if (fs->f_blocks == 0 || __builtin_mul_overflow(blocks, (uint64_t)fs->f_frsize, &room))
		return UINT64_MAX;
	return room;
}

int gow_posix_room(const struct gow_file *file, uint64_t *room, gow_error *error)
{
	struct statvfs fs;

	if (fstatvfs(gow_posix_fd(file), &fs) < 0)
		return failed(file, "cannot ask for free space", error);
	if (fs.f_flag & ST_RDONLY) /* a dry run finds out here */
		return gow_fail_in_file(error,
		                        gow_fail_errno(error, EROFS, "would have to be written to"),
		                        file->name);
	*room = gow_posix_room_in(&fs);
	return GOW_OK;
}
