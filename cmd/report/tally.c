/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/tally.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit.h"
#include "gow.h"
#include "report/line.h"

enum { FIRST_ROOM = 1024 };

/* ---- the table --------------------------------------------------------------------------- */

/* FNV-1a. The table is no larger than its input, so an unlucky choice of names costs time only. */
static uint64_t hash_of(const char *name)
{
	uint64_t hash = 0xCBF29CE484222325u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
	return hash;
}

/* Where name stands in the table, or would. */
static size_t *find(const struct tally *tally, const char *name, uint64_t hash)
{
	size_t mask = tally->slot_count - 1;

	for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
		const struct tally_image *image;

		if (!tally->slots[at])
			return &tally->slots[at];
		image = &tally->images[tally->slots[at] - 1];
		if (image->hash == hash && strcmp(image->name, name) == 0)
			return &tally->slots[at];
	}
}

static int grow(struct tally *tally)
{
	size_t room = tally->room ? tally->room * 2 : FIRST_ROOM;
	struct tally_image *images = reallocarray(tally->images, room, sizeof *images);
	size_t *slots;

	if (!images)
		return ENOMEM;
	tally->images = images;
	slots = calloc(room * 4, sizeof *slots);
	if (!slots)
		return ENOMEM;
	free(tally->slots);
	tally->slots = slots;
	tally->slot_count = room * 4;
	tally->room = room;
	for (size_t i = 0; i < tally->count; i++)
		*find(tally, images[i].name, images[i].hash) = i + 1;
	return 0;
}

/* The image of that name, made if there is none yet; NULL: no memory. */
static struct tally_image *image_of(struct tally *tally, const char *name)
{
	uint64_t hash = hash_of(name);
	struct tally_image *image;
	size_t *slot;

	if (tally->count == tally->room && grow(tally))
		return NULL;
	slot = find(tally, name, hash);
	if (*slot)
		return &tally->images[*slot - 1];
	image = &tally->images[tally->count];
	*image = (struct tally_image){ .name = strdup(name), .hash = hash, .state = TALLY_MISSING };
	if (!image->name)
		return NULL;
	*slot = ++tally->count;
	return image;
}

/* ---- a line ------------------------------------------------------------------------------ */

static uint64_t number_of(const char *line, const char *key)
{
	uint64_t number;

	return line_number(line_member(line, key), &number) ? number : 0;
}

static enum tally_state state_of(unsigned status)
{
	static const struct {
		unsigned bits;
		enum tally_state state;
	} order[] = {
		{ EXIT_CORRUPT, TALLY_CORRUPT },   { EXIT_ERROR | EXIT_USAGE, TALLY_FAILED },
		{ EXIT_STOPPED, TALLY_STOPPED },   { EXIT_BUSY, TALLY_BUSY },
		{ EXIT_ADVISORY, TALLY_ADVISORY }, { ~0u, TALLY_REPAIRED },
	};

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if (status & order[i].bits)
			return order[i].state;
	return TALLY_CLEAN;
}

/* The ids of the findings, one after the other, and how many blocks have leaked. 0 or ENOMEM. */
static int take_findings(const char *line, struct tally_image *image, uint64_t *leaked)
{
	const char *list = line_member(line, "findings"), *finding;
	char text[512] = "";
	size_t used = 0;

	while (used < sizeof text && (finding = line_element(&list)) != NULL) {
		const char *value = line_member(finding, "id");
		char *id = line_is_text(value) ? line_text(value) : NULL;

		if (!line_is_text(value))
			continue;
		if (!id)
			return ENOMEM;
		if (strcmp(id, "space.leak") == 0)
			*leaked = number_of(finding, "count");
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "",
		                         id);
		free(id);
	}
	image->why = used ? strdup(text) : NULL;
	return used && !image->why ? ENOMEM : 0;
}

static int take(const char *line, struct tally_image *image)
{
	const char *message = line_member(line, "message");
	uint64_t zeros = number_of(line, "zero_blocks"), leaked = 0, status;

	free(image->why);
	image->why = NULL;
	if (!line_number(line_member(line, "exit"), &status) || status > INT_MAX)
		status = EXIT_ERROR;
	image->status = (unsigned)status;
	image->state = state_of(image->status);
	image->time = number_of(line, "time");
	if (take_findings(line, image, &leaked))
		return ENOMEM;
	if (!image->why && line_is_text(message)) {
		image->why = line_text(message);
		if (!image->why)
			return ENOMEM;
	}
	if (number_of(line, "leaked_blocks"))
		leaked = number_of(line, "leaked_blocks");
	/* No image has more blocks than 32 bits count. */
	image->space = (leaked & UINT32_MAX) + (zeros & UINT32_MAX);
	image->space = line_is_true(line_member(line, "changed")) ? 0
	                                                          : image->space * GOW_BLOCK_SIZE;
	return 0;
}

int tally_line(struct tally *tally, const char *line, size_t length)
{
	struct tally_image *image;
	const char *value;
	char *name;

	if (!length)
		return 0;
	if (!line_is_object(line, length)) {
		tally->bad_lines++;
		return 0;
	}
	value = line_member(line, "image");
	if (!line_is_text(value) || !line_member(line, "exit"))
		return 0;
	name = line_text(value);
	image = name ? image_of(tally, name) : NULL;
	free(name);
	return image ? take(line, image) : ENOMEM;
}

/* ---- life -------------------------------------------------------------------------------- */

void tally_end(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++) {
		free(tally->images[i].name);
		free(tally->images[i].why);
	}
	free(tally->images);
	free(tally->slots);
}

int tally_expect(struct tally *tally, const char *name)
{
	return image_of(tally, name) ? 0 : ENOMEM;
}

const char *tally_state_name(enum tally_state state)
{
	static const char *const names[TALLY_STATES] = {
		"corrupt", "failed", "stopped", "busy", "missing", "advisory", "repaired", "clean",
	};

	return names[state];
}
