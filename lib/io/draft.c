/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"

struct gow_draft {
	char *path;                /* the name to be, links resolved */
	char *temporary;           /* the name meanwhile; NULL: none on disk */
	struct gow_file *file;
	struct gow_file *replaced; /* what stands there, held while we work; may be NULL */
	struct gow_lock replaced_lock;
	bool force;
};

/* ---- names ------------------------------------------------------------------------------- */

/* The folder that path lies in, allocated. */
static char *folder_of(const char *path)
{
	char *copy = strdup(path);
	char *folder = copy ? strdup(dirname(copy)) : NULL;

	free(copy);
	return folder;
}

/* path with a link at its end followed, if there is something at the other end. */
static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : strdup(path);
}

static int failed(int code, const char *path, gow_error *error)
{
	return gow_fail_in_file(error, code, path);
}

int gow_draft_check(const char *path, bool force, gow_error *error)
{
	struct stat st;
	char *folder;
	int code = GOW_OK;

	if (lstat(path, &st) == 0 && !force)
		return failed(gow_fail(error, GOW_ERR_EXISTS,
		                       "exists already, and is not replaced; name another file"),
		              path, error);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return failed(gow_fail(error, GOW_ERR_UNSUPPORTED,
		                       "is no regular file and cannot be replaced"),
		              path, error);
	folder = folder_of(path);
	if (!folder)
		return gow_fail_memory(error, strlen(path));
	if (stat(folder, &st) < 0)
		code = gow_fail_errno(error, errno, "cannot make a file in its folder");
	else if (!S_ISDIR(st.st_mode))
		code = gow_fail_errno(error, ENOTDIR, "cannot make a file in its folder");
	else if (access(folder, W_OK | X_OK) < 0)
		code = gow_fail_errno(error, errno, "cannot make a file in its folder");
	free(folder);
	return code ? failed(code, path, error) : GOW_OK;
}

int gow_draft_check_force(const char *path, bool force, gow_error *error)
{
	int code = gow_draft_check(path, force, error);

	if (code != GOW_ERR_EXISTS)
		return code;
	return failed(gow_fail(error, GOW_ERR_EXISTS, "exists already; use --force to replace it"),
	              path, error);
}

/* Opens a file of a new name beside draft->path. */
static int open_temporary(struct gow_draft *draft, mode_t mode, gow_error *error)
{
	enum { TRIES = 100 };
	const char *slash = strrchr(draft->path, '/');
	int folder = slash ? (int)(slash - draft->path) + 1 : 0;
	int fd = -1;

	for (int i = 0; i < TRIES && fd < 0; i++) {
		uint32_t random;

		if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
			return failed(gow_fail_errno(error, errno, "no random name to be had"),
			              draft->path, error);
		free(draft->temporary);
		/* The name stays short whatever the image is called: NAME_MAX is near. */
		if (asprintf(&draft->temporary, "%.*s.gow-tmp-%08x", folder, draft->path,
		             (unsigned)random) < 0) {
			draft->temporary = NULL;
			return gow_fail_memory(error, PATH_MAX);
		}
		fd = open(draft->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0) {
		int code = gow_fail_errno(error, errno, "cannot make a file in its folder");

		free(draft->temporary);
		draft->temporary = NULL;
		return failed(code, draft->path, error);
	}
	/* Messages name what the user named. */
	return gow_file_from_fd(fd, draft->path, &draft->file, error);
}

/* ---- mode, owner, attributes ------------------------------------------------------------- */

/* Copies what may be copied; what may not (another file system, no right) is let be. */
static void copy_attributes(int from, int to)
{
	char names[16384], value[65536];
	ssize_t size = flistxattr(from, names, sizeof names);

	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = fgetxattr(from, name, value, sizeof value);

		if (length >= 0)
			(void)fsetxattr(to, name, value, (size_t)length, 0);
	}
}

int gow_dress_like(struct gow_file *file, const struct gow_file *like, gow_error *error)
{
	struct stat st, own;
	mode_t mode;

	if (file->fd < 0 || like->fd < 0)
		return GOW_OK; /* no file of the system's */
	if (fstat(like->fd, &st) < 0 || fstat(file->fd, &own) < 0)
		return failed(gow_fail_errno(error, errno, "cannot examine"), like->name, error);
	if (!S_ISREG(st.st_mode))
		return GOW_OK; /* a device's owner is no model for a file's: 0600 stays */
	mode = st.st_mode & 0777;
	if (own.st_uid != st.st_uid || own.st_gid != st.st_gid) {
		if (fchown(file->fd, st.st_uid, st.st_gid) < 0 &&
		    fchown(file->fd, (uid_t)-1, st.st_gid) < 0)
			/* Another group may do no more than everybody could. */
			mode &= ~(mode_t)0070 | (mode & 0007) << 3;
	}
	copy_attributes(like->fd, file->fd);
	if (fchmod(file->fd, mode) < 0)
		return failed(gow_fail_errno(error, errno, "cannot set the mode"), file->name,
		              error);
	return GOW_OK;
}

/* ---- life -------------------------------------------------------------------------------- */

/* Holds what stands under the name, so that it is not replaced under somebody's feet. */
static int hold_replaced(struct gow_draft *draft, const struct gow_draft_options *options,
                         gow_error *error)
{
	const gow_open_options open_options = {
		.flags = options->no_lock ? GOW_OPEN_NO_LOCK : 0,
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};

	if (access(draft->path, F_OK) < 0)
		return GOW_OK;
	return gow_open_locked(draft->path, GOW_FILE_WRITE, &open_options, &draft->replaced,
	                       &draft->replaced_lock, error);
}

int gow_draft_begin(const char *path, const struct gow_draft_options *options,
                    struct gow_draft **draft, gow_error *error)
{
	struct gow_draft *made;
	int code = gow_draft_check(path, options->force, error);

	if (code)
		return code;
	made = calloc(1, sizeof *made);
	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->force = options->force;
	made->path = resolve(path);
	code = made->path ? hold_replaced(made, options, error)
	                  : gow_fail_memory(error, strlen(path));
	if (!code)
		code = open_temporary(made, options->like ? 0600 : 0666, error);
	if (!code && options->like)
		code = gow_dress_like(made->file, options->like, error);
	if (code) {
		gow_draft_discard(made);
		return code;
	}
	*draft = made;
	return GOW_OK;
}

struct gow_file *gow_draft_file(struct gow_draft *draft)
{
	return draft->file;
}

const char *gow_draft_temporary(const struct gow_draft *draft)
{
	return draft->temporary;
}

int gow_draft_poll(struct gow_draft *draft, gow_error *error)
{
	return gow_lock_poll(&draft->replaced_lock, error);
}

static void free_draft(struct gow_draft *draft)
{
	(void)gow_file_close(draft->file, NULL);
	(void)gow_file_close(draft->replaced, NULL);
	free(draft->temporary);
	free(draft->path);
	free(draft);
}

void gow_draft_discard(struct gow_draft *draft)
{
	if (!draft)
		return;
	if (draft->temporary)
		(void)unlink(draft->temporary);
	free_draft(draft);
}

/* Without force a name that came into being meanwhile is not replaced. */
static int take_name(const struct gow_draft *draft, gow_error *error)
{
	int result = renameat2(AT_FDCWD, draft->temporary, AT_FDCWD, draft->path,
	                       draft->force ? 0 : RENAME_NOREPLACE);

	/* Where a file system knows no flags, a hard link refuses an existing name as well. */
	if (result < 0 && (errno == EINVAL || errno == ENOSYS) && !draft->force) {
		result = link(draft->temporary, draft->path);
		if (result == 0)
			(void)unlink(draft->temporary);
	}
	if (result == 0)
		return GOW_OK;
	if (errno == EEXIST)
		return failed(gow_fail(error, GOW_ERR_EXISTS,
		                       "came into being while its content was made"),
		              draft->path, error);
	return failed(gow_fail_errno(error, errno, "cannot take its name"), draft->path, error);
}

static int sync_folder(const char *path, gow_error *error)
{
	char *folder = folder_of(path);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int code = GOW_OK;

	/* Some file systems have no such call for folders: EINVAL. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		code = failed(gow_fail_errno(error, errno,
		                             "is complete, but its name may be lost with the power"),
		              path, error);
	if (fd >= 0)
		(void)close(fd);
	free(folder);
	return code;
}

int gow_draft_publish(struct gow_draft *draft, gow_error *error)
{
	struct gow_file *file = draft->file;
	int code = gow_file_sync(file, error);

	if (!code) {
		draft->file = NULL;
		code = gow_file_close(file, error);
	}
	/* Whoever opened the old file meanwhile would go on with one that has no name. */
	if (!code)
		code = gow_draft_poll(draft, error);
	if (!code)
		code = take_name(draft, error);
	if (code) {
		gow_draft_discard(draft);
		return code;
	}
	code = sync_folder(draft->path, error);
	free_draft(draft);
	return code;
}

/* ---- room -------------------------------------------------------------------------------- */

static int check_room(const struct statvfs *fs, const char *name, uint64_t need, gow_error *error)
{
	uint64_t blocks = geteuid() == 0 ? fs->f_bfree : fs->f_bavail;
	uint64_t room = 0;

	/* No blocks at all: a file system without a limit (or a pseudo one). */
	if (fs->f_blocks == 0)
		return GOW_OK;
	if (__builtin_mul_overflow(blocks, (uint64_t)fs->f_frsize, &room) || room >= need)
		return GOW_OK;
	return failed(gow_fail(error, GOW_ERR_NO_SPACE,
	                       "needs %llu bytes, and its file system has %llu free; nothing was "
	                       "written",
	                       (unsigned long long)need, (unsigned long long)room),
	              name, error);
}

int gow_check_room(const struct gow_file *file, uint64_t need, gow_error *error)
{
	struct statvfs fs;

	if (file->fd < 0) /* no file of the system, as in tests */
		return GOW_OK;
	if (fstatvfs(file->fd, &fs) < 0)
		return failed(gow_fail_errno(error, errno, "cannot ask for free space"),
		              file->name, error);
	return check_room(&fs, file->name, need, error);
}

int gow_check_room_for(const char *path, uint64_t need, gow_error *error)
{
	char *real = resolve(path);
	char *folder = real ? folder_of(real) : NULL;
	struct statvfs fs;
	int code;

	if (!folder)
		code = gow_fail_memory(error, strlen(path));
	else if (statvfs(folder, &fs) < 0)
		code = failed(gow_fail_errno(error, errno, "cannot ask for free space"), path,
		              error);
	else
		code = check_room(&fs, path, need, error);
	free(folder);
	free(real);
	return code;
}
