/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/held.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

enum { BUCKETS = 4096 };

struct block {
	struct block *next; /* in its bucket */
	uint32_t logical;
	uint8_t *chunks[GOW_HELD_PER_BLOCK];
};

struct gow_held {
	struct block *buckets[BUCKETS];
	struct block *sorted[GOW_HELD_MOST]; /* to visit them in order */
	size_t chunks, blocks;
};

int gow_held_new(struct gow_held **held, gow_error *error)
{
	*held = calloc(1, sizeof **held);
	return *held ? GOW_OK : gow_fail_memory(error, sizeof **held);
}

void gow_held_free(struct gow_held *held)
{
	if (held)
		gow_held_clear(held);
	free(held);
}

size_t gow_held_room(const struct gow_held *held)
{
	return GOW_HELD_MOST - held->chunks;
}

bool gow_held_any(const struct gow_held *held)
{
	return held->chunks != 0;
}

static struct block *find(const struct gow_held *held, uint32_t logical)
{
	struct block *block = held->buckets[logical % BUCKETS];

	while (block && block->logical != logical)
		block = block->next;
	return block;
}

bool gow_held_has(const struct gow_held *held, uint32_t logical)
{
	return held->chunks && find(held, logical);
}

uint8_t *gow_held_find(const struct gow_held *held, uint32_t logical, uint32_t index)
{
	const struct block *block = find(held, logical);

	return block ? block->chunks[index] : NULL;
}

int gow_held_add(struct gow_held *held, uint32_t logical, uint32_t index, uint8_t **bytes,
                 gow_error *error)
{
	struct block **bucket = &held->buckets[logical % BUCKETS];
	struct block *block = find(held, logical);
	struct block *made = block ? block : calloc(1, sizeof *made);
	uint8_t *chunk = malloc(GOW_HELD_CHUNK);

	if (!made || !chunk) {
		if (!block)
			free(made);
		free(chunk);
		return gow_fail_memory(error, GOW_HELD_CHUNK);
	}
	if (!block) {
		made->logical = logical;
		made->next = *bucket;
		*bucket = made;
		held->blocks++;
	}
	*bytes = made->chunks[index] = chunk;
	held->chunks++;
	return GOW_OK;
}

/* Takes out the block that stands at *at. */
static void take_out(struct gow_held *held, struct block **at)
{
	struct block *block = *at;

	*at = block->next;
	for (uint32_t i = 0; i < GOW_HELD_PER_BLOCK; i++) {
		held->chunks -= block->chunks[i] != NULL;
		free(block->chunks[i]);
	}
	free(block);
	held->blocks--;
}

void gow_held_drop(struct gow_held *held, uint32_t logical)
{
	struct block **at = &held->buckets[logical % BUCKETS];

	while (*at && (*at)->logical != logical)
		at = &(*at)->next;
	if (*at)
		take_out(held, at);
}

void gow_held_clear(struct gow_held *held)
{
	for (size_t i = 0; i < BUCKETS && held->blocks; i++)
		while (held->buckets[i])
			take_out(held, &held->buckets[i]);
}

void gow_held_overlay(const struct gow_held *held, uint64_t offset, uint8_t *buf, size_t size)
{
	while (held->chunks && size) {
		const uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		const struct block *block = find(held, (uint32_t)(offset / GOW_BLOCK_SIZE));
		const uint8_t *chunk = block ? block->chunks[inside / GOW_HELD_CHUNK] : NULL;
		const size_t unit = block ? GOW_HELD_CHUNK : GOW_BLOCK_SIZE;
		const size_t part = (size_t)gow_min(size, unit - inside % unit);

		if (chunk)
			memcpy(buf, chunk + inside % GOW_HELD_CHUNK, part);
		offset += part;
		buf += part;
		size -= part;
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t one = (*(struct block *const *)a)->logical;
	const uint32_t other = (*(struct block *const *)b)->logical;

	return (one > other) - (one < other);
}

int gow_held_each(struct gow_held *held, gow_held_visitor visit, void *context, gow_error *error)
{
	size_t count = 0;
	int code = GOW_OK;

	for (size_t i = 0; i < BUCKETS && held->blocks; i++)
		for (struct block *block = held->buckets[i]; block; block = block->next)
			held->sorted[count++] = block;
	qsort(held->sorted, count, sizeof(struct block *),
	      compare); /* NOLINT(bugprone-sizeof-expression) */
	for (size_t i = 0; i < count && !code; i++)
		for (uint32_t k = 0; k < GOW_HELD_PER_BLOCK && !code; k++)
			if (held->sorted[i]->chunks[k])
				code = visit(context, held->sorted[i]->logical, k,
				             held->sorted[i]->chunks[k], error);
	return code;
}
