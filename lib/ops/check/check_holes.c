/* SPDX-License-Identifier: BSD-2-Clause */
/* check_holes.c - which allocated blocks are holes in the file. */
#include "base/error.h"
#include "ops/check/check.h"

/* How many of the blocks from physical on, at most count, are alike: holes, or not. */
static int alike(const gow_check *check, uint64_t physical, uint64_t count, uint64_t *run,
                 bool *hole, gow_error *error)
{
	const uint64_t offset = gow_layout_block_offset(check->unchecked.header.layout, physical);
	const uint64_t end = gow_min(offset + count * GOW_BLOCK_SIZE,
	                             check->unchecked.header.file_size);
	uint64_t start, data_end;
	int code = gow_file_next_data(check->file, offset, &start, &data_end, error);

	if (code)
		return code;
	if (start >= data_end || start >= end) {
		*hole = true;
		*run = count;
		return GOW_OK;
	}
	*hole = start >= offset + GOW_BLOCK_SIZE;
	*run = *hole ? (start - offset) / GOW_BLOCK_SIZE
	             : gow_divide_up(gow_min(data_end, end) - offset, GOW_BLOCK_SIZE);
	return GOW_OK;
}

static int visit_run(gow_check *check, uint32_t logical, uint32_t blocks, gow_extent_visitor visit,
                     void *context, gow_error *error)
{
	uint64_t physical = check->unchecked.entries[logical];

	for (uint64_t at = 0, run = 0; at < blocks; at += run) {
		gow_extent extent = {
			.logical = logical + at,
			.physical = physical + at,
			.offset = gow_layout_block_offset(check->unchecked.header.layout,
			                                  physical + at),
		};
		bool hole;
		int code = alike(check, physical + at, blocks - at, &run, &hole, error);

		if (code)
			return code;
		run = gow_min(run, blocks - at);
		extent.blocks = run;
		if (hole && visit(context, &extent))
			return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	}
	return GOW_OK;
}

int gow_check_each_hole(gow_check *check, gow_extent_visitor visit, void *context, gow_error *error)
{
	const struct gow_header *header = &check->unchecked.header;
	const uint32_t end = header->truncated ? 0 : header->layout->map_entries;
	uint32_t at = 0;
	int code = gow_unchecked_need_entries(&check->unchecked, error);

	while (!code && (at = gow_check_next_present(check, at, end)) < end) {
		uint32_t run = gow_check_present_run(check, at, end);

		code = visit_run(check, at, run, visit, context, error);

		at += run;
	}
	return code;
}
