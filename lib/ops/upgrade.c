/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/monitor.h"
#include "image/image.h"
#include "image/trailer.h"
#include "io/draft.h"
#include "ops/move.h"
#include "ops/proof.h"

/* One change, under way. */
struct upgrade {
	const struct gow_upgrade_job *job;
	const struct gow_layout *from, *to;
	struct gow_trailer trailer;
	struct gow_survey survey; /* of what is to be moved */
	struct gow_pen pen;
	struct gow_reserved reserved;
	bool begun; /* the trailer is in the file, and the magic says so */
	bool back;
	uint64_t carried;
	/* For the new header; made when first needed. */
	uint8_t *old_header;
	uint32_t *entries, *versions;
};

/* The layout that the file is to have in the end. */
static const struct gow_layout *target_of(const struct upgrade *upgrade)
{
	return upgrade->back ? upgrade->from : upgrade->to;
}

static uint64_t target_size(const struct upgrade *upgrade)
{
	return upgrade->back ? upgrade->trailer.original_size : upgrade->trailer.final_size;
}

static uint64_t size_with_trailer(const struct upgrade *upgrade)
{
	return upgrade->trailer.offset + gow_trailer_size(upgrade->trailer.header_size);
}

static bool writes(const struct upgrade *upgrade)
{
	return upgrade->pen.pass == GOW_PASS_WRITE;
}

/* ---- planning ---------------------------------------------------------------------------- */

static bool fields_agree(struct gow_field a, struct gow_field b)
{
	return a.offset == b.offset && a.width == b.width;
}

/*
 * While an upgrade lasts the preamble must be readable by either row, and is written in one
 * sector. And everything that the old layout holds must have its place in the new one.
 */
static int check_rows(const struct gow_layout *from, const struct gow_layout *to,
                      uint64_t logical_size, gow_error *error)
{
	const uint32_t sector = 512;

	if (from->order == to->order && from->magic_offset == to->magic_offset &&
	    memcmp(from->magic, to->magic, GOW_MAGIC_SIZE) == 0 &&
	    memcmp(from->magic_pending, to->magic_pending, GOW_MAGIC_SIZE) == 0 &&
	    fields_agree(from->version_field, to->version_field) &&
	    fields_agree(from->logical_size, to->logical_size) &&
	    fields_agree(from->block_count, to->block_count) &&
	    gow_layout_preamble_end(to) <= sector && from->map_entries <= to->map_entries &&
	    logical_size <= to->logical_limit &&
	    gow_layout_data_start(from) <= gow_layout_data_start(to))
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "cannot become %s in place: its layout leads nowhere there; write a new "
	                "image with -o",
	                to->name);
}

/* By how many blocks an entry's number falls when the slots below block 0 are moved away; 0 where
 * all data is shifted instead. */
static uint64_t slots_taken(const struct gow_layout *from, const struct gow_layout *to)
{
	uint64_t growth = gow_layout_data_start(to) - gow_layout_data_start(from);

	return growth % GOW_BLOCK_SIZE ? 0 : growth / GOW_BLOCK_SIZE;
}

/* What moves: where the header grows by whole blocks the slots that it takes, to the end; where
 * it does not, everything, up. */
static void plan_move(const struct gow_layout *from, const struct gow_layout *to,
                      struct gow_trailer *trailer)
{
	const uint64_t present = trailer->present_blocks;
	const uint64_t slots = slots_taken(from, to);

	trailer->move_from = gow_layout_data_start(from);
	if (slots) {
		trailer->move_to = gow_layout_block_offset(from, gow_max(present, slots));
		trailer->move_length = gow_min(present, slots) * GOW_BLOCK_SIZE;
	} else {
		trailer->move_to = gow_layout_data_start(to);
		trailer->move_length = trailer->move_to == trailer->move_from
		                               ? 0
		                               : present * GOW_BLOCK_SIZE;
	}
	trailer->unmoved = trailer->move_length;
}

static int plan(struct upgrade *upgrade, const struct gow_header *header, gow_error *error)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	struct gow_trailer *trailer = &upgrade->trailer;
	int code = check_rows(from, to, header->logical_size, error);

	if (code)
		return code;
	*trailer = (struct gow_trailer){
		.from_version = from->version,
		.to_version = to->version,
		.present_blocks = header->present_blocks,
		.original_size = header->file_size,
		.final_size = gow_layout_block_offset(to, header->present_blocks),
		.header_size = gow_min(gow_layout_data_start(from), header->file_size),
		.new_header_size = gow_layout_data_start(to),
	};
	if (header->file_size > gow_layout_block_offset(from, header->present_blocks))
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is longer than entries can reach; cut it with gow-compact first");
	/* Past everything that stands in the file at any time. */
	trailer->offset = gow_round_up(trailer->final_size, GOW_TRAILER_SECTOR);
	plan_move(from, to, trailer);
	return GOW_OK;
}

/* ---- the new header ---------------------------------------------------------------------- */

static void free_tables(struct upgrade *upgrade)
{
	free(upgrade->old_header);
	free(upgrade->entries);
	free(upgrade->versions);
}

/* The old header, from the trailer; before that is written, from where it is. */
static int load_old_header(struct upgrade *upgrade, gow_error *error)
{
	/* A file that ends early has a shorter one, and zeros from there on. */
	const size_t room = (size_t)gow_layout_data_start(upgrade->from);

	if (upgrade->old_header)
		return GOW_OK;
	upgrade->old_header = calloc(1, room);
	if (!upgrade->old_header)
		return gow_fail_memory(error, room);
	return gow_file_read_all(upgrade->job->file,
	                         upgrade->begun ? upgrade->trailer.offset : 0,
	                         upgrade->old_header, (size_t)upgrade->trailer.header_size, error);
}

/* An old entry's number in the new layout. */
static uint32_t translate(const struct upgrade *upgrade, uint64_t slots, uint32_t entry)
{
	uint64_t present = upgrade->trailer.present_blocks;

	if (entry == GOW_UNALLOCATED)
		return entry;
	return (uint32_t)(entry < slots ? gow_max(present, slots) + entry - slots : entry - slots);
}

static void fill_entries(struct upgrade *upgrade)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	const uint64_t slots = slots_taken(from, to);
	uint32_t *entries = upgrade->entries;

	gow_layout_decode_entries(from, upgrade->old_header + from->map_offset, entries,
	                          from->map_entries);
	for (uint32_t i = 0; i < from->map_entries && slots; i++)
		entries[i] = translate(upgrade, slots, entries[i]);
	for (uint32_t i = from->map_entries; i < to->map_entries; i++)
		entries[i] = GOW_UNALLOCATED;
}

/* Kept where the old layout has numbers; otherwise every block begins with 1. */
static void fill_versions(struct upgrade *upgrade)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	uint32_t *versions = upgrade->versions;

	for (uint32_t i = 0; i < to->map_entries; i++)
		versions[i] = upgrade->entries[i] != GOW_UNALLOCATED;
	if (gow_layout_has_versions(from))
		gow_layout_decode_versions(from, upgrade->old_header + from->versions_offset,
		                           versions, from->map_entries);
}

static int make_tables(struct upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	int code = load_old_header(upgrade, error);

	if (code || upgrade->entries)
		return code;
	code = gow_alloc_table(to->map_entries, &upgrade->entries, error);
	if (code)
		return code;
	fill_entries(upgrade);
	if (!gow_layout_has_versions(to))
		return GOW_OK;
	code = gow_alloc_table(to->map_entries, &upgrade->versions, error);
	if (!code)
		fill_versions(upgrade);
	return code;
}

enum { PART = 16384 }; /* entries */

static int write_entries(struct upgrade *upgrade, uint32_t first, uint32_t count,
                         gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	int code = gow_pen_mark(&upgrade->pen, gow_layout_entry_offset(to, first),
	                        (uint64_t)(count - 1) * to->map_stride + sizeof(uint32_t), error);

	return code || !writes(upgrade)
	               ? code
	               : gow_header_write_entries(upgrade->job->file, to, first, count,
	                                          upgrade->entries + first, error);
}

/* In arrays of their own, numbers that are all zero become a hole. */
static int write_versions(struct upgrade *upgrade, uint32_t first, uint32_t count,
                          gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	const uint32_t *versions = upgrade->versions + first;
	uint64_t offset = gow_layout_version_offset(to, first);
	uint64_t size = (uint64_t)(count - 1) * to->versions_stride + sizeof *versions;
	int code;

	if (to->versions_stride == sizeof *versions && gow_is_zero(versions, (size_t)size))
		return gow_pen_clear(&upgrade->pen, offset, size, error);
	code = gow_pen_mark(&upgrade->pen, offset, size, error);
	return code || !writes(upgrade) ? code
	                                : gow_header_write_versions(upgrade->job->file, to, first,
	                                                            count, versions, error);
}

/* The preamble of the target, pending. */
static int write_preamble(struct upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *to = upgrade->to, *from = upgrade->from;
	const struct gow_field size = from->logical_size;
	struct gow_header header = {
		.layout = to,
		.pending = true,
		.logical_size = gow_load(upgrade->old_header + size.offset, size.width,
		                         from->order),
		/* Whatever it was: every present block is handed out, and none besides. */
		.block_count = upgrade->trailer.present_blocks,
	};
	int code = gow_pen_mark(&upgrade->pen, 0, gow_layout_preamble_end(to), error);

	return code || !writes(upgrade) ? code
	                                : gow_header_write(upgrade->job->file, &header, error);
}

static int write_new_header(struct upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	uint64_t end = gow_layout_header_end(to);
	int code = make_tables(upgrade, error);

	for (uint32_t at = 0; at < to->map_entries && !code; at += PART)
		code = write_entries(upgrade, at, (uint32_t)gow_min(PART, to->map_entries - at),
		                     error);
	for (uint32_t at = 0; at < to->map_entries && upgrade->versions && !code; at += PART)
		code = write_versions(upgrade, at, (uint32_t)gow_min(PART, to->map_entries - at),
		                      error);
	if (!code)
		code = gow_pen_clear(&upgrade->pen, end, gow_layout_data_start(to) - end, error);
	return code ? code : write_preamble(upgrade, error);
}

/* ---- the old header ---------------------------------------------------------------------- */

static int write_old_header(struct upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *from = upgrade->from;
	const uint64_t size = upgrade->trailer.header_size;
	int code = load_old_header(upgrade, error);

	if (code)
		return code;
	memcpy(upgrade->old_header + from->magic_offset, from->magic_pending, GOW_MAGIC_SIZE);
	for (uint64_t at = 0; at < size && !code; at += GOW_BLOCK_SIZE)
		code = gow_pen_write(&upgrade->pen, at, upgrade->old_header + at,
		                     (size_t)gow_min(GOW_BLOCK_SIZE, size - at), error);
	return code;
}

/* ---- steps ------------------------------------------------------------------------------- */

static struct gow_move move_of(struct upgrade *upgrade)
{
	return (struct gow_move){
		.pen = &upgrade->pen,
		.trailer = &upgrade->trailer,
		.survey = &upgrade->survey,
		.lock = upgrade->job->lock,
		.monitor = upgrade->job->monitor,
		.back = upgrade->back,
	};
}

static int save_stage(struct upgrade *upgrade, enum gow_trailer_stage stage, gow_error *error)
{
	struct gow_move move = move_of(upgrade);

	upgrade->trailer.stage = stage;
	return gow_move_save_cursor(&move, error);
}

/* From here on only the record knows what the header is. */
static int step_enter(struct upgrade *upgrade, gow_error *error)
{
	return save_stage(upgrade, GOW_TRAILER_MOVING, error);
}

static int step_move(struct upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code = gow_move_run(&move, error);

	upgrade->carried += move.carried;
	return code;
}

static int step_header(struct upgrade *upgrade, gow_error *error)
{
	int code = upgrade->back ? write_old_header(upgrade, error)
	                         : write_new_header(upgrade, error);

	return code || !writes(upgrade) ? code : gow_file_sync(upgrade->job->file, error);
}

static int refuse_result(const struct upgrade *upgrade, const gow_finding *finding,
                         gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "the result would be corrupt: %s: %s; it stays marked as pending, and "
	                    "gow-upgrade --rollback takes it back",
	                    finding->problem->name, finding->problem->title);

	code = gow_fail_at_offset(error, code, finding->first.offset);
	return gow_fail_in_file(error, code, upgrade->job->file->name);
}

/* The validator judges the image as it will be: at rest, and without the trailer. */
static int step_validate(struct upgrade *upgrade, gow_error *error)
{
	const gow_finding *corrupt = NULL;
	struct gow_verdict verdict;
	struct gow_raw raw;
	int code;

	if (!writes(upgrade))
		return GOW_OK;
	code = gow_raw_load_as(upgrade->job->file, target_of(upgrade), &raw, error);
	if (code)
		return code;
	raw.header.pending = false;
	raw.pending.kind = GOW_PENDING_NONE;
	raw.header.file_size = target_size(upgrade);
	raw.header.present_blocks = gow_present_blocks(target_of(upgrade), target_size(upgrade));
	code = gow_judge(&raw, &verdict, error);
	if (!code)
		corrupt = gow_verdict_first(&verdict, GOW_CORRUPT);
	gow_raw_release(&raw);
	return corrupt ? refuse_result(upgrade, corrupt, error) : code;
}

/* The header is whole: what the record says of it holds even if others pass it over. */
static int step_leave(struct upgrade *upgrade, gow_error *error)
{
	struct gow_trailer *trailer = &upgrade->trailer;
	int code = GOW_OK;

	if (writes(upgrade) && !upgrade->back)
		code = gow_trailer_hash_header(upgrade->job->file, upgrade->to,
		                               trailer->new_header_size, trailer->new_hash, error);
	return code ? code
	            : save_stage(upgrade,
	                         upgrade->back ? GOW_TRAILER_RESTORED : GOW_TRAILER_UPGRADED,
	                         error);
}

static int write_magic(struct upgrade *upgrade, const struct gow_layout *layout, bool pending,
                       gow_error *error)
{
	int code;

	upgrade->pen.written += GOW_MAGIC_SIZE;
	if (!writes(upgrade))
		return GOW_OK;
	code = gow_header_write_magic(upgrade->job->file, layout, pending, error);
	return code ? code : gow_file_sync(upgrade->job->file, error);
}

static int step_release(struct upgrade *upgrade, gow_error *error)
{
	int code = write_magic(upgrade, target_of(upgrade), false, error);

	if (writes(upgrade) && !code)
		upgrade->begun = false;
	return code;
}

static int cut(struct upgrade *upgrade, uint64_t size, gow_error *error)
{
	int code = gow_file_truncate(upgrade->job->file, size, error);

	return code ? code : gow_file_sync(upgrade->job->file, error);
}

static int step_cut(struct upgrade *upgrade, gow_error *error)
{
	return writes(upgrade) ? cut(upgrade, target_size(upgrade), error) : GOW_OK;
}

/* Each may be done again, from the first one on, wherever a run before this one ended. */
static int (*const steps[])(struct upgrade *upgrade, gow_error *error) = {
	step_enter, step_move, step_header, step_validate, step_leave, step_release, step_cut,
};

static int take_steps(struct upgrade *upgrade, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < sizeof steps / sizeof *steps && !code; i++)
		code = steps[i](upgrade, error);
	return code;
}

/* ---- before the first change ------------------------------------------------------------- */

/* The record, durable before the magic. */
static int write_record(struct upgrade *upgrade, gow_error *error)
{
	struct gow_trailer *trailer = &upgrade->trailer;
	const uint64_t sectors = 3 * (uint64_t)GOW_TRAILER_SECTOR;
	int code = gow_pen_mark(&upgrade->pen, trailer->offset, trailer->header_size, error);

	if (!code)
		code = gow_pen_mark(&upgrade->pen, size_with_trailer(upgrade) - sectors, sectors,
		                    error);
	if (code || !writes(upgrade))
		return code;
	/* Also fills up a short last block with zeros. */
	code = gow_file_truncate(upgrade->job->file, size_with_trailer(upgrade), error);
	if (!code)
		code = gow_trailer_write(upgrade->job->file, upgrade->from, trailer, error);
	return code ? code : gow_file_sync(upgrade->job->file, error);
}

/* What a run that was killed had not synced is in the file for us to see, and may still be lost:
 * the newest cursor, for one, when the other is written over. */
static int settle(struct upgrade *upgrade, gow_error *error)
{
	return gow_file_sync(upgrade->job->file, error);
}

/* Goes over everything once, without writing. */
static int rehearse(struct upgrade *upgrade, enum gow_pass pass, gow_error *error)
{
	const struct gow_trailer kept = upgrade->trailer;
	int code = GOW_OK;

	upgrade->pen = (struct gow_pen){
		.file = upgrade->job->file,
		.pass = pass,
		.cannot_reserve = upgrade->pen.cannot_reserve,
		.reserved = &upgrade->reserved,
	};
	upgrade->carried = 0;
	if (!upgrade->begun) {
		code = write_record(upgrade, error);
		upgrade->pen.written += GOW_MAGIC_SIZE;
	}
	if (!code)
		code = take_steps(upgrade, error);
	upgrade->trailer = kept;
	return code;
}

/* Few enough for 16 MiB. */
enum { SURVEY_RUNS = 1 << 20 };

static int measure(struct upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code;

	upgrade->pen = (struct gow_pen){ .file = upgrade->job->file, .pass = GOW_PASS_MEASURE };
	gow_survey_init(&upgrade->survey, SURVEY_RUNS);
	code = gow_move_look(&move, error);
	return code ? code : rehearse(upgrade, GOW_PASS_MEASURE, error);
}

static void tell_measured(const struct upgrade *upgrade, gow_upgrade_result *result)
{
	result->moved_bytes = upgrade->carried;
	result->written_bytes = upgrade->pen.written;
	result->extra_bytes = upgrade->pen.room;
	result->old_file_size = upgrade->begun ? size_with_trailer(upgrade)
	                                       : upgrade->trailer.original_size;
	result->new_file_size = target_size(upgrade);
	result->new_version = target_of(upgrade)->version;
	result->changed = true;
}

static int reserve(struct upgrade *upgrade, gow_error *error)
{
	int code = gow_check_room(upgrade->job->file, upgrade->pen.room, error);

	if (!code)
		code = rehearse(upgrade, GOW_PASS_RESERVE, error);
	if (!code && upgrade->pen.cannot_reserve)
		gow_note(upgrade->job->monitor, GOW_NOTE_DETAIL, upgrade->job->file->name,
		         "space cannot be reserved here; if it runs out, make room and go on");
	return code;
}

/* Up to the magic everything can be taken back by cutting the file and making holes again; what has
 * not grown is not cut. */
static void take_back(struct upgrade *upgrade)
{
	const uint64_t size = upgrade->trailer.original_size;
	uint64_t grown;

	gow_reserved_give_back(&upgrade->reserved, upgrade->job->file);
	if (!gow_file_size(upgrade->job->file, &grown, NULL) && grown > size)
		(void)gow_file_truncate(upgrade->job->file, size, NULL);
}

static int begin(struct upgrade *upgrade, gow_error *error)
{
	int code = reserve(upgrade, error);

	upgrade->pen = (struct gow_pen){ .file = upgrade->job->file, .pass = GOW_PASS_WRITE };
	if (!code)
		code = write_record(upgrade, error);
	if (!code)
		code = gow_tick(upgrade->job->monitor, "record", 0, 0, error);
	if (!code)
		code = gow_lock_poll(upgrade->job->lock, error);
	if (code) {
		take_back(upgrade);
		return code;
	}
	code = write_magic(upgrade, upgrade->from, true, error);
	upgrade->begun = !code;
	return code;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int carry_out(struct upgrade *upgrade, gow_error *error)
{
	int code;

	upgrade->carried = 0;
	if (upgrade->begun) {
		code = reserve(upgrade, error);
		if (code)
			gow_reserved_give_back(&upgrade->reserved, upgrade->job->file);
		upgrade->pen = (struct gow_pen){ .file = upgrade->job->file,
			                         .pass = GOW_PASS_WRITE };
	} else {
		code = begin(upgrade, error);
	}
	upgrade->carried = 0;
	if (!code)
		code = take_steps(upgrade, error);
	if (code && upgrade->begun)
		gow_note(upgrade->job->monitor, GOW_NOTE_WARNING, upgrade->job->file->name,
		         "the upgrade is not finished; gow-upgrade goes on with it, and gow-upgrade "
		         "--rollback takes it back");
	return code;
}

static int run(struct upgrade *upgrade, gow_upgrade_result *result, gow_error *error)
{
	int code = measure(upgrade, error);

	if (code)
		return code;
	tell_measured(upgrade, result);
	if (upgrade->job->dry_run)
		return GOW_OK;
	code = settle(upgrade, error);
	if (!code)
		code = carry_out(upgrade, error);
	result->moved_bytes = upgrade->carried;
	result->written_bytes = upgrade->pen.written;
	return code;
}

static const struct gow_layout *row_of(const struct gow_upgrade_job *job, unsigned version)
{
	for (size_t i = 0; i < job->row_count; i++)
		if (job->rows[i].version == version)
			return &job->rows[i];
	return NULL;
}

/* The rows that a record names; a record of rows with other places is not one that we can use. */
static int take_record(struct upgrade *upgrade, gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;
	const struct gow_layout *from = row_of(upgrade->job, trailer->from_version);
	const struct gow_layout *to = row_of(upgrade->job, trailer->to_version);
	struct gow_trailer planned = *trailer;

	if (from && to && trailer->new_header_size == gow_layout_data_start(to) &&
	    trailer->header_size <= gow_layout_data_start(from)) {
		plan_move(from, to, &planned);
		if (planned.move_from == trailer->move_from && planned.move_to == trailer->move_to &&
		    planned.move_length == trailer->move_length &&
		    trailer->final_size == gow_layout_block_offset(to, trailer->present_blocks)) {
			upgrade->from = from;
			upgrade->to = to;
			return check_rows(from, to, 0, error);
		}
	}
	return gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "the record of its upgrade speaks of layouts that are not known here");
}

/* Goes on with what was interrupted, or back. */
static int resume(struct upgrade *upgrade, gow_upgrade_result *result, gow_error *error)
{
	const struct gow_layout *wanted = upgrade->job->to;
	int code = take_record(upgrade, error);

	if (code)
		return code;
	upgrade->back = upgrade->job->rollback;
	if (!upgrade->back && wanted && wanted->version < upgrade->to->version)
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "an upgrade to version %u is under way; finish it, or take it back "
		                "with --rollback",
		                upgrade->to->version);
	upgrade->begun = true;
	result->old_version = upgrade->from->version;
	result->resumed = true;
	result->rolled_back = upgrade->back;
	return run(upgrade, result, error);
}

/*
 * A crash right before the magic was set, or right after it came back, leaves a trailer behind a
 * sound image, as leaked blocks. It goes, if nothing has come to stand there since.
 */
static int drop_stale(struct upgrade *upgrade, struct gow_map *map, bool *dropped,
                      gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;
	uint32_t present;
	uint64_t size;
	bool found;
	int code = gow_trailer_find(upgrade->job->file, map->layout, &upgrade->trailer, &found,
	                            error);

	*dropped = false;
	if (code || !found)
		return code;
	size = map->layout->version == trailer->to_version ? trailer->final_size
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
	code = settle(upgrade, error);
	return code ? code : cut(upgrade, size, error);
}

static int refuse_version(const struct upgrade *upgrade, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_ARGUMENT,
	                    "is of version %u already, and cannot become version %u here; "
	                    "gow-convert writes older versions",
	                    upgrade->from->version, upgrade->to->version);

	return gow_fail_in_file(error, code, upgrade->job->file->name);
}

/* A sound image at rest. */
static int begin_anew(struct upgrade *upgrade, struct gow_map *map, gow_upgrade_result *result,
                      gow_error *error)
{
	struct gow_header header = {
		.layout = map->layout,
		.logical_size = map->logical_size,
	};
	bool dropped;
	int code;

	upgrade->from = map->layout;
	upgrade->to = upgrade->job->to;
	result->old_version = result->new_version = map->layout->version;
	result->old_file_size = map->file_size;
	if (upgrade->job->rollback)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "no upgrade is under way that could be rolled back");
	if (upgrade->to->version < upgrade->from->version)
		return refuse_version(upgrade, error);
	code = drop_stale(upgrade, map, &dropped, error);
	if (code)
		return code;
	result->changed = dropped;
	result->new_file_size = map->file_size;
	if (upgrade->to == upgrade->from)
		return GOW_OK;
	header.file_size = map->file_size;
	header.present_blocks = gow_present_blocks(map->layout, map->file_size);
	code = plan(upgrade, &header, error);
	return code ? code : run(upgrade, result, error);
}

/* Looks at what there is, and chooses. */
static int choose(struct upgrade *upgrade, struct gow_raw *raw, gow_upgrade_result *result,
                  gow_error *error)
{
	struct gow_verdict verdict;
	struct gow_map map;
	bool found = false;
	int code = GOW_OK;

	if (raw->pending.kind == GOW_PENDING_UPGRADE)
		code = gow_trailer_find(raw->file, raw->header.layout, &upgrade->trailer, &found,
		                        error);
	if (code)
		return code;
	if (found)
		return resume(upgrade, result, error);
	code = gow_judge(raw, &verdict, error);
	if (!code)
		code = gow_map_make(raw, &verdict, &map, error);
	if (code)
		return code;
	code = begin_anew(upgrade, &map, result, error);
	gow_map_release(&map);
	return code;
}

static int upgrade_once(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                        gow_error *error)
{
	struct upgrade upgrade = { .job = job };
	gow_upgrade_result told = { .changed = false };
	struct gow_raw raw;
	int code = gow_raw_load(job->file, job->rows, job->row_count, &raw, error);

	if (code)
		return code;
	code = choose(&upgrade, &raw, &told, error);
	gow_raw_release(&raw);
	free_tables(&upgrade);
	gow_survey_release(&upgrade.survey);
	gow_reserved_release(&upgrade.reserved);
	if (!code)
		*result = told;
	return code;
}

/* What was interrupted was on its way to an older version than is wanted now. */
static int go_further(const struct gow_upgrade_job *job, gow_upgrade_result *result,
                      gow_error *error)
{
	gow_upgrade_result further;
	int code;

	if (job->dry_run) {
		gow_note(job->monitor, GOW_NOTE_WARNING, job->file->name,
		         "version %u is made after that; what it takes cannot be told yet",
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
	gow_upgrade_result told;
	int code = upgrade_once(job, &told, error);

	if (!code && told.resumed && !told.rolled_back && job->to &&
	    told.new_version < job->to->version)
		code = go_further(job, &told, error);
	if (!code)
		*result = told;
	return code;
}

/* ---- the public call --------------------------------------------------------------------- */

static gow_open_options open_options_of(const gow_upgrade_options *options)
{
	return (gow_open_options){
		.flags = options->flags & GOW_UPGRADE_NO_LOCK ? GOW_OPEN_NO_LOCK : 0,
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
}

static int upgrade_in_place(const char *path, const gow_upgrade_options *options,
                            const struct gow_layout *to, gow_upgrade_result *result,
                            gow_error *error)
{
	const gow_open_options open_options = open_options_of(options);
	const bool dry_run = options->flags & GOW_UPGRADE_DRY_RUN;
	struct gow_upgrade_job job = {
		.rows = gow_layouts,
		.row_count = gow_layout_count,
		.to = to,
		.rollback = options->flags & GOW_UPGRADE_ROLLBACK,
		.dry_run = dry_run,
		.monitor = options->monitor,
	};
	struct gow_lock lock;
	struct gow_proof proof = {
		.wanted = options->flags & GOW_UPGRADE_DIGEST,
		.lock = &lock,
		.monitor = options->monitor,
	};
	int closed, code;

	code = gow_open_locked(path, dry_run ? 0 : GOW_FILE_WRITE, &open_options, &job.file, &lock,
	                       error);
	if (code)
		return code;
	job.lock = &lock;
	proof.file = job.file;
	code = gow_proof_begin(&proof, error);
	if (!code)
		code = gow_upgrade_file(&job, result, error);
	if (!code)
		code = gow_proof_end(&proof, dry_run ? NULL : job.file, error);
	if (!code)
		code = gow_proof_compare(&proof, error);
	if (!code)
		result->digests = proof.digests;
	closed = gow_file_close(job.file, code ? NULL : error);
	return code ? code : closed;
}

/* What version it is, and whether it can become the one wanted. */
static int check_source(const char *path, const gow_open_options *options,
                        const struct gow_layout *to, gow_upgrade_result *told, gow_error *error)
{
	gow_image *image;
	int code = gow_image_open(path, options, &image, error);

	if (code)
		return code;
	told->old_version = gow_image_version(image);
	told->old_file_size = gow_image_map(image)->file_size;
	gow_image_close(image);
	if (told->old_version <= to->version)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_ARGUMENT,
	                "is of version %u already, and cannot become version %u here; gow-convert "
	                "writes older versions",
	                told->old_version, to->version);
}

/* A new file with what the guest sees is what converting makes. */
static int upgrade_to_new(const char *path, const gow_upgrade_options *options,
                          const struct gow_layout *to, gow_upgrade_result *result,
                          gow_error *error)
{
	static const gow_format formats[] = { GOW_FORMAT_PROBE, GOW_FORMAT_GOW1, GOW_FORMAT_GOW2,
		                              GOW_FORMAT_GOW3 };
	const gow_open_options open_options = open_options_of(options);
	const gow_convert_options convert = {
		.flags = (options->flags & GOW_UPGRADE_DRY_RUN ? GOW_CONVERT_DRY_RUN : 0u) |
		         (options->flags & GOW_UPGRADE_NO_LOCK ? GOW_CONVERT_NO_LOCK : 0u) |
		         (options->flags & GOW_UPGRADE_DIGEST ? GOW_CONVERT_VERIFY : 0u),
		.source_format = GOW_FORMAT_GOW,
		.dest_format = formats[to->version],
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
	};
	gow_convert_result converted;
	gow_upgrade_result told = { .changed = false };
	int code;

	if (options->flags & GOW_UPGRADE_ROLLBACK)
		return gow_fail(error, GOW_ERR_ARGUMENT, "a rollback is done in place only");
	code = check_source(path, &open_options, to, &told, error);
	if (!code)
		code = gow_convert(path, options->output, &convert, &converted, error);
	if (code)
		return code;
	told.new_version = to->version;
	told.moved_bytes = converted.data_bytes;
	told.written_bytes = converted.data_bytes + gow_layout_header_end(to);
	told.extra_bytes = told.new_file_size = converted.file_size;
	/* Verifying has found the same on both sides. */
	told.digests = (gow_digests){ converted.digest, converted.digest };
	*result = told;
	return GOW_OK;
}

int gow_upgrade(const char *path, const gow_upgrade_options *options,
                gow_upgrade_result *result, gow_error *error)
{
	const struct gow_layout *to = options->to ? gow_layout_of(options->to)
	                                          : &gow_layouts[gow_layout_count - 1];

	if (!to)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no version %u", options->to);
	return options->output ? upgrade_to_new(path, options, to, result, error)
	                       : upgrade_in_place(path, options, to, result, error);
}
