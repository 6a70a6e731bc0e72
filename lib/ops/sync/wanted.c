/* SPDX-License-Identifier: BSD-2-Clause */
/* The hashes that the copy is to have in the end, and whether it has them. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/manifest.h"
#include "ops/sync/job.h"

enum { READ_BLOCKS = 64 /* of the master, at once */ };

void gow_sync_wanted_release(struct gow_sync_wanted *wanted)
{
	free(wanted->hashes);
	wanted->hashes = NULL;
}

static void hash_of_zeros(struct gow_hash *hash)
{
	static const uint8_t zeros[GOW_BLOCK_SIZE];

	gow_hash_block(zeros, hash);
}

/* A table of hashes, all of blocks of zeros. */
static int make_hashes(uint32_t blocks, struct gow_hash **hashes, gow_error *error)
{
	const size_t size = (size_t)blocks * sizeof **hashes;
	struct gow_hash zeros;

	*hashes = malloc(size);
	if (!*hashes)
		return gow_fail_memory(error, size);
	hash_of_zeros(&zeros);
	for (uint32_t i = 0; i < blocks; i++)
		(*hashes)[i] = zeros;
	return GOW_OK;
}

static int digest_of(const struct gow_hash *hashes, uint32_t blocks, uint64_t logical_size,
                     gow_digest *digest, gow_error *error)
{
	struct gow_digester *digester;
	struct gow_hash zeros;
	int code = gow_digester_new(&digester, error);

	if (code)
		return code;
	hash_of_zeros(&zeros);
	for (uint32_t i = 0; i < blocks; i++)
		if (memcmp(&hashes[i], &zeros, sizeof zeros) != 0)
			gow_digester_add(digester, i, &hashes[i]);
	gow_digester_finish(digester, logical_size, digest);
	gow_digester_free(digester);
	return GOW_OK;
}

/* ---- of a manifest ----------------------------------------------------------------------- */

static int read_rows(struct gow_manifest *manifest, struct gow_sync_wanted *wanted,
                     gow_error *error)
{
	struct gow_hash hash;
	uint64_t index = 0;
	int code;

	for (;;) {
		code = gow_manifest_next(manifest, &index, &hash, error);
		if (code || index == GOW_NOWHERE)
			return code;
		if (index < wanted->blocks)
			wanted->hashes[index] = hash;
	}
}

static int check_size(const struct gow_sync_job *job, const struct gow_manifest *manifest,
                      gow_error *error)
{
	const uint64_t size = gow_manifest_size(manifest), own = job->master.disk.logical_size;

	if (size == own)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_MISMATCH,
	                "is of a disk of %llu bytes, and the master's has %llu",
	                (unsigned long long)size, (unsigned long long)own);
}

static int read_manifest(struct gow_sync_job *job, struct gow_file *file, gow_error *error)
{
	struct gow_manifest *manifest;
	int code = gow_manifest_open_file(file, &manifest, error);

	if (code)
		return code;
	code = check_size(job, manifest, error);
	if (!code)
		code = make_hashes(job->wanted.blocks, &job->wanted.hashes, error);
	if (!code)
		code = read_rows(manifest, &job->wanted, error);
	gow_manifest_close(manifest);
	return code;
}

static int load_manifest(struct gow_sync_job *job, gow_error *error)
{
	const gow_open_options options = { .common = job->options->common };
	struct gow_file *file;
	struct gow_lock lock;
	int code = gow_open_locked(job->options->manifest, 0, &options, &file, &lock, error);

	if (code)
		return code;
	code = read_manifest(job, file, error);
	code = gow_fail_in_file(error, code, file->name);
	(void)gow_file_close(file, NULL);
	return code;
}

/* ---- of the master itself ---------------------------------------------------------------- */

struct read {
	struct gow_sync_job *job;
	struct gow_hash *hashes; /* that come of it */
	uint8_t *buffer;
	struct gow_remote_range ranges[READ_BLOCKS];
	uint32_t logical[READ_BLOCKS];
	uint32_t count;
};

/* Until more may be read, or somebody wants to stop. */
static int wait_for_rate(const struct read *read, gow_error *error)
{
	struct gow_sync_job *job = read->job;
	double pause;
	int code;

	do {
		pause = gow_sync_master_pause(&job->master);
		code = gow_sync_safe_point(job, "verify",
		                           (uint64_t)read->logical[0] * GOW_BLOCK_SIZE,
		                           job->master.disk.logical_size, error);
		if (!code && pause > 0)
			gow_sync_nap(pause);
	} while (!code && pause > 0);
	return code;
}

static int read_batch(struct read *read, gow_error *error)
{
	const struct gow_sync_disk *master = &read->job->master.disk;
	int code = wait_for_rate(read, error);

	if (!code)
		code = gow_sync_master_read(&read->job->master, read->ranges, read->count, error);

	for (uint32_t i = 0; i < read->count && !code; i++) {
		uint8_t *block = read->ranges[i].buf;
		const uint64_t left = master->logical_size -
		                      (uint64_t)read->logical[i] * GOW_BLOCK_SIZE;
		const size_t size = (size_t)gow_min(read->ranges[i].size, left);

		memset(block + size, 0, GOW_BLOCK_SIZE - size);
		gow_hash_block(block, &read->hashes[read->logical[i]]);
	}
	read->count = 0;
	return code;
}

static int read_blocks(struct read *read, gow_error *error)
{
	const struct gow_sync_disk *master = &read->job->master.disk;
	int code = GOW_OK;

	for (uint32_t i = 0; i < master->logical_blocks && !code; i++) {
		uint64_t at;

		if (master->entries[i] == GOW_UNALLOCATED)
			continue;
		at = gow_layout_block_offset(master->layout, master->entries[i]);
		read->logical[read->count] = i;
		read->ranges[read->count] = (struct gow_remote_range){
			.offset = at,
			.size = (size_t)gow_min(GOW_BLOCK_SIZE, master->file_size - at),
			.buf = read->buffer + (size_t)read->count * GOW_BLOCK_SIZE,
		};
		if (++read->count < READ_BLOCKS)
			continue;
		code = read_batch(read, error);
	}
	return code || !read->count ? code : read_batch(read, error);
}

/* The hashes of all blocks of the master. */
static int read_master(struct gow_sync_job *job, struct gow_hash **hashes, gow_error *error)
{
	struct read *read = calloc(1, sizeof *read);
	int code;

	if (!read)
		return gow_fail_memory(error, sizeof *read);
	read->job = job;
	read->buffer = malloc((size_t)READ_BLOCKS * GOW_BLOCK_SIZE);
	code = read->buffer ? make_hashes(job->wanted.blocks, &read->hashes, error)
	                    : gow_fail_memory(error, (size_t)READ_BLOCKS * GOW_BLOCK_SIZE);
	if (!code)
		code = read_blocks(read, error);
	if (code)
		free(read->hashes);
	else
		*hashes = read->hashes;
	free(read->buffer);
	free(read);
	return code;
}

static int differs(const struct gow_sync_job *job, const char *what, uint32_t logical,
                   gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT, "%s; the copy keeps its old content", what);

	return gow_fail_in_file(error, gow_fail_at_block(error, code, logical),
	                        job->master.file->name);
}

static int verify_master(struct gow_sync_job *job, gow_error *error)
{
	struct gow_hash *hashes = NULL;
	int code = read_master(job, &hashes, error);

	if (code)
		return code;
	if (!job->wanted.hashes) {
		job->wanted.hashes = hashes;
		return GOW_OK;
	}
	for (uint32_t i = 0; i < job->wanted.blocks && !code; i++)
		if (memcmp(&hashes[i], &job->wanted.hashes[i], sizeof *hashes) != 0)
			code = differs(job, "the master differs from the manifest", i, error);
	free(hashes);
	return code;
}

int gow_sync_wanted_load(struct gow_sync_job *job, gow_error *error)
{
	int code = GOW_OK;

	gow_sync_wanted_release(&job->wanted);
	job->wanted.blocks = job->master.disk.logical_blocks;
	if (job->options->manifest)
		code = load_manifest(job, error);
	if (!code && job->options->flags & GOW_SYNC_VERIFY)
		code = verify_master(job, error);
	if (!code && job->wanted.hashes)
		code = digest_of(job->wanted.hashes, job->wanted.blocks,
		                 job->master.disk.logical_size, &job->wanted.digest, error);
	return code;
}

/* ---- what the copy has ------------------------------------------------------------------- */

/* The hash of a block in its place; of a place that cannot be read none that is wanted. */
static int hash_place(struct gow_sync_job *job, uint32_t logical, uint8_t *block, bool *equal,
                      gow_error *error)
{
	const uint32_t place = job->places[logical];
	const uint64_t left = job->master.disk.logical_size - (uint64_t)logical * GOW_BLOCK_SIZE;
	const size_t size = (size_t)gow_min(GOW_BLOCK_SIZE, left);
	struct gow_hash hash;
	int code = GOW_OK;

	memset(block, 0, GOW_BLOCK_SIZE);
	if (place != GOW_UNALLOCATED)
		code = gow_file_read_padded(job->copy->file,
		                            gow_layout_block_offset(job->disk.layout, place), block,
		                            size, error);
	gow_hash_block(block, &hash);
	*equal = !code && memcmp(&hash, &job->wanted.hashes[logical], sizeof hash) == 0;
	return code == GOW_ERR_IO ? GOW_OK : code;
}

/* A block that the copy would keep differs: its content comes from the master. */
static int want_block(struct gow_sync_job *job, uint32_t logical, gow_error *error)
{
	if (job->master.disk.entries[logical] == GOW_UNALLOCATED)
		return differs(job, "the master does not have a block that the manifest has",
		               logical, error);
	gow_sync_plan_add(job, logical);
	return GOW_OK;
}

static int compare(struct gow_sync_job *job, bool fetched, uint8_t *block, gow_error *error)
{
	const uint32_t blocks = job->master.disk.logical_blocks;
	uint32_t compared = 0;
	int code = GOW_OK;

	for (uint32_t i = 0; i < blocks && !code; i++) {
		bool equal = true;

		if (gow_get_bit(job->needed, i) != fetched)
			continue;
		if (compared++ % READ_BLOCKS == 0)
			code = gow_sync_safe_point(job, "verify", (uint64_t)i * GOW_BLOCK_SIZE,
			                           job->master.disk.logical_size, error);
		if (!code)
			code = hash_place(job, i, block, &equal, error);
		if (code || equal)
			continue;
		code = fetched ? differs(job, "the master differs from the manifest", i, error)
		               : want_block(job, i, error);
	}
	return code;
}

static int compare_all(struct gow_sync_job *job, bool fetched, gow_error *error)
{
	uint8_t *block = malloc(GOW_BLOCK_SIZE);
	int code = block ? compare(job, fetched, block, error)
	                 : gow_fail_memory(error, GOW_BLOCK_SIZE);

	free(block);
	return code;
}

int gow_sync_compare_kept(struct gow_sync_job *job, gow_error *error)
{
	return compare_all(job, false, error);
}

int gow_sync_compare_fetched(struct gow_sync_job *job, gow_error *error)
{
	if (!job->wanted.hashes)
		return GOW_OK;
	/* From the disk, not from memory. */
	gow_file_drop_cache(job->copy->file);
	return compare_all(job, true, error);
}
