/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/memory.h"
#include "ops/inplace/compact_steps.h"

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Counts the data in the range and makes it a hole. Pages that a kept block has a part in stay:
 * no file system gives them back. */
static int punch_range(struct gow_compact *compact, uint64_t offset, uint64_t size,
                       gow_error *error)
{
	const uint64_t end = (offset + size) / GOW_FILE_GRAIN * GOW_FILE_GRAIN;
	uint64_t holes;
	int code;

	offset = gow_round_up(offset, GOW_FILE_GRAIN);
	size = end - offset;
	code = gow_file_holes(compact->job->file, offset, size, &holes, error);
	if (code || holes == size)
		return code;
	compact->punched += size - holes;
	return gow_compact_writes(compact) ? gow_file_punch(compact->job->file, offset, size, error)
	                                   : GOW_OK;
}

static int safe_point(struct gow_compact *compact, gow_error *error)
{
	return gow_safe_point(compact->job->monitor,
	                      gow_compact_writes(compact) ? "punch" : "measure", compact->punched,
	                      0, compact->job->lock, error);
}

/* Between the blocks that are kept. */
static int punch_gaps(struct gow_compact *compact, const uint32_t *kept, gow_error *error)
{
	uint64_t at = 0;
	int code = GOW_OK;

	for (uint32_t i = 0; i < compact->kept && !code; i++) {
		if (kept[i] > at)
			code = safe_point(compact, error);
		if (!code && kept[i] > at)
			code = punch_range(compact, gow_compact_offset(compact, at),
			                   (kept[i] - at) * GOW_BLOCK_SIZE, error);
		at = kept[i] + UINT64_C(1);
	}
	return code;
}

int gow_compact_punch_blocks(struct gow_compact *compact, gow_error *error)
{
	uint32_t *kept, count = 0;
	int code = gow_alloc_table(compact->kept + (size_t)1, &kept, error);

	if (code)
		return code;
	for (uint32_t i = 0; i < compact->map.logical_blocks; i++)
		if (gow_compact_keeps(compact, i))
			kept[count++] = compact->map.entries[i];
	qsort(kept, count, sizeof *kept, compare_numbers);
	code = punch_gaps(compact, kept, error);
	free(kept);
	return code || !compact->punched ? code : gow_compact_sync(compact, error);
}
