/* SPDX-License-Identifier: BSD-2-Clause */
/* Places in the copy: those that earlier runs have filled, and free ones. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ops/sync/job.h"

/* ---- what is taken ----------------------------------------------------------------------- */

/* Places past the limit are never looked at for free ones: a sparse file may claim billions. */
static int make_used(struct gow_sync_job *job, gow_error *error)
{
	const struct gow_sync_disk *disk = &job->disk;

	free(job->used);
	job->used_limit = (uint32_t)gow_min(disk->present_blocks,
	                                    2 * (uint64_t)disk->layout->map_entries);
	job->used = calloc(gow_bit_words(job->used_limit), sizeof *job->used);
	if (!job->used)
		return gow_fail_memory(error, gow_bit_words(job->used_limit) * sizeof *job->used);
	for (uint32_t i = 0; i < disk->logical_blocks; i++)
		if (disk->entries[i] < job->used_limit)
			gow_set_bit(job->used, disk->entries[i]);
	return GOW_OK;
}

static bool is_free(const struct gow_sync_job *job, uint32_t physical)
{
	return physical < job->used_limit && !gow_get_bit(job->used, physical);
}

/* ---- what is there ----------------------------------------------------------------------- */

void gow_sync_is_there(struct gow_sync_job *job, uint32_t logical, uint32_t physical)
{
	job->places[logical] = physical;
	if (physical < job->used_limit)
		gow_set_bit(job->used, physical);
	if (!gow_get_bit(job->there, logical))
		job->there_count++;
	gow_set_bit(job->there, logical);
}

struct find {
	struct gow_sync_job *job;
	uint64_t read; /* bytes */
	uint8_t block[GOW_BLOCK_SIZE];
};

/* Whether the place has the content that the row says. */
static int check_row(struct find *find, const struct gow_sync_row *row, bool *is_true,
                     gow_error *error)
{
	struct gow_sync_job *job = find->job;
	struct gow_hash hash;
	int code = gow_sync_safe_point(job, "verify", find->read, 0, error);

	*is_true = false;
	if (code)
		return code;
	code = gow_file_read_padded(job->copy->file,
	                            gow_layout_block_offset(job->disk.layout, row->physical),
	                            find->block, sizeof find->block, error);
	find->read += sizeof find->block;
	/* What cannot be read is not there. */
	if (code)
		return code == GOW_ERR_IO ? GOW_OK : code;
	gow_hash_block(find->block, &hash);
	*is_true = memcmp(&hash, &row->hash, sizeof hash) == 0;
	return GOW_OK;
}

static int take_row(void *context, const struct gow_hash *identity, const struct gow_sync_row *row,
                    gow_error *error)
{
	struct find *find = context;
	struct gow_sync_job *job = find->job;
	const struct gow_sync_disk *master = &job->master.disk;
	bool own, is_true = false;
	int code = GOW_OK;

	if (row->logical >= master->logical_blocks ||
	    master->entries[row->logical] == GOW_UNALLOCATED ||
	    gow_get_bit(job->there, row->logical))
		return GOW_OK;
	own = job->in_place && job->disk.entries[row->logical] == row->physical;
	if (!own && !is_free(job, row->physical))
		return GOW_OK;
	if (memcmp(identity, &job->master.identity, sizeof *identity) == 0 &&
	    row->number == gow_sync_number(master, row->logical))
		code = check_row(find, row, &is_true, error);
	if (code)
		return code;
	/* A block that was overwritten in place is the copy's own no longer. */
	if (is_true || own)
		gow_sync_plan_add(job, row->logical);
	if (is_true)
		gow_sync_is_there(job, row->logical, row->physical);
	return GOW_OK;
}

int gow_sync_find_fetched(struct gow_sync_job *job, gow_error *error)
{
	struct find *find = NULL;
	int code = make_used(job, error);

	if (code || !job->record.file)
		return code;
	find = calloc(1, sizeof *find);
	if (!find)
		return gow_fail_memory(error, sizeof *find);
	find->job = job;
	code = gow_sync_record_each(&job->record, take_row, find, error);
	free(find);
	return code;
}

/* ---- new places -------------------------------------------------------------------------- */

static int no_places(gow_error *error)
{
	return gow_fail(error, GOW_ERR_NO_SPACE, "every physical block number is handed out");
}

int gow_sync_give_places(struct gow_sync_job *job, gow_error *error)
{
	const struct gow_sync_disk *disk = &job->disk;
	uint32_t next = 0;
	uint64_t end = gow_max(disk->present_blocks, disk->block_count);

	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++) {
		if (!gow_get_bit(job->needed, i) || gow_get_bit(job->there, i))
			continue;
		if (job->in_place && disk->entries[i] != GOW_UNALLOCATED)
			continue; /* it stays where it is */
		while (next < job->used_limit && gow_get_bit(job->used, next))
			next++;
		if (next < job->used_limit)
			job->places[i] = next++;
		else if (end < GOW_UNALLOCATED)
			job->places[i] = (uint32_t)end++;
		else
			return no_places(error);
	}
	return GOW_OK;
}

/* Whether the file has nothing there yet. */
static int takes_room(struct gow_sync_job *job, uint32_t physical, bool *takes, gow_error *error)
{
	const uint64_t offset = gow_layout_block_offset(job->disk.layout, physical);
	uint64_t start = offset, end = offset, size = 0;
	int code = gow_file_size(job->copy->file, &size, error);

	*takes = true;
	if (code || offset >= size)
		return code;
	code = gow_file_next_data(job->copy->file, offset, &start, &end, error);
	*takes = start > offset || end < offset + GOW_BLOCK_SIZE;
	return code;
}

int gow_sync_measure_places(struct gow_sync_job *job, uint64_t *bytes, gow_error *error)
{
	int code = GOW_OK;

	*bytes = 0;
	for (uint32_t i = 0; i < job->master.disk.logical_blocks && !code; i++) {
		bool takes = true;

		if (!gow_get_bit(job->needed, i) || gow_get_bit(job->there, i))
			continue;
		if (job->copy)
			code = takes_room(job, job->places[i], &takes, error);
		*bytes += takes ? GOW_BLOCK_SIZE : 0;
	}
	return code;
}
