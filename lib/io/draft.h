/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * draft.h - a new file that appears under its name only when it is whole and durable: written
 * under a temporary name in the same directory, synced, renamed, and the directory synced.
 */
#ifndef GOW_IO_DRAFT_H
#define GOW_IO_DRAFT_H

#include "io/directory.h"
#include "io/lock.h"

struct gow_draft;

struct gow_draft_options {
	bool force;        /* replace what stands under the name, once the draft is whole */
	gow_common common; /* whether to ask, and how long, if that is in use; and whom to warn */
	/* Take mode, and where allowed owner and extended attributes, from this file; NULL: a
	 * new file's usual mode. Only read; not kept. */
	const struct gow_file *like;
	/* By whose means its directory is reached; NULL: by the system's. */
	struct gow_directory *reach_by;
};

/*
 * Whether a draft could be made: GOW_ERR_EXISTS for a name that is taken (without force),
 * GOW_ERR_UNSUPPORTED where something other than a regular file stands, GOW_ERR_IO where the
 * directory is missing or not writable. Changes nothing.
 */
int gow_draft_check(const char *path, bool force, gow_error *error);

/* The same, with a hint at --force: for the tools that have it. */
int gow_draft_check_force(const char *path, bool force, gow_error *error);

/* A new name in a directory of devices: a file there would take memory, and be gone at the next
 * start. */
int gow_draft_check_no_device(const char *path, gow_error *error);

/* With a hint at - where a pipe, a terminal or the like stands: for what can go to standard output.
 * Returns code, of the check. */
int gow_draft_hint_stream(int code, const char *path, gow_error *error);

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

/* gow_check_room, for the directory of a file that is yet to be made. */
int gow_check_room_for(const char *path, uint64_t need, gow_error *error);

#endif
