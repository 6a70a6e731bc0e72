/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/upgrade_steps.h"

#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "io/readback.h"

enum { SECTOR = GOW_TRAILER_SECTOR };

const struct gow_layout *gow_upgrade_target(const struct gow_upgrade *upgrade)
{
	return upgrade->back ? upgrade->from : upgrade->to;
}

uint64_t gow_upgrade_target_size(const struct gow_upgrade *upgrade)
{
	return upgrade->back ? upgrade->trailer.original_size : upgrade->trailer.final_size;
}

/* ---- steps ------------------------------------------------------------------------------- */

int gow_upgrade_write_magic(struct gow_upgrade *upgrade, const struct gow_layout *layout,
                            bool pending, gow_error *error)
{
	struct gow_file *file = upgrade->job->file;
	int code = gow_header_write_magic(file, layout, pending, error);
	if (!code)
		code = gow_file_settle(file, error);
	return code ? code
	            : gow_file_compare(file, layout->magic_offset,
	                               pending ? layout->magic_pending : layout->magic,
	                               GOW_MAGIC_SIZE, error);
}

static int write_magic(struct gow_upgrade *upgrade, const struct gow_layout *layout, bool pending,
                       gow_error *error)
{
	upgrade->pen.written += GOW_MAGIC_SIZE;
	return gow_upgrade_writes(upgrade)
	               ? gow_upgrade_write_magic(upgrade, layout, pending, error)
	               : GOW_OK;
}

static struct gow_move move_of(struct gow_upgrade *upgrade)
{
	return (struct gow_move){
		.pen = &upgrade->pen,
		.trailer = &upgrade->trailer,
		.holes = &upgrade->holes,
		.lock = upgrade->job->lock,
		.monitor = upgrade->job->monitor,
		.back = upgrade->back,
	};
}

/* In both cursors: with either of them the record is to be what it says. */
static int save_stage(struct gow_upgrade *upgrade, enum gow_trailer_stage stage, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code;

	upgrade->trailer.stage = stage;
	code = gow_move_save_cursor(&move, error);
	return code ? code : gow_move_save_cursor(&move, error);
}

/* The newer cursor is written again where it stands: it may be in the cache only, and the other one
 * is written over next. Where the other one is not whole, that comes first anyway. */
static int settle_cursor(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);

	if (upgrade->trailer.one_cursor)
		return GOW_OK;
	upgrade->trailer.sequence--;
	return gow_move_save_cursor(&move, error);
}

/* The mark that a run before this one found or made may be in the cache only; and where it is
 * missing, the image is in the middle of a change all the same. */
static int step_mark(struct gow_upgrade *upgrade, gow_error *error)
{
	int code;

	if (!upgrade->resumed)
		return GOW_OK;
	code = settle_cursor(upgrade, error);
	return code ? code : write_magic(upgrade, upgrade->from, true, error);
}

/* From here on only the record knows what the header is. */
static int step_enter(struct gow_upgrade *upgrade, gow_error *error)
{
	return save_stage(upgrade, GOW_TRAILER_MOVING, error);
}

static int step_move(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code = gow_move_run(&move, error);

	upgrade->carried += move.carried;
	return code;
}

/* The header is written over the source of what was moved last: the cursor from before that must
 * be gone. Where nothing was moved, or it was done before, both say so already. */
static int step_header(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code = upgrade->trailer.move_length ? gow_move_save_cursor(&move, error) : GOW_OK;

	return code ? code : gow_upgrade_write_header(upgrade, error);
}

static int refuse_result(const struct gow_upgrade *upgrade, const gow_finding *finding,
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
static int step_validate(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *target = gow_upgrade_target(upgrade);
	const gow_finding *corrupt = NULL;
	struct gow_verdict verdict;
	struct gow_unchecked unchecked;
	int code;

	if (!gow_upgrade_writes(upgrade))
		return GOW_OK;
	code = gow_unchecked_begin_as(upgrade->job->file, target, &unchecked, error);
	if (code)
		return code;
	unchecked.header.pending = false;
	unchecked.header.file_size = gow_upgrade_target_size(upgrade);
	unchecked.header.present_blocks = gow_present_blocks(target, unchecked.header.file_size);
	code = gow_judge(&unchecked, &verdict, error);
	if (!code)
		corrupt = gow_verdict_first(&verdict, GOW_CORRUPT);
	gow_unchecked_release(&unchecked);
	return corrupt ? refuse_result(upgrade, corrupt, error) : code;
}

/* The header is whole: what the record says of it holds even if others pass it over. */
static int step_leave(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_trailer *trailer = &upgrade->trailer;
	int code = GOW_OK;

	if (gow_upgrade_writes(upgrade) && !upgrade->back)
		code = gow_trailer_hash_header(upgrade->job->file, upgrade->to,
		                               trailer->new_header_size, trailer->new_hash, error);
	return code ? code
	            : save_stage(upgrade,
	                         upgrade->back ? GOW_TRAILER_RESTORED : GOW_TRAILER_UPGRADED,
	                         error);
}

static int step_release(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = write_magic(upgrade, gow_upgrade_target(upgrade), false, error);

	if (gow_upgrade_writes(upgrade) && !code)
		upgrade->begun = false;
	return code;
}

int gow_upgrade_cut(struct gow_upgrade *upgrade, uint64_t size, gow_error *error)
{
	/* The image is at rest: whoever came may have begun to write to it. */
	int code = gow_lock_poll(upgrade->job->lock, error);

	if (!code)
		code = gow_file_truncate(upgrade->job->file, size, error);
	return code ? code : gow_file_sync(upgrade->job->file, error);
}

static int step_cut(struct gow_upgrade *upgrade, gow_error *error)
{
	return gow_upgrade_writes(upgrade)
	               ? gow_upgrade_cut(upgrade, gow_upgrade_target_size(upgrade), error)
	               : GOW_OK;
}

/* Each may be done again, from the first one on, wherever a run before this one ended. */
static int (*const steps[])(struct gow_upgrade *upgrade, gow_error *error) = {
	step_mark,     step_enter, step_move,    step_header,
	step_validate, step_leave, step_release, step_cut,
};

static int take_steps(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < sizeof steps / sizeof *steps && !code; i++)
		code = steps[i](upgrade, error);
	return code;
}

/* ---- before the first change ------------------------------------------------------------- */

/* The record, durable before the magic. */
static int write_record(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_file *file = upgrade->job->file;
	struct gow_trailer *trailer = &upgrade->trailer;
	const uint64_t end = gow_trailer_end(trailer), sector = SECTOR;
	int code = gow_pen_mark(&upgrade->pen, trailer->offset, trailer->header_size, error);

	/* The cursors, and the footer, with a gap before each. */
	for (uint64_t at = end - 5 * sector; at < end && !code; at += 2 * sector)
		code = gow_pen_mark(&upgrade->pen, at, sector, error);
	if (code || !gow_upgrade_writes(upgrade))
		return code;
	/* Also fills up a short last block with zeros. */
	code = gow_file_truncate(file, end, error);
	if (!code)
		code = gow_trailer_write(file, trailer, error);
	if (!code)
		code = gow_file_settle(file, error);
	return code ? code : gow_trailer_verify(file, trailer, error);
}

/* Goes over everything once, without writing. */
static int rehearse(struct gow_upgrade *upgrade, enum gow_pass pass, gow_error *error)
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
enum { HOLE_RUNS = 1 << 20 };

int gow_upgrade_measure(struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_move move = move_of(upgrade);
	int code;

	upgrade->pen = (struct gow_pen){ .file = upgrade->job->file, .pass = GOW_PASS_MEASURE };
	gow_hole_map_init(&upgrade->holes, HOLE_RUNS);
	code = gow_move_look(&move, error);
	return code ? code : rehearse(upgrade, GOW_PASS_MEASURE, error);
}

static int reserve(struct gow_upgrade *upgrade, gow_error *error)
{
	const uint64_t need = upgrade->pen.room;
	int code = gow_check_room(upgrade->job->file, need, error);

	if (!code)
		code = gow_reserved_short(rehearse(upgrade, GOW_PASS_RESERVE, error), need, error);
	if (!code && upgrade->pen.cannot_reserve)
		gow_note(upgrade->job->monitor, GOW_NOTE_DETAIL, upgrade->job->file->name,
		         "space cannot be reserved here; if it runs out, make room and run "
		         "gow-upgrade again");
	return code;
}

/* Up to the magic everything can be taken back by cutting the file and making holes again; what has
 * not grown is not cut. */
static void take_back(struct gow_upgrade *upgrade)
{
	const uint64_t size = upgrade->trailer.original_size;
	uint64_t grown;

	gow_reserved_give_back(&upgrade->reserved, upgrade->job->file);
	if (!gow_file_size(upgrade->job->file, &grown, NULL) && grown > size)
		(void)gow_file_truncate(upgrade->job->file, size, NULL);
}

static void begin_writing(struct gow_upgrade *upgrade)
{
	upgrade->pen = (struct gow_pen){ .file = upgrade->job->file, .pass = GOW_PASS_WRITE };
}

static int begin(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = reserve(upgrade, error);

	begin_writing(upgrade);
	if (!code)
		code = write_record(upgrade, error);
	if (!code)
		code = gow_upgrade_check_old_header(upgrade, error);
	if (!code)
		code = gow_safe_point(upgrade->job->monitor, "record", 0, 0, upgrade->job->lock,
		                      error);
	if (code) {
		take_back(upgrade);
		return code;
	}
	code = write_magic(upgrade, upgrade->from, true, error);
	upgrade->begun = !code;
	return code;
}

static int begin_again(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = reserve(upgrade, error);

	if (code)
		gow_reserved_give_back(&upgrade->reserved, upgrade->job->file);
	begin_writing(upgrade);
	return code;
}

int gow_upgrade_carry_out(struct gow_upgrade *upgrade, gow_error *error)
{
	int code;

	upgrade->carried = 0;
	code = upgrade->begun ? begin_again(upgrade, error) : begin(upgrade, error);
	upgrade->carried = 0;
	if (!code)
		code = take_steps(upgrade, error);
	if (code && upgrade->begun)
		gow_note(upgrade->job->monitor, GOW_NOTE_WARNING, upgrade->job->file->name,
		         "the upgrade is not finished; gow-upgrade resumes it, and gow-upgrade "
		         "--rollback takes it back%s",
		         code == GOW_ERR_NO_SPACE ? ", once there is room" : "");
	return code;
}
