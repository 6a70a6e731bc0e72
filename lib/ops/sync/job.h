/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job.h - one run of gow-sync: what its parts share.
 *
 * A plan (plan.c) says which blocks are to be fetched, and where in the copy each goes; what an
 * earlier run has left there is found (found.c); the rest is fetched (fetch.c), and compared with the
 * hashes that the caller gave (wanted.c). Only then the copy's header changes (switch.c).
 */
#ifndef GOW_OPS_SYNC_JOB_H
#define GOW_OPS_SYNC_JOB_H

#include "base/bits.h"
#include "base/block.h"
#include "journal/sync_record.h"
#include "io/location.h"
#include "ops/sync/master.h"

/* The hash of every block of a guest's disk that is to come out; without hashes nothing is wanted. */
struct gow_sync_wanted {
	struct gow_hash *hashes; /* by logical block; of blocks of zeros, too */
	uint32_t blocks;
	gow_digest digest;
};

struct gow_sync_job {
	const gow_sync_options *options;
	gow_sync_result *result;
	const gow_monitor *monitor;
	struct gow_sync_master master;
	struct gow_sync_wanted wanted;

	/* The copy, by these layouts. While a new one is made it is a file of another name, and
	 * empty. */
	const struct gow_layout *rows;
	size_t row_count;
	struct gow_location *copy;
	struct gow_sync_disk disk;
	struct gow_sync_record record;
	bool in_place; /* blocks are overwritten where they stand */
	bool new_copy; /* one is made */
	bool resumed;  /* a new copy, whose header may be half written */
	bool looking;  /* only whether there is something to do is asked */
	/* Blocks that may be on their way at a time, an even number; 0: as many as is good. */
	uint32_t window;

	/* By logical block of the master; made by gow_sync_plan_make. */
	uint64_t *needed; /* bits: to be fetched */
	uint64_t *there;  /* bits: fetched, and durable in its place */
	uint32_t *places; /* where it is in the copy in the end; GOW_UNALLOCATED: nowhere */
	uint32_t needed_count;
	uint32_t there_count;
	uint64_t *used; /* bits: physical blocks that are taken; so many: */
	uint32_t used_limit;
	bool differs;      /* map, numbers or size have to change */
	bool unknown_told; /* that there are numbers of which nobody can tell anything */
};

static inline bool gow_sync_is_dry_run(const struct gow_sync_job *job)
{
	return job->options->common.flags & GOW_COMMON_DRY_RUN;
}

/* ---- sync.c ------------------------------------------------------------------------------ */

/*
 * All of a run on a copy that there is, once the master is open: with look only what would be done,
 * which is in the result. What an earlier run has left is seen to.
 */
int gow_sync_work(struct gow_sync_job *job, struct gow_location *location, bool look, bool *needed,
                  gow_error *error);

/* What every loop over many blocks calls: GOW_ERR_STOPPED, or GOW_ERR_BUSY where somebody came to open
 * the copy, or to write to the master. */
int gow_sync_safe_point(struct gow_sync_job *job, const char *phase, uint64_t done, uint64_t total,
                        gow_error *error);

/* ---- rounds.c ---------------------------------------------------------------------------- */

/* Plans one round, and measures in the result what it reads and writes. */
int gow_sync_plan(struct gow_sync_job *job, gow_error *error);

/* Plans and fetches until the master stays as it was. GOW_ERR_CHANGED: it does not. */
int gow_sync_go_round(struct gow_sync_job *job, gow_error *error);

/* Whether the copy, as it is, is another one than it is to be; one that is pending always. */
bool gow_sync_has_work(const struct gow_sync_job *job);

/* ---- plan.c ------------------------------------------------------------------------------ */

/*
 * Compares the numbers, or with a master that has none the hashes. Fills the result's counts. With
 * a copy that diverged, and without GOW_SYNC_FORCE, GOW_ERR_CHANGED.
 */
int gow_sync_plan_make(struct gow_sync_job *job, gow_error *error);
/* GOW_ERR_UNSUPPORTED for a master that has neither numbers nor hashes. */
int gow_sync_check_numbers(const struct gow_sync_job *job, gow_error *error);
void gow_sync_plan_release(struct gow_sync_job *job);

/* One more block has to be fetched, whatever its number is. */
void gow_sync_plan_add(struct gow_sync_job *job, uint32_t logical);

/* The number that a block gets in the copy. */
uint32_t gow_sync_new_number(const struct gow_sync_job *job, uint32_t logical);

/* ---- found.c ----------------------------------------------------------------------------- */

/* Takes what the record says, where it is true. What was overwritten in place by another master's
 * blocks is needed. */
int gow_sync_find_fetched(struct gow_sync_job *job, gow_error *error);

/* A block is there, in that place. */
void gow_sync_is_there(struct gow_sync_job *job, uint32_t logical, uint32_t physical);

/* Gives every block that is needed a place in the copy that no entry names; or, in place, the one
 * that it has. */
int gow_sync_give_places(struct gow_sync_job *job, gow_error *error);

/* How many bytes of disk the places take. */
int gow_sync_measure_places(struct gow_sync_job *job, uint64_t *bytes, gow_error *error);

/* ---- fetch.c ----------------------------------------------------------------------------- */

/* Fetches all blocks that are needed and not there. GOW_ERR_CHANGED: the master is another one. */
int gow_sync_fetch(struct gow_sync_job *job, gow_error *error);

/* How many bytes that takes, in how many requests. */
int gow_sync_fetch_cost(const struct gow_sync_job *job, uint64_t *bytes, uint64_t *requests,
                        gow_error *error);

/* ---- wanted.c ---------------------------------------------------------------------------- */

/* Reads the manifest, and for GOW_SYNC_VERIFY the master's data. */
int gow_sync_wanted_load(struct gow_sync_job *job, gow_error *error);
void gow_sync_wanted_release(struct gow_sync_wanted *wanted);

/* Compares what the copy has, and will keep, with what is wanted; what differs is needed. */
int gow_sync_compare_kept(struct gow_sync_job *job, gow_error *error);

/* Compares what was fetched. GOW_ERR_CORRUPT: the master is not what is wanted. */
int gow_sync_compare_fetched(struct gow_sync_job *job, gow_error *error);

/* ---- switch.c ---------------------------------------------------------------------------- */

/* Gives the copy the master's map, size and numbers. All that is needed is there. */
int gow_sync_switch(struct gow_sync_job *job, gow_error *error);

/* Marks a copy that is changed in place. The record is durable. */
int gow_sync_mark(struct gow_sync_job *job, gow_error *error);

/* What an earlier run has left: a switch that was interrupted is rolled back, the undo file of one
 * that was not is removed. With look only finds out. */
int gow_sync_recover(struct gow_sync_job *job, bool look, bool *needed, gow_error *error);

/* Whether what is kept beside the copy has room in its name, and is found by whoever finds the copy. */
int gow_sync_check_name(struct gow_sync_job *job, gow_error *error);

/* ---- copy.c ------------------------------------------------------------------------------ */

/* Reads the copy's header, and opens its record. What is pending and can be resumed or, with look,
 * rolled back is read as it would be at rest. */
int gow_sync_copy_load(struct gow_sync_job *job, bool look, gow_error *error);

/* Whether some numbers of the copy are older than the master's, and none is newer: then it will be
 * changed, unless it is unsound. Of its header nothing else is read, or believed. */
int gow_sync_copy_is_behind(const struct gow_sync_job *job, bool *behind, gow_error *error);

/* A copy that is yet to be made: begins it, or goes on with the file that an earlier run began,
 * which is opened as location. A dry run without one leaves job->copy NULL. */
int gow_sync_copy_new(struct gow_sync_job *job, const char *path, struct gow_location *location,
                      gow_error *error);

/* Gives the new copy its name. */
int gow_sync_copy_publish(struct gow_sync_job *job, gow_error *error);

#endif
