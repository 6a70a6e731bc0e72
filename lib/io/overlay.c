/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

/*
 * The pieces stand in a treap, by offset and without overlaps: a hundred thousand map entries are
 * written one by one, in any order, and each costs a few steps.
 */
enum { SMALL = 8 }; /* so many bytes need no memory of their own */

struct node {
	struct node *left, *right;
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

struct overlay {
	struct gow_file file;
	struct gow_file *base;
	bool owns;
	uint64_t base_end; /* the base counts up to here; past it are zeros */
	uint64_t size;
	struct node *root;
	uint32_t random;
};

static struct overlay *overlay_of(struct gow_file *file)
{
	return (struct overlay *)file;
}

/* ---- nodes ------------------------------------------------------------------------------- */

static bool has_memory(const struct node *node)
{
	return node->kind == GOW_PIECE_BYTES && node->length > SMALL;
}

static const uint8_t *bytes_of(const struct node *node)
{
	return has_memory(node) ? node->of.bytes : node->of.small;
}

static void free_node(struct node *node)
{
	if (has_memory(node))
		free(node->of.bytes);
	free(node);
}

static void free_tree(struct node *node)
{
	while (node) {
		struct node *right = node->right;

		free_tree(node->left);
		free_node(node);
		node = right;
	}
}

/* Gives the node, which has none, a copy of length bytes. */
static bool set_bytes(struct node *node, const uint8_t *bytes, uint64_t length)
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
static struct node *make_node(struct overlay *overlay, const struct gow_piece *piece)
{
	struct node *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	/* xorshift: all a treap asks of its numbers is that the offsets know nothing of them. */
	overlay->random ^= overlay->random << 13;
	overlay->random ^= overlay->random >> 17;
	overlay->random ^= overlay->random << 5;
	node->priority = overlay->random;
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

static struct gow_piece piece_of(const struct node *node)
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
static struct node *join(struct node *left, struct node *right)
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
static void part(struct node *tree, uint64_t offset, struct node **before, struct node **after)
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
static bool cut_node(struct overlay *overlay, struct node *node, uint64_t offset,
                     struct node **rest)
{
	uint64_t kept = offset - node->offset;
	struct gow_piece behind = piece_of(node);

	behind.offset += kept;
	behind.length -= kept;
	behind.source += kept;
	if (behind.bytes)
		behind.bytes += kept;
	*rest = make_node(overlay, &behind);
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
static bool cut_at(struct overlay *overlay, uint64_t offset)
{
	struct node *last = NULL;

	for (struct node *at = overlay->root; at;) {
		if (at->offset < offset) {
			last = at;
			at = at->right;
		} else {
			at = at->left;
		}
	}
	if (last && last->offset + last->length > offset) {
		struct node *before, *after, *rest;

		if (!cut_node(overlay, last, offset, &rest))
			return false;
		part(overlay->root, offset, &before, &after);
		overlay->root = join(join(before, rest), after);
	}
	return true;
}

/* Takes away what lies in [start, end). */
static bool clear(struct overlay *overlay, uint64_t start, uint64_t end)
{
	struct node *before, *inside, *after;

	if (!cut_at(overlay, start) || !cut_at(overlay, end))
		return false;
	part(overlay->root, start, &before, &inside);
	part(inside, end, &inside, &after);
	free_tree(inside);
	overlay->root = join(before, after);
	return true;
}

static int lay(struct overlay *overlay, const struct gow_piece *piece, gow_error *error)
{
	struct node *before, *after, *made;

	if (!piece->length)
		return GOW_OK;
	made = make_node(overlay, piece);
	if (!made || !clear(overlay, piece->offset, piece->offset + piece->length)) {
		if (made)
			free_node(made);
		return gow_fail_memory(error, (size_t)piece->length);
	}
	part(overlay->root, piece->offset, &before, &after);
	overlay->root = join(join(before, made), after);
	overlay->file.run.asked = overlay->file.run.start = overlay->file.run.end = 0;
	overlay->size = gow_max(overlay->size, piece->offset + piece->length);
	return GOW_OK;
}

/* Visits the pieces that have a byte in [start, end), ascending. */
static int each_in(const struct node *tree, uint64_t start, uint64_t end, gow_piece_visitor visit,
                   void *context, gow_error *error)
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

static int overlay_read(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                        size_t *got, gow_error *error)
{
	struct overlay *overlay = overlay_of(file);
	struct patch patch = { overlay, offset, 0, buf };
	int code;

	if (offset < overlay->size)
		patch.size = (size_t)gow_min(size, overlay->size - offset);
	code = read_base(overlay, offset, buf, patch.size, error);
	if (!code)
		code = each_in(overlay->root, offset, offset + patch.size, patch_piece, &patch,
		               error);
	*got = patch.size;
	return code;
}

static int take_first(void *context, const struct gow_piece *piece, gow_error *error)
{
	(void)error;
	*(struct gow_piece *)context = *piece;
	return GOW_ERR_STOPPED;
}

/* The base's data and the pieces are told one after the other, whichever comes first. */
static int overlay_next_data(struct gow_file *file, uint64_t offset, uint64_t *start,
                             uint64_t *end, gow_error *error)
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
	(void)each_in(overlay->root, offset, overlay->size, take_first, &piece, NULL);
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

	if (size < overlay->size && !clear(overlay, size, GOW_NOWHERE))
		return gow_fail_memory(error, sizeof(struct node));
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

/* ---- life -------------------------------------------------------------------------------- */

static int overlay_close(struct gow_file *file, gow_error *error)
{
	struct overlay *overlay = overlay_of(file);
	int code = overlay->owns ? gow_file_close(overlay->base, error) : GOW_OK;

	free_tree(overlay->root);
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
	made->file = (struct gow_file){ .ops = &overlay_ops, .name = name, .fd = base->fd };
	made->base = base;
	made->size = made->base_end;
	made->random = 2463534242u;
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
	return each_in(overlay_of(overlay)->root, 0, GOW_NOWHERE, visit, context, error);
}
