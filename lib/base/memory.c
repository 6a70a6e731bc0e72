/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/bytes.h"

enum { HUGE_PAGE = 2 << 20 };

int gow_alloc_table(size_t count, uint32_t **table, gow_error *error)
{
	size_t bytes, rounded;
	void *made;

	if (count > (SIZE_MAX - HUGE_PAGE) / sizeof(uint32_t))
		return gow_fail_memory(error, SIZE_MAX);
	bytes = count * sizeof(uint32_t);
	rounded = (size_t)gow_round_up(bytes, HUGE_PAGE);
	/* A small table is not worth a huge page. */
	made = bytes < HUGE_PAGE ? malloc(bytes) : aligned_alloc(HUGE_PAGE, rounded);
	if (!made)
		return gow_fail_memory(error, bytes);
	if (bytes >= HUGE_PAGE)
		(void)madvise(made, rounded, MADV_HUGEPAGE); /* a wish, no more */
	*table = made;
	return GOW_OK;
}
