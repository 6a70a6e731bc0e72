/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * incoming.h - what a job fetches, as it comes: a thread reads the master, several requests at a
 * time, as long as there is room in a window. What is in the window is fetched again after a kill.
 * Where no thread can be started, whoever takes blocks reads them.
 */
#ifndef GOW_OPS_SYNC_INCOMING_H
#define GOW_OPS_SYNC_INCOMING_H

#include "ops/sync/requests.h"

/* Requests, the oldest first. */
struct gow_sync_list {
	struct gow_sync_request *first, **end;
	uint32_t blocks;
};

struct gow_sync_incoming;

/* Begins to fetch all that is needed and not there. The thread has the master to itself until it is
 * stopped; of the job it reads what a plan says of the master, and the places. */
int gow_sync_incoming_new(struct gow_sync_job *job, struct gow_sync_incoming **incoming,
                          gow_error *error);
/* Stops it. Accepts NULL. */
void gow_sync_incoming_free(struct gow_sync_incoming *incoming);

/* How many bytes are fetched in all, but for those in gaps. */
uint64_t gow_sync_incoming_total(const struct gow_sync_incoming *incoming);

/*
 * Takes what came: half a window, or whatever came in a moment, which may be nothing; with hashes.
 * *over: no more will come. The group goes to gow_sync_incoming_kept, which frees it.
 */
void gow_sync_incoming_take(struct gow_sync_incoming *incoming, struct gow_sync_list *group,
                            bool *over);

/* Makes room for more in place of a group, kept or not. */
void gow_sync_incoming_kept(struct gow_sync_incoming *incoming, struct gow_sync_list *group);

/* Ends the thread; what came until then can still be taken. May be called again. */
void gow_sync_incoming_stop(struct gow_sync_incoming *incoming);

/* Why the thread ended early; GOW_ERR_CHANGED: the master is another one. Once it is over. */
int gow_sync_incoming_result(const struct gow_sync_incoming *incoming, gow_error *error);

#endif
