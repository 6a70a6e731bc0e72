/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master.h - the image that a copy is brought to, local or on a server. It may be replaced or change
 * while it is read; that is noticed, and then it is opened again.
 */
#ifndef GOW_OPS_SYNC_MASTER_H
#define GOW_OPS_SYNC_MASTER_H

#include "base/block.h"
#include "io/lock.h"
#include "io/remote.h"
#include "ops/sync/disk.h"
#include "ops/sync/view.h"

struct gow_sync_master {
	const char *name;
	const struct gow_layout *rows;
	size_t row_count;
	gow_open_options options;
	unsigned connections;  /* to a server; 0: the usual number */
	struct gow_file *file; /* NULL: not open */
	struct gow_lock lock;
	struct gow_sync_disk disk;
	struct gow_hash said;       /* of its content by the server or the file system */
	struct gow_sync_sum header; /* as it was read */
	struct gow_hash identity;   /* both */
	enum gow_sync_depth depth;  /* of the look before the switch */
	uint64_t bytes, requests;   /* that were read, all openings together */
	double rate;                /* bytes a second at most; 0: any */
	double paid_until;          /* by the monotonic clock */
};

/* Opens it and reads its header. name, rows, row_count and options are set. GOW_ERR_CORRUPT unless it
 * is sound and at rest. */
int gow_sync_master_open(struct gow_sync_master *master, gow_error *error);

/* The same of a file that is open. */
int gow_sync_master_load(struct gow_sync_master *master, gow_error *error);

/*
 * Decides how much of the header is read once more before the switch, if so many bytes are fetched
 * until then; what that costs. Where the server or the kernel proves that the content is the same,
 * no more than costs little. (Which they are: the manual, A master that changes.)
 */
struct gow_sync_cost gow_sync_master_plan_check(struct gow_sync_master *master, uint64_t fetched);

/* Once all has been read: whether it is another content than it was. After a change it is to be
 * opened again. */
int gow_sync_master_check(struct gow_sync_master *master, bool *changed, gow_error *error);

/* As gow_file_read_ranges, by whoever has let the rate's pause pass. */
int gow_sync_master_read(struct gow_sync_master *master, const struct gow_remote_range *ranges,
                         size_t count, gow_error *error);

/* How many seconds the rate wants to pass before more is read; and, for whoever reads its file by itself,
 * that so many bytes are asked for now. */
double gow_sync_master_pause(const struct gow_sync_master *master);
void gow_sync_master_count(struct gow_sync_master *master, uint64_t bytes);

/* Lets so many seconds pass, or a tenth of one: then look whether to stop. */
void gow_sync_nap(double seconds);

/* What was read so far, this opening included. */
struct gow_sync_cost gow_sync_master_cost(const struct gow_sync_master *master);

void gow_sync_master_close(struct gow_sync_master *master);

#endif
