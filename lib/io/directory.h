/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * directory.h - the directory that a file lies in, for what is kept beside it: names appear,
 * change and go, and are durable once the directory has been synced. Like struct gow_file it is
 * an interface, so that the tests can have directories that crash.
 */
#ifndef GOW_IO_DIRECTORY_H
#define GOW_IO_DIRECTORY_H

#include "io/file.h"

struct gow_directory;

enum {
	GOW_DIRECTORY_WRITE = 1 << 0, /* open for reading and writing */
	GOW_DIRECTORY_CREATE =
		1 << 1, /* make a new file, for our eyes only; the name must be free */
	GOW_DIRECTORY_SHARED = 1 << 2 /* with CREATE: for others as well, as the umask says */
};

/* Another result than GOW_OK ends the walk, which returns it. */
typedef int (*gow_name_visitor)(void *context, const char *name, gow_error *error);

/* Who could have written what stands under a name. */
struct gow_owner {
	bool known; /* false: there is no such name, or nobody knows */
	uint32_t user, group;
	uint32_t
		others; /* who may write to it as well: the mode's bits of the group and of everybody */
};

struct gow_directory_ops {
	/* *file is NULL where there is no such name (not with GOW_DIRECTORY_CREATE). */
	int (*open)(struct gow_directory *directory, const char *name, unsigned flags,
	            struct gow_file **file, gow_error *error);
	/* Replaces what stands there. */
	int (*rename)(struct gow_directory *directory, const char *from, const char *to,
	              gow_error *error);
	/* GOW_ERR_EXISTS where something stands there. */
	int (*rename_new)(struct gow_directory *directory, const char *from, const char *to,
	                  gow_error *error);
	/* Succeeds where there is no such name. */
	int (*remove)(struct gow_directory *directory, const char *name, gow_error *error);
	int (*sync)(struct gow_directory *directory, gow_error *error);
	int (*each)(struct gow_directory *directory, gow_name_visitor visit, void *context,
	            gow_error *error);
	/* gow_directory_of, for a path that may lead anywhere. */
	int (*reach)(struct gow_directory *directory, const char *path,
	             struct gow_directory **there, char **name, gow_error *error);
	/* Optional: gow_directory_check_entry. */
	int (*check_entry)(struct gow_directory *directory, const char *name,
	                   const struct gow_file *file, const char *otherwise, gow_error *error);
	/* Optional: gow_directory_owner. */
	int (*owner)(struct gow_directory *directory, const char *name, struct gow_owner *owner,
	             gow_error *error);
	void (*close)(struct gow_directory *directory);
};

/* Backends embed this as their first member. */
struct gow_directory {
	const struct gow_directory_ops *ops;
	char *path; /* for messages and for files' names; owned by the backend */
};

int gow_directory_open_file(struct gow_directory *directory, const char *name, unsigned flags,
                            struct gow_file **file, gow_error *error);
int gow_directory_rename(struct gow_directory *directory, const char *from, const char *to,
                         gow_error *error);
/* The same, but nothing is replaced: GOW_ERR_EXISTS. */
int gow_directory_rename_new(struct gow_directory *directory, const char *from, const char *to,
                             gow_error *error);
int gow_directory_remove(struct gow_directory *directory, const char *name, gow_error *error);
int gow_directory_sync(struct gow_directory *directory, gow_error *error);
int gow_directory_each(struct gow_directory *directory, gow_name_visitor visit, void *context,
                       gow_error *error);
/* As gow_directory_of, by the same means as directory. */
int gow_directory_reach(struct gow_directory *directory, const char *path,
                        struct gow_directory **there, char **name, gow_error *error);
/*
 * Fails with GOW_ERR_CHANGED unless the name stands for that open file. Also fails
 * (GOW_ERR_UNSUPPORTED) where the file has other names in other directories, under which nobody
 * would find what is kept beside this one: hard links, or a bind mount of the file alone. otherwise
 * is what can be done about that, for the message; NULL: other names do not matter.
 */
int gow_directory_check_entry(struct gow_directory *directory, const char *name,
                              const struct gow_file *file, const char *otherwise, gow_error *error);
/* Of the name itself: a symbolic link is not followed. */
int gow_directory_owner(struct gow_directory *directory, const char *name, struct gow_owner *owner,
                        gow_error *error);
/* The same of an open file, whatever its name leads to by now. */
int gow_file_owner(const struct gow_file *file, struct gow_owner *owner, gow_error *error);
/* What changes an image has to come from somebody who might write to it anyway: the owner of the
 * image (model), root, or the caller. Another's file in the same directory does not count. */
bool gow_owner_is_trusted(const struct gow_owner *owner, const struct gow_owner *model);
/* Whether somebody may write to it who may not write to the image (model) anyway. There are file
 * systems that let everybody write to everything. */
bool gow_owner_lets_in_more(const struct gow_owner *owner, const struct gow_owner *model);
/* Accepts NULL. */
void gow_directory_close(struct gow_directory *directory);

/*
 * The directory that the file at path really lies in (links at its end are followed where there is
 * something at the other end), and the file's name there, allocated.
 */
int gow_directory_of(const char *path, struct gow_directory **directory, char **name,
                     gow_error *error);

#endif
