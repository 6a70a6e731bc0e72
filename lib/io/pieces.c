/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

/* A run whose sources follow no rule lists them, up to so many; one that followed a rule for so
 * long ends, and another begins. */
enum { LIST_MAX = 1024, RULE_MIN = 16 };

/*
 * Zeros; or copies of unit bytes each, one behind the other. The nth is from origin + n * stride;
 * where there is a list, from origin + list[n] * unit.
 */
struct part {
	struct gow_tree_node node;
	enum gow_piece_kind kind;
	uint64_t length; /* of all copies */
	uint64_t unit;
	uint64_t origin, stride;
	uint32_t *list;
	uint32_t list_room;
};

/* ---- parts ------------------------------------------------------------------------------- */

static void release_part(struct gow_tree_node *node)
{
	struct part *part = (struct part *)node;

	free(part->list);
	free(part);
}

static uint64_t end_of(const struct part *part)
{
	return part->node.offset + part->length;
}

static uint64_t count_of(const struct part *part)
{
	return part->length / part->unit;
}

static uint64_t source_of(const struct part *part, uint64_t n)
{
	return part->origin + (part->list ? part->list[n] * part->unit : n * part->stride);
}

static struct part *make_part(const struct gow_piece *piece)
{
	struct part *part = calloc(1, sizeof *part);

	if (!part)
		return NULL;
	part->node.offset = piece->offset;
	part->kind = piece->kind;
	part->length = part->unit = piece->length;
	part->origin = piece->kind == GOW_PIECE_COPY ? piece->source : 0;
	return part;
}

/* The part that has a byte at offset, or NULL. */
static struct part *part_over(const struct gow_pieces *pieces, uint64_t offset)
{
	struct part *part = (struct part *)gow_tree_before(&pieces->others, offset + 1);

	return part && end_of(part) > offset ? part : NULL;
}

/* ---- runs of copies ---------------------------------------------------------------------- */

/* A list for so many copies and some more, which those that there are fill. */
static bool grow_list(struct part *part, uint32_t count)
{
	uint32_t room = (uint32_t)gow_min((uint64_t)count * 2, LIST_MAX), *list;

	if (part->list && count <= part->list_room)
		return true;
	list = realloc(part->list, room * sizeof *list);
	if (!list)
		return false;
	if (!part->list)
		for (uint32_t i = 0; i < count - 1; i++)
			list[i] = (uint32_t)(i * part->stride / part->unit);
	part->list = list;
	part->list_room = room;
	return true;
}

/* Whether a list can say that a copy is from source. */
static bool fits_list(const struct part *part, uint64_t source)
{
	uint64_t from = source - part->origin;

	return source >= part->origin && from % part->unit == 0 && from / part->unit <= UINT32_MAX;
}

/* Adds a copy to the end of a run; false: it begins a run of its own. */
static bool append_copy(struct part *part, uint64_t source)
{
	uint64_t count = count_of(part);

	if (count == 1 && !part->list)
		part->stride = source - part->origin;
	if (part->list || source != source_of(part, count)) {
		if (!part->list &&
		    (count >= RULE_MIN || !fits_list(part, source_of(part, count - 1)) ||
		     !fits_list(part, part->origin + part->stride)))
			return false;
		if (count >= LIST_MAX || !fits_list(part, source) ||
		    !grow_list(part, (uint32_t)count + 1))
			return false;
		part->list[count] = (uint32_t)((source - part->origin) / part->unit);
	}
	part->length += part->unit;
	return true;
}

/* Whether the piece could be one more copy of the part that ends where it begins. */
static bool append(struct gow_pieces *pieces, const struct gow_piece *piece)
{
	struct part *last = (struct part *)gow_tree_before(&pieces->others, piece->offset);

	return last && piece->kind == GOW_PIECE_COPY && last->kind == GOW_PIECE_COPY &&
	       end_of(last) == piece->offset && last->unit == piece->length &&
	       append_copy(last, piece->source);
}

/* ---- cutting ----------------------------------------------------------------------------- */

/* Makes the part end kept bytes behind its beginning; the rest is a part of its own. Copies are cut
 * between two of them, or there is only one. */
static bool cut_part(struct gow_pieces *pieces, struct part *part, uint64_t kept)
{
	struct gow_piece behind = {
		.offset = part->node.offset + kept,
		.length = part->length - kept,
		.kind = part->kind,
		.source = source_of(part, 0) + kept,
	};
	struct part *rest = make_part(&behind);

	if (!rest)
		return false;
	if (part->unit < part->length) {
		uint64_t n = kept / part->unit;

		rest->unit = part->unit;
		rest->stride = part->stride;
		rest->origin = part->list ? part->origin : source_of(part, n);
		if (part->list) {
			rest->list_room = (uint32_t)(count_of(part) - n);
			rest->list = malloc(rest->list_room * sizeof *rest->list);
			if (!rest->list) {
				free(rest);
				return false;
			}
			memcpy(rest->list, part->list + n, rest->list_room * sizeof *rest->list);
		}
	}
	if (kept < part->unit) { /* of one copy */
		part->origin = source_of(part, 0);
		part->unit = kept;
		free(part->list);
		part->list = NULL;
	}
	part->length = kept;
	gow_tree_add(&pieces->others, &rest->node);
	return true;
}

/* Sees to it that no part lies across offset. */
static bool cut_at(struct gow_pieces *pieces, uint64_t offset)
{
	for (;;) {
		struct part *part = part_over(pieces, offset);
		uint64_t kept = part ? offset - part->node.offset : 0;
		uint64_t over = kept ? kept % part->unit : 0;

		if (!kept)
			return true;
		/* A copy that is cut itself becomes a part of its own first. */
		if (over && kept > part->unit)
			kept -= over;
		else if (over && part->length > part->unit)
			kept = part->unit;
		if (!cut_part(pieces, part, kept))
			return false;
	}
}

static bool clear_others(struct gow_pieces *pieces, uint64_t start, uint64_t end)
{
	if (!cut_at(pieces, start) || !cut_at(pieces, end))
		return false;
	gow_tree_release(gow_tree_take(&pieces->others, start, end), release_part);
	return true;
}

/* ---- laying ------------------------------------------------------------------------------ */

bool gow_pieces_clear(struct gow_pieces *pieces, uint64_t start, uint64_t end)
{
	if (!clear_others(pieces, start, end))
		return false;
	gow_pages_clear(&pieces->bytes, start, end);
	return true;
}

int gow_pieces_lay(struct gow_pieces *pieces, const struct gow_piece *piece, gow_error *error)
{
	const uint64_t end = piece->offset + piece->length;
	struct part *part;

	if (!piece->length)
		return GOW_OK;
	if (piece->kind == GOW_PIECE_BYTES) {
		if (!gow_pages_prepare(&pieces->bytes, piece->offset, piece->length) ||
		    !clear_others(pieces, piece->offset, end))
			return gow_fail_memory(error, (size_t)piece->length);
		gow_pages_put(&pieces->bytes, piece->offset, piece->bytes, piece->length);
		return GOW_OK;
	}
	part = make_part(piece);
	if (!part || !gow_pieces_clear(pieces, piece->offset, end)) {
		free(part);
		return gow_fail_memory(error, sizeof *part);
	}
	if (append(pieces, piece))
		free(part);
	else
		gow_tree_add(&pieces->others, &part->node);
	return GOW_OK;
}

/* ---- walking ----------------------------------------------------------------------------- */

/* The first zeros, or the first copy, that end behind offset. */
static bool next_other(const struct gow_pieces *pieces, uint64_t offset, struct gow_piece *piece)
{
	const struct part *part = part_over(pieces, offset);
	uint64_t n;

	if (!part)
		part = (const struct part *)gow_tree_from(&pieces->others, offset);
	if (!part)
		return false;
	n = offset > part->node.offset ? (offset - part->node.offset) / part->unit : 0;
	*piece = (struct gow_piece){
		.offset = part->node.offset + n * part->unit,
		.length = part->unit,
		.kind = part->kind,
		.source = part->kind == GOW_PIECE_COPY ? source_of(part, n) : GOW_NOWHERE,
	};
	return true;
}

static bool next_piece(const struct gow_pieces *pieces, uint64_t offset, struct gow_piece *piece)
{
	struct gow_piece bytes = { .kind = GOW_PIECE_BYTES, .source = GOW_NOWHERE };
	bool are_bytes = gow_pages_next(&pieces->bytes, offset, &bytes.offset, &bytes.length,
	                                &bytes.bytes);
	bool are_others = next_other(pieces, offset, piece);

	if (are_bytes && (!are_others || bytes.offset < piece->offset))
		*piece = bytes;
	return are_bytes || are_others;
}

int gow_pieces_each(const struct gow_pieces *pieces, uint64_t start, uint64_t end,
                    gow_piece_visitor visit, void *context, gow_error *error)
{
	struct gow_piece piece;
	int code = GOW_OK;

	while (!code && start < end && next_piece(pieces, start, &piece) && piece.offset < end) {
		code = visit(context, &piece, error);
		start = piece.offset + piece.length;
	}
	return code;
}

void gow_pieces_init(struct gow_pieces *pieces)
{
	gow_tree_init(&pieces->others);
	gow_pages_init(&pieces->bytes);
}

void gow_pieces_release(struct gow_pieces *pieces)
{
	gow_tree_release(pieces->others.root, release_part);
	gow_pages_release(&pieces->bytes);
	gow_tree_init(&pieces->others);
}
