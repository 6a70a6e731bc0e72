/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * folder.h - the folder that a file lies in, for what is kept beside it: names appear, change and
 * go, and are durable once the folder has been synced. Like struct gow_file it is an interface,
 * so that the tests can have folders that crash.
 */
#ifndef GOW_IO_FOLDER_H
#define GOW_IO_FOLDER_H

#include "io/file.h"

struct gow_folder;

enum {
	GOW_FOLDER_WRITE = 1 << 0, /* open for reading and writing */
	GOW_FOLDER_CREATE = 1 << 1 /* make a new file, for our eyes only; the name must be free */
};

/* Another result than GOW_OK ends the walk, which returns it. */
typedef int (*gow_name_visitor)(void *context, const char *name, gow_error *error);

struct gow_folder_ops {
	/* *file is NULL where there is no such name (not with GOW_FOLDER_CREATE). */
	int (*open)(struct gow_folder *folder, const char *name, unsigned flags,
	            struct gow_file **file, gow_error *error);
	/* Replaces what stands there. */
	int (*rename)(struct gow_folder *folder, const char *from, const char *to,
	              gow_error *error);
	/* Succeeds where there is no such name. */
	int (*remove)(struct gow_folder *folder, const char *name, gow_error *error);
	int (*sync)(struct gow_folder *folder, gow_error *error);
	int (*each)(struct gow_folder *folder, gow_name_visitor visit, void *context,
	            gow_error *error);
	/* gow_folder_of, for a path that may lead anywhere. */
	int (*reach)(struct gow_folder *folder, const char *path, struct gow_folder **there,
	             char **name, gow_error *error);
	void (*close)(struct gow_folder *folder);
};

/* Backends embed this as their first member. */
struct gow_folder {
	const struct gow_folder_ops *ops;
	char *path; /* for messages and for files' names; owned by the backend */
};

int gow_folder_open_file(struct gow_folder *folder, const char *name, unsigned flags,
                         struct gow_file **file, gow_error *error);
int gow_folder_rename(struct gow_folder *folder, const char *from, const char *to,
                      gow_error *error);
int gow_folder_remove(struct gow_folder *folder, const char *name, gow_error *error);
int gow_folder_sync(struct gow_folder *folder, gow_error *error);
int gow_folder_each(struct gow_folder *folder, gow_name_visitor visit, void *context,
                    gow_error *error);
/* As gow_folder_of, by the same means as folder. */
int gow_folder_reach(struct gow_folder *folder, const char *path, struct gow_folder **there,
                     char **name, gow_error *error);
/* Accepts NULL. */
void gow_folder_close(struct gow_folder *folder);

/*
 * The folder that the file at path really lies in (links at its end are followed where there is
 * something at the other end), and the file's name there, allocated.
 */
int gow_folder_of(const char *path, struct gow_folder **folder, char **name, gow_error *error);

#endif
