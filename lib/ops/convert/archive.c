/* SPDX-License-Identifier: BSD-2-Clause */
/* archive.c - an archive as the destination: what is in it, and which blocks. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "disk/archive/archive.h"
#include "disk/names.h"
#include "io/draft.h"
#include "io/stream.h"
#include "io/uri.h"
#include "ops/convert/job.h"

/* What is to be in the archive. */
void gow_convert_choose_member(struct gow_convert_job *job)
{
	const struct gow_source *source = job->source;
	gow_format format = job->options->member_format;

	if (format == GOW_FORMAT_PROBE)
		format = source->format == GOW_FORMAT_TAR ? source->member_format : source->format;
	if (format == GOW_FORMAT_GOW ||
	    (format == GOW_FORMAT_RAW && job->options->member_format == GOW_FORMAT_PROBE))
		format = GOW_FORMAT_GOW3;
	job->layout = gow_layout_of_format(format);
}

/* Members are named after the image. */
static int name_member(struct gow_convert_job *job, gow_error *error)
{
	const char *path = gow_is_standard_input(job->source_name) ? job->dest : job->source_name;
	char *name = gow_is_standard_output(path) ? strdup("disk") : gow_last_part(path);
	size_t stem;

	if (!name)
		return gow_fail_memory(error, strlen(path));
	(void)gow_suffix_of(name, &stem);
	job->member = stem ? strndup(name, stem) : strdup("disk");
	free(name);
	return job->member ? GOW_OK : gow_fail_memory(error, stem);
}

/* Which blocks there are: all that the map of an image has, all that a raw disk has no holes
 * for. */
static int keep_allocated(struct gow_convert_job *job, gow_error *error)
{
	const struct gow_source *source = job->source;
	const uint64_t blocks = gow_divide_up(source->size, GOW_BLOCK_SIZE);
	uint64_t at = 0;

	for (uint64_t i = 0; i < blocks && source->entries; i++)
		if (source->entries[i] != GOW_UNALLOCATED)
			gow_set_bit(job->kept, i);
	while (at < source->size && !source->entries) {
		uint64_t start, end;
		int code = source->ops->next_data(job->source, at, &start, &end, error);

		if (code)
			return code;
		if (start == end)
			break;
		for (uint64_t i = start / GOW_BLOCK_SIZE; i < gow_divide_up(end, GOW_BLOCK_SIZE);
		     i++)
			gow_set_bit(job->kept, i);
		at = end;
	}
	return GOW_OK;
}

/* Which blocks have data, by reading them. */
static int keep_data(struct gow_convert_job *job, gow_error *error)
{
	struct gow_sink *marks = NULL;
	uint64_t blocks;
	int code = gow_sink_marks(job->kept, &marks, error);

	if (!code)
		code = gow_convert_count(job, marks, &blocks, error);
	gow_sink_release(marks);
	return code;
}

/* A member's size stands before its data: which blocks are to be stored must be known now. */
int gow_convert_plan_archive(struct gow_convert_job *job, gow_error *error)
{
	size_t words;
	int code = GOW_OK;

	if (job->source->once || job->source->size == GOW_NOWHERE)
		code = gow_convert_spool(job, error);
	if (!code)
		code = gow_convert_check_size(job, error);
	if (!code)
		code = name_member(job, error);
	if (code)
		return code;
	words = gow_bit_words(gow_divide_up(job->source->size, GOW_BLOCK_SIZE));
	job->kept = calloc(words, sizeof *job->kept);
	if (!job->kept)
		return gow_fail_memory(error, words * sizeof *job->kept);
	code = gow_convert_has(job, GOW_CONVERT_DROP_ZEROS) ? keep_data(job, error)
	                                                    : keep_allocated(job, error);
	for (size_t i = 0; i < words; i++)
		job->kept_count += (uint64_t)__builtin_popcountll(job->kept[i]);
	return code;
}

/* Of the source, in whole seconds; 0 where it has none. */
static int64_t time_of_source(const struct gow_convert_job *job)
{
	const struct gow_source *source = job->spooled ? job->spooled : job->source;
	struct gow_file_attributes attributes;

	if (job->options->mtime != GOW_TIME_OF_SOURCE)
		return job->options->mtime;
	return source->file && !gow_file_attributes(source->file, &attributes, NULL)
	               ? attributes.mtime
	               : 0;
}

int gow_convert_make_archive_sink(struct gow_convert_job *job, gow_error *error)
{
	const struct gow_archive_options options = {
		.file = job->draft ? gow_draft_file(job->draft) : NULL,
		.beside = job->draft ? job->dest : NULL,
		.name = job->member,
		.layout = job->layout,
		.size = gow_round_up(job->source->size, 512),
		.kept = job->kept,
		.versions = job->source->versions,
		.compression = job->compression,
		.level = job->options->level,
		.mtime = time_of_source(job),
		.monitor = job->options->common.monitor,
	};

	return gow_sink_archive(&options, &job->copy.sink, error);
}
