/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/monitor.h"
#include "base/thread.h"

enum { SLOTS = 4 };

/* How long the caller waits before it checks whether to stop: 0.2 s. */
#define WAIT_MS 200

/* A chunk, or why there is none. */
struct slot {
	struct gow_chunk chunk;
	int code;
	gow_error error;
};

/*
 * A ring: the thread fills slots [taken, filled), the caller holds the one before taken. Both
 * numbers only grow; slot i is at i modulo SLOTS.
 */
struct gow_reader {
	struct gow_source *source;
	bool salvage;
	uint64_t at; /* where reading continues; the thread's, once it runs */
	struct slot slots[SLOTS];
	bool threaded;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	uint64_t filled, taken;
	bool stop;
};

/* ---- reading ----------------------------------------------------------------------------- */

/* Neighbours become one. */
static void add_loss(struct gow_chunk *chunk, uint64_t offset, size_t size)
{
	gow_loss *last = chunk->loss_count ? &chunk->losses[chunk->loss_count - 1] : NULL;

	if (last && last->start + last->length == offset)
		last->length += size;
	else
		chunk->losses[chunk->loss_count++] = (gow_loss){ GOW_LOSS_UNREADABLE, offset,
			                                         size };
}

static bool must_stop(struct gow_reader *reader)
{
	bool stop;

	(void)pthread_mutex_lock(&reader->mutex);
	stop = reader->stop;
	(void)pthread_mutex_unlock(&reader->mutex);
	return stop;
}

/* Halves what cannot be read until only the sectors are left that really cannot. Failing reads
 * may take seconds each, so a wish to stop is not kept waiting for all of them. */
static int read_salvaging(struct gow_reader *reader, struct gow_chunk *chunk, uint64_t offset,
                          size_t size, gow_error *error)
{
	uint8_t *bytes = chunk->bytes + (offset - chunk->offset);
	size_t got;
	int code = reader->source->ops->read(reader->source, offset, bytes, size, &got, error);
	size_t half;

	if (code != GOW_ERR_IO || must_stop(reader))
		return code;
	if (size <= GOW_SECTOR) {
		memset(bytes, 0, size);
		add_loss(chunk, offset, size);
		return GOW_OK;
	}
	half = (size_t)gow_round_up(size / 2, GOW_SECTOR);
	code = read_salvaging(reader, chunk, offset, half, error);
	return code ? code : read_salvaging(reader, chunk, offset + half, size - half, error);
}

static void pad_chunk(struct gow_chunk *chunk)
{
	memset(chunk->bytes + chunk->size, 0,
	       (size_t)gow_round_up(chunk->size, GOW_BLOCK_SIZE) - chunk->size);
}

/* The next chunk of a source with pull. */
static int pull_chunk(const struct gow_reader *reader, struct gow_chunk *chunk, gow_error *error)
{
	struct gow_source *source = reader->source;
	int code = source->ops->pull(source, &chunk->offset, chunk->bytes, GOW_CHUNK, &chunk->size,
	                             error);

	if (code)
		return code;
	chunk->loss_count = 0;
	if (!chunk->size)
		chunk->offset = source->size;
	pad_chunk(chunk);
	return GOW_OK;
}

/* The next chunk that may hold data, or the end of the disk. */
static int read_chunk(struct gow_reader *reader, struct gow_chunk *chunk, gow_error *error)
{
	struct gow_source *source = reader->source;
	uint64_t start, end;
	int code;

	if (source->ops->pull)
		return pull_chunk(reader, chunk, error);
	code = source->ops->next_data(source, reader->at, &start, &end, error);

	if (code)
		return code;
	/* Whole blocks: their other bytes are zeros, hole or not. */
	chunk->offset = gow_max(reader->at, start - start % GOW_BLOCK_SIZE);
	chunk->size = 0;
	chunk->loss_count = 0;
	if (start == end) {
		chunk->offset = source->size == GOW_NOWHERE ? reader->at : source->size;
		return GOW_OK;
	}
	end = gow_min(gow_round_up(end, GOW_BLOCK_SIZE), source->size);
	chunk->size = (size_t)gow_min(GOW_CHUNK, end - chunk->offset);
	if (reader->salvage && source->size != GOW_NOWHERE)
		code = read_salvaging(reader, chunk, chunk->offset, chunk->size, error);
	else
		code = source->ops->read(source, chunk->offset, chunk->bytes, chunk->size,
		                         &chunk->size, error);
	if (code)
		return code;
	reader->at = chunk->offset + chunk->size;
	pad_chunk(chunk);
	return GOW_OK;
}

/* ---- the thread -------------------------------------------------------------------------- */

/* Whether the slot is the last that there will be. */
static bool is_last(const struct slot *slot)
{
	return slot->code || !slot->chunk.size;
}

/* Waits for a slot that is free to be filled; NULL: stop. */
static struct slot *wait_for_room(struct gow_reader *reader)
{
	struct slot *slot = NULL;

	(void)pthread_mutex_lock(&reader->mutex);
	/* One slot less than there are: the caller still looks at the one it took last. */
	while (!reader->stop && reader->filled - reader->taken >= SLOTS - 1)
		(void)pthread_cond_wait(&reader->changed, &reader->mutex);
	if (!reader->stop)
		slot = &reader->slots[reader->filled % SLOTS];
	(void)pthread_mutex_unlock(&reader->mutex);
	return slot;
}

static void *run(void *context)
{
	struct gow_reader *reader = context;
	struct slot *slot;
	bool last = false;

	gow_set_stop_flag(&reader->source->stop);
	while (!last && (slot = wait_for_room(reader))) {
		slot->code = read_chunk(reader, &slot->chunk, &slot->error);
		last = is_last(slot);
		(void)pthread_mutex_lock(&reader->mutex);
		reader->filled++;
		(void)pthread_cond_signal(&reader->changed);
		(void)pthread_mutex_unlock(&reader->mutex);
	}
	return NULL;
}

/* Without a thread, chunks are read as they are taken: slower, but right. */
static void start_thread(struct gow_reader *reader)
{
	if (reader->source->size == GOW_NOWHERE || reader->source->waits)
		return;
	reader->threaded = gow_thread_start(&reader->thread, run, reader);
}

/* ---- the caller's side ------------------------------------------------------------------- */

int gow_reader_new(struct gow_source *source, bool salvage, struct gow_reader **reader,
                   gow_error *error)
{
	struct gow_reader *made = calloc(1, sizeof *made);
	uint8_t *bytes = malloc((size_t)SLOTS * GOW_CHUNK);

	if (!made || !bytes) {
		free(made);
		free(bytes);
		return gow_fail_memory(error, (size_t)SLOTS * GOW_CHUNK);
	}
	made->source = source;
	made->salvage = salvage;
	for (size_t i = 0; i < SLOTS; i++)
		made->slots[i].chunk.bytes = bytes + i * GOW_CHUNK;
	(void)pthread_mutex_init(&made->mutex, NULL);
	gow_condition_init(&made->changed);
	start_thread(made);
	*reader = made;
	return GOW_OK;
}

void gow_reader_free(struct gow_reader *reader)
{
	if (!reader)
		return;
	if (reader->threaded) {
		/* A source that skips much looks at that, too. */
		atomic_store(&reader->source->stop, true);
		(void)pthread_mutex_lock(&reader->mutex);
		reader->stop = true;
		(void)pthread_cond_signal(&reader->changed);
		(void)pthread_mutex_unlock(&reader->mutex);
		(void)pthread_join(reader->thread, NULL);
		atomic_store(&reader->source->stop, false);
	}
	(void)pthread_cond_destroy(&reader->changed);
	(void)pthread_mutex_destroy(&reader->mutex);
	free(reader->slots[0].chunk.bytes);
	free(reader);
}

/* The slot after the one taken last, once it is filled; NULL after a moment without. */
static const struct slot *next_slot(struct gow_reader *reader)
{
	const struct slot *slot = NULL;
	const struct timespec until = gow_moment_after(WAIT_MS);

	(void)pthread_mutex_lock(&reader->mutex);
	while (reader->taken == reader->filled)
		if (pthread_cond_timedwait(&reader->changed, &reader->mutex, &until) != 0)
			break;
	if (reader->taken < reader->filled) {
		slot = &reader->slots[reader->taken % SLOTS];
		/* The last one is not used up: it is found again by the next call. */
		if (!is_last(slot))
			reader->taken++;
		(void)pthread_cond_signal(&reader->changed);
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return slot;
}

int gow_reader_take(struct gow_reader *reader, const struct gow_chunk **chunk, gow_error *error)
{
	const struct slot *slot;

	if (!reader->threaded) {
		struct slot *own = &reader->slots[0];

		*chunk = &own->chunk;
		return read_chunk(reader, &own->chunk, error);
	}
	slot = next_slot(reader);
	*chunk = slot ? &slot->chunk : NULL;
	if (!slot || !slot->code)
		return GOW_OK;
	if (error)
		*error = slot->error;
	return slot->code;
}
