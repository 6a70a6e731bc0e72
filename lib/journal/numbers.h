/* SPDX-License-Identifier: BSD-2-Clause */
/* numbers.h - the numbers of the records of in-place changes: all are little-endian. */
#ifndef GOW_JOURNAL_NUMBERS_H
#define GOW_JOURNAL_NUMBERS_H

#include "base/bytes.h"

/* Of width bytes at p, 1 to 8. */
static inline uint64_t gow_record_get(const uint8_t *p, unsigned width)
{
	return gow_load(p, width, GOW_LITTLE_ENDIAN);
}

static inline uint32_t gow_record_get32(const uint8_t *p)
{
	return gow_load32(p, GOW_LITTLE_ENDIAN);
}

static inline void gow_record_put(uint8_t *p, unsigned width, uint64_t value)
{
	gow_store(p, width, GOW_LITTLE_ENDIAN, value);
}

#endif
