/* SPDX-License-Identifier: BSD-2-Clause */

#include <stdlib.h>

#include "base/error.h"
#include "base/growing.h"
#include "image/layout_table.h"
#include "image/layout_text.h"
#include "io/draft.h"
#include "io/location.h"
#include "journal/pending.h"
#include "ops/repair/repair.h"

/* An image of a layout that is not built in is judged by that one alone: a record names its layout by
 * the version, which another layout may have, too. */
static void narrow_rows(struct gow_repair_target *target)
{
	struct gow_undo_place *place = &target->place;
	struct gow_header header;

	if (gow_header_read(target->file, place->rows, place->row_count, &header, NULL) ||
	    gow_layout_is_reference(header.layout))
		return;
	place->rows = header.layout;
	place->row_count = 1;
}

static struct gow_repair_target target_of(struct gow_location *location,
                                          const struct gow_layouts *layouts)
{
	struct gow_repair_target target = {
		.file = location->file,
		.lock = &location->lock,
		.place = {
			.directory = location->directory,
			.image = location->name,
		},
		.settled = true, /* where it is open for writing */
	};

	target.place.rows = gow_layouts_rows(layouts, &target.place.row_count);
	narrow_rows(&target);
	return target;
}

struct repair_work {
	const gow_repair_options *options;
	struct gow_layouts *layouts;
	gow_repair_result *result;
};

/* Notes are for the run that counts. */
static int hear_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	const gow_monitor *monitor = context;

	return monitor && monitor->progress
	               ? monitor->progress(monitor->context, phase, done, total)
	               : 0;
}

/* Whether anything could be repaired, found out without a word to the caller. */
static int look(const struct repair_work *work, const struct gow_repair_target *target,
                bool *needed, gow_error *error)
{
	const gow_monitor quiet = {
		.struct_size = sizeof quiet,
		.context = (void *)work->options->common.monitor,
		.progress = hear_progress,
	};
	gow_repair_options options = *work->options;
	int code;

	options.common.flags = GOW_COMMON_DRY_RUN;
	options.common.monitor = &quiet;
	options.found = NULL;
	options.step = NULL;
	if (options.level == GOW_REPAIR_ASK)
		options.level = GOW_REPAIR_ALL;
	code = gow_repair_file(target, &options, work->result, error);
	*needed = !code && (work->result->steps || options.salvage);
	return code;
}

static int repair_at(void *context, struct gow_location *location, bool only_look, bool *needed,
                     gow_error *error)
{
	struct repair_work *work = context;
	gow_repair_options options = *work->options;
	struct gow_repair_target target;
	int code = gow_pending_layouts(location->file, &work->layouts, error);

	if (code)
		return code;
	target = target_of(location, work->layouts);
	if (only_look && !(options.common.flags & GOW_COMMON_DRY_RUN)) {
		code = look(work, &target, needed, error);
		if (code || *needed)
			return code;
	}
	if (only_look)
		options.common.flags |= GOW_COMMON_DRY_RUN;
	return gow_repair_file(&target, &options, work->result, error);
}

static int repair_path(const char *path, const gow_repair_options *options,
                       gow_repair_result *result, gow_error *error)
{
	const gow_open_options open_options = {
		.common = options->common,
		.flags = GOW_OPEN_STEADY,
	};
	struct repair_work work = { .options = options, .result = result };
	int code = GOW_OK;

	if (options->assume_version && options->level == GOW_REPAIR_PREEN)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "to assume a version needs judgement: not with preen");
	if (!code && options->salvage && !(options->common.flags & GOW_COMMON_DRY_RUN))
		code = gow_draft_check(options->salvage, false, error);
	if (!code)
		code = gow_layouts_load(options->common.layout, options->common.monitor,
		                        &work.layouts, error);
	if (!code)
		code = gow_location_change(path, &open_options, repair_at, &work, error);
	gow_layouts_free(work.layouts);
	return code;
}

int gow_repair(const char *path, const gow_repair_options *options, gow_repair_result *result,
               gow_error *error)
{
	gow_repair_options use = { .struct_size = sizeof use };
	gow_repair_result *made = calloc(1, sizeof *made);
	int code = made ? gow_take_options(options, &use, sizeof use,
	                                   GOW_REPAIR_RESET_VERSIONS | GOW_REPAIR_CLEAR_PENDING,
	                                   error)
	                : gow_fail_memory(error, sizeof *made);

	if (!code)
		code = gow_check_result(result, error);
	if (!code)
		code = repair_path(path, &use, made, error);
	if (!code)
		gow_give_result(result, made, sizeof *made);
	free(made);
	return code;
}

static int undo_path(const char *path, const gow_undo_options *options, gow_undo_result *result,
                     gow_error *error)
{
	const gow_open_options open_options = {
		.common = options->common,
		.flags = GOW_OPEN_STEADY,
	};
	const bool dry_run = options->common.flags & GOW_COMMON_DRY_RUN;
	struct gow_repair_target target;
	struct gow_location location = { .file = NULL };
	struct gow_layouts *layouts = NULL;
	int closed, code;

	code = gow_layouts_load(options->common.layout, options->common.monitor, &layouts, error);
	if (!code)
		code = gow_location_open(path, dry_run ? 0 : GOW_FILE_WRITE, &open_options,
		                         &location, error);
	if (!code)
		code = gow_pending_layouts(location.file, &layouts, error);
	if (!code) {
		target = target_of(&location, layouts);
		code = gow_repair_undo_file(&target, options, result, error);
	}
	if (!code && !dry_run)
		code = gow_location_check(&location, path, error);
	closed = gow_location_close(&location, code ? NULL : error);
	gow_layouts_free(layouts);
	return code ? code : closed;
}

int gow_repair_undo(const char *path, const gow_undo_options *options, gow_undo_result *result,
                    gow_error *error)
{
	gow_undo_options use = { .struct_size = sizeof use };
	gow_undo_result made = { .struct_size = sizeof made };
	int code = gow_take_options(options, &use, sizeof use, 0, error);

	if (!code)
		code = gow_check_result(result, error);
	if (!code)
		code = undo_path(path, &use, &made, error);
	if (!code)
		gow_give_result(result, &made, sizeof made);
	return code;
}
