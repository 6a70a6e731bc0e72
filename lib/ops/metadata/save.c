/* SPDX-License-Identifier: BSD-2-Clause */
/* save.c - an image's metadata into an archive, without a byte of the guest's. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/layout_text.h"
#include "journal/sync_record.h"
#include "journal/trailer.h"
#include "journal/undo.h"
#include "io/draft.h"
#include "io/overlay.h"
#include "io/uri.h"
#include "ops/check/check.h"
#include "ops/metadata/metadata.h"

enum { NAME_MAX_SIZE = 128 };

struct job {
	const gow_metadata_options *options;
	const char *dest;
	gow_check *check;
	struct gow_metadata_plan plan;
	struct gow_metadata_runs runs;
	struct gow_undo *undo; /* the record of an interrupted repair; NULL: none to keep */
	struct gow_directory *directory; /* for the next */
	struct gow_sync_record sync;     /* of an interrupted sync; file NULL: none */
	struct gow_draft *draft;         /* NULL: standard output, or a dry run */
	struct gow_pack *pack;
	char name[NAME_MAX_SIZE]; /* of the members, without what they end in */
};

/* ---- what is kept ------------------------------------------------------------------------ */

static void add_range(struct gow_metadata_plan *plan, uint64_t start, uint64_t end)
{
	end = gow_min(end, plan->file_size);
	if (plan->range_count)
		start = start > plan->ranges[0].end ? start : plan->ranges[0].end;
	if (start < end)
		plan->ranges[plan->range_count++] = (struct gow_tar_run){ start, end };
}

/*
 * While an upgrade is under way, the guest's data may stand where the longer of the two headers is
 * to be or was; only the last stage before the end has the new one whole.
 */
static void keep_upgrade(struct gow_metadata_plan *plan, const struct gow_trailer *trailer)
{
	uint64_t end = gow_min(trailer->header_size, trailer->new_header_size);

	if (trailer->stage == GOW_TRAILER_UPGRADED)
		end = trailer->new_header_size;
	else if (trailer->stage != GOW_TRAILER_MOVING)
		end = trailer->header_size;
	add_range(plan, 0, end);
	add_range(plan, trailer->offset, gow_trailer_end(trailer));
}

static int find_trailer(struct job *job, struct gow_trailer *trailer, bool *found, gow_error *error)
{
	const struct gow_unchecked *unchecked = &job->check->unchecked;
	int code = gow_trailer_find(unchecked->file, &unchecked->header, trailer, found, error);

	if (!code && !*found)
		code = gow_trailer_find_moving(unchecked->file, trailer, found, error);
	return code;
}

/*
 * Whether the image is sound by another row, with a shorter header, which makes the version field a
 * lie. By such a row, the rest of a header that is right would be unreferenced blocks.
 */
static int is_sound_as(struct gow_file *file, const struct gow_layout *row, uint64_t end,
                       bool *sound, gow_error *error)
{
	struct gow_unchecked unchecked;
	struct gow_verdict verdict;
	int code = gow_unchecked_begin_as(file, row, &unchecked, error);

	*sound = false;
	if (code)
		return code;
	code = gow_judge(&unchecked, &verdict, error);
	if (!code)
		*sound = !unchecked.header.truncated && verdict.tally.allocated &&
		         verdict.tally.leaked <
		                 (end - gow_layout_data_start(row)) / GOW_BLOCK_SIZE &&
		         !gow_verdict_first(&verdict, GOW_CORRUPT);
	gow_unchecked_release(&unchecked);
	return code;
}

/* Where the header ends: with a version field that says too much, the guest's data would follow. */
static int find_end(struct job *job, uint64_t *end, gow_error *error)
{
	const struct gow_layout *claimed = job->check->unchecked.header.layout;
	int code = GOW_OK;

	*end = gow_layout_data_start(claimed);
	if (!gow_check_count(job->check, GOW_CORRUPT))
		return GOW_OK;
	for (size_t i = 0; i < gow_layout_count && !code; i++) {
		const struct gow_layout *row = &gow_layouts[i];
		bool sound;

		if (gow_layout_data_start(row) >= *end)
			continue;
		code = is_sound_as(job->check->unchecked.file, row, *end, &sound, error);
		if (code || !sound)
			continue;
		*end = gow_layout_data_start(row);
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, NULL,
		         "the version field says %u, and as version %u the image is sound: what "
		         "follows its header is the guest's and is left out, so gow-check finds "
		         "other things in the restored image",
		         claimed->version, row->version);
		return GOW_OK;
	}
	return code;
}

static int plan_ranges(struct job *job, gow_error *error)
{
	uint64_t end;
	const struct gow_header *header = &job->check->unchecked.header;
	struct gow_trailer trailer;
	bool found = false;
	int code = GOW_OK;

	job->plan.version = header->layout->version;
	(void)snprintf(job->plan.layout, sizeof job->plan.layout, "%s",
	               header->layout->name[0] ? header->layout->name : "unnamed");
	job->plan.file_size = header->file_size;
	if (job->check->unchecked.pending.kind == GOW_PENDING_UPGRADE)
		code = find_trailer(job, &trailer, &found, error);
	if (code)
		return code;
	if (found) {
		keep_upgrade(&job->plan, &trailer);
		return GOW_OK;
	}
	code = find_end(job, &end, error);
	if (!code)
		add_range(&job->plan, 0, end);
	return code;
}

static int look_for_data(void *context, const struct gow_piece *piece, gow_error *error)
{
	struct job *job = context;

	(void)error;
	return piece->offset + piece->length >
	       gow_layout_data_start(job->check->unchecked.header.layout);
}

/* Whether the record puts back bytes of the header alone. */
static int holds_data(struct job *job, const struct gow_undo *undo, bool *holds, gow_error *error)
{
	struct gow_file *overlay;
	int code = gow_overlay_new(job->check->unchecked.file, &overlay, error);

	if (code)
		return code;
	code = gow_undo_lay(undo, overlay, error);
	if (!code)
		*holds = gow_overlay_each(overlay, look_for_data, job, error) != 0;
	(void)gow_file_close(overlay, NULL);
	return code;
}

/* The undo file that gow-check found beside the image. */
static int find_undo(struct job *job, gow_error *error)
{
	struct gow_undo_place place = { .rows = job->check->unchecked.header.layout,
		                        .row_count = 1 };
	struct gow_undo_search found = { .undo = NULL };
	bool holds = false;
	char *name;
	int code;

	if (job->check->unchecked.pending.kind != GOW_PENDING_REPAIR)
		return GOW_OK;
	code = gow_directory_of(job->check->unchecked.file->name, &place.directory, &name, error);
	if (code)
		return code;
	place.image = name;
	code = gow_undo_find(&place, job->check->unchecked.file, false, &found, error);
	if (!code && found.undo)
		code = holds_data(job, found.undo, &holds, error);
	if (!code && !holds) {
		job->undo = found.undo;
		found.undo = NULL;
	} else if (!code) {
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, NULL,
		         "the undo file of the interrupted repair holds data of the guest, and is "
		         "left out: the restored image has journal.missing");
	}
	gow_undo_close(found.undo);
	gow_directory_close(place.directory);
	free(name);
	return code;
}

/* The record of a sync: numbers and hashes of blocks. */
static int find_sync(struct job *job, gow_error *error)
{
	bool found;
	char *name;
	int code;

	if (job->check->unchecked.pending.kind != GOW_PENDING_SYNC)
		return GOW_OK;
	code = gow_directory_of(job->check->unchecked.file->name, &job->directory, &name, error);
	if (code)
		return code;
	code = gow_sync_record_init(&job->sync, job->directory, name, error);
	free(name);
	return code ? code : gow_sync_record_open(&job->sync, false, &found, error);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* After the image, in characters that are plain everywhere. */
static void choose_name(struct job *job, const char *path)
{
	char *part = gow_last_part(path);
	size_t length;

	(void)snprintf(job->name, sizeof job->name, "%.100s", part ? part : "");
	free(part);
	length = strlen(job->name);
	if (length > 4 && strcmp(job->name + length - 4, GOW_METADATA_IMAGE) == 0)
		job->name[length - 4] = '\0';
	for (char *at = job->name; *at; at++)
		if (!isascii((unsigned char)*at) ||
		    (!isalnum((unsigned char)*at) && !strchr("._-", *at)))
			*at = '_';
	if (!job->name[0] || job->name[0] == '.')
		(void)snprintf(job->name, sizeof job->name, "image");
}

static const char *member(const struct job *job, const char *suffix, unsigned layer,
                          char buf[NAME_MAX_SIZE + 32])
{
	(void)snprintf(buf, NAME_MAX_SIZE + 32, layer > 1 ? "%s%s.%u" : "%s%s", job->name, suffix,
	               layer);
	return buf;
}

static int pack_record(struct job *job, gow_error *error)
{
	struct gow_file *file = job->undo ? job->undo->file : job->sync.file;
	char name[NAME_MAX_SIZE + 32];
	struct gow_tar_run all = { 0, 0 };
	int code;

	if (!file)
		return GOW_OK;
	(void)member(job, job->undo ? GOW_METADATA_UNDO : GOW_METADATA_SYNC,
	             job->undo ? job->undo->layer : 0, name);
	code = gow_file_size(file, &all.end, error);
	return code ? code : gow_pack_file(job->pack, name, file, all.end, &all, 1, error);
}

static int pack_members(struct job *job, gow_error *error)
{
	char text[GOW_METADATA_TEXT], layout[GOW_LAYOUT_TEXT_MAX], name[NAME_MAX_SIZE + 32];
	int code = gow_pack_text(job->pack, member(job, GOW_METADATA_HEAD, 0, name), text,
	                         gow_metadata_print(&job->plan, text), error);

	if (!code)
		code = gow_pack_text(job->pack, member(job, GOW_METADATA_LAYOUT, 0, name), layout,
		                     gow_layout_print(job->check->unchecked.header.layout, layout),
		                     error);
	if (!code)
		code = pack_record(job, error);
	if (!code)
		code = gow_pack_file(job->pack, member(job, GOW_METADATA_IMAGE, 0, name),
		                     job->check->unchecked.file, job->plan.file_size,
		                     job->runs.runs, job->runs.count, error);
	return code;
}

static int begin_draft(struct job *job, gow_error *error)
{
	const struct gow_draft_options options = {
		.force = job->options->flags & GOW_METADATA_FORCE,
		.common = job->options->common,
		.like = job->check->file,
	};

	return gow_draft_begin(job->dest, &options, &job->draft, error);
}

static int write_archive(struct job *job, uint64_t *written, gow_error *error)
{
	struct gow_file_attributes attributes = { .mtime = 0 };
	struct gow_pack_options options = {
		.compression = job->options->compression,
		.level = job->options->level,
		.mtime = job->options->mtime,
		.monitor = job->options->common.monitor,
	};
	const bool to_stream = gow_is_standard_output(job->dest);
	int code = GOW_OK;

	if (to_stream ? gow_file_is_standard_output(job->check->file)
	              : gow_file_is_at(job->check->file, job->dest))
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "source and destination are the same file");
	if (!code && !to_stream)
		code = begin_draft(job, error);
	if (code)
		return code;
	if (options.mtime == GOW_TIME_OF_SOURCE)
		options.mtime = gow_file_attributes(job->check->file, &attributes, NULL)
		                        ? 0
		                        : attributes.mtime;
	options.file = job->draft ? gow_draft_file(job->draft) : NULL;
	code = gow_pack_begin(&options, &job->pack, error);
	if (!code)
		code = pack_members(job, error);
	return code ? code : gow_pack_end(job->pack, written, error);
}

static int publish(struct job *job, gow_error *error)
{
	struct gow_draft *draft = job->draft;

	job->draft = NULL;
	return draft ? gow_draft_publish(draft, error) : GOW_OK;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int save(struct job *job, gow_metadata_result *result, gow_error *error)
{
	int code = plan_ranges(job, error);

	if (!code)
		code = find_undo(job, error);
	if (!code)
		code = find_sync(job, error);
	if (!code)
		code = gow_metadata_scan(job->check->unchecked.file, &job->plan, &job->runs, error);
	if (code)
		return code;
	memcpy(job->plan.digest, job->runs.digest, sizeof job->plan.digest);
	result->version = job->plan.version;
	result->file_size = job->plan.file_size;
	result->kept_bytes = job->runs.bytes;
	result->record = job->undo || job->sync.file || job->plan.range_count > 1;
	result->in_use = job->check->lock->in_use;
	if (job->options->common.flags & GOW_COMMON_DRY_RUN)
		return GOW_OK;
	code = write_archive(job, &result->written, error);
	return code ? code : publish(job, error);
}

int gow_metadata_save(const char *path, const char *dest, const gow_metadata_options *options,
                      gow_metadata_result *result, gow_error *error)
{
	const gow_open_options open_options = { .struct_size = sizeof open_options,
		                                .common = options->common };
	struct job job = { .options = options, .dest = dest };
	int code = GOW_OK;

	if (!gow_is_standard_output(dest))
		code = gow_draft_hint_stream(
			gow_draft_check_force(dest, options->flags & GOW_METADATA_FORCE, error),
			dest, error);
	if (code)
		return gow_fail_in_file(error, code, dest);
	code = gow_check_open(path, &open_options, &job.check, error);
	choose_name(&job, path);
	if (!code)
		code = save(&job, result, error);
	gow_pack_free(job.pack);
	gow_draft_discard(job.draft);
	gow_undo_close(job.undo);
	gow_sync_record_release(&job.sync);
	gow_directory_close(job.directory);
	free(job.runs.runs);
	gow_check_close(job.check);
	return code;
}
