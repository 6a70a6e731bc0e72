/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/marks.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "io/readback.h"
#include "journal/undo.h"

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

/* Writes the marks, makes them durable, and reads them back. Where they were garbled they are written
 * once more: without them nobody would know the image again. */
static int settle_marks(struct gow_file *image, const struct span *span, const uint8_t *bytes,
                        gow_error *error)
{
	int code = GOW_ERR_MISMATCH;

	for (int tries = 0; tries < 2 && code == GOW_ERR_MISMATCH; tries++) {
		code = gow_file_write(image, span->offset, bytes, span->length, error);
		if (!code)
			code = gow_file_sync(image, error);
		if (!code)
			code = gow_file_check_written(image, span->offset, bytes, span->length,
			                              error);
	}
	return code;
}

/* bytes: SPAN_MAX of them. */
static int read_marks(const struct gow_layout *layout, struct gow_file *from, struct span *span,
                      uint8_t *bytes, gow_error *error)
{
	int code = span_of(layout, span, error);

	return code ? code : gow_file_read_all(from, span->offset, bytes, span->length, error);
}

int gow_marks_write_pending(const struct gow_layout *layout, struct gow_file *image,
                            gow_error *error)
{
	uint8_t bytes[SPAN_MAX];
	struct span span = { 0 };
	int code = read_marks(layout, image, &span, bytes, error);

	if (code)
		return code;
	gow_store(bytes + (layout->version_field.offset - span.offset), layout->version_field.width,
	          layout->order, layout->version);
	memcpy(bytes + (layout->magic_offset - span.offset), layout->magic_pending, GOW_MAGIC_SIZE);
	return settle_marks(image, &span, bytes, error);
}

int gow_marks_copy(const struct gow_layout *layout, struct gow_file *from, struct gow_file *image,
                   gow_error *error)
{
	uint8_t bytes[SPAN_MAX];
	struct span span = { 0 };
	int code = read_marks(layout, from, &span, bytes, error);

	return code ? code : gow_file_write(image, span.offset, bytes, span.length, error);
}

int gow_marks_settle(const struct gow_layout *layout, struct gow_file *from, struct gow_file *image,
                     gow_error *error)
{
	uint8_t bytes[SPAN_MAX];
	struct span span = { 0 };
	int code = read_marks(layout, from, &span, bytes, error);

	return code ? code : settle_marks(image, &span, bytes, error);
}
