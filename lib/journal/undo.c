/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xxh.h"
#include "io/overlay.h"
#include "journal/undo.h"

/* ---- judging and applying ---------------------------------------------------------------- */

static int lay_record(void *context, const struct gow_undo_record *record, gow_error *error)
{
	return gow_file_write(context, record->offset, record->old, record->length, error);
}

int gow_undo_lay(const struct gow_undo *undo, struct gow_file *overlay, gow_error *error)
{
	int code = gow_undo_each_record(undo, lay_record, overlay, error);

	return code ? code : gow_file_truncate(overlay, undo->old_size, error);
}

int gow_undo_restores(const struct gow_undo *undo, struct gow_file *image, bool *restores,
                      gow_error *error)
{
	uint8_t digest[GOW_UNDO_DIGEST] = { 0 };
	struct gow_file *overlay;
	uint64_t size = 0;
	int code = gow_file_size(image, &size, error);

	*restores = false;
	/* The change only ever made it longer, up to its end. */
	if (code || size < undo->old_size || size > undo->new_size)
		return code;
	code = gow_overlay_new(image, &overlay, error);
	if (code)
		return code;
	code = gow_undo_lay(undo, overlay, error);
	if (!code)
		code = gow_undo_digest_range(overlay, 0, undo->header_length, digest, error);
	(void)gow_file_close(overlay, NULL);
	*restores = !code && memcmp(digest, undo->header_digest, sizeof digest) == 0;
	return code;
}

struct comparison {
	struct gow_file *image;
	bool with_old; /* compare with the old bytes, not with what the change made of them */
	bool same;
	uint64_t place; /* of the first record that differs */
	uint8_t bytes[RECORD_MAX];
};

static int compare_record(void *context, const struct gow_undo_record *record, gow_error *error)
{
	struct comparison *with = context;
	int code;

	if (!with->same)
		return GOW_OK;
	code = gow_file_read_padded(with->image, record->offset, with->bytes, record->length,
	                            error);
	if (with->with_old)
		with->same = memcmp(with->bytes, record->old, record->length) == 0;
	else
		with->same = XXH3_64bits(with->bytes, record->length) == record->after;
	if (!with->same)
		with->place = record->offset;
	return code;
}

/* Compares all records; *place is GOW_NOWHERE if they are alike. */
static int compare(const struct gow_undo *undo, struct gow_file *image, bool with_old,
                   uint64_t *place, gow_error *error)
{
	struct comparison *with = calloc(1, sizeof *with);
	int code;

	if (!with)
		return gow_fail_memory(error, sizeof *with);
	*with = (struct comparison){
		.image = image, .with_old = with_old, .same = true, .place = GOW_NOWHERE
	};
	code = gow_undo_each_record(undo, compare_record, with, error);
	*place = with->place;
	free(with);
	return code;
}

static int changed(const char *what, uint64_t offset, gow_error *error)
{
	return gow_fail_at_offset(error, gow_fail(error, GOW_ERR_CHANGED, "%s", what), offset);
}

int gow_undo_check_records(const struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	uint64_t place = GOW_NOWHERE;
	int code = compare(undo, image, false, &place, error);

	if (!code && place != GOW_NOWHERE)
		code = changed("has changed since the repair, where the undo would overwrite it",
		               place, error);
	return code;
}

int gow_undo_check_done(const struct gow_undo *undo, struct gow_file *image, gow_error *error)
{
	uint8_t digest[GOW_UNDO_DIGEST] = { 0 };
	uint64_t size = 0;
	int code;

	if (!undo->done || undo->spoilt)
		return gow_undo_bad(undo, "what it says of the end of the change is damaged",
		                    gow_undo_done_at(undo), error);
	code = gow_file_size(image, &size, error);
	if (!code && size != undo->new_size)
		return changed("is not as long as the repair left it",
		               gow_min(size, undo->new_size), error);
	if (!code)
		code = gow_undo_check_records(undo, image, error);
	if (!code)
		code = gow_undo_digest_range(image, undo->old_size, undo->new_size, digest, error);
	if (!code && memcmp(digest, undo->tail_digest, sizeof digest) != 0)
		code = changed("has changed since the repair, in what the undo would cut off",
		               undo->old_size, error);
	return code;
}

int gow_undo_is_unbegun(const struct gow_undo *undo, struct gow_file *image, bool *unbegun,
                        gow_error *error)
{
	uint64_t size = 0, place = GOW_NOWHERE;
	int code = gow_file_size(image, &size, error);

	if (!code)
		code = compare(undo, image, true, &place, error);
	if (!code)
		*unbegun = size == undo->old_size && place == GOW_NOWHERE;
	return code;
}
