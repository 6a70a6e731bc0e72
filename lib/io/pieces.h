/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pieces.h - what lies over a file: pieces without overlaps, by offset. Millions of map entries are
 * written one by one, in any order, and millions of blocks are copied: bytes stand in pages, and
 * copies that follow each other in runs, so that neither takes much more than its own length.
 */
#ifndef GOW_IO_PIECES_H
#define GOW_IO_PIECES_H

#include "gow.h"
#include "io/pages.h"
#include "io/tree.h"

enum gow_piece_kind {
	GOW_PIECE_BYTES, /* bytes of its own */
	GOW_PIECE_ZEROS,
	GOW_PIECE_COPY /* the base's bytes from source on */
};

struct gow_piece {
	uint64_t offset;
	uint64_t length;
	enum gow_piece_kind kind;
	const uint8_t *bytes; /* for GOW_PIECE_BYTES; the owner's of the pieces */
	uint64_t source;      /* for GOW_PIECE_COPY */
};

/* Another result than GOW_OK ends the walk, which returns it. */
typedef int (*gow_piece_visitor)(void *context, const struct gow_piece *piece, gow_error *error);

struct gow_pieces {
	struct gow_tree others; /* zeros, and runs of copies */
	struct gow_pages bytes;
};

/* No pieces. Free with gow_pieces_release. */
void gow_pieces_init(struct gow_pieces *pieces);
void gow_pieces_release(struct gow_pieces *pieces);

/* Lays a piece, whose bytes are copied, over what is there; one of no length does nothing. Without
 * memory (GOW_ERR_MEMORY) the pieces show what they showed. */
int gow_pieces_lay(struct gow_pieces *pieces, const struct gow_piece *piece, gow_error *error);

/* Removes what lies in [start, end). False: no memory, and the pieces show what they showed. */
bool gow_pieces_clear(struct gow_pieces *pieces, uint64_t start, uint64_t end);

/* Visits the pieces that have a byte in [start, end), ascending. The visitor must not change them. */
int gow_pieces_each(const struct gow_pieces *pieces, uint64_t start, uint64_t end,
                    gow_piece_visitor visit, void *context, gow_error *error);

#endif
