/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/salvage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/block.h"
#include "base/error.h"
#include "io/draft.h"

/* A block that the plan unmaps, and who named it. */
struct owner {
	uint32_t physical;
	uint32_t logical;
};

struct salvage {
	struct gow_plan *plan;
	struct gow_file *base;
	struct gow_lock *lock; /* the image's, as is this: */
	struct gow_directory *directory;
	uint32_t present;     /* blocks of base */
	struct owner *owners; /* by physical block */
	size_t owner_count;
	struct gow_file *data; /* NULL: only count */
	struct gow_file *index;
	uint64_t index_end;
	uint64_t blocks;
	gow_error *error;
	uint8_t block[GOW_BLOCK_SIZE];
};

/* ---- who named it ------------------------------------------------------------------------ */

static int by_block(const void *a, const void *b)
{
	const struct owner *first = a, *second = b;

	if (first->physical != second->physical)
		return first->physical < second->physical ? -1 : 1;
	return first->logical < second->logical ? -1 : first->logical > second->logical;
}

/* Whether the plan unmaps the entry. One that names a copy does not count: the first owner still
 * named the original then, and is who lost it. */
static bool is_unmapped(const struct salvage *salvage, const struct gow_unchecked *before,
                        uint32_t i)
{
	return before->entries[i] < salvage->present &&
	       salvage->plan->unchecked.entries[i] == GOW_UNALLOCATED;
}

static int find_owners(struct salvage *salvage, const struct gow_unchecked *before,
                       gow_error *error)
{
	const uint32_t entries = salvage->plan->layout->map_entries;
	const bool known = before->entries && salvage->plan->unchecked.entries;
	size_t count = 0;

	for (uint32_t i = 0; i < entries && known; i++)
		count += is_unmapped(salvage, before, i);
	salvage->owners = malloc((count + 1) * sizeof *salvage->owners);
	if (!salvage->owners)
		return gow_fail_memory(error, count * sizeof *salvage->owners);
	for (uint32_t i = 0; i < entries && count; i++)
		if (is_unmapped(salvage, before, i))
			salvage->owners[salvage->owner_count++] =
				(struct owner){ before->entries[i], i };
	if (salvage->owner_count)
		qsort(salvage->owners, salvage->owner_count, sizeof *salvage->owners, by_block);
	return GOW_OK;
}

static const struct owner *owner_of(const struct salvage *salvage, uint32_t physical)
{
	size_t low = 0, high = salvage->owner_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (salvage->owners[middle].physical < physical)
			low = middle + 1;
		else
			high = middle;
	}
	return low < salvage->owner_count && salvage->owners[low].physical == physical
	               ? &salvage->owners[low]
	               : NULL;
}

/* ---- saving ------------------------------------------------------------------------------ */

static int write_line(struct salvage *salvage, const char *line, int length, gow_error *error)
{
	int code = gow_file_write(salvage->index, salvage->index_end, line, (size_t)length, error);

	salvage->index_end += (uint64_t)length;
	return code;
}

static int list_block(struct salvage *salvage, uint32_t physical, uint64_t offset, gow_error *error)
{
	const struct owner *owner = owner_of(salvage, physical);
	char line[160];
	int length = snprintf(line, sizeof line, "block %" PRIu32 " offset %" PRIu64, physical,
	                      offset);

	if (owner)
		length += snprintf(line + length, sizeof line - (size_t)length,
		                   " logical %" PRIu32 "\n", owner->logical);
	else
		length += snprintf(line + length, sizeof line - (size_t)length, " leaked\n");
	return write_line(salvage, line, length, error);
}

static int save_block(struct salvage *salvage, uint32_t physical, gow_error *error)
{
	uint64_t offset = gow_layout_block_offset(salvage->plan->layout, physical);
	int code;

	salvage->blocks++;
	if (!salvage->data)
		return GOW_OK;
	code = gow_file_read_padded(salvage->base, offset, salvage->block, GOW_BLOCK_SIZE, error);
	if (!code && !gow_is_zero(salvage->block, GOW_BLOCK_SIZE))
		code = gow_file_write(salvage->data, (uint64_t)physical * GOW_BLOCK_SIZE,
		                      salvage->block, GOW_BLOCK_SIZE, error);
	if (!code)
		code = list_block(salvage, physical, offset, error);
	if (!code)
		code = gow_safe_point(salvage->plan->options->common.monitor, "salvage",
		                      salvage->blocks * GOW_BLOCK_SIZE, 0, salvage->lock, error);
	return code;
}

static int save_run(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	struct salvage *salvage = context;
	int code = GOW_OK;

	if (id != GOW_SPACE_LEAK)
		return 0;
	if (!salvage->data) { /* there may be very many */
		uint64_t end = gow_min(place->physical + run, salvage->present);

		salvage->blocks += end > place->physical ? end - place->physical : 0;
		return 0;
	}
	for (uint64_t i = 0; i < run && !code && place->physical + i < salvage->present; i++)
		code = save_block(salvage, (uint32_t)(place->physical + i), salvage->error);
	return code;
}

static int save_all(struct salvage *salvage, gow_error *error)
{
	static const char title[] = "gow-salvage 1\n";
	int code = write_line(salvage, title, sizeof title - 1, error);

	salvage->blocks = 0;
	if (!code)
		code = gow_validate(&salvage->plan->unchecked, save_run, salvage, NULL, error);
	/* A last block of zeros is a hole, too. */
	return code ? code
	            : gow_file_truncate(salvage->data, (uint64_t)salvage->present * GOW_BLOCK_SIZE,
	                                error);
}

static int save(struct salvage *salvage, const char *path, gow_error *error)
{
	const struct gow_draft_options options = {
		.common.monitor = salvage->plan->options->common.monitor,
		.like = salvage->base,
		.reach_by = salvage->directory,
	};
	struct gow_draft *data = NULL, *index = NULL;
	char *index_path;
	int code;

	if (asprintf(&index_path, "%s.index", path) < 0)
		return gow_fail_memory(error, sizeof options);
	code = gow_draft_begin(path, &options, &data, error);
	if (!code)
		code = gow_check_room(gow_draft_file(data), salvage->blocks * GOW_BLOCK_SIZE,
		                      error);
	if (!code)
		code = gow_draft_begin(index_path, &options, &index, error);
	if (!code) {
		salvage->data = gow_draft_file(data);
		salvage->index = gow_draft_file(index);
		code = save_all(salvage, error);
	}
	if (!code) {
		struct gow_draft *whole = data;

		data = NULL;
		code = gow_draft_publish(whole, error);
	}
	if (!code) {
		struct gow_draft *whole = index;

		index = NULL;
		code = gow_draft_publish(whole, error);
	}
	gow_draft_discard(data);
	gow_draft_discard(index);
	free(index_path);
	return code;
}

int gow_salvage(struct gow_plan *plan, struct gow_file *base, struct gow_lock *lock,
                struct gow_directory *directory, const char *path, uint64_t *blocks,
                gow_error *error)
{
	struct salvage *salvage = calloc(1, sizeof *salvage);
	struct gow_unchecked before = { .entries = NULL };
	int code;

	if (!salvage)
		return gow_fail_memory(error, sizeof *salvage);
	salvage->plan = plan;
	salvage->base = base;
	salvage->lock = lock;
	salvage->directory = directory;
	salvage->error = error;
	code = gow_unchecked_load_as(base, plan->layout, &before, error);
	salvage->present = before.header.present_blocks;
	if (!code && path)
		code = find_owners(salvage, &before, error);
	gow_unchecked_release(&before);
	if (!code)
		code = gow_validate(&plan->unchecked, save_run, salvage, NULL, error);
	if (!code && path && salvage->blocks)
		code = save(salvage, path, error);
	*blocks = salvage->blocks;
	free(salvage->owners);
	free(salvage);
	return code;
}
