/* SPDX-License-Identifier: BSD-2-Clause */
/* requests.h - the blocks that a job has to fetch, cut into requests. */
#ifndef GOW_OPS_SYNC_REQUESTS_H
#define GOW_OPS_SYNC_REQUESTS_H

#include "ops/sync/job.h"

enum {
	GOW_SYNC_REQUEST_MOST = 16 /* blocks of one request, those that fill a gap included */
};

/* One request: neighbours in the master. */
struct gow_sync_request {
	struct gow_remote_range range;
	uint32_t blocks; /* that its bytes take, the last one as if it were whole */
	uint32_t row_count;
	struct gow_sync_row rows[GOW_SYNC_REQUEST_MOST]; /* what is wanted of it, hashes not yet */
	uint32_t at[GOW_SYNC_REQUEST_MOST];              /* which of its blocks each row is */
	struct gow_sync_request *next;                   /* its owner's */
};

struct gow_sync_requests;

/* Of all blocks that are needed and not there, by their place in the master. */
int gow_sync_requests_new(const struct gow_sync_job *job, struct gow_sync_requests **requests,
                          gow_error *error);
void gow_sync_requests_free(struct gow_sync_requests *requests);

/* How many blocks are asked for, all requests together. */
uint32_t gow_sync_requests_blocks(const struct gow_sync_requests *requests);

/* The next request, without a buffer; false: there are no more. */
bool gow_sync_requests_next(struct gow_sync_requests *requests, struct gow_sync_request *request);

/* A row's block in the buffer. */
static inline uint8_t *gow_sync_block_of(const struct gow_sync_request *request, uint32_t row)
{
	return (uint8_t *)request->range.buf + (size_t)request->at[row] * GOW_BLOCK_SIZE;
}

/* How many bytes of a master's physical block its file has. */
size_t gow_sync_size_of(const struct gow_sync_job *job, uint32_t physical);

#endif
