/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/draft.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"
#include "io/posix.h"

struct gow_draft {
	char *path; /* what the caller called it, for messages */
	struct gow_directory *directory;
	char *name;      /* the name to be there, links resolved */
	char *temporary; /* the name meanwhile, a path; NULL: none on disk */
	struct gow_file *file;
	struct gow_file *replaced; /* what stands there, held while we work; may be NULL */
	struct gow_lock replaced_lock;
	bool force;
	const gow_monitor *monitor; /* may be NULL */
};

/* ---- names ------------------------------------------------------------------------------- */

/* The directory that path lies in, allocated. */
static char *directory_of(const char *path)
{
	char *copy = strdup(path);
	char *directory = copy ? strdup(dirname(copy)) : NULL;

	free(copy);
	return directory;
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

/* A link to nothing: what would be made at its other end is not what stands here, and what replaced
 * it would not be there. */
static int refuse_link(const char *path, gow_error *error)
{
	char target[256];
	ssize_t size = readlink(path, target, sizeof target - 1);

	target[size > 0 ? size : 0] = '\0';
	return failed(gow_fail(error, GOW_ERR_EXISTS,
	                       "exists already, as a symbolic link to %s, where nothing is; name "
	                       "that file, or remove the link",
	                       target),
	              path, error);
}

static bool is_among_devices(const char *directory)
{
	struct stat st, devices, root;
	char *real;
	bool among;

	if (stat(directory, &st) < 0 || stat("/dev", &devices) < 0 || stat("/", &root) < 0 ||
	    st.st_dev != devices.st_dev || devices.st_dev == root.st_dev)
		return false;
	real = realpath(directory, NULL);
	among = real && strncmp(real, "/dev/shm", 8) != 0 &&
	        (strcmp(real, "/dev") == 0 || strncmp(real, "/dev/", 5) == 0);
	free(real);
	return among;
}

int gow_draft_check_no_device(const char *path, gow_error *error)
{
	char *directory;
	struct stat st;
	bool among;

	if (lstat(path, &st) == 0)
		return GOW_OK;
	directory = directory_of(path);
	if (!directory)
		return gow_fail_memory(error, strlen(path));
	among = is_among_devices(directory);
	free(directory);
	return among ? gow_fail(error, GOW_ERR_UNSUPPORTED,
	                        "there is no such device, and among the devices no file is made")
	             : GOW_OK;
}

/* What stands there and is no file. */
static int refuse_kind(const char *path, const char *hint, gow_error *error)
{
	return failed(gow_fail(error, GOW_ERR_UNSUPPORTED,
	                       "is no regular file and cannot be replaced%s", hint),
	              path, error);
}

int gow_draft_check(const char *path, bool force, gow_error *error)
{
	struct stat st;
	char *directory;
	int code = GOW_OK;

	if (gow_name_is_uri(path))
		return failed(gow_fail(error, GOW_ERR_UNSUPPORTED,
		                       "is on a server, where no file is made: name a local file "
		                       "(./NAME where it looks like a URI)"),
		              path, error);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) < 0 && errno == ENOENT)
		return refuse_link(path, error);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return refuse_kind(path, "", error);
	if (lstat(path, &st) == 0 && !force)
		return failed(gow_fail(error, GOW_ERR_EXISTS,
		                       "exists already, and is not replaced; name another file"),
		              path, error);
	directory = directory_of(path);
	if (!directory)
		return gow_fail_memory(error, strlen(path));
	if (stat(directory, &st) < 0)
		code = gow_fail_errno(error, errno, "cannot make a file in its directory");
	else if (!S_ISDIR(st.st_mode))
		code = gow_fail_errno(error, ENOTDIR, "cannot make a file in its directory");
	else if (access(directory, W_OK | X_OK) < 0)
		code = gow_fail_errno(error, errno, "cannot make a file in its directory");
	else if (lstat(path, &st) < 0)
		/* A long name is refused when it is taken, once all is there: too late. */
		code = errno == ENAMETOOLONG
		               ? gow_fail_errno(error, errno, "cannot make a file in its directory")
		               : gow_draft_check_no_device(path, error);
	free(directory);
	return code ? failed(code, path, error) : GOW_OK;
}

int gow_draft_check_force(const char *path, bool force, gow_error *error)
{
	struct stat st;
	int code = gow_draft_check(path, force, error);

	if (code != GOW_ERR_EXISTS || stat(path, &st) < 0)
		return code;
	return failed(gow_fail(error, GOW_ERR_EXISTS, "exists already; use --force to replace it"),
	              path, error);
}

int gow_draft_hint_stream(int code, const char *path, gow_error *error)
{
	struct stat st;

	if (code != GOW_ERR_UNSUPPORTED || stat(path, &st) < 0 ||
	    !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode)))
		return code;
	return refuse_kind(path, "; to write to it, say - (standard output) and >FILE", error);
}

/* Says what a failed call was for. What it said itself is kept where that is more than an errno. */
static int failed_to(int code, const char *what, const char *path, gow_error *error)
{
	if (error && error->sys_errno)
		(void)snprintf(error->what, sizeof error->what, "%s", what);
	return failed(code, path, error);
}

/* The last component of a path that was made here. */
static const char *last_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* A new name in the directory, as a path. It stays short whatever the image is called: NAME_MAX is
 * near. */
static int choose_temporary(struct gow_draft *draft, gow_error *error)
{
	uint32_t random;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return failed(gow_fail_errno(error, errno, "no random name to be had"), draft->path,
		              error);
	free(draft->temporary);
	if (asprintf(&draft->temporary, "%s/.gow-tmp-%08x", draft->directory->path,
	             (unsigned)random) < 0) {
		draft->temporary = NULL;
		return gow_fail_memory(error, PATH_MAX);
	}
	return GOW_OK;
}

/* Opens a file of a new name beside the one that is to be. */
static int open_temporary(struct gow_draft *draft, unsigned flags, gow_error *error)
{
	enum { TRIES = 100 };
	int code = GOW_ERR_EXISTS;
	char *name;

	for (int i = 0; i < TRIES && code == GOW_ERR_EXISTS; i++) {
		code = choose_temporary(draft, error);
		if (code)
			return code;
		code = gow_directory_open_file(draft->directory, last_of(draft->temporary),
		                               GOW_DIRECTORY_CREATE | flags, &draft->file, error);
	}
	if (code) {
		free(draft->temporary);
		draft->temporary = NULL;
		return failed_to(code, "cannot make a file in its directory", draft->path, error);
	}
	/* Messages name what the user named. */
	name = strdup(draft->path);
	if (!name)
		return gow_fail_memory(error, strlen(draft->path));
	free(draft->file->name);
	draft->file->name = name;
	return GOW_OK;
}

/* ---- life -------------------------------------------------------------------------------- */

/* Holds what stands under the name, so that it is not replaced under somebody's feet. */
static int hold_replaced(struct gow_draft *draft, const struct gow_draft_options *options,
                         gow_error *error)
{
	const gow_open_options open_options = {
		.common = options->common,
	};

	if (!options->force || options->reach_by || access(draft->path, F_OK) < 0)
		return GOW_OK;
	return gow_open_locked(draft->path, GOW_FILE_WRITE, &open_options, &draft->replaced,
	                       &draft->replaced_lock, error);
}

/* By the caller's means nothing can be found out but whether the name is taken. */
static int find_directory(struct gow_draft *draft, const struct gow_draft_options *options,
                          gow_error *error)
{
	struct gow_file *there = NULL;
	int code;

	if (!options->reach_by)
		return gow_directory_of(draft->path, &draft->directory, &draft->name, error);
	code = gow_directory_reach(options->reach_by, draft->path, &draft->directory, &draft->name,
	                           error);
	if (!code && !options->force)
		code = gow_directory_open_file(draft->directory, draft->name, 0, &there, error);
	if (!code && there) {
		(void)gow_file_close(there, NULL);
		code = failed(gow_fail(error, GOW_ERR_EXISTS, "exists already"), draft->path,
		              error);
	}
	return code;
}

int gow_draft_begin(const char *path, const struct gow_draft_options *options,
                    struct gow_draft **draft, gow_error *error)
{
	struct gow_draft *made;
	int code = options->reach_by ? GOW_OK : gow_draft_check(path, options->force, error);

	if (code)
		return code;
	made = calloc(1, sizeof *made);
	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->force = options->force;
	made->monitor = options->common.monitor;
	made->path = resolve(path);
	code = made->path ? hold_replaced(made, options, error)
	                  : gow_fail_memory(error, strlen(path));
	if (!code)
		code = find_directory(made, options, error);
	if (!code)
		code = open_temporary(made, options->like ? 0 : GOW_DIRECTORY_SHARED, error);
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
	gow_directory_close(draft->directory);
	free(draft->temporary);
	free(draft->name);
	free(draft->path);
	free(draft);
}

/* Why the draft is given up is what the caller tells; that something of it stays nobody else would. */
static void remove_temporary(const struct gow_draft *draft)
{
	gow_error why;
	char text[256];

	if (gow_directory_remove(draft->directory, last_of(draft->temporary), &why))
		gow_note(draft->monitor, GOW_NOTE_WARNING, draft->temporary,
		         "is a part of what was to be %s, and stays: %s", draft->path,
		         gow_error_text(&why, text, sizeof text));
}

void gow_draft_discard(struct gow_draft *draft)
{
	if (!draft)
		return;
	if (draft->temporary)
		remove_temporary(draft);
	free_draft(draft);
}

/* Without force a name that came into being meanwhile is not replaced. */
static int take_name(const struct gow_draft *draft, gow_error *error)
{
	const char *temporary = last_of(draft->temporary);
	int code = draft->force
	                   ? gow_directory_rename(draft->directory, temporary, draft->name, error)
	                   : gow_directory_rename_new(draft->directory, temporary, draft->name,
	                                              error);

	return code ? failed(code, draft->path, error) : GOW_OK;
}

static int sync_directory(const struct gow_draft *draft, gow_error *error)
{
	int code = gow_directory_sync(draft->directory, error);

	return code ? failed_to(code, "is complete, but its name may be lost with the power",
	                        draft->path, error)
	            : GOW_OK;
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
	code = sync_directory(draft, error);
	free_draft(draft);
	return code;
}

/* ---- room -------------------------------------------------------------------------------- */

int gow_check_room_for(const char *path, uint64_t need, gow_error *error)
{
	char *real = resolve(path);
	char *directory = real ? directory_of(real) : NULL;
	struct statvfs fs;
	int code;

	if (!directory)
		code = gow_fail_memory(error, strlen(path));
	else if (statvfs(directory, &fs) < 0)
		code = failed(gow_fail_errno(error, errno, "cannot ask for free space there"),
		              directory, error);
	else
		code = gow_check_room_of(gow_posix_room_in(&fs), need, path, error);
	free(directory);
	free(real);
	return code;
}
