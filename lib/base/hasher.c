/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hasher.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/thread.h"

struct item {
	uint64_t index;
	const void *block;
	struct gow_hash hash;
};

enum state {
	STATE_IDLE, /* the batch is the caller's */
	STATE_BUSY, /* the batch is the worker's */
	STATE_QUIT
};

struct gow_hasher {
	gow_hash_visitor visit;
	void *context;
	struct item items[GOW_HASHER_BATCH];
	size_t count;
	bool started;
	bool has_worker; /* otherwise the caller's thread does it */
	pthread_t worker;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum state state; /* guarded by mutex */
};

static void hash_batch(struct gow_hasher *hasher)
{
	for (size_t i = 0; i < hasher->count; i++)
		gow_hash_block(hasher->items[i].block, &hasher->items[i].hash);
}

/* ---- the worker -------------------------------------------------------------------------- */

static void set_state(struct gow_hasher *hasher, enum state state)
{
	(void)pthread_mutex_lock(&hasher->mutex);
	hasher->state = state;
	(void)pthread_cond_signal(&hasher->changed);
	(void)pthread_mutex_unlock(&hasher->mutex);
}

/* Waits while the state is that; the one that came after it. */
static enum state wait_while(struct gow_hasher *hasher, enum state state)
{
	enum state now;

	(void)pthread_mutex_lock(&hasher->mutex);
	while (hasher->state == state)
		(void)pthread_cond_wait(&hasher->changed, &hasher->mutex);
	now = hasher->state;
	(void)pthread_mutex_unlock(&hasher->mutex);
	return now;
}

static void *work(void *context)
{
	struct gow_hasher *hasher = context;

	while (wait_while(hasher, STATE_IDLE) == STATE_BUSY) {
		hash_batch(hasher);
		set_state(hasher, STATE_IDLE);
	}
	return NULL;
}

/* Without one the work continues, on one processor. */
static void start_worker(struct gow_hasher *hasher)
{
	hasher->has_worker = gow_processors() > 1 &&
	                     gow_thread_start(&hasher->worker, work, hasher);
}

/* ---- the caller's side ------------------------------------------------------------------- */

int gow_hasher_new(bool at_once, gow_hash_visitor visit, void *context, struct gow_hasher **hasher,
                   gow_error *error)
{
	struct gow_hasher *made = calloc(1, sizeof *made);

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->visit = visit;
	made->context = context;
	(void)pthread_mutex_init(&made->mutex, NULL); /* neither can fail here */
	(void)pthread_cond_init(&made->changed, NULL);
	if (!at_once)
		start_worker(made);
	*hasher = made;
	return GOW_OK;
}

void gow_hasher_free(struct gow_hasher *hasher)
{
	if (!hasher)
		return;
	if (hasher->has_worker) {
		(void)wait_while(hasher, STATE_BUSY);
		set_state(hasher, STATE_QUIT);
		(void)pthread_join(hasher->worker, NULL);
	}
	(void)pthread_cond_destroy(&hasher->changed);
	(void)pthread_mutex_destroy(&hasher->mutex);
	free(hasher);
}

void gow_hasher_add(struct gow_hasher *hasher, uint64_t index, const void *block)
{
	hasher->items[hasher->count++] = (struct item){ .index = index, .block = block };
}

void gow_hasher_start(struct gow_hasher *hasher)
{
	hasher->started = hasher->count != 0;
	if (hasher->started && hasher->has_worker)
		set_state(hasher, STATE_BUSY);
	else
		hash_batch(hasher);
}

int gow_hasher_settle(struct gow_hasher *hasher, gow_error *error)
{
	int code = GOW_OK;

	if (hasher->started && hasher->has_worker)
		(void)wait_while(hasher, STATE_BUSY);
	for (size_t i = 0; i < hasher->count && !code; i++)
		code = hasher->visit(hasher->context, hasher->items[i].index,
		                     &hasher->items[i].hash, error);
	hasher->started = false;
	hasher->count = 0;
	return code;
}
