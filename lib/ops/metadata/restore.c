/* SPDX-License-Identifier: BSD-2-Clause */
/* restore.c - an image that has the metadata of another, and holes where that has data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/layout.h"
#include "io/draft.h"
#include "io/stream.h"
#include "ops/metadata/metadata.h"

enum { UNDO_MAX = 1 << 28, NAME_ROOM = 4096 };

struct job {
	const gow_metadata_options *options;
	const char *dest;
	struct gow_file *file; /* of the archive; NULL: standard input */
	struct gow_pack_reader *reader;
	struct gow_metadata_plan plan;
	struct gow_draft *image, *record;
	uint64_t kept_bytes;
};

static bool ends_in(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);

	return length > tail && strcmp(name + length - tail, suffix) == 0;
}

/* ".gow-undo" or ".gow-undo.2"; NULL: the name is no undo file's. An image may be called anything. */
static const char *undo_suffix(const char *name)
{
	const char *at = NULL, *rest;

	for (const char *next = strstr(name, GOW_METADATA_UNDO); next;
	     next = strstr(next + 1, GOW_METADATA_UNDO))
		at = next;
	rest = at ? at + strlen(GOW_METADATA_UNDO) : NULL;
	if (!at || (*rest && *rest != '.'))
		return NULL;
	return !*rest || (rest[1] && strspn(rest + 1, "0123456789") == strlen(rest + 1)) ? at
	                                                                                 : NULL;
}

/* What follows the image's name in the name of a record; NULL: it is not a record. */
static const char *record_suffix(const char *name)
{
	return ends_in(name, GOW_METADATA_SYNC) ? GOW_METADATA_SYNC : undo_suffix(name);
}

static int begin(struct job *job, const char *path, struct gow_draft **draft, gow_error *error)
{
	const struct gow_draft_options options = {
		.force = job->options->flags & GOW_METADATA_FORCE,
		.common = job->options->common,
		.like = job->file,
	};

	return gow_draft_begin(path, &options, draft, error);
}

static int begin_restoring(struct job *job, gow_error *error)
{
	char text[GOW_METADATA_TEXT];
	const char *name;
	int code = gow_pack_next(job->reader, &name, error);

	if (code)
		return code;
	if (!name || !ends_in(name, GOW_METADATA_HEAD))
		return gow_fail(error, GOW_ERR_DAMAGED,
		                "is not an archive of metadata (see gow-convert --metadata-only)");
	code = gow_pack_read_text(job->reader, text, sizeof text, error);
	return code ? code : gow_metadata_parse(text, &job->plan, error);
}

static int restore_record(struct job *job, const char *suffix, gow_error *error)
{
	char path[NAME_ROOM];
	int size = snprintf(path, sizeof path, "%s%s", job->dest, suffix);
	int code;

	if (size >= (int)sizeof path || job->record)
		return gow_fail(error, GOW_ERR_DAMAGED, "has too long a name, or two records");
	code = begin(job, path, &job->record, error);
	return code ? code
	            : gow_pack_read_file(job->reader, gow_draft_file(job->record), UNDO_MAX, error);
}

static int restore_image(struct job *job, gow_error *error)
{
	int code = job->image ? gow_fail(error, GOW_ERR_DAMAGED, "holds two images")
	                      : begin(job, job->dest, &job->image, error);

	if (!code)
		code = gow_file_truncate(gow_draft_file(job->image), job->plan.file_size, error);
	return code ? code
	            : gow_pack_read_file(job->reader, gow_draft_file(job->image),
	                                 job->plan.file_size, error);
}

static int restore_member(struct job *job, const char *name, gow_error *error)
{
	const char *suffix = record_suffix(name);

	if (suffix)
		return restore_record(job, suffix, error);
	if (ends_in(name, GOW_METADATA_IMAGE))
		return restore_image(job, error);
	if (ends_in(name, GOW_METADATA_LAYOUT) && !gow_layout_of(job->plan.version))
		gow_note(job->options->common.monitor, GOW_NOTE_WARNING, NULL,
		         "the image's layout is not built in; take it out of the archive for "
		         "--layout: tar -xf ARCHIVE %s",
		         name);
	return GOW_OK;
}

/* What was restored is what was saved, whatever the archive was through since. */
static int prove(struct job *job, gow_error *error)
{
	struct gow_metadata_runs runs;
	int code;

	if (!job->image)
		return gow_fail(error, GOW_ERR_DAMAGED, "has no image in it: it ends too early");
	code = gow_metadata_scan(gow_draft_file(job->image), &job->plan, &runs, error);
	free(runs.runs);
	job->kept_bytes = runs.bytes;
	if (!code && strcmp(runs.digest, job->plan.digest) != 0)
		code = gow_fail(error, GOW_ERR_DAMAGED,
		                "is damaged: its digest is %s, and should be %s", runs.digest,
		                job->plan.digest);
	return code;
}

/* The record first: a pending image without it is worse than a record without its image. */
static int publish(struct job *job, gow_error *error)
{
	struct gow_draft *record = job->record, *image = job->image;
	int code = GOW_OK;

	job->record = job->image = NULL;
	if (record)
		code = gow_draft_publish(record, error);
	if (code) {
		gow_draft_discard(image);
		return code;
	}
	return gow_draft_publish(image, error);
}

static int restore(struct job *job, gow_metadata_result *result, gow_error *error)
{
	const char *name = "";
	int code = gow_pack_open(job->file, job->options->common.monitor, &job->reader, error);

	if (!code)
		code = begin_restoring(job, error);
	result->restored = true;
	result->version = job->plan.version;
	result->file_size = job->plan.file_size;
	if (code || job->options->common.flags & GOW_COMMON_DRY_RUN)
		return code;
	while (!code && name) {
		code = gow_pack_next(job->reader, &name, error);
		if (!code && name)
			code = restore_member(job, name, error);
	}
	if (!code)
		code = prove(job, error);
	result->kept_bytes = job->kept_bytes;
	result->record = job->record || job->plan.range_count > 1;
	result->written = job->plan.file_size;
	return code ? code : publish(job, error);
}

int gow_metadata_restore(const char *path, const char *dest, const gow_metadata_options *options,
                         gow_metadata_result *result, gow_error *error)
{
	struct job job = { .options = options, .dest = dest };
	int code;

	if (gow_is_standard_output(dest))
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "a GOW image is written to a file, not to a pipe");
	else
		code = gow_draft_check_force(dest, options->flags & GOW_METADATA_FORCE, error);
	if (code)
		return gow_fail_in_file(error, code, dest);
	if (!gow_is_standard_input(path))
		code = gow_file_open(path, 0, &job.file, error);
	if (!code)
		code = restore(&job, result, error);
	gow_pack_close(job.reader);
	gow_draft_discard(job.record);
	gow_draft_discard(job.image);
	(void)gow_file_close(job.file, NULL);
	return code;
}
