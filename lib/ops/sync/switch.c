/* SPDX-License-Identifier: BSD-2-Clause */
/* The copy's header gets what the master's says: as one change that can be taken back, or, of a copy
 * that is pending anyway, write by write. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "io/overlay.h"
#include "io/readback.h"
#include "ops/repair/change.h"
#include "ops/repair/marks.h"
#include "ops/sync/job.h"

/* What the undo file says; how its owner is known again. */
static const char what[] = "gow-sync: the map and the numbers of a master";

enum {
	RUN = 8192,     /* numbers written at once */
	PAGE = 4096,    /* of the file system */
	KEPT_SHARE = 32 /* one block of so many in the file stays for the next sync */
};

/* ---- what the header will say ------------------------------------------------------------ */

static uint32_t new_block_count(const struct gow_sync_job *job)
{
	uint32_t count = job->new_copy ? 0 : job->disk.block_count;

	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++)
		if (job->places[i] != GOW_UNALLOCATED && job->places[i] >= count)
			count = job->places[i] + 1;
	return count;
}

/* How many entries are the copy's own business: those of the larger disk. */
static uint32_t entries_of(const struct gow_sync_job *job)
{
	if (job->resumed) /* a larger disk may have been begun */
		return job->disk.layout->map_entries;
	return (uint32_t)gow_max(job->disk.logical_blocks, job->master.disk.logical_blocks);
}

static uint32_t new_entry(const struct gow_sync_job *job, uint32_t logical)
{
	return logical < job->master.disk.logical_blocks ? job->places[logical] : GOW_UNALLOCATED;
}

static uint32_t new_number(const struct gow_sync_job *job, uint32_t logical)
{
	return logical < job->master.disk.logical_blocks ? gow_sync_new_number(job, logical) : 0;
}

/* Whether a number of the header is another one than now; of a new copy nothing is known. */
static bool changes(const struct gow_sync_job *job, const uint32_t *now, uint32_t logical,
                    uint32_t value)
{
	return job->new_copy || now[logical] != value;
}

typedef uint32_t (*number_of)(const struct gow_sync_job *job, uint32_t logical);
typedef int (*run_writer)(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                          uint32_t count, const uint32_t *numbers, gow_error *error);

/* Writes every run of numbers that change. */
static int write_numbers(const struct gow_sync_job *job, struct gow_file *file, const uint32_t *now,
                         number_of number, run_writer write, gow_error *error)
{
	const uint32_t end = entries_of(job);
	uint32_t run[RUN], count = 0;
	int code = GOW_OK;

	for (uint32_t i = 0; i <= end && !code; i++) {
		const bool change = i < end && changes(job, now, i, number(job, i));

		if (count && (!change || count == RUN)) {
			code = write(file, job->disk.layout, i - count, count, run, error);
			count = 0;
		}
		if (change)
			run[count++] = number(job, i);
	}
	return code;
}

static int write_map(const struct gow_sync_job *job, struct gow_file *file, gow_error *error)
{
	int code = write_numbers(job, file, job->disk.versions, new_number,
	                         gow_header_write_versions, error);

	return code ? code
	            : write_numbers(job, file, job->disk.entries, new_entry,
	                            gow_header_write_entries, error);
}

static struct gow_header new_header(const struct gow_sync_job *job)
{
	return (struct gow_header){
		.layout = job->disk.layout,
		.logical_size = job->master.disk.logical_size,
		.block_count = new_block_count(job),
	};
}

/* ---- as one change ----------------------------------------------------------------------- */

static struct gow_change change_of(struct gow_sync_job *job)
{
	return (struct gow_change){
		.image = job->copy->file,
		.place = { .directory = job->copy->directory,
		           .image = job->copy->name,
		           .rows = job->disk.layout,
		           .row_count = 1 },
		.layout = job->disk.layout,
		.lock = &job->copy->lock,
		.monitor = job->monitor,
		.phase = "switch",
	};
}

/* Whether the image is sound, and is what was meant. */
static int check_result(void *context, struct gow_file *image, gow_error *error)
{
	const struct gow_sync_job *job = context;
	struct gow_sync_disk disk;
	int code = gow_sync_disk_load(image, job->disk.layout, 1, &disk, error);
	bool same;

	if (code)
		return code;
	same = disk.logical_size == job->master.disk.logical_size;
	for (uint32_t i = 0; same && i < disk.logical_blocks; i++)
		same = disk.entries[i] == job->places[i] &&
		       disk.versions[i] == gow_sync_new_number(job, i);
	gow_sync_disk_release(&disk);
	return same ? GOW_OK : gow_fail(error, GOW_ERR_MISMATCH, "is not what was meant");
}

static int commit(struct gow_sync_job *job, struct gow_file *overlay, gow_error *error)
{
	struct gow_change change = change_of(job);
	bool pending = false;
	int code = gow_change_commit(&change, overlay, what, NULL, check_result, job, &pending,
	                             error);

	if (pending)
		gow_note(job->monitor, GOW_NOTE_WARNING, job->copy->file->name,
		         "is in the middle of a change; run gow-sync again, or gow-repair");
	if (!code)
		code = gow_undo_remove(&change.place, change.undo, change.image, error);
	gow_undo_close(change.undo);
	return code;
}

/* In place there is no undo file. */
int gow_sync_check_name(struct gow_sync_job *job, gow_error *error)
{
	const struct gow_change change = change_of(job);
	int code = job->in_place ? GOW_OK : gow_undo_check_name(&change.place, error);

	if (code)
		return gow_fail_in_file(error, code, job->copy->file->name);
	return gow_directory_check_entry(job->copy->directory, job->copy->name, job->copy->file,
	                                 "copy it to a file of its own", error);
}

static int switch_at_once(struct gow_sync_job *job, gow_error *error)
{
	const struct gow_header header = new_header(job);
	struct gow_file *overlay;
	int code = gow_sync_check_name(job, error);

	if (!code)
		code = gow_overlay_new(job->copy->file, &overlay, error);
	if (code)
		return code;
	code = gow_header_write(overlay, &header, error);
	if (!code)
		code = write_map(job, overlay, error);
	if (!code)
		code = commit(job, overlay, error);
	(void)gow_file_close(overlay, NULL);
	return code;
}

/* ---- write by write ---------------------------------------------------------------------- */

int gow_sync_mark(struct gow_sync_job *job, gow_error *error)
{
	return gow_marks_write_pending(job->disk.layout, job->copy->file, error);
}

/* The count and the room for entries first, so that what a crash leaves can be judged. */
static int write_frame(const struct gow_sync_job *job, gow_error *error)
{
	struct gow_header header = new_header(job);
	int code;

	header.pending = true;
	header.logical_size = gow_max(header.logical_size, job->disk.logical_size);
	code = gow_header_write(job->copy->file, &header, error);
	if (!code && job->new_copy)
		code = gow_file_truncate(
			job->copy->file,
			gow_layout_block_offset(job->disk.layout, header.block_count), error);
	return code ? code : gow_file_sync(job->copy->file, error);
}

/* Whether the fields of the header are on the disk as they were meant to be. */
static int check_fields(const struct gow_sync_job *job, struct gow_file *meant, gow_error *error)
{
	const size_t size = (size_t)gow_layout_preamble_end(job->disk.layout);
	uint8_t bytes[GOW_PREAMBLE_MAX];
	int code = gow_file_read_all(meant, 0, bytes, size, error);

	return code ? code : gow_file_check_written(job->copy->file, 0, bytes, size, error);
}

/* The map is durable. The header says that all is over when it reads back as it was meant. */
static int come_to_rest(struct gow_sync_job *job, gow_error *error)
{
	const struct gow_header header = new_header(job);
	struct gow_file *file = job->copy->file, *at_rest;
	int code = gow_overlay_new(file, &at_rest, error);

	if (code)
		return code;
	code = gow_header_write(at_rest, &header, error);
	if (!code)
		code = check_result(job, at_rest, error);
	if (!code)
		code = gow_header_write(file, &header, error);
	if (!code)
		code = gow_file_sync(file, error);
	if (!code)
		code = check_fields(job, at_rest, error);
	(void)gow_file_close(at_rest, NULL);
	return code;
}

static int take_steps(struct gow_sync_job *job, gow_error *error)
{
	int code = write_frame(job, error);

	if (!code)
		code = write_map(job, job->copy->file, error);
	if (!code)
		code = gow_file_settle(job->copy->file, error);
	return code ? code : come_to_rest(job, error);
}

/* What was garbled on its way to the disk is written once more: there is no record to roll back by. */
static int switch_in_steps(struct gow_sync_job *job, gow_error *error)
{
	int code = take_steps(job, error);

	return code == GOW_ERR_MISMATCH || code == GOW_ERR_CORRUPT ? take_steps(job, error) : code;
}

/* ---- afterwards -------------------------------------------------------------------------- */

/* Gives back what is whole pages of some blocks: at the edges zeros would have to be written. False
 * where the file system cannot. */
static bool free_run(const struct gow_sync_job *job, uint32_t first, uint32_t end)
{
	const uint64_t start = gow_layout_block_offset(job->disk.layout, first);
	const uint64_t past = gow_layout_block_offset(job->disk.layout, end);
	const uint64_t offset = gow_round_up(start, PAGE);

	return !gow_file_punch(job->copy->file, offset, past - past % PAGE - offset, NULL);
}

/* The places that the copy has given up. */
static void find_old(const struct gow_sync_job *job, uint64_t *old)
{
	const struct gow_sync_disk *disk = &job->disk;

	for (uint32_t i = 0; i < disk->logical_blocks; i++)
		if (disk->entries[i] < disk->present_blocks)
			gow_set_bit(old, disk->entries[i]);
	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++)
		if (job->places[i] < disk->present_blocks)
			gow_clear_bit(old, job->places[i]);
}

/* What the copy no longer names goes back to the file system, but for a few places: the next sync
 * uses them again, and to give back many small ones takes longer than to fill them. Best effort: not
 * every file system can, and somebody may be waiting for the copy. */
static int free_old(const struct gow_sync_job *job, gow_error *error)
{
	const uint32_t count = job->disk.present_blocks;
	uint64_t *old = calloc(gow_bit_words(count), sizeof *old);
	uint32_t run = 0, kept = 0;
	bool can = true;

	if (!old)
		return gow_fail_memory(error, gow_bit_words(count) * sizeof *old);
	find_old(job, old);
	for (uint32_t i = 0; i <= count && can; i++) {
		const bool is_old = i < count && gow_get_bit(old, i) &&
		                    kept++ >= count / KEPT_SHARE;

		/* The copy is at rest: whoever comes gets it as it is. */
		if (!is_old && run)
			can = !gow_lock_poll(&job->copy->lock, NULL) && free_run(job, i - run, i);
		run = is_old ? run + 1 : 0;
	}
	free(old);
	return GOW_OK;
}

int gow_sync_switch(struct gow_sync_job *job, gow_error *error)
{
	int code = job->in_place || job->new_copy ? switch_in_steps(job, error)
	                                          : switch_at_once(job, error);

	return code || job->new_copy ? code : free_old(job, error);
}

/* ---- what an earlier run has left -------------------------------------------------------- */

static bool is_ours(const struct gow_undo *undo)
{
	return strcmp(undo->what, what) == 0;
}

static int refuse_repair(const struct gow_sync_job *job, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "is in the middle of a change that is not of "
	                    "gow-sync: finish it with gow-repair");

	return gow_fail_in_file(error, code, job->copy->file->name);
}

/* A switch that was interrupted. */
static int roll_back(struct gow_sync_job *job, bool look, bool *needed, gow_error *error)
{
	struct gow_change change = change_of(job);
	struct gow_undo_search found;
	int code = gow_undo_find(&change.place, job->copy->file, !look, &found, error);

	if (code || !found.undo)
		return code;
	*needed = true;
	change.undo = found.undo;
	change.layout = found.undo->layout;
	if (!is_ours(found.undo))
		code = refuse_repair(job, error);
	else if (!look)
		code = gow_change_roll_back(&change, error);
	gow_undo_close(found.undo);
	return code;
}

/* The undo file of a switch that was never begun, or is over. */
static int remove_undo(struct gow_sync_job *job, uint32_t layer, bool look, bool *needed,
                       gow_error *error)
{
	const struct gow_change change = change_of(job);
	struct gow_undo *undo;
	bool unbegun = false;
	int code = GOW_OK;

	/* One that cannot be read is none of ours, or somebody's to look at. */
	if (gow_undo_open(&change.place, layer, !look, &undo, NULL))
		return GOW_OK;
	if (is_ours(undo) && !undo->done && !undo->undone)
		code = gow_undo_is_unbegun(undo, job->copy->file, &unbegun, error);
	if (!code && is_ours(undo) && (undo->done || undo->undone || unbegun)) {
		*needed = true;
		if (!look)
			code = gow_change_settle_marks(&change, error);
		if (!code && !look)
			code = gow_undo_remove(&change.place, undo, change.image, error);
	}
	gow_undo_close(undo);
	return code;
}

static int clean_up(struct gow_sync_job *job, bool look, bool *needed, gow_error *error)
{
	const struct gow_change change = change_of(job);
	uint32_t *layers;
	size_t count;
	int code = gow_undo_layers(&change.place, &layers, &count, error);

	if (code)
		return code;
	if (count)
		code = remove_undo(job, layers[0], look, needed, error);
	free(layers);
	return code;
}

int gow_sync_recover(struct gow_sync_job *job, bool look, bool *needed, gow_error *error)
{
	struct gow_header header;
	int code = gow_header_read(job->copy->file, job->rows, job->row_count, &header, error);

	if (code)
		return code;
	job->disk.layout = header.layout;
	if (!gow_layout_has_mark(header.layout))
		return GOW_OK;
	return header.pending ? roll_back(job, look, needed, error)
	                      : clean_up(job, look, needed, error);
}
