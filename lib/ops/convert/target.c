/* SPDX-License-Identifier: BSD-2-Clause */
/* target.c - where a disk is converted to: a file, a device, standard output; and what each of these
 * cannot be. */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "disk/archive/tar.h"
#include "disk/names.h"
#include "io/device.h"
#include "io/draft.h"
#include "io/remote.h"
#include "ops/convert/job.h"

static enum gow_convert_target target_of(const char *path)
{
	struct stat st;

	if (gow_is_standard_output(path))
		return GOW_CONVERT_TO_STREAM;
	if (gow_name_is_uri(path)) /* a raw disk that a server has: no file that appears or grows */
		return GOW_CONVERT_TO_DEVICE;
	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? GOW_CONVERT_TO_DEVICE
	                                                   : GOW_CONVERT_TO_FILE;
}

static const char *name_of_target(const struct gow_convert_job *job)
{
	return job->target == GOW_CONVERT_TO_STREAM ? "a pipe"
	       : gow_name_is_uri(job->dest)         ? "an export of a server"
	                                            : "a block device";
}

/* What a destination other than a file cannot do. */
static int check_target(const struct gow_convert_job *job, gow_error *error)
{
	int code = GOW_OK;

	if (job->target == GOW_CONVERT_TO_FILE)
		return gow_draft_hint_stream(
			gow_draft_check_force(job->dest, gow_convert_has(job, GOW_CONVERT_FORCE),
		                              error),
			job->dest, error);
	if (job->archive && job->target == GOW_CONVERT_TO_DEVICE)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "an archive is written to a file or to standard output, not to %s",
		                name_of_target(job));
	else if (job->layout)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "a GOW image is written to a file, not to %s", name_of_target(job));
	else if (job->target == GOW_CONVERT_TO_STREAM && gow_convert_has(job, GOW_CONVERT_VERIFY))
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "standard output cannot be read back to verify it");
	else if (job->target == GOW_CONVERT_TO_DEVICE && !gow_convert_has(job, GOW_CONVERT_FORCE) &&
	         !gow_name_is_uri(job->dest)) /* what an export holds is checked once it is open */
		code = gow_fail(
			error, GOW_ERR_EXISTS,
			"is a block device, which would be overwritten; use --force if that "
			"is meant");
	return code ? gow_convert_fail_dest(job, code, error) : GOW_OK;
}

static int choose_compression(struct gow_convert_job *job, gow_error *error)
{
	job->compression = job->options->compression;
	if (job->compression == GOW_COMPRESSION_BY_NAME &&
	    !gow_compression_of_name(job->dest, &job->compression))
		job->compression = GOW_COMPRESSION_NONE;
	return gow_compression_check(job->compression, job->options->level, error);
}

int gow_convert_choose_dest(struct gow_convert_job *job, gow_error *error)
{
	gow_format format = job->options->dest_format;
	int code = GOW_OK;

	job->target = target_of(job->dest);
	if (format == GOW_FORMAT_PROBE)
		format = job->target == GOW_CONVERT_TO_FILE ? gow_format_of_suffix(job->dest)
		                                            : GOW_FORMAT_RAW;
	if (format == GOW_FORMAT_PROBE)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "its name does not say its format; give it with -O");
	if (code)
		return gow_convert_fail_dest(job, code, error);
	if (format == GOW_FORMAT_GOW)
		format = GOW_FORMAT_GOW3;
	job->layout = gow_layout_of_format(format);
	job->archive = format == GOW_FORMAT_TAR;
	job->result->dest_format = format;
	if (job->archive)
		code = choose_compression(job, error);
	return code ? code : check_target(job, error);
}

/* Of exports only the names are known. */
static bool is_same(const struct gow_convert_job *job)
{
	if (job->target == GOW_CONVERT_TO_STREAM)
		return gow_file_is_standard_output(job->source->file);
	return gow_name_is_uri(job->dest) ? strcmp(job->source_name, job->dest) == 0
	                                  : gow_file_is_at(job->source->file, job->dest);
}

int gow_convert_check_not_same(const struct gow_convert_job *job, gow_error *error)
{
	const char *what = NULL;

	if (job->source->file && is_same(job))
		what = "source and destination are the same file";
	else if (job->source->file && job->target == GOW_CONVERT_TO_DEVICE &&
	         gow_device_overlaps(job->source->file, job->dest))
		what = "is made of the source, or the source of it: what is still to be read would "
		       "be overwritten";
	return what ? gow_convert_fail_dest(job, gow_fail(error, GOW_ERR_ARGUMENT, "%s", what),
	                                    error)
	            : GOW_OK;
}

/* An export is there before anything is written to it: without --force it has to be empty. */
static int check_export(const struct gow_convert_job *job, gow_error *error)
{
	uint64_t start, end;
	int code;

	if (!gow_file_is_remote(job->device) || gow_convert_has(job, GOW_CONVERT_FORCE))
		return GOW_OK;
	code = gow_file_next_data(job->device, 0, &start, &end, error);
	if (code || start == end)
		return code;
	code = gow_fail(error, GOW_ERR_EXISTS,
	                "is an export that holds data, or may hold some, and would be overwritten; "
	                "use --force if that is meant");
	return gow_convert_fail_dest(job, code, error);
}

int gow_convert_open_device(struct gow_convert_job *job, gow_error *error)
{
	const gow_open_options options = {
		.common = job->options->common,
	};
	struct gow_lock lock;
	uint64_t room = 0;
	int code = gow_open_locked(job->dest, GOW_FILE_DEVICE | GOW_FILE_WRITE | GOW_FILE_EXCLUSIVE,
	                           &options, &job->device, &lock, error);

	if (!code)
		code = check_export(job, error);
	if (!code)
		code = gow_file_size(job->device, &room, error);
	if (code || job->source->size == GOW_NOWHERE || room >= job->source->size)
		return code;
	code = gow_fail(error, GOW_ERR_NO_SPACE,
	                "has %llu bytes, and the disk %llu; nothing was written",
	                (unsigned long long)room, (unsigned long long)job->source->size);
	return gow_convert_fail_dest(job, code, error);
}
