/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/tally.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit.h"
#include "gow.h"

enum {
	FIRST_ROOM = 1024,
	PARSED_LEAST = 64 << 10, /* bytes */
	PARSED_BYTES = 128 /* for one byte of a line: what "[" makes, and its share of the tables */
};

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

static uint64_t number_of(struct json_object *line, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(line, key, &value) ||
	    !json_object_is_type(value, json_type_int))
		return 0;
	return json_object_get_uint64(value);
}

static const char *text_of(struct json_object *line, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(line, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* Whether a name goes on behind a NUL: no file's does, and what is before it is another name. */
static bool is_cut(struct json_object *line)
{
	struct json_object *value;
	const char *text = text_of(line, "image");

	return text && json_object_object_get_ex(line, "image", &value) &&
	       strlen(text) != (size_t)json_object_get_string_len(value);
}

static bool is_changed(struct json_object *line)
{
	struct json_object *value;

	return json_object_object_get_ex(line, "changed", &value) && json_object_get_boolean(value);
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

/* A status that is no number, or that no tool has, is not a clean one: its low bits say nothing. */
static unsigned status_of(struct json_object *line)
{
	struct json_object *value;
	int64_t status = -1;

	if (json_object_object_get_ex(line, "exit", &value) &&
	    json_object_is_type(value, json_type_int))
		status = json_object_get_int64(value);
	return status >= 0 && status <= EXIT_ALL ? (unsigned)status : EXIT_ERROR;
}

/* The ids of the findings, one after the other, and how many blocks have leaked. false: no
 * memory. */
static bool take_findings(struct json_object *line, struct tally_image *image, uint64_t *leaked)
{
	struct json_object *list;
	char text[512] = "";
	size_t used = 0, count = 0;

	if (json_object_object_get_ex(line, "findings", &list) &&
	    json_object_is_type(list, json_type_array))
		count = json_object_array_length(list);
	for (size_t i = 0; i < count; i++) {
		struct json_object *finding = json_object_array_get_idx(list, i);
		const char *id = json_object_is_type(finding, json_type_object)
		                         ? text_of(finding, "id")
		                         : NULL;

		if (!id)
			continue;
		if (strcmp(id, "space.leak") == 0)
			*leaked = number_of(finding, "count");
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "",
		                         id);
		if (used >= sizeof text)
			break;
	}
	image->why = used ? strdup(text) : NULL;
	return image->why || !used;
}

static int take(struct json_object *line, struct tally_image *image)
{
	const char *message = text_of(line, "message");
	uint64_t zeros = number_of(line, "zero_blocks"), leaked = 0;

	free(image->why);
	image->why = NULL;
	image->status = status_of(line);
	image->state = state_of(image->status);
	image->time = number_of(line, "time");
	if (!take_findings(line, image, &leaked))
		return ENOMEM;
	if (!image->why && message) {
		image->why = strdup(message);
		if (!image->why)
			return ENOMEM;
	}
	if (number_of(line, "leaked_blocks"))
		leaked = number_of(line, "leaked_blocks");
	/* No image has more blocks than 32 bits count. */
	image->space = (leaked & UINT32_MAX) + (zeros & UINT32_MAX);
	image->space = is_changed(line) ? 0 : image->space * GOW_BLOCK_SIZE;
	return 0;
}

/* json-c's parser leaves out what it has no memory for, or follows NULL. So it is asked only where
 * there is more than the objects of a line can take. */
static bool has_memory_for(size_t length)
{
	void *room = length < SIZE_MAX / PARSED_BYTES / 2
	                     ? malloc(PARSED_LEAST + length * PARSED_BYTES)
	                     : NULL;

	free(room);
	return room != NULL;
}

static int digit_of(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The name of a line's image: the bytes of one that is no UTF-8, or what stands for it. Owned; NULL:
 * no memory. */
static char *name_of(struct json_object *line)
{
	const char *hex = text_of(line, "image_hex");
	char *name = strdup(text_of(line, "image")), *end = name;

	/* Every byte that is no UTF-8 takes three there, so it is long enough. */
	if (!name || !hex || !*hex || strlen(hex) % 2 || strlen(hex) / 2 > strlen(name))
		return name;
	for (; *hex; hex += 2) {
		const int high = digit_of(hex[0]), low = digit_of(hex[1]);

		if (high < 0 || low < 0 || high + low == 0) {
			free(name);
			return strdup(text_of(line, "image"));
		}
		*end++ = (char)(high << 4 | low);
	}
	*end = '\0';
	return name;
}

static int take_line(struct tally *tally, struct json_object *line)
{
	char *name = name_of(line);
	struct tally_image *image = name ? image_of(tally, name) : NULL;

	free(name);
	return image ? take(line, image) : ENOMEM;
}

int tally_line(struct tally *tally, const char *line, size_t length)
{
	struct json_object *object, *status;
	int failed = 0;

	/* Windows ends an empty line with a character, too. */
	if (!length || (length == 1 && *line == '\r'))
		return 0;
	if (!has_memory_for(length))
		return ENOMEM;
	json_tokener_reset(tally->parser);
	errno = 0;
	object = length < INT_MAX ? json_tokener_parse_ex(tally->parser, line, (int)length) : NULL;
	if (errno == ENOMEM) {
		failed = ENOMEM;
	} else if (!json_object_is_type(object, json_type_object) || is_cut(object)) {
		tally->bad_lines++;
	} else if (text_of(object, "image") && json_object_object_get_ex(object, "exit", &status)) {
		failed = take_line(tally, object);
	}
	(void)json_object_put(object);
	return failed;
}

/* ---- life -------------------------------------------------------------------------------- */

int tally_begin(struct tally *tally)
{
	*tally = (struct tally){ .parser = json_tokener_new() };
	if (!tally->parser)
		return ENOMEM;
	json_tokener_set_flags(tally->parser, JSON_TOKENER_STRICT);
	return 0;
}

void tally_end(struct tally *tally)
{
	for (size_t i = 0; i < tally->count; i++) {
		free(tally->images[i].name);
		free(tally->images[i].why);
	}
	free(tally->images);
	free(tally->slots);
	if (tally->parser)
		json_tokener_free(tally->parser);
}

int tally_expect(struct tally *tally, const char *name)
{
	char *shown = gow_shown_name(name);
	int failed = shown && image_of(tally, shown) ? 0 : ENOMEM;

	free(shown);
	return failed;
}

const char *tally_state_name(enum tally_state state)
{
	static const char *const names[TALLY_STATES] = {
		"corrupt", "failed", "stopped", "busy", "missing", "advisory", "repaired", "clean",
	};

	return names[state];
}
