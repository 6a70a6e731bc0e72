/* SPDX-License-Identifier: BSD-2-Clause */
/* validate_count.c - what entries and version numbers add up to. The loops have no branches, so that
 * they keep pace with memory. */
#include "image/validate_parts.h"

/* So many numbers by a loop of known length, of which any compiler makes vectors. */
enum { LANE = 1024 };

#define always_inline inline __attribute__((always_inline))

/* ---- entries ----------------------------------------------------------------------------- */

static always_inline void count_some(const uint32_t *entries, uint32_t count,
                                     struct gow_entry_counts *counts)
{
	uint32_t allocated = 0, end = counts->end;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t behind = entries[i] + 1; /* 0: unallocated */

		allocated += behind != 0;
		end = behind > end ? behind : end;
	}
	counts->allocated += allocated;
	counts->end = end;
}

struct gow_entry_counts gow_count_entries(const uint32_t *entries, uint32_t count)
{
	struct gow_entry_counts counts = { 0 };

	for (; count >= LANE; count -= LANE, entries += LANE)
		count_some(entries, LANE, &counts);
	count_some(entries, count, &counts);
	return counts;
}

/* So many pairs, of which the first begins at entries. */
static always_inline void count_pairs(const uint32_t *entries, uint32_t count,
                                      struct gow_neighbours *sum)
{
	uint32_t pairs = 0, apart = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t both = (uint32_t)(entries[i] != GOW_UNALLOCATED) &
		                (uint32_t)(entries[i + 1] != GOW_UNALLOCATED);

		pairs += both;
		apart += both & (uint32_t)(entries[i + 1] != entries[i] + 1);
	}
	sum->pairs += pairs;
	sum->apart += apart;
}

void gow_count_neighbours(const uint32_t *entries, uint32_t count, struct gow_neighbours *sum)
{
	for (; count > LANE; count -= LANE, entries += LANE)
		count_pairs(entries, LANE, sum);
	if (count)
		count_pairs(entries, count - 1, sum);
}

/* ---- version numbers --------------------------------------------------------------------- */

static always_inline void range_of_some(const uint32_t *versions, uint32_t count,
                                        struct gow_version_range *range)
{
	uint32_t most = range->most, zero = range->zero;

	for (uint32_t i = 0; i < count; i++) {
		most = versions[i] > most ? versions[i] : most;
		zero |= versions[i] == 0;
	}
	*range = (struct gow_version_range){ most, zero };
}

struct gow_version_range gow_range_of_versions(const uint32_t *versions, uint32_t count)
{
	struct gow_version_range range = { 0, 0 };

	for (; count >= LANE; count -= LANE, versions += LANE)
		range_of_some(versions, LANE, &range);
	range_of_some(versions, count, &range);
	return range;
}
