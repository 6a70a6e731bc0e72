/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/sync/master.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/block.h"
#include "base/clock.h"
#include "base/error.h"

enum {
	LOOK_SHARE = 128, /* a second look at the header is cheap if it takes one byte of so many */
	LOOK_FREE = 16 << 10 /* or so many bytes: a request takes as long */
};

/* ---- the content ------------------------------------------------------------------------- */

/* What is known of the content without reading it. */
struct content {
	char said[256]; /* by the server */
	struct gow_file_identity file;
	struct gow_file_attributes attributes;
	uint64_t size;
};

static int ask(struct gow_file *file, struct gow_hash *said, gow_error *error)
{
	struct content content;
	int code;

	memset(&content, 0, sizeof content); /* what is padding counts */
	strncpy(content.said, gow_remote_identity(file), sizeof content.said - 1);
	code = gow_file_size(file, &content.size, error);
	if (!code && gow_file_can(file, GOW_FILE_CAN_IDENTIFY))
		code = gow_file_identity(file, &content.file, error);
	content.file.kind = NULL; /* an address, which tells nothing */
	if (!code && gow_file_can(file, GOW_FILE_CAN_DRESS))
		code = gow_file_attributes(file, &content.attributes, error);
	content.attributes.mode = 0;
	content.attributes.owner = content.attributes.group = 0;
	if (!code)
		gow_hash_bytes(&content, sizeof content, said);
	return code;
}

static void identify(struct gow_sync_master *master)
{
	const struct {
		struct gow_hash said;
		struct gow_sync_sum header;
	} all = { master->said, master->header };

	gow_hash_bytes(&all, sizeof all, &master->identity);
}

/* A server counts what it is asked for by itself. */
static void count_header(struct gow_sync_master *master, const struct gow_sync_cost *cost)
{
	if (!gow_file_is_remote(master->file)) {
		master->bytes += cost->bytes;
		master->requests += cost->requests;
	}
}

/* The header as the validator is to see it. */
static int see_header(struct gow_sync_master *master, struct gow_file **view, gow_error *error)
{
	struct gow_sync_cost cost = { 0 };
	int code = gow_sync_view_new(master->file, master->rows, master->row_count, view,
	                             &master->header, &cost, error);

	count_header(master, &cost);
	return code;
}

static int refuse_pending(const struct gow_sync_master *master, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_CORRUPT,
	                    "is in the middle of a change, which has to be finished first");

	return gow_fail_in_file(error, code, master->file->name);
}

int gow_sync_master_load(struct gow_sync_master *master, gow_error *error)
{
	const bool remote = gow_file_is_remote(master->file);
	struct gow_header header;
	struct gow_file *view = NULL;
	int code = see_header(master, &view, error);

	if (!code)
		code = ask(master->file, &master->said, error);
	if (!code)
		identify(master);
	if (!code)
		code = gow_header_read(view, master->rows, master->row_count, &header, error);
	if (!code && remote && header.pending)
		code = refuse_pending(master, error);
	/* Of a local one all entries can be judged. */
	if (!code)
		code = gow_sync_disk_load(remote ? view : master->file, master->rows,
		                          master->row_count, &master->disk, error);
	(void)gow_file_close(view, NULL);
	return code;
}

/* ---- opening ----------------------------------------------------------------------------- */

struct gow_sync_cost gow_sync_master_cost(const struct gow_sync_master *master)
{
	struct gow_sync_cost cost = { 0 };

	if (master->file) /* a server counts by itself */
		gow_remote_count(master->file, &cost.bytes, &cost.requests);
	cost.bytes += master->bytes;
	cost.requests += master->requests;
	return cost;
}

static int open_remote(const struct gow_sync_master *master, struct gow_file **file,
                       gow_error *error)
{
	const struct gow_remote_options options = {
		.connections = master->connections,
		.wait_seconds = master->options.common.wait_seconds,
		.monitor = master->options.common.monitor,
	};

	return gow_remote_open(master->name, &options, file, error);
}

int gow_sync_master_open(struct gow_sync_master *master, gow_error *error)
{
	struct gow_file *file;
	int code;

	gow_sync_master_close(master);
	master->lock = (struct gow_lock){ .file = NULL };
	code = gow_name_is_uri(master->name) ? open_remote(master, &file, error)
	                                     : gow_open_locked(master->name, 0, &master->options,
	                                                       &file, &master->lock, error);
	if (code)
		return code;
	master->file = file;
	code = gow_sync_master_load(master, error);
	if (code)
		gow_sync_master_close(master);
	return code;
}

void gow_sync_master_close(struct gow_sync_master *master)
{
	const struct gow_sync_cost cost = gow_sync_master_cost(master);

	if (!master->file)
		return;
	master->bytes = cost.bytes;
	master->requests = cost.requests;
	gow_sync_disk_release(&master->disk);
	(void)gow_file_close(master->file, NULL);
	master->file = NULL;
}

/* ---- looking again ----------------------------------------------------------------------- */

/*
 * Whether the content cannot have changed as long as we are not told so: the server compares it with
 * what we have by an identity that is another one after every change, or a lease keeps all writers
 * out.
 */
static bool is_proven(const struct gow_sync_master *master)
{
	const struct gow_lock *lock = &master->lock;

	if (gow_file_is_remote(master->file))
		return gow_remote_has_proof(master->file);
	return lock->file && lock->lease != F_UNLCK && !lock->in_use;
}

struct gow_sync_cost gow_sync_master_plan_check(struct gow_sync_master *master, uint64_t fetched)
{
	const struct gow_sync_disk *disk = &master->disk;
	const uint64_t little = gow_max(fetched / LOOK_SHARE, LOOK_FREE);
	struct gow_sync_cost cost;

	for (int depth = GOW_SYNC_ALL;; depth--) {
		master->depth = (enum gow_sync_depth)depth;
		cost = gow_sync_view_cost(disk->layout, disk->file_size, disk->logical_blocks,
		                          master->depth);
		if (depth == GOW_SYNC_PREAMBLE || cost.bytes <= little || !is_proven(master))
			return cost;
	}
}

int gow_sync_master_check(struct gow_sync_master *master, bool *changed, gow_error *error)
{
	struct gow_sync_cost cost = { 0 };
	struct gow_hash said = master->said;
	int code = gow_sync_view_look(master->file, master->disk.layout,
	                              master->disk.logical_blocks, master->depth, &master->header,
	                              changed, &cost, error);

	count_header(master, &cost);
	if (!code)
		code = ask(master->file, &said, error);
	if (code == GOW_ERR_CHANGED) {
		*changed = true;
		return GOW_OK;
	}
	if (code)
		return code;
	*changed |= memcmp(&said, &master->said, sizeof said) != 0 ||
	            (gow_file_can(master->file, GOW_FILE_CAN_IDENTIFY) &&
	             !gow_file_is_at(master->file, master->name));
	return gow_lock_poll(&master->lock, error);
}

/* ---- reading ----------------------------------------------------------------------------- */

void gow_sync_nap(double seconds)
{
	const double part = seconds < 0.1 ? seconds : 0.1;
	const struct timespec pause = { .tv_nsec = (long)(part * 1e9) };

	(void)nanosleep(&pause, NULL);
}

double gow_sync_master_pause(const struct gow_sync_master *master)
{
	return master->rate > 0 ? master->paid_until - gow_clock() : 0;
}

void gow_sync_master_count(struct gow_sync_master *master, uint64_t bytes)
{
	if (!gow_file_is_remote(master->file)) { /* a server counts by itself */
		master->bytes += bytes;
		master->requests++;
	}
	if (master->rate > 0) {
		if (gow_sync_master_pause(master) < 0)
			master->paid_until = gow_clock();
		master->paid_until += (double)bytes / master->rate;
	}
}

int gow_sync_master_read(struct gow_sync_master *master, const struct gow_remote_range *ranges,
                         size_t count, gow_error *error)
{
	for (size_t i = 0; i < count; i++)
		gow_sync_master_count(master, ranges[i].size);
	return gow_file_read_ranges(master->file, ranges, count, error);
}
