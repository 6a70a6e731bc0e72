/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/folder.h"

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

/* ---- wrappers ---------------------------------------------------------------------------- */

int gow_folder_open_file(struct gow_folder *folder, const char *name, unsigned flags,
                         struct gow_file **file, gow_error *error)
{
	return folder->ops->open(folder, name, flags, file, error);
}

int gow_folder_rename(struct gow_folder *folder, const char *from, const char *to,
                      gow_error *error)
{
	return folder->ops->rename(folder, from, to, error);
}

int gow_folder_remove(struct gow_folder *folder, const char *name, gow_error *error)
{
	return folder->ops->remove(folder, name, error);
}

int gow_folder_sync(struct gow_folder *folder, gow_error *error)
{
	return folder->ops->sync(folder, error);
}

int gow_folder_each(struct gow_folder *folder, gow_name_visitor visit, void *context,
                    gow_error *error)
{
	return folder->ops->each(folder, visit, context, error);
}

int gow_folder_reach(struct gow_folder *folder, const char *path, struct gow_folder **there,
                     char **name, gow_error *error)
{
	return folder->ops->reach(folder, path, there, name, error);
}

void gow_folder_close(struct gow_folder *folder)
{
	if (folder)
		folder->ops->close(folder);
}

/* ---- the POSIX backend ------------------------------------------------------------------- */

struct posix_folder {
	struct gow_folder base;
	int fd;
};

static int fd_of(struct gow_folder *folder)
{
	return ((struct posix_folder *)folder)->fd;
}

/* What a file of that name is called in messages. */
static void full_name(const struct gow_folder *folder, const char *name, char full[PATH_MAX])
{
	const char *slash = strcmp(folder->path, "/") == 0 ? "" : "/";

	(void)snprintf(full, PATH_MAX, "%s%s%s", folder->path, slash, name);
}

static int call_failed(const struct gow_folder *folder, const char *name, const char *what,
                       gow_error *error)
{
	int code = gow_fail_errno(error, errno, "%s", what);
	char full[PATH_MAX];

	full_name(folder, name, full);
	return gow_fail_in_file(error, code, full);
}

static int posix_open(struct gow_folder *folder, const char *name, unsigned flags,
                      struct gow_file **file, gow_error *error)
{
	/* Nothing that others could put there is followed, or waited for. */
	int mode = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	char full[PATH_MAX];
	struct stat st;
	int fd;

	if (flags & GOW_FOLDER_CREATE)
		fd = openat(fd_of(folder), name, mode | O_RDWR | O_CREAT | O_EXCL, 0600);
	else
		fd = openat(fd_of(folder), name,
		            mode | (flags & GOW_FOLDER_WRITE ? O_RDWR : O_RDONLY));
	if (fd < 0 && errno == ENOENT && !(flags & GOW_FOLDER_CREATE)) {
		*file = NULL;
		return GOW_OK;
	}
	if (fd < 0)
		return call_failed(folder, name,
		                   flags & GOW_FOLDER_CREATE ? "cannot be made" : "cannot open",
		                   error);
	full_name(folder, name, full);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_UNSUPPORTED,
		                                 "is no regular file"),
		                        full);
	}
	return gow_file_from_fd(fd, full, file, error);
}

static int posix_rename(struct gow_folder *folder, const char *from, const char *to,
                        gow_error *error)
{
	return renameat(fd_of(folder), from, fd_of(folder), to) < 0
	               ? call_failed(folder, to, "cannot take its name", error)
	               : GOW_OK;
}

static int posix_remove(struct gow_folder *folder, const char *name, gow_error *error)
{
	return unlinkat(fd_of(folder), name, 0) < 0 && errno != ENOENT
	               ? call_failed(folder, name, "cannot remove", error)
	               : GOW_OK;
}

static int posix_sync(struct gow_folder *folder, gow_error *error)
{
	/* Some file systems have no such call for folders: EINVAL. */
	return fsync(fd_of(folder)) < 0 && errno != EINVAL
	               ? call_failed(folder, "", "cannot bring the folder to stable storage", error)
	               : GOW_OK;
}

static int posix_each(struct gow_folder *folder, gow_name_visitor visit, void *context,
                      gow_error *error)
{
	int fd = openat(fd_of(folder), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int code = GOW_OK;

	if (!names) {
		code = call_failed(folder, "", "cannot list the folder", error);
		if (fd >= 0)
			(void)close(fd);
		return code;
	}
	for (errno = 0; !code && (entry = readdir(names)); errno = 0)
		code = visit(context, entry->d_name, error);
	if (!code && errno)
		code = call_failed(folder, "", "cannot list the folder", error);
	(void)closedir(names);
	return code;
}

static int posix_reach(struct gow_folder *folder, const char *path, struct gow_folder **there,
                       char **name, gow_error *error)
{
	(void)folder;
	return gow_folder_of(path, there, name, error);
}

static void posix_close(struct gow_folder *folder)
{
	(void)close(fd_of(folder));
	free(folder->path);
	free(folder);
}

static const struct gow_folder_ops posix_ops = {
	.open = posix_open,
	.rename = posix_rename,
	.remove = posix_remove,
	.sync = posix_sync,
	.each = posix_each,
	.reach = posix_reach,
	.close = posix_close,
};

/* The folder of a path without links at its end; owns path. */
static int open_folder(char *path, struct gow_folder **folder, gow_error *error)
{
	struct posix_folder *made = calloc(1, sizeof *made);
	int code;

	if (made)
		made->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (made && made->fd >= 0) {
		made->base = (struct gow_folder){ &posix_ops, path };
		*folder = &made->base;
		return GOW_OK;
	}
	code = made ? gow_fail_errno(error, errno, "cannot open the folder")
	            : gow_fail_memory(error, sizeof *made);
	code = gow_fail_in_file(error, code, path);
	free(path);
	free(made);
	return code;
}

int gow_folder_of(const char *path, struct gow_folder **folder, char **name, gow_error *error)
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
	code = open_folder(above, folder, error);
	if (code)
		free(copy);
	else
		*name = copy;
	return code;
}
