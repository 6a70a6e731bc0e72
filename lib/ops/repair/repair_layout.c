/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/repair_job.h"

#include <string.h>

#include "base/error.h"
#include "image/validate.h"
#include "journal/pending.h"
#include "journal/trailer.h"
#include "ops/repair/assume.h"
#include "ops/repair/fix.h"

static int rebuild_preamble(struct gow_repair_job *job, gow_error *error)
{
	const struct gow_layout *layout = job->layout;
	struct gow_mark marks[GOW_MARKS];
	struct gow_file *overlay = job->plan.overlay;
	gow_repair_step step;
	uint8_t version[8], magic[GOW_MAGIC_SIZE];
	int code = gow_file_read_all(overlay, layout->magic_offset, magic, sizeof magic, error);

	gow_marks_of(layout, marks);
	step = gow_plan_step(GOW_PROBLEM_COUNT, GOW_STEP_WRITE,
	                     "the magic and the version are written anew",
	                     gow_min(marks[0].offset, marks[1].offset),
	                     (uint64_t)marks[0].length + marks[1].length);
	gow_store(version, layout->version_field.width, layout->order, layout->version);
	if (!code)
		code = gow_file_write(overlay, layout->version_field.offset, version,
		                      layout->version_field.width, error);
	/* One that says that a change is under way is not ruined, and is judged later. */
	if (!code && memcmp(magic, layout->magic_pending, sizeof magic) != 0)
		code = gow_file_write(overlay, layout->magic_offset, layout->magic, sizeof magic,
		                      error);
	return code ? code : gow_plan_add(&job->plan, &step, error);
}

/* Takes the version that the caller says, if the file agrees. */
static int assume(struct gow_repair_job *job, gow_error *error)
{
	job->layout = gow_layout_among(gow_repair_place_of(job)->rows,
	                               gow_repair_place_of(job)->row_count,
	                               job->options->assume_version);
	if (!job->layout)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no version %u",
		                job->options->assume_version);
	return gow_assume_weigh(gow_repair_base_of(job), job->layout,
	                        gow_repair_place_of(job)->rows, gow_repair_place_of(job)->row_count,
	                        job->result->evidence, sizeof job->result->evidence, error);
}

int gow_repair_begin_plan(struct gow_repair_job *job, gow_error *error)
{
	const gow_repair_options *options = job->options;
	struct gow_header header;
	int code = gow_repair_read_header(job, gow_repair_base_of(job), &header, error);
	bool ruined = options->assume_version &&
	              (code == GOW_ERR_NOT_GOW ||
	               (!code && header.layout->version != options->assume_version));

	if (code && !ruined)
		return code;
	if (ruined) {
		code = assume(job, error);
		if (code)
			return code;
	} else {
		job->layout = header.layout;
	}
	code = gow_plan_begin(&job->plan, gow_repair_base_of(job), job->layout, &gow_fix_table,
	                      options, error);
	if (!code && ruined)
		code = rebuild_preamble(job, error);
	return code;
}

/* Writes the version that the caller says, and the mark, durably. There is no going back: the record
 * says that the image is in the middle of an upgrade, so no other mark may stand there. */
static int restore_mark(const struct gow_repair_job *job, const struct gow_layout *layout,
                        gow_error *error)
{
	struct gow_file *file = job->target->file;
	uint8_t version[8];
	int code;

	if (gow_repair_is_dry_run(job))
		return GOW_OK;
	gow_store(version, layout->version_field.width, layout->order, layout->version);
	code = gow_file_write(file, layout->version_field.offset, version,
	                      layout->version_field.width, error);
	if (!code)
		code = gow_header_write_magic(file, layout, true, error);
	return code ? code : gow_file_settle(file, error);
}

/* Where the preamble cannot be read, there may be the record of an upgrade all the same. The version
 * that it began or ends with has to be the one that the caller says. */
static int see_to_lost_mark(struct gow_repair_job *job, bool *over, gow_error *error)
{
	const uint32_t version = job->options->assume_version;
	struct gow_header header = { .layout = gow_layout_among(gow_repair_place_of(job)->rows,
		                                                gow_repair_place_of(job)->row_count,
		                                                version) };
	struct gow_trailer trailer;
	bool found;
	int code;

	if (!version || !header.layout || !gow_layout_has_mark(header.layout))
		return GOW_OK;
	code = gow_trailer_find_moving(job->target->file, &trailer, &found, error);
	if (code || !found)
		return code;
	if (version != trailer.from.version && version != trailer.to.version)
		return gow_repair_refuse_pending(
			job, "an upgrade between other versions is recorded behind it", error);
	header.file_size = gow_trailer_end(&trailer);
	code = restore_mark(job, header.layout, error);
	return code ? code : gow_repair_finish_upgrade(job, &header, over, error);
}

int gow_repair_settle_pending(struct gow_repair_job *job, bool *over, gow_error *error)
{
	struct gow_pending pending;
	struct gow_header header;
	int code = gow_repair_read_header(job, job->target->file, &header, error);

	*over = false;
	if (code) /* what is no image is reported later */
		return code == GOW_ERR_NOT_GOW ? see_to_lost_mark(job, over, error) : code;
	job->layout = header.layout;
	if (header.pending)
		return gow_repair_finish_change(job, &header, over, error);
	code = gow_pending_find(job->target->file, &header, &pending, error);
	return code || pending.kind == GOW_PENDING_NONE
	               ? code
	               : gow_repair_finish_upgrade(job, &header, over, error);
}
