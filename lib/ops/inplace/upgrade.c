/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/upgrade.h"

#include "base/error.h"
#include "base/monitor.h"
#include "journal/open.h"
#include "ops/inplace/upgrade_steps.h"

static void fill_result(const struct gow_upgrade *upgrade, gow_upgrade_result *result)
{
	result->moved_bytes = upgrade->carried;
	result->written_bytes = upgrade->pen.written;
	result->extra_bytes = upgrade->pen.room;
	result->old_file_size = upgrade->begun ? gow_trailer_end(&upgrade->trailer)
	                                       : upgrade->trailer.original_size;
	result->new_file_size = gow_upgrade_target_size(upgrade);
	result->new_version = gow_upgrade_target(upgrade)->version;
	result->changed = true;
}

static int run(struct gow_upgrade *upgrade, gow_upgrade_result *result, gow_error *error)
{
	int code = gow_upgrade_measure(upgrade, error);

	if (code)
		return code;
	fill_result(upgrade, result);
	if (upgrade->job->dry_run) /* which says, too, that there is no room for it */
		return gow_check_room(upgrade->job->file, upgrade->pen.room, error);
	code = gow_upgrade_carry_out(upgrade, error);
	result->moved_bytes = upgrade->carried;
	result->written_bytes = upgrade->pen.written;
	return code;
}

/* ---- what there is ----------------------------------------------------------------------- */

/* Whether the record can be believed as it is. */
static int check_record(const struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;

	return trailer->format == GOW_TRAILER_OLD_FORMAT && trailer->one_cursor &&
	                       trailer->stage == GOW_TRAILER_MOVING
	               ? gow_move_check_old_cursor(upgrade->job->file, trailer, error)
	               : GOW_OK;
}

/* Resumes what was interrupted, or takes it back. */
static int resume(struct gow_upgrade *upgrade, gow_upgrade_result *result, gow_error *error)
{
	const struct gow_layout *wanted = upgrade->job->to;
	int code = gow_upgrade_take_record(upgrade, error);

	if (!code)
		code = check_record(upgrade, error);
	if (code)
		return gow_fail_in_file(error, code, upgrade->job->file->name);
	upgrade->back = upgrade->job->rollback;
	if (!upgrade->back && wanted && wanted->version < upgrade->to->version)
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "an upgrade to version %u is under way; finish it, or take it back "
		                "with --rollback",
		                upgrade->to->version);
	upgrade->begun = upgrade->resumed = true;
	result->old_version = upgrade->from->version;
	result->resumed = true;
	result->rolled_back = upgrade->back;
	return run(upgrade, result, error);
}

/*
 * A crash right before the magic was set, or right after it came back, leaves a trailer behind a
 * sound image, as leaked blocks. It goes, if nothing has come to stand there since.
 */
static int drop_stale(struct gow_upgrade *upgrade, const struct gow_header *header,
                      struct gow_map *map, bool *dropped, gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;
	uint32_t present;
	uint64_t size;
	bool found;
	int code = gow_trailer_find(upgrade->job->file, header, &upgrade->trailer, &found, error);

	*dropped = false;
	if (code || !found)
		return code;
	size = map->layout->version == trailer->to.version ? trailer->final_size
	                                                   : trailer->original_size;
	present = gow_present_blocks(map->layout, size);
	for (uint32_t i = 0; i < map->logical_blocks; i++)
		if (map->entries[i] != GOW_UNALLOCATED && map->entries[i] >= present)
			return GOW_OK;
	if (size < gow_layout_header_end(map->layout))
		return GOW_OK;
	*dropped = true;
	map->file_size = size;
	if (upgrade->job->dry_run)
		return GOW_OK;
	/* That it is at rest may be in the cache only; without its record it must not be marked. */
	code = gow_upgrade_write_magic(upgrade, map->layout, false, error);
	return code ? code : gow_upgrade_cut(upgrade, size, error);
}

static int refuse_version(const struct gow_upgrade *upgrade, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_ARGUMENT,
	                    "is of version %u already, and cannot become version %u here; "
	                    "gow-convert writes older versions",
	                    upgrade->from->version, upgrade->to->version);

	return gow_fail_in_file(error, code, upgrade->job->file->name);
}

/* A sound image at rest. */
static int begin_anew(struct gow_upgrade *upgrade, struct gow_header header, struct gow_map *map,
                      gow_upgrade_result *result, gow_error *error)
{
	bool dropped;
	int code;

	upgrade->from = map->layout;
	upgrade->to = upgrade->job->to;
	result->old_version = result->new_version = map->layout->version;
	result->old_file_size = result->new_file_size = map->file_size;
	if (upgrade->job->rollback)
		return GOW_OK; /* there is nothing to take back */
	if (upgrade->to->version < upgrade->from->version)
		return refuse_version(upgrade, error);
	code = drop_stale(upgrade, &header, map, &dropped, error);
	if (code)
		return code;
	result->changed = dropped;
	result->new_file_size = map->file_size;
	if (upgrade->to == upgrade->from)
		return GOW_OK;
	header.file_size = map->file_size;
	header.present_blocks = gow_present_blocks(map->layout, map->file_size);
	code = gow_upgrade_plan(upgrade, &header, error);
	return code ? code : run(upgrade, result, error);
}

static int refuse_record(const struct gow_upgrade *upgrade, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "is in the middle of an upgrade whose record is damaged: its copy of "
	                    "the old header is not what it was; restore the image from a copy");

	return gow_fail_in_file(error, code, upgrade->job->file->name);
}

/* Looks at what there is, and chooses. */
static int choose(struct gow_upgrade *upgrade, struct gow_unchecked *unchecked,
                  gow_upgrade_result *result, gow_error *error)
{
	struct gow_map map;
	bool found = false;
	int code = GOW_OK;

	if (unchecked->pending.kind == GOW_PENDING_UPGRADE) {
		code = gow_trailer_find(unchecked->file, &unchecked->header, &upgrade->trailer,
		                        &found, error);
		if (!code)
			code = found ? resume(upgrade, result, error)
			             : refuse_record(upgrade, error);
		return code;
	}
	code = gow_map_judge(unchecked, GOW_NUMBERS_NONE, &map, error);
	if (code)
		return code;
	code = begin_anew(upgrade, unchecked->header, &map, result, error);
	gow_map_release(&map);
	return code;
}

/* What a run that was killed, or whose sync failed, has left in the cache comes first: nothing may
 * be built on it. */
static int upgrade_once(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                        gow_error *error)
{
	struct gow_upgrade upgrade = { .job = job };
	gow_upgrade_result filled = { .changed = false };
	struct gow_unchecked unchecked;
	int code = job->dry_run ? GOW_OK : gow_file_settle(job->file, error);

	if (!code)
		code = gow_journal_begin(job->file, job->rows, job->row_count, &unchecked, error);
	if (code)
		return code;
	code = choose(&upgrade, &unchecked, &filled, error);
	gow_unchecked_release(&unchecked);
	gow_upgrade_free_tables(&upgrade);
	gow_hole_map_release(&upgrade.holes);
	gow_reserved_release(&upgrade.reserved);
	if (!code)
		*result = filled;
	return code;
}

/* What was interrupted was on its way to an older version than is wanted now. */
static int go_further(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                      gow_error *error)
{
	gow_upgrade_result further;
	int code;

	if (job->looks)
		return GOW_OK;
	if (job->dry_run) {
		gow_note(job->monitor, GOW_NOTE_WARNING, job->file->name,
		         "version %u is made after that; what that takes is not known yet",
		         job->to->version);
		return GOW_OK;
	}
	code = upgrade_once(job, &further, error);
	if (code)
		return code;
	result->new_version = further.new_version;
	result->moved_bytes += further.moved_bytes;
	result->written_bytes += further.written_bytes;
	result->extra_bytes += further.extra_bytes;
	result->new_file_size = further.new_file_size;
	return GOW_OK;
}

int gow_upgrade_file(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                     gow_error *error)
{
	gow_upgrade_result first;
	int code = upgrade_once(job, &first, error);

	if (!code && first.resumed && !first.rolled_back && job->to &&
	    first.new_version < job->to->version)
		code = go_further(job, &first, error);
	if (!code)
		*result = first;
	return code;
}
