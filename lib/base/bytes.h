/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes.h - integers in files, and arithmetic on numbers that came from files. The only code
 * that knows about byte order.
 */
#ifndef GOW_BASE_BYTES_H
#define GOW_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum gow_order { GOW_LITTLE_ENDIAN, GOW_BIG_ENDIAN };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GOW_HOST_ORDER GOW_LITTLE_ENDIAN
#else
#define GOW_HOST_ORDER GOW_BIG_ENDIAN
#endif

/* An unsigned integer of width bytes (1 to 8) at p. */
static inline uint64_t gow_load(const void *p, unsigned width, enum gow_order order)
{
	const uint8_t *byte = p;
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value = value << 8 | byte[order == GOW_BIG_ENDIAN ? i : width - 1 - i];
	return value;
}

/* Stores the low width bytes of value at p. */
static inline void gow_store(void *p, unsigned width, enum gow_order order, uint64_t value)
{
	uint8_t *byte = p;

	for (unsigned i = 0; i < width; i++) {
		byte[order == GOW_BIG_ENDIAN ? width - 1 - i : i] = (uint8_t)value;
		value >>= 8;
	}
}

/* The 32-bit case, for long arrays: compilers turn it into one load (and one swap). */
static inline uint32_t gow_load32(const void *p, enum gow_order order)
{
	uint32_t value;

	memcpy(&value, p, sizeof value);
	return order == GOW_HOST_ORDER ? value : __builtin_bswap32(value);
}

static inline void gow_store32(void *p, enum gow_order order, uint32_t value)
{
	if (order != GOW_HOST_ORDER)
		value = __builtin_bswap32(value);
	memcpy(p, &value, sizeof value);
}

/* Whether value can be stored in width bytes. */
static inline bool gow_fits(uint64_t value, unsigned width)
{
	return width >= 8 || value >> (8 * width) == 0;
}

/* value rounded up to a multiple of unit (at least 1). The caller knows that it cannot wrap. */
static inline uint64_t gow_round_up(uint64_t value, uint64_t unit)
{
	uint64_t rest = value % unit;

	return rest ? value + (unit - rest) : value;
}

/* value / unit, rounded up; never wraps. */
static inline uint64_t gow_divide_up(uint64_t value, uint64_t unit)
{
	return value / unit + (value % unit != 0);
}

static inline uint64_t gow_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t gow_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
