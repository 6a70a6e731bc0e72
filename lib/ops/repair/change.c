/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/monitor.h"
#include "base/xxh.h"
#include "io/overlay.h"
#include "io/readback.h"
#include "ops/repair/marks.h"

int gow_change_settle_marks(const struct gow_change *change, gow_error *error)
{
	return gow_marks_settle(change->layout, change->image, change->image, error);
}

/* ---- the writes -------------------------------------------------------------------------- */

struct work {
	const struct gow_change *change;
	struct gow_file *overlay;
	bool may_stop;
	uint64_t done, total; /* bytes to be copied */
	uint64_t reserved;    /* up to where space has been reserved */
	XXH64_hash_t copied;  /* of the copies, as they were meant */
	uint8_t buffer[GOW_BLOCK_SIZE];
	uint8_t other[GOW_BLOCK_SIZE];
};

static int safe_point(struct work *work, gow_error *error)
{
	const struct gow_change *change = work->change;

	if (!work->may_stop)
		return GOW_OK;
	return gow_safe_point(change->monitor, change->phase ? change->phase : "repair", work->done,
	                      work->total, change->lock, error);
}

static XXH64_hash_t chain(XXH64_hash_t before, const uint8_t *bytes, size_t size)
{
	return XXH3_64bits_withSeed(bytes, size, before + 1);
}

/* A copy goes where the file has grown, which reads as zeros already. */
static int write_copy(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct work *work = context;
	uint64_t at = 0;
	int code = GOW_OK;

	if (piece->kind != GOW_PIECE_COPY)
		return GOW_OK;
	while (!code && at < piece->length) {
		size_t part = (size_t)gow_min(piece->length - at, sizeof work->buffer);

		code = safe_point(work, error);
		if (!code)
			code = gow_file_read_padded(work->change->image, piece->source + at,
			                            work->buffer, part, error);
		if (!code)
			work->copied = chain(work->copied, work->buffer, part);
		if (!code && !gow_is_zero(work->buffer, part))
			code = gow_file_write(work->change->image, piece->offset + at, work->buffer,
			                      part, error);
		at += part;
		work->done += part;
	}
	return code;
}

/* Reads a copy back. */
static int read_copy(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct work *work = context;
	int code = GOW_OK;

	if (piece->kind != GOW_PIECE_COPY)
		return GOW_OK;
	for (uint64_t at = 0; at < piece->length && !code; at += sizeof work->buffer) {
		size_t part = (size_t)gow_min(piece->length - at, sizeof work->buffer);

		code = safe_point(work, error);
		if (!code)
			code = gow_file_read_padded(work->change->image, piece->offset + at,
			                            work->buffer, part, error);
		if (!code)
			work->copied = chain(work->copied, work->buffer, part);
	}
	return code;
}

static int compare_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	struct work *work = context;
	int code = gow_file_read_padded(work->overlay, offset, work->buffer, length, error);

	if (!code)
		code = gow_file_read_padded(work->change->image, offset, work->other, length,
		                            error);
	if (!code && memcmp(work->buffer, work->other, length) != 0)
		code = gow_fail_read_back(work->change->image, offset, error);
	return code;
}

/* Whether the image holds what the overlay has of its own, and the copies, past the cache. The
 * marks are not written yet. */
static int check_written(struct work *work, gow_error *error)
{
	XXH64_hash_t meant = work->copied;
	int code;

	gow_file_drop_cache(work->change->image);
	work->copied = 0;
	code = gow_overlay_each(work->overlay, read_copy, work, error);
	if (!code && work->copied != meant)
		code = gow_fail_read_back(work->change->image, work->change->undo->old_size, error);
	return code ? code
	            : gow_change_each(work->overlay, work->change->layout, GOW_NOWHERE,
	                              compare_range, work, error);
}

static int write_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	struct work *work = context;
	int code = gow_file_read_all(work->overlay, offset, work->buffer, length, error);

	return code ? code
	            : gow_file_write(work->change->image, offset, work->buffer, length, error);
}

/*
 * Everything but the marks. Copies come before anything is overwritten, so that they take what
 * was there; the overlay never has one whose place was not past the old end.
 */
static int write_overlay(struct work *work, gow_error *error)
{
	struct gow_file *image = work->change->image;
	uint64_t size = 0, new_size = 0;
	int code = gow_file_size(image, &size, error);

	if (!code)
		code = gow_file_size(work->overlay, &new_size, error);
	if (!code && new_size > size)
		code = gow_file_truncate(image, new_size, error);
	if (!code)
		code = gow_overlay_each(work->overlay, write_copy, work, error);
	if (!code)
		code = safe_point(work, error);
	/* From here on it is quick, and is not interrupted. */
	if (!code)
		code = gow_change_each(work->overlay, work->change->layout, GOW_NOWHERE,
		                       write_range, work, error);
	if (!code && new_size < size)
		code = gow_file_truncate(image, new_size, error);
	return code ? code : gow_file_sync(image, error);
}

static int count_copy(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct work *work = context;

	(void)error;
	work->total += piece->kind == GOW_PIECE_COPY ? piece->length : 0;
	return GOW_OK;
}

static struct work *work_new(const struct gow_change *change, struct gow_file *overlay,
                             bool may_stop, gow_error *error)
{
	struct work *work = calloc(1, sizeof *work);

	if (!work) {
		(void)gow_fail_memory(error, sizeof *work);
		return NULL;
	}
	work->change = change;
	work->overlay = overlay;
	work->may_stop = may_stop;
	(void)gow_overlay_each(overlay, count_copy, work, NULL);
	return work;
}

/* ---- space ------------------------------------------------------------------------------- */

/* Overwriting may need space as well: the header may have holes. */
static int reserve_range(void *context, uint64_t offset, uint32_t length, gow_error *error)
{
	struct work *work = context;
	uint64_t past = gow_round_up(offset + length, GOW_BLOCK_SIZE);
	int code;

	if (past <= work->reserved)
		return GOW_OK;
	offset = gow_max(offset - offset % GOW_BLOCK_SIZE, work->reserved);
	past = gow_min(past, work->change->undo->old_size);
	code = offset < past ? gow_file_reserve(work->change->image, offset, past - offset, error)
	                     : GOW_OK;
	work->reserved = past;
	return code;
}

/* What cannot be reserved here may still be there when it is needed. */
static int reserve(struct work *work, gow_error *error)
{
	const struct gow_undo *undo = work->change->undo;
	int code = gow_change_each(work->overlay, undo->layout, undo->old_size, reserve_range, work,
	                           error);

	if (!code)
		code = gow_file_reserve(work->change->image, undo->old_size,
		                        undo->new_size - undo->old_size, error);
	return code == GOW_ERR_UNSUPPORTED ? GOW_OK : code;
}

/* ---- rolling back ------------------------------------------------------------------------ */

/* Whether the image is what it was, but for the marks. */
static int check_restored(const struct gow_change *change, struct gow_file *before,
                          gow_error *error)
{
	struct gow_file *view;
	bool unbegun = false;
	int code = gow_overlay_new(change->image, &view, error);

	if (code)
		return code;
	gow_file_drop_cache(change->image);
	code = gow_marks_copy(change->layout, before, view, error);
	if (!code)
		code = gow_undo_is_unbegun(change->undo, view, &unbegun, error);
	if (!code && !unbegun)
		code = gow_fail_read_back(change->image, change->layout->magic_offset, error);
	(void)gow_file_close(view, NULL);
	return code;
}

static int restore(struct gow_change *change, struct work *work, gow_error *error)
{
	int code = gow_marks_write_pending(change->layout, change->image, error);

	if (!code)
		code = write_overlay(work, error);
	if (!code)
		code = check_restored(change, work->overlay, error);
	if (code)
		return code;
	/* That this fails is no reason to leave the image marked for ever: what it says, the bytes
	 * say as well. */
	if (!gow_undo_is_anothers(change->undo, change->image))
		(void)gow_undo_mark_undone(change->undo, NULL);
	return gow_marks_settle(change->layout, work->overlay, change->image, error);
}

int gow_change_roll_back(struct gow_change *change, gow_error *error)
{
	struct gow_file *before;
	struct work *work = NULL;
	int code = gow_overlay_new(change->image, &before, error);

	if (code)
		return code;
	code = gow_undo_lay(change->undo, before, error);
	if (!code) {
		work = work_new(change, before, false, error);
		code = work ? restore(change, work, error) : GOW_ERR_MEMORY;
	}
	if (!code && gow_undo_remove(&change->place, change->undo, change->image, NULL))
		gow_note(change->monitor, GOW_NOTE_WARNING, change->undo->file->name,
		         "is of no more use, and cannot be removed");
	free(work);
	(void)gow_file_close(before, NULL);
	return code;
}

/* ---- committing -------------------------------------------------------------------------- */

/* Reads back what was written, and shows the image to check as it will be when the marks are
 * back. */
static int check_result(const struct gow_change *change, struct work *work,
                        gow_change_checker check, void *context, gow_error *error)
{
	struct gow_file *view;
	int code = gow_overlay_new(change->image, &view, error);

	if (code)
		return code;
	code = gow_marks_copy(change->layout, work->overlay, view, error);
	if (!code)
		code = check_written(work, error);
	if (!code)
		code = gow_undo_check_records(change->undo, view, error);
	if (!code)
		code = check(context, view, error);
	(void)gow_file_close(view, NULL);
	return code;
}

/* Before the first byte of the image is touched. */
static int prepare(struct gow_change *change, struct work *work, const char *what,
                   const char *pointed, gow_error *error)
{
	int code = safe_point(work, error);

	if (!code)
		code = gow_undo_make(&change->place, change->image, work->overlay, change->layout,
		                     what, pointed, &change->undo, error);
	if (code)
		return code;
	code = reserve(work, error);
	if (!code)
		code = safe_point(work, error);
	if (!code)
		code = gow_undo_check_there(&change->place, change->undo, error);
	if (code) {
		/* Also gives back what was reserved past the end. */
		if (change->undo->new_size > change->undo->old_size)
			(void)gow_file_truncate(change->image, change->undo->old_size, NULL);
		(void)gow_undo_remove(&change->place, change->undo, change->image, NULL);
	}
	return code;
}

static int commit(struct gow_change *change, struct work *work, gow_change_checker check,
                  void *context, gow_error *error)
{
	int code = gow_marks_write_pending(change->layout, change->image, error);

	if (!code)
		code = write_overlay(work, error);
	if (!code)
		code = check_result(change, work, check, context, error);
	/* What was open all the time can take back what is of no use without it. */
	if (!code)
		code = gow_undo_check_there(&change->place, change->undo, error);
	if (!code)
		code = gow_undo_mark_done(change->undo, change->image, error);
	return code ? code : gow_marks_settle(change->layout, work->overlay, change->image, error);
}

int gow_change_commit(struct gow_change *change, struct gow_file *overlay, const char *what,
                      const char *pointed, gow_change_checker check, void *context, bool *pending,
                      gow_error *error)
{
	struct work *work = work_new(change, overlay, true, error);
	int code = work ? GOW_OK : GOW_ERR_MEMORY;

	*pending = false;
	/* The overlay is to keep the marks that it shows when those below it change. */
	if (!code)
		code = gow_marks_copy(change->layout, overlay, overlay, error);
	if (!code)
		code = prepare(change, work, what, pointed, error);
	if (!code) {
		code = commit(change, work, check, context, error);
		if (code)
			*pending = gow_change_roll_back(change, NULL) != GOW_OK;
	}
	free(work);
	return code;
}
