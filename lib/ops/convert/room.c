/* SPDX-License-Identifier: BSD-2-Clause */
/* room.c - whether the disk fits into the destination, before the first byte is written. */
#include "base/error.h"
#include "disk/archive/archive.h"
#include "image/builder.h"
#include "io/draft.h"
#include "ops/convert/job.h"

int gow_convert_check_size(const struct gow_convert_job *job, gow_error *error)
{
	uint64_t size = job->source->size;
	int code;

	if (size == GOW_NOWHERE)
		return GOW_OK;
	if (!size)
		return gow_fail(error, GOW_ERR_LIMIT,
		                "is empty; a guest's disk has at least 512 bytes");
	if (!job->layout || size <= job->layout->logical_limit)
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_LIMIT,
	                "a disk of %llu bytes is more than version %u holds (%llu); nothing was "
	                "written",
	                (unsigned long long)size, job->layout->version,
	                (unsigned long long)job->layout->logical_limit);
	return gow_convert_fail_dest(job, code, error);
}

/* What the destination's header takes at least, where its version numbers are mostly holes, and its
 * data in whole blocks. */
static uint64_t room_for(const struct gow_convert_job *job, uint64_t blocks)
{
	return blocks * GOW_BLOCK_SIZE +
	       (job->layout ? gow_builder_header_bytes(job->layout, job->source->versions) : 0);
}

/* How many blocks the source may have data in, as far as is known without reading. */
static int count_blocks(struct gow_source *source, uint64_t *blocks, gow_error *error)
{
	uint64_t at = 0;

	*blocks = 0;
	while (at < source->size) {
		uint64_t start, end;
		int code = source->ops->next_data(source, at, &start, &end, error);

		if (code)
			return code;
		if (start == end)
			break;
		start = gow_max(at, start - start % GOW_BLOCK_SIZE);
		at = gow_round_up(end, GOW_BLOCK_SIZE);
		*blocks += (at - start) / GOW_BLOCK_SIZE;
	}
	return GOW_OK;
}

/* The same by reading all of it, which also finds zeros: blocks, and in a raw disk pages. */
static int count_by_reading(struct gow_convert_job *job, uint64_t *need, gow_error *error)
{
	struct gow_sink *counter = NULL;
	uint64_t blocks;
	int code = gow_sink_count(&counter, error);

	if (!code)
		code = gow_convert_count(job, counter, &blocks, error);
	if (!code)
		*need = job->layout ? room_for(job, blocks) : counter->written;
	gow_sink_release(counter);
	return code;
}

int gow_convert_check_room(struct gow_convert_job *job, gow_error *error)
{
	uint64_t blocks, need;
	int code;

	if (job->target != GOW_CONVERT_TO_FILE || job->source->size == GOW_NOWHERE ||
	    job->source->once)
		return GOW_OK;
	if (job->archive)
		return job->compression == GOW_COMPRESSION_NONE
		               ? gow_check_room_for(job->dest,
		                                    gow_archive_size(job->layout, job->kept_count),
		                                    error)
		               : GOW_OK;
	code = count_blocks(job->source, &blocks, error);
	if (code)
		return code;
	code = gow_check_room_for(job->dest, room_for(job, blocks), error);
	if (code != GOW_ERR_NO_SPACE)
		return code;
	/* It may be zeros that seem to need the room. */
	code = count_by_reading(job, &need, error);
	return code ? code : gow_check_room_for(job->dest, need, error);
}
