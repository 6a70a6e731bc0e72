/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "ops/sync/job.h"

static bool has_numbers(const struct gow_sync_job *job)
{
	return job->master.disk.versions != NULL;
}

uint32_t gow_sync_new_number(const struct gow_sync_job *job, uint32_t logical)
{
	const uint32_t old = job->disk.versions[logical];
	const bool changes = gow_get_bit(job->needed, logical) ||
	                     job->places[logical] != job->disk.entries[logical];

	if (has_numbers(job))
		return job->master.disk.versions[logical];
	return changes && old != GOW_VERSION_MAX ? old + 1 : old;
}

void gow_sync_plan_release(struct gow_sync_job *job)
{
	free(job->needed);
	free(job->there);
	free(job->places);
	free(job->used);
	job->needed = job->there = job->used = NULL;
	job->places = NULL;
}

static int make_tables(struct gow_sync_job *job, gow_error *error)
{
	const uint32_t blocks = job->master.disk.logical_blocks;
	const size_t words = gow_bit_words(blocks);

	gow_sync_plan_release(job);
	job->needed = calloc(words, sizeof *job->needed);
	job->there = calloc(words, sizeof *job->there);
	job->places = malloc((size_t)blocks * sizeof *job->places);
	job->needed_count = job->there_count = 0;
	if (!job->needed || !job->there || !job->places)
		return gow_fail_memory(error, (size_t)blocks * sizeof *job->places);
	return GOW_OK;
}

void gow_sync_plan_add(struct gow_sync_job *job, uint32_t logical)
{
	if (gow_get_bit(job->needed, logical))
		return;
	gow_set_bit(job->needed, logical);
	job->needed_count++;
}

/* Whether some entries may be another master's, and others not. */
static bool may_be_half_written(const struct gow_sync_job *job)
{
	return job->in_place && job->record.file;
}

/* What the numbers say of one block. */
static void compare_block(struct gow_sync_job *job, uint32_t logical, uint64_t *unknown)
{
	const struct gow_sync_disk *master = &job->master.disk, *copy = &job->disk;
	const uint32_t theirs = gow_sync_number(master, logical), ours = copy->versions[logical];
	const bool allocated = master->entries[logical] != GOW_UNALLOCATED;
	const bool have = copy->entries[logical] != GOW_UNALLOCATED;

	job->places[logical] = allocated ? copy->entries[logical] : GOW_UNALLOCATED;
	job->differs |= theirs != ours || job->places[logical] != copy->entries[logical];
	job->result->unmapped_blocks += have && !allocated;
	if (ours > theirs && job->result->diverged_blocks++ == 0)
		job->result->first_diverged = logical;
	if (!allocated)
		return;
	job->result->newer_blocks += theirs > ours;
	/* Under the number 0 nobody can tell; what is not there is fetched at least. Otherwise a
	 * block that only one of them has allocated under the same number holds zeros. */
	*unknown += !theirs && have;
	if (theirs != ours || (!have && (!theirs || may_be_half_written(job))))
		gow_sync_plan_add(job, logical);
}

/* A block of the copy past the master's end goes. */
static void give_up_rest(struct gow_sync_job *job)
{
	for (uint32_t i = job->master.disk.logical_blocks; i < job->disk.logical_blocks; i++) {
		job->result->unmapped_blocks += job->disk.entries[i] != GOW_UNALLOCATED;
		job->differs |= job->disk.entries[i] != GOW_UNALLOCATED || job->disk.versions[i];
	}
}

static int refuse_diverged(const struct gow_sync_job *job, gow_error *error)
{
	const gow_sync_result *result = job->result;
	int code = gow_fail(
		error, GOW_ERR_CHANGED,
		"has diverged: %" PRIu64 " %s a higher number than in the master, the "
		"first is block %" PRIu64 ": the copy was written to, or is of another "
		"master, or the master's numbers were reset; --force fetches all blocks "
		"whose number differs",
		result->diverged_blocks, result->diverged_blocks == 1 ? "block has" : "blocks have",
		result->first_diverged);

	code = gow_fail_at_block(error, code, result->first_diverged);
	return gow_fail_in_file(error, code, job->record.copy);
}

static int compare_numbers(struct gow_sync_job *job, gow_error *error)
{
	uint64_t unknown = 0;

	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++)
		compare_block(job, i, &unknown);
	give_up_rest(job);
	if (unknown && !job->wanted.hashes && !job->unknown_told)
		gow_note(job->monitor, GOW_NOTE_WARNING, job->master.file->name,
		         "%" PRIu64 " allocated blocks have the number 0, so that nobody can tell "
		         "whether they changed; --manifest would",
		         unknown);
	job->unknown_told |= unknown != 0;
	if (job->result->diverged_blocks && !(job->options->flags & GOW_SYNC_FORCE))
		return refuse_diverged(job, error);
	return GOW_OK;
}

int gow_sync_check_numbers(const struct gow_sync_job *job, gow_error *error)
{
	int code;

	if (has_numbers(job) || job->wanted.hashes)
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_UNSUPPORTED,
	                "has no version numbers (its layout is %s) to tell what changed by: give "
	                "--manifest, or upgrade it with gow-upgrade",
	                job->master.disk.layout->name);
	return gow_fail_in_file(error, code, job->master.file->name);
}

/* A master without numbers: what differs is found by its hashes (gow_sync_compare_kept). */
static void compare_nothing(struct gow_sync_job *job)
{
	for (uint32_t i = 0; i < job->master.disk.logical_blocks; i++) {
		const bool allocated = job->master.disk.entries[i] != GOW_UNALLOCATED;

		job->places[i] = allocated ? job->disk.entries[i] : GOW_UNALLOCATED;
		job->differs |= job->places[i] != job->disk.entries[i];
		job->result->unmapped_blocks += !allocated &&
		                                job->disk.entries[i] != GOW_UNALLOCATED;
	}
	give_up_rest(job);
}

static int check_limit(const struct gow_sync_job *job, gow_error *error)
{
	const uint64_t limit = job->disk.layout->logical_limit;

	if (job->master.disk.logical_size <= limit &&
	    job->master.disk.logical_blocks <= job->disk.layout->map_entries)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_LIMIT,
	                "the master's disk has %" PRIu64
	                " bytes, more than the copy can hold (%" PRIu64 ")",
	                job->master.disk.logical_size, limit);
}

int gow_sync_plan_make(struct gow_sync_job *job, gow_error *error)
{
	gow_sync_result *result = job->result;
	int code = check_limit(job, error);

	result->newer_blocks = result->unmapped_blocks = result->diverged_blocks = 0;
	result->first_diverged = GOW_NOWHERE;
	if (!code && job->disk.logical_blocks < job->master.disk.logical_blocks)
		code = gow_sync_disk_resize(&job->disk, job->master.disk.logical_blocks, error);
	if (!code)
		code = make_tables(job, error);
	if (code)
		return code;
	job->differs = job->disk.logical_size != job->master.disk.logical_size;
	if (has_numbers(job))
		code = compare_numbers(job, error);
	else
		compare_nothing(job);
	if (!code)
		code = gow_sync_find_fetched(job, error);
	/* All of the copy is read for that, so not before it matters. */
	if (!code && job->wanted.hashes && !(job->looking && (job->differs || job->needed_count)))
		code = gow_sync_compare_kept(job, error);
	if (!code && !has_numbers(job))
		result->newer_blocks = job->needed_count;
	return code;
}
