/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/monitor.h"
#include "io/overlay.h"

/* ---- the marks --------------------------------------------------------------------------- */

/* As long as a preamble may be. */
enum { SPAN_MAX = 4096 };

/* The bytes from the first of the marks to the last, which are written as one: in every reference
 * layout they share a sector, so that they change together or not at all. */
struct span {
	uint64_t offset;
	size_t length;
};

static int span_of(const struct gow_layout *layout, struct span *span, gow_error *error)
{
	struct gow_mark marks[GOW_MARKS];
	uint64_t start, past;

	gow_marks_of(layout, marks);
	start = gow_min(marks[0].offset, marks[1].offset);
	past = gow_max(marks[0].offset + marks[0].length, marks[1].offset + marks[1].length);
	if (past - start > SPAN_MAX)
		return gow_fail(error, GOW_ERR_UNSUPPORTED, "the layout's preamble is too long");
	*span = (struct span){ start, (size_t)(past - start) };
	return GOW_OK;
}

/*
 * The version goes with the magic: where it was damaged, GOW! alone would not be understood, and
 * nobody would find the undo file.
 */
static int write_pending_marks(const struct gow_change *change, gow_error *error)
{
	const struct gow_layout *layout = change->layout;
	uint8_t bytes[SPAN_MAX];
	struct span span = { 0 };
	int code = span_of(layout, &span, error);

	if (!code)
		code = gow_file_read_all(change->image, span.offset, bytes, span.length, error);
	if (code)
		return code;
	gow_store(bytes + (layout->version_field.offset - span.offset),
	          layout->version_field.width, layout->order, layout->version);
	memcpy(bytes + (layout->magic_offset - span.offset), layout->magic_pending,
	       GOW_MAGIC_SIZE);
	code = gow_file_write(change->image, span.offset, bytes, span.length, error);
	return code ? code : gow_file_sync(change->image, error);
}

/* Gives image (or what lies over it) the marks that from has. */
static int copy_marks(const struct gow_layout *layout, struct gow_file *from,
                      struct gow_file *image, gow_error *error)
{
	uint8_t bytes[SPAN_MAX];
	struct span span = { 0 };
	int code = span_of(layout, &span, error);

	if (!code)
		code = gow_file_read_all(from, span.offset, bytes, span.length, error);
	return code ? code : gow_file_write(image, span.offset, bytes, span.length, error);
}

/* ---- the writes -------------------------------------------------------------------------- */

struct work {
	const struct gow_change *change;
	struct gow_file *overlay;
	bool may_stop;
	uint64_t done, total; /* bytes to be copied */
	uint64_t reserved;    /* up to where space has been reserved */
	uint8_t buffer[GOW_BLOCK_SIZE];
};

static int safe_point(struct work *work, gow_error *error)
{
	const struct gow_change *change = work->change;
	int code;

	if (!work->may_stop)
		return GOW_OK;
	code = gow_tick(change->monitor, "repair", work->done, work->total, error);
	return code || !change->lock ? code : gow_lock_poll(change->lock, error);
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
		if (!code && !gow_is_zero(work->buffer, part))
			code = gow_file_write(work->change->image, piece->offset + at,
			                      work->buffer, part, error);
		at += part;
		work->done += part;
	}
	return code;
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
	int code = gow_change_each(work->overlay, undo->layout, undo->old_size, reserve_range,
	                           work, error);

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
	code = copy_marks(change->layout, before, view, error);
	if (!code)
		code = gow_undo_is_unbegun(change->undo, view, &unbegun, error);
	if (!code && !unbegun)
		code = gow_fail(error, GOW_ERR_MISMATCH,
		                "reads back as something else than was written");
	(void)gow_file_close(view, NULL);
	return code;
}

static int restore(struct gow_change *change, struct work *work, gow_error *error)
{
	int code = write_pending_marks(change, error);

	if (!code)
		code = write_overlay(work, error);
	if (!code)
		code = check_restored(change, work->overlay, error);
	if (!code)
		code = gow_undo_mark_undone(change->undo, error);
	if (!code)
		code = copy_marks(change->layout, work->overlay, change->image, error);
	return code ? code : gow_file_sync(change->image, error);
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
	if (!code && gow_undo_remove(&change->place, change->undo, NULL))
		gow_note(change->monitor, GOW_NOTE_WARNING, change->undo->file->name,
		         "is of no more use, and cannot be removed");
	free(work);
	(void)gow_file_close(before, NULL);
	return code;
}

/* ---- committing -------------------------------------------------------------------------- */

/* Shows the image to check as it will be when the marks are back. */
static int check_result(const struct gow_change *change, struct gow_file *overlay,
                        gow_change_checker check, void *context, gow_error *error)
{
	struct gow_file *view;
	int code = gow_overlay_new(change->image, &view, error);

	if (code)
		return code;
	code = copy_marks(change->layout, overlay, view, error);
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
	if (code) {
		/* Also gives back what was reserved past the end. */
		if (change->undo->new_size > change->undo->old_size)
			(void)gow_file_truncate(change->image, change->undo->old_size, NULL);
		(void)gow_undo_remove(&change->place, change->undo, NULL);
	}
	return code;
}

static int commit(struct gow_change *change, struct work *work, gow_change_checker check,
                  void *context, gow_error *error)
{
	int code = write_pending_marks(change, error);

	if (!code)
		code = write_overlay(work, error);
	if (!code)
		code = check_result(change, work->overlay, check, context, error);
	if (!code)
		code = gow_undo_mark_done(change->undo, change->image, error);
	if (!code)
		code = copy_marks(change->layout, work->overlay, change->image, error);
	return code ? code : gow_file_sync(change->image, error);
}

int gow_change_commit(struct gow_change *change, struct gow_file *overlay, const char *what,
                      const char *pointed, gow_change_checker check, void *context,
                      bool *pending, gow_error *error)
{
	struct work *work = work_new(change, overlay, true, error);
	int code = work ? GOW_OK : GOW_ERR_MEMORY;

	*pending = false;
	/* The overlay is to keep the marks that it shows when those below it change. */
	if (!code)
		code = copy_marks(change->layout, overlay, overlay, error);
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
