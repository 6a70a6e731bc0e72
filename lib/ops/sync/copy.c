/* SPDX-License-Identifier: BSD-2-Clause */
/* The copy as it is, or as it is to be made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "image/builder.h"
#include "journal/pending.h"
#include "journal/undo.h"
#include "io/draft.h"
#include "io/leftover.h"
#include "io/overlay.h"
#include "ops/sync/job.h"

enum { NUMBERS = 8192 /* looked at together */ };

/* ---- one that there is ------------------------------------------------------------------- */

/* A pending copy as it would be at rest. */
static int show_at_rest(struct gow_file *file, const struct gow_header *header,
                        struct gow_file **view, gow_error *error)
{
	int code = gow_overlay_new(file, view, error);

	if (code)
		return code;
	code = gow_header_write_magic(*view, header->layout, false, error);
	if (code) {
		(void)gow_file_close(*view, NULL);
		*view = NULL;
	}
	return code;
}

/* A copy whose switch was interrupted, as it was before. Takes no part in the file. */
static int show_before(struct gow_sync_job *job, const struct gow_header *header,
                       struct gow_file **view, gow_error *error)
{
	const struct gow_undo_place place = { .directory = job->copy->directory,
		                              .image = job->copy->name,
		                              .rows = header->layout,
		                              .row_count = 1 };
	struct gow_undo_search found;
	int code = gow_undo_find(&place, job->copy->file, false, &found, error);

	if (code || !found.undo)
		return code;
	code = gow_overlay_new(job->copy->file, view, error);
	if (!code)
		code = gow_undo_lay(found.undo, *view, error);
	gow_undo_close(found.undo);
	return code;
}

/* A record in place counts as long as the copy is pending, and only then. */
static int open_record(struct gow_sync_job *job, bool write, bool pending, gow_error *error)
{
	bool found = false;
	int code = gow_sync_record_open(&job->record, write, &found, error);

	if (code || !found)
		return code;
	if (job->record.in_place != pending || (job->in_place && !pending)) {
		(void)gow_file_close(job->record.file, NULL);
		job->record.file = NULL;
		return GOW_OK;
	}
	job->in_place = pending;
	return GOW_OK;
}

static int check_version(const struct gow_sync_job *job, gow_error *error)
{
	const struct gow_layout *layout = job->disk.layout;
	int code;

	if (job->disk.versions && gow_layout_has_mark(layout))
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "is of version %u: a copy is an image of version 3, with version numbers "
	                "(gow-upgrade makes one of it)",
	                layout->version);
	return gow_fail_in_file(error, code, job->copy->file->name);
}

static int load_disk(struct gow_sync_job *job, struct gow_file *file, gow_error *error)
{
	int code = gow_sync_disk_load(file, job->rows, job->row_count, &job->disk, error);

	return code ? code : check_version(job, error);
}

/* What no other tool can go on with, either: but it is a copy. */
static int refuse_begun(const struct gow_sync_job *job, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "is in the middle of being synchronised in place, and its map is "
	                    "damaged: remove it, and run gow-sync again, which makes a new copy");

	return gow_fail_in_file(error, code, job->copy->file->name);
}

int gow_sync_copy_load(struct gow_sync_job *job, bool look, gow_error *error)
{
	struct gow_file *file = job->copy->file, *view = NULL;
	struct gow_pending pending = { .kind = GOW_PENDING_NONE };
	struct gow_header header = { .layout = NULL };
	bool in_place;
	int code = gow_header_read(file, job->rows, job->row_count, &header, error);

	if (!code)
		code = gow_sync_record_init(&job->record, job->copy->directory, job->copy->name,
		                            error);
	if (!code && header.pending && look)
		code = show_before(job, &header, &view, error);
	/* Whose change it is says its record. */
	if (!code && header.pending && !view)
		code = gow_pending_find(file, &header, &pending, error);
	in_place = header.pending && !view && pending.kind != GOW_PENDING_REPAIR &&
	           pending.kind != GOW_PENDING_UPGRADE;
	if (!code)
		code = open_record(job, !look, in_place, error);
	if (!code && in_place && job->record.file)
		code = show_at_rest(file, &header, &view, error);
	if (!code)
		code = load_disk(job, view ? view : file, error);
	(void)gow_file_close(view, NULL);
	return code == GOW_ERR_CORRUPT && in_place && job->record.file ? refuse_begun(job, error)
	                                                               : code;
}

/* Numbers of the copy against the master's, from the first on. */
static int compare_numbers(const struct gow_sync_job *job, const struct gow_layout *layout,
                           uint32_t count, bool *older, bool *newer, gow_error *error)
{
	const uint32_t *theirs = job->master.disk.versions;
	uint32_t ours[NUMBERS];
	int code = GOW_OK;

	for (uint32_t first = 0; first < count && !code && !*newer; first += NUMBERS) {
		const uint32_t part = (uint32_t)gow_min(NUMBERS, count - first);

		code = gow_header_read_versions(job->copy->file, layout, first, part, ours, error);
		for (uint32_t i = 0; i < part && !code; i++) {
			*older |= ours[i] < theirs[first + i];
			*newer |= ours[i] > theirs[first + i];
		}
	}
	return code;
}

int gow_sync_copy_is_behind(const struct gow_sync_job *job, bool *behind, gow_error *error)
{
	const struct gow_sync_disk *master = &job->master.disk;
	struct gow_header header;
	bool older = false, newer = false;
	int code = gow_header_read(job->copy->file, job->rows, job->row_count, &header, error);

	*behind = false;
	if (code || header.pending || header.truncated || !master->versions ||
	    !gow_layout_has_versions(header.layout))
		return code;
	code = compare_numbers(
		job, header.layout,
		(uint32_t)gow_min(gow_min(header.logical_blocks, header.layout->map_entries),
	                          master->logical_blocks),
		&older, &newer, error);
	*behind = older && !newer;
	return code;
}

/* ---- one that is made -------------------------------------------------------------------- */

static int refuse_there(const struct gow_location *location, const char *what, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_EXISTS,
	                    "stands where a new copy is made, and is %s, so it is left alone: "
	                    "rename it, or remove it if nobody needs it",
	                    what);

	return gow_fail_in_file(error, code, location->file->name);
}

/* Whether there is a record of what was fetched for the copy at path. */
static int has_record(const struct gow_location *location, const char *path, bool *found,
                      gow_error *error)
{
	const char *slash = strrchr(path, '/');
	struct gow_sync_record record;
	int code = gow_sync_record_init(&record, location->directory, slash ? slash + 1 : path,
	                                error);

	if (code)
		return code;
	code = gow_sync_record_open(&record, false, found, error);
	gow_sync_record_release(&record);
	return code;
}

/* Whether the file that an earlier run began is ours to go on with. Such a run marks it before a block
 * comes into it, and removes the record when all is over. What somebody else has called so is not
 * replaced; only an empty file is. */
static int check_begun(struct gow_location *location, const char *path, bool *usable,
                       gow_error *error)
{
	const struct gow_layout *layout = gow_layout_of(3);
	struct gow_header header;
	struct gow_owner owner;
	uint64_t size = 0;
	int code = gow_directory_owner(location->directory, location->name, &owner, error);

	*usable = false;
	if (!code)
		code = gow_file_size(location->file, &size, error);
	if (code || !size)
		return code;
	if (owner.known && owner.user != geteuid() && owner.user != 0)
		return refuse_there(location, "another user's", error);
	code = gow_header_read(location->file, gow_layouts, gow_layout_count, &header, error);
	if (code && code != GOW_ERR_NOT_GOW)
		return code;
	if (!code && header.layout == layout && !header.truncated) {
		*usable = header.pending || !header.present_blocks;
		code = *usable ? GOW_OK : has_record(location, path, usable, error);
		if (code)
			return code;
	}
	return *usable ? GOW_OK : refuse_there(location, "none that was begun", error);
}

/* Opens what an earlier run began of the copy at path; *usable is false where there is nothing. */
static int open_begun(struct gow_sync_job *job, const char *path, const char *begun,
                      struct gow_location *location, bool *usable, gow_error *error)
{
	const gow_open_options options = { .common = job->options->common };
	gow_error why;
	int code = gow_location_open(begun, gow_sync_is_dry_run(job) ? 0 : GOW_FILE_WRITE, &options,
	                             location, &why);

	*usable = false;
	if (code && why.sys_errno == ENOENT)
		return GOW_OK;
	if (code) {
		if (error)
			*error = why;
		return code;
	}
	code = check_begun(location, path, usable, error);
	/* What another run begins from now on is not ours to replace. */
	if (!code && !*usable && !gow_sync_is_dry_run(job))
		code = gow_remove_if_same(location->directory, location->name, location->file,
		                          error);
	if (code || !*usable)
		(void)gow_location_close(location, NULL);
	return code;
}

/* Room for all of it, before there is anything. */
static int check_room(const struct gow_sync_job *job, const char *path, gow_error *error)
{
	const struct gow_sync_disk *master = &job->master.disk;
	uint64_t blocks = 0;

	for (uint32_t i = 0; i < master->logical_blocks; i++)
		blocks += master->entries[i] != GOW_UNALLOCATED;
	return gow_check_room_for(path, gow_image_file_size(gow_layout_of(3), blocks), error);
}

static int make_begun(struct gow_sync_job *job, const char *path, struct gow_location *location,
                      gow_error *error)
{
	const gow_open_options options = { .common = job->options->common };
	const gow_create_options create = { .struct_size = sizeof create,
		                            .common = job->options->common,
		                            .version = 3 };
	int code = check_room(job, path, error);

	if (!code)
		code = gow_create(path, job->master.disk.logical_size, &create, error);
	return code ? code : gow_location_open(path, GOW_FILE_WRITE, &options, location, error);
}

/* Before there is anything of the guest in it: a run that was killed may not have come to this. */
static int dress_begun(const struct gow_sync_job *job, struct gow_location *location,
                       gow_error *error)
{
	int code = gow_file_is_remote(job->master.file)
	                   ? GOW_OK
	                   : gow_dress_like(location->file, job->master.file, error);

	if (code)
		(void)gow_location_close(location, NULL);
	return code;
}

/* The file that a copy is made in has the copy's record. */
static int find_record(struct gow_sync_job *job, const char *path, gow_error *error)
{
	const char *slash = strrchr(path, '/');
	uint64_t size = 0;
	int code = gow_sync_record_init(&job->record, job->copy->directory,
	                                slash ? slash + 1 : path, error);

	if (!code)
		code = open_record(job, !gow_sync_is_dry_run(job), false, error);
	if (!code)
		code = gow_file_size(job->copy->file, &size, error);
	job->disk.file_size = size;
	job->disk.present_blocks = gow_present_blocks(job->disk.layout, size);
	return code;
}

int gow_sync_copy_new(struct gow_sync_job *job, const char *path, struct gow_location *location,
                      gow_error *error)
{
	char *begun;
	bool usable = false;
	int code;

	if (asprintf(&begun, "%s.gow-sync.new", path) < 0)
		return gow_fail_memory(error, strlen(path));
	job->new_copy = true;
	job->in_place = false;
	code = gow_sync_disk_empty(gow_layout_of(3), job->master.disk.logical_size, &job->disk,
	                           error);
	if (!code)
		code = open_begun(job, path, begun, location, &usable, error);
	job->resumed = usable;
	if (!code && !usable && !gow_sync_is_dry_run(job))
		code = make_begun(job, begun, location, error);
	if (!code && !gow_sync_is_dry_run(job))
		code = dress_begun(job, location, error);
	free(begun);
	if (code || !location->file)
		return code;
	job->copy = location;
	code = find_record(job, path, error);
	return code || gow_sync_is_dry_run(job) ? code : gow_sync_mark(job, error);
}

int gow_sync_copy_publish(struct gow_sync_job *job, gow_error *error)
{
	struct gow_directory *directory = job->copy->directory;
	int code = gow_directory_check_entry(directory, job->copy->name, job->copy->file, NULL,
	                                     error);

	if (!code)
		code = gow_directory_rename_new(directory, job->copy->name, job->record.copy,
		                                error);
	if (code == GOW_ERR_EXISTS)
		code = gow_fail(error, GOW_ERR_EXISTS, "came into being meanwhile: run it again");
	return code ? code : gow_directory_sync(directory, error);
}
