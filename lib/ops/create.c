/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c - a new, empty image. */
#include "base/error.h"
#include "base/growing.h"
#include "image/builder.h"
#include "image/header.h"
#include "io/draft.h"

static int check_size(const struct gow_layout *layout, uint64_t logical_size, gow_error *error)
{
	if (logical_size > layout->logical_limit)
		return gow_fail(error, GOW_ERR_LIMIT,
		                "%llu bytes are more than version %u holds (%llu)",
		                (unsigned long long)logical_size, layout->version,
		                (unsigned long long)layout->logical_limit);
	if (!gow_size_is_valid(layout, logical_size))
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "%llu bytes are no multiple of 512, or too few",
		                (unsigned long long)logical_size);
	return GOW_OK;
}

static int build(struct gow_file *file, const struct gow_layout *layout, uint64_t logical_size,
                 gow_error *error)
{
	struct gow_builder *builder;
	int code = gow_builder_new(file, layout, &builder, error);

	if (code)
		return code;
	code = gow_builder_finish(builder, logical_size, NULL, error);
	gow_builder_free(builder);
	return code;
}

static int create(const char *path, uint64_t logical_size, const gow_create_options *options,
                  gow_error *error)
{
	const struct gow_layout *layout = gow_layout_of(options->version);
	const struct gow_draft_options draft_options = {
		.force = options->flags & GOW_CREATE_FORCE,
		.common = options->common,
	};
	struct gow_draft *draft;
	int code;

	if (!layout)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no version %u",
		                options->version);
	code = check_size(layout, logical_size, error);
	if (!code)
		code = gow_draft_check_force(path, draft_options.force, error);
	if (!code)
		code = gow_check_room_for(path, gow_builder_header_bytes(layout, NULL), error);
	if (code || options->common.flags & GOW_COMMON_DRY_RUN)
		return code;
	code = gow_draft_begin(path, &draft_options, &draft, error);
	if (code)
		return code;
	code = build(gow_draft_file(draft), layout, logical_size, error);
	if (code) {
		gow_draft_discard(draft);
		return code;
	}
	return gow_draft_publish(draft, error);
}

int gow_create(const char *path, uint64_t logical_size, const gow_create_options *options,
               gow_error *error)
{
	gow_create_options use = { .struct_size = sizeof use, .version = 3 };
	int code = gow_take_options(options, &use, sizeof use, GOW_CREATE_FORCE, error);

	return code ? code : create(path, logical_size, &use, error);
}
