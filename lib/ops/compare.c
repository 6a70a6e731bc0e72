/* SPDX-License-Identifier: BSD-2-Clause */
/* compare.c - which blocks of two images differ, by their version numbers or by what they hold. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/growing.h"
#include "journal/open.h"
#include "image/layout_table.h"

/* How many bytes of each image are compared at once. */
enum { COMPARE_BYTES = 1 << 20 };

/* One of the two images. */
struct side {
	const char *name;
	struct gow_layouts *layouts;
	struct gow_lock lock;
	gow_image *image;
	const struct gow_map *map; /* of it */
	uint8_t *buffer;           /* COMPARE_BYTES; NULL: by numbers */
};

struct job {
	const gow_compare_options *options;
	struct side here, there;
	gow_difference run; /* that is growing; blocks 0: none */
	gow_compare_result *result;
};

/* ---- both ends --------------------------------------------------------------------------- */

static int open_side(struct side *side, const char *name, const gow_common *common,
                     gow_error *error)
{
	static const struct gow_image_policy policy = { .numbers = GOW_NUMBERS_OF_DISK };
	const gow_open_options options = { .struct_size = sizeof options, .common = *common };
	const struct gow_layout *rows;
	struct gow_file *file;
	size_t count;
	int code = gow_layouts_load(common->layout, common->monitor, &side->layouts, error);

	side->name = name;
	if (!code)
		code = gow_open_locked(name, 0, &options, &file, &side->lock, error);
	if (code)
		return code;
	rows = gow_layouts_rows(side->layouts, &count);
	code = gow_image_from_file(file, rows, count, &policy, &side->image, error);
	if (!code)
		side->map = gow_image_map(side->image);
	return code;
}

static void close_side(struct side *side)
{
	gow_image_close(side->image);
	gow_layouts_free(side->layouts);
	free(side->buffer);
}

static int need_numbers(const struct side *side, gow_error *error)
{
	if (side->map->versions)
		return GOW_OK;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_UNSUPPORTED,
	                                 "has no version numbers (its layout is %s), so only the "
	                                 "data can be compared; use --data",
	                                 side->map->layout->name),
	                        side->name);
}

/* ---- runs -------------------------------------------------------------------------------- */

static int end_run(struct job *job, gow_error *error)
{
	const gow_difference run = job->run;

	job->run.blocks = 0;
	if (!run.blocks)
		return GOW_OK;
	job->result->extents++;
	if (job->options->visit && job->options->visit(job->options->context, &run))
		return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	return GOW_OK;
}

static void count(gow_compare_result *result, const gow_difference *block)
{
	result->differing_blocks++;
	if (block->newer < 0)
		result->older_blocks++;
	else if (block->newer > 0 && block->allocated)
		result->newer_blocks++;
	else if (block->newer > 0)
		result->unmapped_blocks++;
}

/* Adds a block that differs: to the run, or as the first of the next one. */
static int add(struct job *job, const gow_difference *block, gow_error *error)
{
	gow_difference *run = &job->run;
	int code;

	count(job->result, block);
	if (run->blocks && run->logical + run->blocks == block->logical &&
	    run->newer == block->newer && run->allocated == block->allocated &&
	    run->other_allocated == block->other_allocated) {
		run->blocks++;
		return GOW_OK;
	}
	code = end_run(job, error);
	*run = *block;
	return code;
}

static bool is_allocated(const struct side *side, uint32_t logical)
{
	return logical < side->map->logical_blocks &&
	       side->map->entries[logical] != GOW_UNALLOCATED;
}

static gow_difference block_at(const struct job *job, uint32_t logical, int newer)
{
	return (gow_difference){
		.logical = logical,
		.blocks = 1,
		.newer = newer,
		.allocated = is_allocated(&job->here, logical),
		.other_allocated = is_allocated(&job->there, logical),
	};
}

/* ---- by number --------------------------------------------------------------------------- */

/* A disk that ends before has no such block: the number of one that was never written. */
static uint32_t number_of(const struct side *side, uint32_t logical)
{
	return logical < side->map->logical_blocks ? side->map->versions[logical] : 0;
}

static int compare_numbers(struct job *job, uint32_t blocks, gow_error *error)
{
	int code = need_numbers(&job->here, error);

	if (!code)
		code = need_numbers(&job->there, error);
	for (uint32_t i = 0; i < blocks && !code; i++) {
		uint32_t here = number_of(&job->here, i), there = number_of(&job->there, i);
		gow_difference block;

		if (here == there)
			continue;
		block = block_at(job, i, here > there ? 1 : -1);
		code = add(job, &block, error);
	}
	return code;
}

/* ---- by content -------------------------------------------------------------------------- */

/* What the guest reads, and zeros past the end of its disk. */
static int read_side(struct side *side, uint64_t offset, size_t size, gow_error *error)
{
	const uint64_t end = side->map->logical_size;
	size_t part = (size_t)gow_min(size, end > offset ? end - offset : 0);
	int code = part ? gow_image_read(side->image, offset, side->buffer, part, error) : GOW_OK;

	memset(side->buffer + part, 0, size - part);
	return code ? gow_fail_in_file(error, code, side->name) : GOW_OK;
}

static int compare_buffers(struct job *job, uint32_t first, size_t size, gow_error *error)
{
	int code = GOW_OK;

	for (size_t at = 0; at < size && !code; at += GOW_BLOCK_SIZE) {
		size_t part = (size_t)gow_min(size - at, GOW_BLOCK_SIZE);
		gow_difference block;

		if (memcmp(job->here.buffer + at, job->there.buffer + at, part) == 0)
			continue;
		block = block_at(job, first + (uint32_t)(at / GOW_BLOCK_SIZE), 0);
		code = add(job, &block, error);
	}
	return code;
}

/* Where one of them may have other bytes than zeros next; end where none has. */
static int next_data(struct job *job, uint64_t offset, uint64_t end, uint64_t *next,
                     gow_error *error)
{
	struct side *sides[] = { &job->here, &job->there };

	*next = end;
	for (size_t i = 0; i < 2; i++) {
		uint64_t start = 0, data_end = 0;
		int code = gow_image_next_data(sides[i]->image, offset, &start, &data_end, error);

		if (code)
			return gow_fail_in_file(error, code, sides[i]->name);
		if (start < data_end)
			*next = gow_min(*next, start);
	}
	*next -= *next == end ? 0 : *next % GOW_BLOCK_SIZE;
	return GOW_OK;
}

static int make_buffers(struct job *job, gow_error *error)
{
	job->here.buffer = malloc(COMPARE_BYTES);
	job->there.buffer = malloc(COMPARE_BYTES);
	return job->here.buffer && job->there.buffer ? GOW_OK
	                                             : gow_fail_memory(error, COMPARE_BYTES);
}

static int compare_data(struct job *job, uint64_t end, gow_error *error)
{
	uint64_t at = 0;
	int code = make_buffers(job, error);

	while (!code && at < end) {
		size_t size;

		code = next_data(job, at, end, &at, error);
		if (code || at == end)
			break;
		size = (size_t)gow_min(end - at, COMPARE_BYTES);
		code = read_side(&job->here, at, size, error);
		if (!code)
			code = read_side(&job->there, at, size, error);
		if (!code)
			code = compare_buffers(job, (uint32_t)(at / GOW_BLOCK_SIZE), size, error);
		at += size;
		if (!code)
			code = gow_safe_point(job->options->common.monitor, "compare", at, end,
			                      &job->here.lock, error);
		if (!code)
			code = gow_lock_poll(&job->there.lock, error);
	}
	return code;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int compare(struct job *job, gow_error *error)
{
	const uint64_t here = job->here.map->logical_size, there = job->there.map->logical_size;
	const uint64_t end = here > there ? here : there;
	int code = job->options->flags & GOW_COMPARE_DATA
	                   ? compare_data(job, end, error)
	                   : compare_numbers(job, (uint32_t)gow_divide_up(end, GOW_BLOCK_SIZE),
	                                     error);

	job->result->logical_size = here;
	job->result->other_size = there;
	gow_lock_compare(&job->here.lock);
	gow_lock_compare(&job->there.lock);
	job->result->in_use = job->here.lock.in_use || job->there.lock.in_use;
	return code ? code : end_run(job, error);
}

int gow_compare(const char *path, const char *other, const gow_compare_options *options,
                gow_compare_result *result, gow_error *error)
{
	gow_compare_options use = { .struct_size = sizeof use };
	gow_compare_result made = { .struct_size = sizeof made };
	struct job job = { .options = &use, .result = &made };
	int code = gow_take_options(options, &use, sizeof use, GOW_COMPARE_DATA, error);

	if (!code)
		code = gow_check_result(result, error);
	if (!code)
		code = open_side(&job.here, path, &use.common, error);
	if (!code) {
		code = open_side(&job.there, other, &use.common, error);
		if (code)
			code = gow_fail_in_file(error, code, other);
	}
	if (!code)
		code = compare(&job, error);
	close_side(&job.here);
	close_side(&job.there);
	if (!code)
		gow_give_result(result, &made, sizeof made);
	return code;
}
