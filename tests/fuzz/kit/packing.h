/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packing.h - files of many megabytes as a few bytes that a fuzzer can work on: what is always the
 * same is said once, and what is to be changed is said at the end.
 *
 * A packed file is a list of pieces, each a byte that says what it is, and numbers, little-endian:
 *
 *	0 length(2) bytes...     these bytes
 *	1 length(4) byte         so many times that byte
 *	2 length(4)              a hole
 *	3 offset(4) length(1) bytes...
 *	                         these bytes, laid over what is there
 *	4 length(5)              the file is cut, or made longer, to that length
 *
 * Any other byte counts as one of these, and what is cut short counts as far as it goes, so that
 * every sequence of bytes is a packed file.
 */
#ifndef GOW_FUZZ_PACKING_H
#define GOW_FUZZ_PACKING_H

#include <stddef.h>
#include <stdint.h>

enum piece_kind { PIECE_BYTES, PIECE_RUN, PIECE_HOLE, PIECE_PATCH, PIECE_LENGTH, PIECE_KINDS };

/* Where the pieces are put, one after the other. */
struct unpacker {
	/* size bytes at offset; bytes NULL: all of them are fill. */
	void (*put)(void *context, uint64_t offset, const uint8_t *bytes, uint64_t size,
	            uint8_t fill);
	void (*resize)(void *context, uint64_t size);
	void *context;
	uint64_t limit; /* nothing comes to stand past it */
};

/* The file's length. */
uint64_t unpack(const struct unpacker *to, const uint8_t *packed, size_t size);

/* Appends a patch; returns the new size, or the old one where there is no room. */
size_t pack_patch(uint8_t *packed, size_t size, size_t room, uint32_t offset, const uint8_t *bytes,
                  uint8_t length);

/* Appends a new length of the file, in the same way. */
size_t pack_length(uint8_t *packed, size_t size, size_t room, uint64_t length);

#endif
