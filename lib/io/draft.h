/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * draft.h - a new file that appears under its name only when it is whole and durable: written
 * under a temporary name in the same folder, synced, renamed, and the folder synced.
 */
#ifndef GOW_IO_DRAFT_H
#define GOW_IO_DRAFT_H

#include "io/lock.h"

struct gow_draft;

struct gow_draft_options {
	bool force;            /* replace what stands under the name, once the draft is whole */
	bool no_lock;          /* do not ask whether that is in use */
	double wait_seconds;
	const gow_monitor *monitor;
	/* Take mode, and where allowed owner and extended attributes, from this file; NULL: a
	 * new file's usual mode. Only read; not kept. */
	const struct gow_file *like;
};

/*
 * Whether a draft could be made: GOW_ERR_EXISTS for a name that is taken (without force),
 * GOW_ERR_UNSUPPORTED where something other than a regular file stands, GOW_ERR_IO where the
 * folder is missing or not writable. Changes nothing.
 */
int gow_draft_check(const char *path, bool force, gow_error *error);

/* The same, telling of --force: for the tools that have it. */
int gow_draft_check_force(const char *path, bool force, gow_error *error);

/* Begins a draft of path. A symbolic link's target is what gets replaced. */
int gow_draft_begin(const char *path, const struct gow_draft_options *options,
                    struct gow_draft **draft, gow_error *error);

/* The file to write to; owned by the draft. */
struct gow_file *gow_draft_file(struct gow_draft *draft);

/* The name it has meanwhile, for reading it back; owned by the draft. */
const char *gow_draft_temporary(const struct gow_draft *draft);

/* Fails (GOW_ERR_BUSY) once somebody waits to open the file that is to be replaced: the draft is
 * to be discarded then, and soon, since they wait for that. */
int gow_draft_poll(struct gow_draft *draft, gow_error *error);

/* Syncs, renames, and frees the draft, also on failure, when the temporary is removed. */
int gow_draft_publish(struct gow_draft *draft, gow_error *error);

/* Removes the temporary and frees the draft; accepts NULL. */
void gow_draft_discard(struct gow_draft *draft);

/* Gives a new file the mode of like, and where allowed its owner and extended attributes; never
 * more rights to anybody than like gives. */
int gow_dress_like(struct gow_file *file, const struct gow_file *like, gow_error *error);

/* GOW_ERR_NO_SPACE, with both numbers, if the file system that file lies on has fewer than
 * need bytes free for us. */
int gow_check_room(const struct gow_file *file, uint64_t need, gow_error *error);

/* The same for the folder of a file that is yet to be made. */
int gow_check_room_for(const char *path, uint64_t need, gow_error *error);

#endif
