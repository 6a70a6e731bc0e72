/* SPDX-License-Identifier: BSD-2-Clause */
/* bits.h - sets of block numbers, a bit each. */
#ifndef GOW_BASE_BITS_H
#define GOW_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GOW_WORD_BITS = 64 };

/* How many words a set of the numbers below count needs; SIZE_MAX, which no allocation gives, where
 * memory cannot hold as many. */
static inline size_t gow_bit_words(uint64_t count)
{
	const uint64_t words = count / GOW_WORD_BITS + 1;

	return words < SIZE_MAX ? (size_t)words : SIZE_MAX;
}

static inline bool gow_get_bit(const uint64_t *bits, uint64_t index)
{
	return bits[index / GOW_WORD_BITS] >> (index % GOW_WORD_BITS) & 1;
}

static inline void gow_set_bit(uint64_t *bits, uint64_t index)
{
	bits[index / GOW_WORD_BITS] |= UINT64_C(1) << (index % GOW_WORD_BITS);
}

static inline void gow_clear_bit(uint64_t *bits, uint64_t index)
{
	bits[index / GOW_WORD_BITS] &= ~(UINT64_C(1) << (index % GOW_WORD_BITS));
}

#endif
