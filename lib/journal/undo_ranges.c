/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include "io/overlay.h"
#include "journal/undo.h"

void gow_marks_of(const struct gow_layout *layout, struct gow_mark marks[GOW_MARKS])
{
	marks[0] = (struct gow_mark){ layout->magic_offset, GOW_MAGIC_SIZE };
	marks[1] = (struct gow_mark){ layout->version_field.offset, layout->version_field.width };
}

/* Collects pieces into ranges. */
struct ranges {
	const struct gow_layout *layout;
	uint64_t end;
	gow_range_visitor visit;
	void *context;
	uint64_t start, past; /* what has been collected, [start, past) */
};

static int flush_range(struct ranges *ranges, gow_error *error)
{
	int code = GOW_OK;

	if (ranges->past > ranges->start)
		code = ranges->visit(ranges->context, ranges->start,
		                     (uint32_t)(ranges->past - ranges->start), error);
	ranges->start = ranges->past;
	return code;
}

static int add_range(struct ranges *ranges, uint64_t start, uint64_t past, gow_error *error)
{
	int code = GOW_OK;

	if (start >= past)
		return GOW_OK;
	if (start != ranges->past) {
		code = flush_range(ranges, error);
		ranges->start = ranges->past = start;
	}
	while (!code && ranges->past < past) {
		uint64_t room = RECORD_MAX - (ranges->past - ranges->start);

		ranges->past += gow_min(room, past - ranges->past);
		if (ranges->past - ranges->start == RECORD_MAX)
			code = flush_range(ranges, error);
	}
	return code;
}

static int add_piece(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct ranges *ranges = context;
	uint64_t start = piece->offset;
	uint64_t past = gow_min(piece->offset + piece->length, ranges->end);
	struct gow_mark marks[GOW_MARKS];
	int code = GOW_OK;

	if (piece->kind == GOW_PIECE_COPY)
		return GOW_OK;
	gow_marks_of(ranges->layout, marks);
	if (marks[1].offset < marks[0].offset) {
		struct gow_mark first = marks[1];

		marks[1] = marks[0];
		marks[0] = first;
	}
	for (size_t i = 0; i < GOW_MARKS && !code; i++) {
		uint64_t mark_past = marks[i].offset + marks[i].length;

		if (start >= mark_past || past <= marks[i].offset)
			continue;
		code = add_range(ranges, start, gow_min(past, marks[i].offset), error);
		start = gow_max(start, mark_past);
	}
	return code ? code : add_range(ranges, start, past, error);
}

int gow_change_each(struct gow_file *overlay, const struct gow_layout *layout, uint64_t end,
                    gow_range_visitor visit, void *context, gow_error *error)
{
	struct ranges ranges = { .layout = layout, .end = end, .visit = visit, .context = context };
	int code = gow_overlay_each(overlay, add_piece, &ranges, error);

	return code ? code : flush_range(&ranges, error);
}
