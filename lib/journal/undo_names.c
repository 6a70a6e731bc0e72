/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "journal/undo.h"

char *gow_undo_name(const struct gow_undo_place *place, uint32_t layer)
{
	char *name;
	int size = layer == 1 ? asprintf(&name, "%s%s", place->image, suffix)
	                      : asprintf(&name, "%s%s.%" PRIu32, place->image, suffix, layer);

	return size < 0 ? NULL : name;
}

struct layer_list {
	const struct gow_undo_place *place;
	struct gow_owner image;
	bool all; /* also those that do not count, since their names are taken */
	uint32_t *layers;
	size_t count;
};

/* The layer that a name stands for; 0: none. */
static uint32_t layer_of(const struct gow_undo_place *place, const char *name)
{
	size_t length = strlen(place->image);
	uint64_t layer = 0;

	if (strncmp(name, place->image, length) != 0 ||
	    strncmp(name + length, suffix, sizeof suffix - 1) != 0)
		return 0;
	name += length + sizeof suffix - 1;
	if (!*name)
		return 1;
	if (*name++ != '.' || *name < '1' || *name > '9')
		return 0;
	for (; *name >= '0' && *name <= '9' && layer <= LAYER_MAX; name++)
		layer = layer * 10 + (uint64_t)(*name - '0');
	return *name || layer < 2 || layer > LAYER_MAX ? 0 : (uint32_t)layer;
}

static int add_layer(void *context, const char *name, gow_error *error)
{
	struct layer_list *list = context;
	uint32_t layer = layer_of(list->place, name);
	struct gow_owner owner;
	uint32_t *grown;
	int code;

	if (!layer)
		return GOW_OK;
	code = gow_directory_owner(list->place->directory, name, &owner, error);
	if (code || (!list->all && !gow_owner_is_trusted(&owner, &list->image)))
		return code;
	grown = realloc(list->layers, (list->count + 1) * sizeof *grown);
	if (!grown)
		return gow_fail_memory(error, (list->count + 1) * sizeof *grown);
	list->layers = grown;
	grown[list->count++] = layer;
	return GOW_OK;
}

static int newest_first(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;

	return (first < second) - (first > second);
}

int gow_undo_list_layers(const struct gow_undo_place *place, bool all, uint32_t **layers,
                         size_t *count, gow_error *error)
{
	struct layer_list list = { .place = place, .all = all };
	int code = gow_directory_owner(place->directory, place->image, &list.image, error);

	if (!code)
		code = gow_directory_each(place->directory, add_layer, &list, error);

	if (code) {
		free(list.layers);
		return code;
	}
	if (list.count)
		qsort(list.layers, list.count, sizeof *list.layers, newest_first);
	*layers = list.layers;
	*count = list.count;
	return GOW_OK;
}

int gow_undo_layers(const struct gow_undo_place *place, uint32_t **layers, size_t *count,
                    gow_error *error)
{
	return gow_undo_list_layers(place, false, layers, count, error);
}
