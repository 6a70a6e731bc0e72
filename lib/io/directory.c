/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/posix.h"

/* ---- wrappers ---------------------------------------------------------------------------- */

int gow_directory_open_file(struct gow_directory *directory, const char *name, unsigned flags,
                            struct gow_file **file, gow_error *error)
{
	return directory->ops->open(directory, name, flags, file, error);
}

int gow_directory_rename(struct gow_directory *directory, const char *from, const char *to,
                         gow_error *error)
{
	return directory->ops->rename(directory, from, to, error);
}

int gow_directory_rename_new(struct gow_directory *directory, const char *from, const char *to,
                             gow_error *error)
{
	return directory->ops->rename_new(directory, from, to, error);
}

int gow_directory_remove(struct gow_directory *directory, const char *name, gow_error *error)
{
	return directory->ops->remove(directory, name, error);
}

int gow_directory_sync(struct gow_directory *directory, gow_error *error)
{
	return directory->ops->sync(directory, error);
}

int gow_directory_each(struct gow_directory *directory, gow_name_visitor visit, void *context,
                       gow_error *error)
{
	return directory->ops->each(directory, visit, context, error);
}

int gow_directory_reach(struct gow_directory *directory, const char *path,
                        struct gow_directory **there, char **name, gow_error *error)
{
	return directory->ops->reach(directory, path, there, name, error);
}

int gow_directory_check_entry(struct gow_directory *directory, const char *name,
                              const struct gow_file *file, const char *otherwise, gow_error *error)
{
	return directory->ops->check_entry
	               ? directory->ops->check_entry(directory, name, file, otherwise, error)
	               : GOW_OK;
}

int gow_directory_owner(struct gow_directory *directory, const char *name, struct gow_owner *owner,
                        gow_error *error)
{
	*owner = (struct gow_owner){ .known = false };
	return directory->ops->owner ? directory->ops->owner(directory, name, owner, error)
	                             : GOW_OK;
}

int gow_file_owner(const struct gow_file *file, struct gow_owner *owner, gow_error *error)
{
	struct gow_file_attributes attributes;
	int code = GOW_OK;

	*owner = (struct gow_owner){ .known = false };
	if (!gow_file_can(file, GOW_FILE_CAN_DRESS))
		return GOW_OK;
	code = gow_file_attributes(file, &attributes, error);
	if (!code)
		*owner = (struct gow_owner){ .known = true,
			                     .user = attributes.owner,
			                     .group = attributes.group,
			                     .others = attributes.mode & 022 };
	return code;
}

bool gow_owner_is_trusted(const struct gow_owner *owner, const struct gow_owner *model)
{
	return !owner->known || owner->user == 0 || owner->user == geteuid() ||
	       (model->known && owner->user == model->user);
}

bool gow_owner_lets_in_more(const struct gow_owner *owner, const struct gow_owner *model)
{
	const uint32_t known = model->known ? model->others : 0;

	if (known & 002)
		return false;
	return owner->others & ~known || (owner->others & 020 && owner->group != model->group);
}

void gow_directory_close(struct gow_directory *directory)
{
	if (directory)
		directory->ops->close(directory);
}

/* ---- the POSIX backend ------------------------------------------------------------------- */

struct posix_directory {
	struct gow_directory base;
	int fd;
};

static int fd_of(struct gow_directory *directory)
{
	return ((struct posix_directory *)directory)->fd;
}

/* What a file of that name is called in messages. */
static void full_name(const struct gow_directory *directory, const char *name, char full[PATH_MAX])
{
	const char *slash = strcmp(directory->path, "/") == 0 ? "" : "/";

	(void)snprintf(full, PATH_MAX, "%s%s%s", directory->path, slash, name);
}

static int call_failed(const struct gow_directory *directory, const char *name, const char *what,
                       gow_error *error)
{
	int code = gow_fail_errno(error, errno, "%s", what);
	char full[PATH_MAX];

	full_name(directory, name, full);
	return gow_fail_in_file(error, code, full);
}

static int posix_open(struct gow_directory *directory, const char *name, unsigned flags,
                      struct gow_file **file, gow_error *error)
{
	/* Nothing that others could put there is followed, or waited for. */
	int mode = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	char full[PATH_MAX];
	struct stat st;
	int fd, code;

	if (flags & GOW_DIRECTORY_CREATE)
		fd = openat(fd_of(directory), name, mode | O_RDWR | O_CREAT | O_EXCL,
		            flags & GOW_DIRECTORY_SHARED ? 0666 : 0600);
	else
		fd = openat(fd_of(directory), name,
		            mode | (flags & GOW_DIRECTORY_WRITE ? O_RDWR : O_RDONLY));
	if (fd < 0 && errno == ENOENT && !(flags & GOW_DIRECTORY_CREATE)) {
		*file = NULL;
		return GOW_OK;
	}
	if (fd < 0 && errno == EEXIST)
		return gow_fail(error, GOW_ERR_EXISTS, "exists already");
	full_name(directory, name, full);
	if (fd < 0 && errno == ELOOP) /* O_NOFOLLOW */
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_UNSUPPORTED,
		                                 "is a symbolic link, and none is followed here"),
		                        full);
	if (fd < 0 && errno == EWOULDBLOCK) /* somebody has a lease on it */
		return gow_fail_in_file(
			error, gow_fail(error, GOW_ERR_BUSY, "is in use by another process"), full);
	if (fd < 0)
		return call_failed(directory, name,
		                   flags & GOW_DIRECTORY_CREATE ? "cannot be made" : "cannot open",
		                   error);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return gow_fail_in_file(
			error, gow_fail(error, GOW_ERR_UNSUPPORTED, "is no regular file"), full);
	}
	code = gow_file_from_fd(fd, full, file, error);
	if (code && flags & GOW_DIRECTORY_CREATE)
		(void)unlinkat(fd_of(directory), name, 0);
	return code;
}

static int posix_rename(struct gow_directory *directory, const char *from, const char *to,
                        gow_error *error)
{
	return renameat(fd_of(directory), from, fd_of(directory), to) < 0
	               ? call_failed(directory, to, "cannot take its name", error)
	               : GOW_OK;
}

/* Where there are no hard links, either, somebody may come in between. */
static int rename_unless_taken(int fd, const char *from, const char *to)
{
	struct stat st;

	if (fstatat(fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	return errno == ENOENT ? renameat(fd, from, fd, to) : -1;
}

static int posix_rename_new(struct gow_directory *directory, const char *from, const char *to,
                            gow_error *error)
{
	const int fd = fd_of(directory);
	int result = renameat2(fd, from, fd, to, RENAME_NOREPLACE);

	/* Where a file system knows no flags, a hard link refuses an existing name as well. */
	if (result < 0 && (errno == EINVAL || errno == ENOSYS)) {
		result = linkat(fd, from, fd, to, 0);
		if (result == 0)
			(void)unlinkat(fd, from, 0);
		else if (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP)
			result = rename_unless_taken(fd, from, to);
	}
	if (result == 0)
		return GOW_OK;
	if (errno == EEXIST)
		return gow_fail(error, GOW_ERR_EXISTS,
		                "came into being while its content was made");
	return call_failed(directory, to, "cannot take its name", error);
}

static int posix_remove(struct gow_directory *directory, const char *name, gow_error *error)
{
	return unlinkat(fd_of(directory), name, 0) < 0 && errno != ENOENT
	               ? call_failed(directory, name, "cannot remove", error)
	               : GOW_OK;
}

static int posix_sync(struct gow_directory *directory, gow_error *error)
{
	/* Some file systems have no such call for directories: EINVAL. */
	return fsync(fd_of(directory)) < 0 && errno != EINVAL
	               ? call_failed(directory, "", "cannot bring the directory to stable storage",
	                             error)
	               : GOW_OK;
}

static int posix_each(struct gow_directory *directory, gow_name_visitor visit, void *context,
                      gow_error *error)
{
	int fd = openat(fd_of(directory), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int code = GOW_OK;

	if (!names) {
		code = call_failed(directory, "", "cannot list the directory", error);
		if (fd >= 0)
			(void)close(fd);
		return code;
	}
	for (errno = 0; !code && (entry = readdir(names)); errno = 0)
		code = visit(context, entry->d_name, error);
	if (!code && errno)
		code = call_failed(directory, "", "cannot list the directory", error);
	(void)closedir(names);
	return code;
}

static int posix_reach(struct gow_directory *directory, const char *path,
                       struct gow_directory **there, char **name, gow_error *error)
{
	(void)directory;
	return gow_directory_of(path, there, name, error);
}

/* Which mount an open file was reached through; 0 where the kernel does not say. */
static uint64_t mount_of(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
		return 0;
	return st.stx_mnt_id;
}

static int posix_check_entry(struct gow_directory *directory, const char *name,
                             const struct gow_file *file, const char *otherwise, gow_error *error)
{
	const int fd = gow_posix_fd(file);
	struct stat own, entry;
	int code = GOW_OK;

	if (fd < 0)
		return GOW_OK;
	if (fstat(fd, &own) < 0)
		return gow_fail_in_file(error, gow_fail_errno(error, errno, "cannot examine"),
		                        file->name);
	if (fstatat(fd_of(directory), name, &entry, AT_SYMLINK_NOFOLLOW) < 0 ||
	    entry.st_dev != own.st_dev || entry.st_ino != own.st_ino)
		code = gow_fail(error, GOW_ERR_CHANGED,
		                "was renamed or replaced while it was being opened");
	else if (otherwise && own.st_nlink > 1)
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "has %lu names (hard links), and what is kept beside one is not "
		                "found under the others: remove them, or %s",
		                (unsigned long)own.st_nlink, otherwise);
	else if (otherwise && mount_of(fd) != mount_of(fd_of(directory)))
		code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is mounted here from another directory, where what is kept beside "
		                "it is not found: use its name there, or %s",
		                otherwise);
	return gow_fail_in_file(error, code, file->name);
}

static int posix_owner(struct gow_directory *directory, const char *name, struct gow_owner *owner,
                       gow_error *error)
{
	struct stat st;

	if (fstatat(fd_of(directory), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? GOW_OK
		                       : call_failed(directory, name, "cannot examine", error);
	*owner = (struct gow_owner){
		.known = true, .user = st.st_uid, .group = st.st_gid, .others = st.st_mode & 022
	};
	return GOW_OK;
}

static void posix_close(struct gow_directory *directory)
{
	(void)close(fd_of(directory));
	free(directory->path);
	free(directory);
}

static const struct gow_directory_ops posix_ops = {
	.open = posix_open,
	.rename = posix_rename,
	.rename_new = posix_rename_new,
	.remove = posix_remove,
	.sync = posix_sync,
	.each = posix_each,
	.reach = posix_reach,
	.check_entry = posix_check_entry,
	.owner = posix_owner,
	.close = posix_close,
};

/* The directory of a path without links at its end; owns path. */
static int open_directory(char *path, struct gow_directory **directory, gow_error *error)
{
	struct posix_directory *made = calloc(1, sizeof *made);
	int code;

	if (made)
		made->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (made && made->fd >= 0) {
		made->base = (struct gow_directory){ &posix_ops, path };
		*directory = &made->base;
		return GOW_OK;
	}
	code = made ? gow_fail_errno(error, errno, "cannot open the directory")
	            : gow_fail_memory(error, sizeof *made);
	code = gow_fail_in_file(error, code, path);
	free(path);
	free(made);
	return code;
}

int gow_directory_of(const char *path, struct gow_directory **directory, char **name,
                     gow_error *error)
{
	char *real = realpath(path, NULL);
	const char *slash, *last;
	char *above, *copy;
	int code;

	/* A file that is yet to be made has no real path. */
	if (!real)
		real = strdup(path);
	if (!real)
		return gow_fail_memory(error, strlen(path));
	slash = strrchr(real, '/');
	last = slash ? slash + 1 : real;
	copy = strdup(last);
	if (!slash)
		above = strdup(".");
	else
		above = slash == real ? strdup("/") : strndup(real, (size_t)(slash - real));
	free(real);
	if (!copy || !above) {
		free(copy);
		free(above);
		return gow_fail_memory(error, strlen(path));
	}
	code = open_directory(above, directory, error);
	if (code)
		free(copy);
	else
		*name = copy;
	return code;
}
