/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

enum { SMALL = 8 }; /* so many bytes need no memory of their own */

struct gow_piece_node {
	struct gow_piece_node *left, *right;
	uint64_t offset;
	uint64_t length;
	union {
		uint8_t small[SMALL];
		uint8_t *bytes;
		uint64_t source;
	} of;
	uint32_t priority;
	enum gow_piece_kind kind;
};

/* ---- nodes ------------------------------------------------------------------------------- */

static bool has_memory(const struct gow_piece_node *node)
{
	return node->kind == GOW_PIECE_BYTES && node->length > SMALL;
}

static const uint8_t *bytes_of(const struct gow_piece_node *node)
{
	return has_memory(node) ? node->of.bytes : node->of.small;
}

static void free_node(struct gow_piece_node *node)
{
	if (has_memory(node))
		free(node->of.bytes);
	free(node);
}

static void free_tree(struct gow_piece_node *node)
{
	while (node) {
		struct gow_piece_node *right = node->right;

		free_tree(node->left);
		free_node(node);
		node = right;
	}
}

/* Gives the node, which has none, a copy of length bytes. */
static bool set_bytes(struct gow_piece_node *node, const uint8_t *bytes, uint64_t length)
{
	uint8_t *to = node->of.small;

	if (length > SMALL) {
		to = malloc((size_t)length);
		if (!to)
			return false;
		node->of.bytes = to;
	}
	memcpy(to, bytes, (size_t)length);
	node->length = length;
	return true;
}

/* A node for a piece; NULL: no memory. */
static struct gow_piece_node *make_node(struct gow_pieces *pieces, const struct gow_piece *piece)
{
	struct gow_piece_node *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	/* xorshift: all a treap asks of its numbers is that the offsets know nothing of them. */
	pieces->random ^= pieces->random << 13;
	pieces->random ^= pieces->random >> 17;
	pieces->random ^= pieces->random << 5;
	node->priority = pieces->random;
	node->offset = piece->offset;
	node->length = piece->length;
	node->kind = piece->kind;
	if (piece->kind == GOW_PIECE_COPY)
		node->of.source = piece->source;
	if (piece->kind == GOW_PIECE_BYTES && !set_bytes(node, piece->bytes, piece->length)) {
		free(node);
		return NULL;
	}
	return node;
}

static struct gow_piece piece_of(const struct gow_piece_node *node)
{
	return (struct gow_piece){
		.offset = node->offset,
		.length = node->length,
		.kind = node->kind,
		.bytes = node->kind == GOW_PIECE_BYTES ? bytes_of(node) : NULL,
		.source = node->kind == GOW_PIECE_COPY ? node->of.source : GOW_NOWHERE,
	};
}

/* ---- the tree ---------------------------------------------------------------------------- */

/* All pieces of left stand before those of right. */
static struct gow_piece_node *join(struct gow_piece_node *left, struct gow_piece_node *right)
{
	if (!left || !right)
		return left ? left : right;
	if (left->priority > right->priority) {
		left->right = join(left->right, right);
		return left;
	}
	right->left = join(left, right->left);
	return right;
}

/* Pieces that begin before offset, and the others. */
static void part(struct gow_piece_node *tree, uint64_t offset, struct gow_piece_node **before,
                 struct gow_piece_node **after)
{
	if (!tree) {
		*before = *after = NULL;
	} else if (tree->offset < offset) {
		part(tree->right, offset, &tree->right, after);
		*before = tree;
	} else {
		part(tree->left, offset, before, &tree->left);
		*after = tree;
	}
}

/* Makes the node end at offset, inside it; *rest is what was behind. */
static bool cut_node(struct gow_pieces *pieces, struct gow_piece_node *node, uint64_t offset,
                     struct gow_piece_node **rest)
{
	uint64_t kept = offset - node->offset;
	struct gow_piece behind = piece_of(node);

	behind.offset += kept;
	behind.length -= kept;
	behind.source += kept;
	if (behind.bytes)
		behind.bytes += kept;
	*rest = make_node(pieces, &behind);
	if (!*rest)
		return false;
	if (has_memory(node) && kept <= SMALL) {
		uint8_t *bytes = node->of.bytes;

		memcpy(node->of.small, bytes, (size_t)kept);
		free(bytes);
	}
	node->length = kept;
	return true;
}

/* Sees to it that no piece lies across offset. */
static bool cut_at(struct gow_pieces *pieces, uint64_t offset)
{
	struct gow_piece_node *last = NULL;

	for (struct gow_piece_node *at = pieces->root; at;) {
		if (at->offset < offset) {
			last = at;
			at = at->right;
		} else {
			at = at->left;
		}
	}
	if (last && last->offset + last->length > offset) {
		struct gow_piece_node *before, *after, *rest;

		if (!cut_node(pieces, last, offset, &rest))
			return false;
		part(pieces->root, offset, &before, &after);
		pieces->root = join(join(before, rest), after);
	}
	return true;
}

bool gow_pieces_clear(struct gow_pieces *pieces, uint64_t start, uint64_t end)
{
	struct gow_piece_node *before, *inside, *after;

	if (!cut_at(pieces, start) || !cut_at(pieces, end))
		return false;
	part(pieces->root, start, &before, &inside);
	part(inside, end, &inside, &after);
	free_tree(inside);
	pieces->root = join(before, after);
	return true;
}

int gow_pieces_lay(struct gow_pieces *pieces, const struct gow_piece *piece, gow_error *error)
{
	struct gow_piece_node *before, *after, *made;

	if (!piece->length)
		return GOW_OK;
	made = make_node(pieces, piece);
	if (!made || !gow_pieces_clear(pieces, piece->offset, piece->offset + piece->length)) {
		if (made)
			free_node(made);
		return gow_fail_memory(error, (size_t)piece->length);
	}
	part(pieces->root, piece->offset, &before, &after);
	pieces->root = join(join(before, made), after);
	return GOW_OK;
}

/* Visits the pieces that have a byte in [start, end), ascending. */
static int each_in(const struct gow_piece_node *tree, uint64_t start, uint64_t end,
                   gow_piece_visitor visit, void *context, gow_error *error)
{
	int code = GOW_OK;

	while (tree && !code) {
		if (tree->offset >= end) {
			tree = tree->left;
			continue;
		}
		if (tree->offset + tree->length > start) {
			struct gow_piece piece = piece_of(tree);

			code = each_in(tree->left, start, end, visit, context, error);
			if (!code)
				code = visit(context, &piece, error);
		}
		tree = tree->right;
	}
	return code;
}

int gow_pieces_each(const struct gow_pieces *pieces, uint64_t start, uint64_t end,
                    gow_piece_visitor visit, void *context, gow_error *error)
{
	return each_in(pieces->root, start, end, visit, context, error);
}

void gow_pieces_init(struct gow_pieces *pieces)
{
	*pieces = (struct gow_pieces){ .root = NULL, .random = 2463534242u };
}

void gow_pieces_release(struct gow_pieces *pieces)
{
	free_tree(pieces->root);
	pieces->root = NULL;
}
