/* SPDX-License-Identifier: BSD-2-Clause */
/* weigh.c - what a row is worth: the validator's findings, and what the guest's structures say. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/validate.h"
#include "ops/contents.h"
#include "ops/infer/infer.h"

/* ---- version numbers --------------------------------------------------------------------- */

/* Numbers are small, and other than 0 exactly where something is allocated. */
static uint32_t count_odd_versions(const struct gow_infer_work *work,
                                   const struct gow_unchecked *unchecked)
{
	const struct gow_layout *row = unchecked->header.layout;
	uint32_t odd = 0;

	for (uint32_t i = 0; i < row->map_entries && gow_layout_has_versions(row); i++) {
		uint64_t at = gow_layout_version_offset(row, i);
		uint32_t number;

		if (at + 4 > work->head_size)
			break;
		number = gow_load32(work->head + at, row->order);
		odd += (number != 0) != (unchecked->entries[i] != GOW_UNALLOCATED) ||
		       number > 1 << 24;
	}
	return odd;
}

static uint32_t count_beside(const struct gow_infer_work *work, const struct gow_layout *row)
{
	uint32_t count = 0;

	if (gow_layout_has_versions(row) || row->map_stride < 8)
		return 0;
	for (uint32_t i = 0; i + 1 < row->map_entries; i++) {
		uint64_t at = gow_layout_entry_offset(row, i) + 4;

		if (at + 4 > work->head_size)
			break;
		count += gow_load32(work->head + at, row->order) != 0;
	}
	return count;
}

static void count_spread(const struct gow_unchecked *unchecked, struct gow_candidate *candidate)
{
	const uint64_t present = unchecked->header.present_blocks;
	/* A division for every entry would take longer than all else. */
	const uint64_t scale = ((uint64_t)GOW_PROBE_PARTS << 32) / gow_max(present, 1);

	for (uint32_t i = 0; i < unchecked->header.layout->map_entries; i++) {
		uint32_t entry = unchecked->entries[i];

		if (entry < present)
			candidate->spread[entry * scale >> 32]++;
		else
			candidate->out_of_range += entry != GOW_UNALLOCATED;
	}
}

/* ---- keeping ----------------------------------------------------------------------------- */

bool gow_infer_same_guest(const struct gow_layout *one, const struct gow_layout *other)
{
	return one->order == other->order && one->map_offset == other->map_offset &&
	       one->map_stride == other->map_stride && one->unallocated == other->unallocated &&
	       gow_layout_data_start(one) - (uint64_t)one->first_block * GOW_BLOCK_SIZE ==
	               gow_layout_data_start(other) - (uint64_t)other->first_block * GOW_BLOCK_SIZE;
}

static void keep(struct gow_infer *result, const struct gow_candidate *candidate)
{
	size_t at = 0, last;

	while (at < result->count && result->candidates[at].score >= candidate->score)
		at++;
	if (at == GOW_CANDIDATES)
		return;
	last = result->count < GOW_CANDIDATES ? result->count++ : GOW_CANDIDATES - 1;
	memmove(&result->candidates[at + 1], &result->candidates[at],
	        (last - at) * sizeof *candidate);
	result->candidates[at] = *candidate;
}

bool gow_infer_length_is_usual(const struct gow_candidate *candidate)
{
	const uint32_t entries = candidate->row.map_entries;

	return entries == 1 << 22 || entries == 1 << 20 ||
	       (candidate->size_is_known &&
	        entries == gow_divide_up(candidate->size, GOW_BLOCK_SIZE));
}

static int64_t score_of(const struct gow_candidate *candidate)
{
	return (int64_t)candidate->guest.agreed * 1000 - (int64_t)candidate->guest.missed * 400 +
	       (candidate->guest.part_count ? 300 : 0) + (candidate->guest.table ? 200 : 0) -
	       (int64_t)(candidate->wrong + (uint64_t)candidate->leaked) * 1000 /
	               (candidate->allocated + 1) -
	       (int64_t)candidate->odd_versions * 1000 / (candidate->allocated + 1) +
	       (gow_layout_has_versions(&candidate->row) ? 20 : 0) -
	       (candidate->row.data_align > 1 && candidate->row.data_align != 512 ? 10 : 0) +
	       (gow_infer_length_is_usual(candidate) ? 30 : 0) - (candidate->is_short ? 500 : 0);
}

static bool is_hopeless(const struct gow_candidate *candidate)
{
	/* A tenth of the entries may be wrong; of numbers, a tenth of what there are. */
	return !candidate->allocated || candidate->wrong > candidate->allocated / 10 + 2 ||
	       candidate->odd_versions > candidate->allocated / 10 + 2;
}

static int weigh(struct gow_infer_work *work, struct gow_unchecked *unchecked,
                 struct gow_candidate *candidate, gow_error *error)
{
	struct gow_verdict verdict;
	int code = gow_judge(unchecked, &verdict, error);

	if (code)
		return code;
	candidate->allocated = verdict.tally.allocated;
	candidate->leaked = verdict.tally.leaked;
	candidate->present = unchecked->header.present_blocks;
	candidate->wrong = (uint32_t)(verdict.by_id[GOW_MAP_RANGE].count +
	                              verdict.by_id[GOW_MAP_CROSSLINK].count);
	count_spread(unchecked, candidate);
	candidate->odd_versions = count_odd_versions(work, unchecked);
	candidate->beside = count_beside(work, &candidate->row);
	if (is_hopeless(candidate))
		return GOW_OK;
	gow_contents_of_unchecked(unchecked, candidate->row.logical_limit, &candidate->guest);
	gow_infer_preamble(work, candidate);
	candidate->score = score_of(candidate);
	keep(work->result, candidate);
	return GOW_OK;
}

int gow_infer_weigh(struct gow_infer_work *work, const struct gow_layout *row, gow_error *error)
{
	struct gow_candidate *candidate;
	struct gow_unchecked unchecked;
	int code;

	if (!gow_layout_is_usable(row))
		return GOW_OK;
	for (size_t i = 0; i < work->result->count; i++)
		if (gow_infer_same_guest(row, &work->result->candidates[i].row) &&
		    row->map_entries == work->result->candidates[i].row.map_entries &&
		    row->versions_offset == work->result->candidates[i].row.versions_offset)
			return GOW_OK;
	candidate = calloc(1, sizeof *candidate);
	if (!candidate)
		return gow_fail_memory(error, sizeof *candidate);
	candidate->row = *row;
	code = gow_unchecked_load_as(work->file, &candidate->row, &unchecked, error);
	if (!code) {
		code = unchecked.header.truncated ? GOW_OK
		                                  : weigh(work, &unchecked, candidate, error);
		gow_unchecked_release(&unchecked);
	}
	free(candidate);
	return code;
}
