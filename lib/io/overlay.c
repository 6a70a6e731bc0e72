/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

struct overlay {
	struct gow_file file;
	struct gow_file *base;
	bool owns;
	uint64_t base_end; /* the base counts up to here; past it are zeros */
	uint64_t size;
	struct gow_pieces pieces;
};

static struct overlay *overlay_of(struct gow_file *file)
{
	return (struct overlay *)file;
}

/* ---- reading ----------------------------------------------------------------------------- */

static int read_base(struct overlay *overlay, uint64_t offset, uint8_t *buf, size_t size,
                     gow_error *error)
{
	size_t there = offset < overlay->base_end
	                       ? (size_t)gow_min(size, overlay->base_end - offset)
	                       : 0;
	int code = there ? gow_file_read_all(overlay->base, offset, buf, there, error) : GOW_OK;

	memset(buf + there, 0, size - there);
	return code;
}

struct patch {
	struct overlay *overlay;
	uint64_t offset;
	size_t size;
	uint8_t *buf;
};

static int patch_piece(void *context, const struct gow_piece *piece, gow_error *error)
{
	const struct patch *patch = context;
	uint64_t start = gow_max(piece->offset, patch->offset);
	uint64_t end = gow_min(piece->offset + piece->length, patch->offset + patch->size);
	uint8_t *to = patch->buf + (start - patch->offset);
	uint64_t skipped = start - piece->offset;

	switch (piece->kind) {
	case GOW_PIECE_BYTES:
		memcpy(to, piece->bytes + skipped, (size_t)(end - start));
		return GOW_OK;
	case GOW_PIECE_ZEROS:
		memset(to, 0, (size_t)(end - start));
		return GOW_OK;
	case GOW_PIECE_COPY:
		break;
	}
	return read_base(patch->overlay, piece->source + skipped, to, (size_t)(end - start), error);
}

static int overlay_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                        gow_error *error)
{
	struct overlay *overlay = overlay_of(file);
	struct patch patch = { overlay, offset, 0, buf };
	int code;

	if (offset < overlay->size)
		patch.size = (size_t)gow_min(size, overlay->size - offset);
	code = read_base(overlay, offset, buf, patch.size, error);
	if (!code)
		code = gow_pieces_each(&overlay->pieces, offset, offset + patch.size, patch_piece,
		                       &patch, error);
	*got = patch.size;
	return code;
}

static int take_first(void *context, const struct gow_piece *piece, gow_error *error)
{
	(void)error;
	*(struct gow_piece *)context = *piece;
	return GOW_ERR_STOPPED;
}

/* The base's data and the pieces are reported one after the other, whichever comes first. */
static int overlay_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                             gow_error *error)
{
	struct overlay *overlay = overlay_of(file);
	struct gow_piece piece = { .offset = GOW_NOWHERE };
	uint64_t data_start = offset, data_end = offset;
	int code = GOW_OK;

	if (offset < overlay->base_end)
		code = gow_file_next_data(overlay->base, offset, &data_start, &data_end, error);
	if (code)
		return code;
	data_end = gow_min(data_end, overlay->base_end);
	if (data_start >= data_end)
		data_start = GOW_NOWHERE;
	(void)gow_pieces_each(&overlay->pieces, offset, overlay->size, take_first, &piece, NULL);
	if (piece.offset == GOW_NOWHERE && data_start == GOW_NOWHERE) {
		*start = *end = offset;
	} else if (piece.offset <= data_start) {
		*start = gow_max(piece.offset, offset);
		*end = piece.offset + piece.length;
	} else {
		*start = data_start;
		*end = data_end;
	}
	return GOW_OK;
}

/* ---- changing ---------------------------------------------------------------------------- */

static int lay(struct overlay *overlay, const struct gow_piece *piece, gow_error *error)
{
	int code = gow_pieces_lay(&overlay->pieces, piece, error);

	if (code || !piece->length)
		return code;
	overlay->file.run.asked = overlay->file.run.start = overlay->file.run.end = 0;
	overlay->size = gow_max(overlay->size, piece->offset + piece->length);
	return GOW_OK;
}

static int overlay_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                         gow_error *error)
{
	const struct gow_piece piece = {
		.offset = offset,
		.length = size,
		.kind = GOW_PIECE_BYTES,
		.bytes = buf,
	};

	return lay(overlay_of(file), &piece, error);
}

static int overlay_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	const struct gow_piece piece = {
		.offset = offset,
		.length = size,
		.kind = GOW_PIECE_ZEROS,
	};

	return lay(overlay_of(file), &piece, error);
}

int gow_overlay_copy(struct gow_file *file, uint64_t offset, uint64_t source, uint64_t size,
                     gow_error *error)
{
	const struct gow_piece piece = {
		.offset = offset,
		.length = size,
		.kind = GOW_PIECE_COPY,
		.source = source,
	};

	return lay(overlay_of(file), &piece, error);
}

static int overlay_truncate(struct gow_file *file, uint64_t size, gow_error *error)
{
	struct overlay *overlay = overlay_of(file);

	if (size < overlay->size && !gow_pieces_clear(&overlay->pieces, size, GOW_NOWHERE))
		return gow_fail_memory(error, sizeof(struct gow_piece));
	overlay->base_end = gow_min(overlay->base_end, size);
	overlay->size = size;
	return GOW_OK;
}

static int overlay_size(struct gow_file *file, uint64_t *size, gow_error *error)
{
	(void)error;
	*size = overlay_of(file)->size;
	return GOW_OK;
}

static int overlay_sync(struct gow_file *file, gow_error *error)
{
	(void)file;
	(void)error;
	return GOW_OK;
}

/* ---- what the base has besides its bytes ------------------------------------------------- */

static const struct gow_file *base_of(const struct gow_file *file)
{
	return ((const struct overlay *)file)->base;
}

static int overlay_attributes(const struct gow_file *file, struct gow_file_attributes *attributes,
                              gow_error *error)
{
	return gow_file_attributes(base_of(file), attributes, error);
}

static int overlay_each_xattr(const struct gow_file *file, gow_file_xattr_visitor visit,
                              void *context, gow_error *error)
{
	return gow_file_each_xattr(base_of(file), visit, context, error);
}

static void overlay_drop_cache(struct gow_file *file)
{
	gow_file_drop_cache(overlay_of(file)->base);
}

/* ---- life -------------------------------------------------------------------------------- */

static int overlay_close(struct gow_file *file, gow_error *error)
{
	struct overlay *overlay = overlay_of(file);
	int code = overlay->owns ? gow_file_close(overlay->base, error) : GOW_OK;

	gow_pieces_release(&overlay->pieces);
	free(file->name);
	free(overlay);
	return code;
}

static const struct gow_file_ops overlay_ops = {
	.read = overlay_read,
	.write = overlay_write,
	.size = overlay_size,
	.truncate = overlay_truncate,
	.sync = overlay_sync,
	.next_data = overlay_next_data,
	.zero = overlay_zero,
	.attributes = overlay_attributes,
	.each_xattr = overlay_each_xattr,
	.drop_cache = overlay_drop_cache,
	.close = overlay_close,
};

int gow_overlay_new(struct gow_file *base, struct gow_file **overlay, gow_error *error)
{
	struct overlay *made = calloc(1, sizeof *made);
	char *name = strdup(base->name);
	int code = GOW_OK;

	if (!made || !name)
		code = gow_fail_memory(error, sizeof *made);
	else
		code = gow_file_size(base, &made->base_end, error);
	if (code) {
		free(made);
		free(name);
		return code;
	}
	made->file = (struct gow_file){ .ops = &overlay_ops, .name = name };
	made->base = base;
	made->size = made->base_end;
	gow_pieces_init(&made->pieces);
	*overlay = &made->file;
	return GOW_OK;
}

void gow_overlay_own_base(struct gow_file *overlay)
{
	overlay_of(overlay)->owns = true;
}

int gow_overlay_each(struct gow_file *overlay, gow_piece_visitor visit, void *context,
                     gow_error *error)
{
	return gow_pieces_each(&overlay_of(overlay)->pieces, 0, GOW_NOWHERE, visit, context, error);
}
