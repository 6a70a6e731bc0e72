/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * location.h - the one way in to a file that may be changed: its name is resolved once, into the
 * open file, its lock, and the directory that it lies in, and nothing below opens it by path again.
 *
 * Open, lock, settle, and only then read: what a run that was killed, or whose sync failed, has
 * left is made durable, and what the cache shows and the disk does not have is dropped, before
 * anything is built on it.
 */
#ifndef GOW_IO_LOCATION_H
#define GOW_IO_LOCATION_H

#include "io/directory.h"
#include "io/lock.h"

struct gow_location {
	struct gow_file *file;
	struct gow_lock lock;            /* of it */
	struct gow_directory *directory; /* NULL: it is on a server, and nothing lies beside it */
	char *name;                      /* in that directory; NULL without one */
};

/*
 * Opens path with the flags of gow_open_locked, and with GOW_FILE_WRITE settles it. Zeroed after a
 * failure. Close with gow_location_close, which accepts one that is zeroed, and fails as
 * gow_file_close does.
 */
int gow_location_open(const char *path, unsigned file_flags, const gow_open_options *options,
                      struct gow_location *location, gow_error *error);
int gow_location_close(struct gow_location *location, gow_error *error);

/* When the work is done: fails with GOW_ERR_CHANGED where the path leads to another file by now, of
 * which nobody must be told that it is as it should be. */
int gow_location_check(const struct gow_location *location, const char *path, gow_error *error);

/*
 * Work on a location. With look nothing is changed: *needed says whether there is something to
 * write. *needed is false before.
 */
typedef int (*gow_location_work)(void *context, struct gow_location *location, bool look,
                                 bool *needed, gow_error *error);

/*
 * For what may have to be changed: looks at it while it is open for reading, and only if there is
 * something to write, and it is no dry run, opens it for writing, and has the work done on what is
 * there then. So a file that is as it should be is left alone: it may be on a read-only mount, and
 * no overlay copies it up. Whoever has it open for writing is a reason to refuse (GOW_ERR_BUSY),
 * unless it is a dry run whose options say otherwise.
 */
int gow_location_change(const char *path, const gow_open_options *options, gow_location_work work,
                        void *context, gow_error *error);

#endif
