/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c - a GOW image as a source. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "disk/names.h"
#include "disk/source/kinds.h"

struct image_source {
	struct gow_source base;
	gow_image *image;
	struct gow_layouts *layouts; /* that it was read with; NULL where it is borrowed */
	uint32_t *fitted;            /* its version numbers, as many as base.versions is to have */
	bool borrowed;
};

static gow_image *image_of(struct gow_source *source)
{
	return ((struct image_source *)source)->image;
}

static int image_next_data(struct gow_source *source, uint64_t offset, uint64_t *start,
                           uint64_t *end, gow_error *error)
{
	int code = gow_image_next_data(image_of(source), offset, start, end, error);

	return code || *start < *end ? code : gow_source_check_length(source, error);
}

static int image_read(struct gow_source *source, uint64_t offset, void *buf, size_t size,
                      size_t *got, gow_error *error)
{
	*got = size;
	return gow_image_read(image_of(source), offset, buf, size, error);
}

static int image_poll(struct gow_source *source, gow_error *error)
{
	return gow_lock_poll(gow_image_lock(image_of(source)), error);
}

static void image_close(struct gow_source *source)
{
	struct image_source *own = (struct image_source *)source;

	if (!own->borrowed)
		gow_image_close(own->image);
	gow_layouts_free(own->layouts);
	free(own->fitted);
	free(own);
}

static const struct gow_source_ops image_ops = {
	.next_data = image_next_data,
	.read = image_read,
	.poll = image_poll,
	.close = image_close,
};

static int check_version(const gow_image *image, const struct gow_layout *wanted, gow_error *error)
{
	if (!wanted || wanted->version == gow_image_version(image))
		return GOW_OK;
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_ARGUMENT,
	                                 "is of version %u, not %u as -f says",
	                                 gow_image_version(image), wanted->version),
	                        gow_image_file(image)->name);
}

static void describe_image(struct image_source *source)
{
	gow_image *image = source->image;

	source->base.ops = &image_ops;
	source->base.format = gow_format_of_layout(gow_image_map(image)->layout);
	source->base.size = gow_image_size(image);
	source->base.damaged = gow_image_is_damaged(image);
	source->base.versions = gow_image_map(image)->versions;
	source->base.entries = gow_image_map(image)->entries;
	source->base.file = gow_image_file(image);
}

/* A destination's table of numbers has as many as the newest version has entries. */
int gow_source_fit_versions(struct gow_source *source, const struct gow_map *map, uint32_t **fitted,
                            gow_error *error)
{
	const uint32_t room = gow_layouts[gow_layout_count - 1].map_entries;
	const uint32_t count = map->layout->map_entries;
	int code;

	if (!map->versions || count == room)
		return GOW_OK;
	code = gow_alloc_table(room, fitted, error);
	if (code)
		return code;
	memset(*fitted, 0, room * sizeof **fitted);
	memcpy(*fitted, map->versions, (size_t)gow_min(count, room) * sizeof **fitted);
	source->versions = *fitted;
	return GOW_OK;
}

/* Owns file, also when it fails. */
int gow_source_open_image(struct gow_file *file, const struct gow_lock *lock, bool has_magic,
                          const struct gow_source_options *options, struct gow_layouts **layouts,
                          struct gow_source **source, gow_error *error)
{
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(*layouts, &count);
	const struct gow_layout *wanted = gow_layout_of_format(options->format);
	const struct gow_image_policy policy = {
		.salvage = options->salvage,
		/* A preamble that is gone can only be salvaged by somebody who knows. */
		.assume = options->salvage && !has_magic ? wanted : NULL,
		.lost = options->lost,
		.lost_context = options->lost_context,
	};
	struct image_source *made = calloc(1, sizeof *made);
	int code = made ? gow_file_size(file, &made->base.file_length, error)
	                : gow_fail_memory(error, sizeof *made);

	if (code) {
		(void)gow_file_close(file, NULL);
		free(made);
		return code;
	}
	code = options->open_image(file, rows, count, &policy, &made->image, error);
	if (!code)
		code = check_version(made->image, wanted, error);
	if (!code) {
		describe_image(made);
		code = gow_source_fit_versions(&made->base, gow_image_map(made->image),
		                               &made->fitted, error);
	}
	if (code) {
		gow_image_close(made->image);
		free(made->fitted);
		free(made);
		return code;
	}
	gow_header_warn_rounded(gow_image_file(made->image), gow_image_map(made->image)->layout,
	                        options->common.monitor);
	*gow_image_lock(made->image) = *lock;
	made->layouts = *layouts;
	*layouts = NULL;
	made->base.lock = gow_image_lock(made->image);
	*source = &made->base;
	return GOW_OK;
}

int gow_source_of_image(gow_image *image, struct gow_source **source, gow_error *error)
{
	struct image_source *made = calloc(1, sizeof *made);

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->image = image;
	made->borrowed = true;
	describe_image(made);
	*source = &made->base;
	return GOW_OK;
}
