/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job.h - one run of gow_convert: what it holds, and its steps, which are files of their own.
 * convert.c calls them in order; a step fills error and leaves the job to be freed.
 */
#ifndef GOW_OPS_CONVERT_JOB_H
#define GOW_OPS_CONVERT_JOB_H

#include "disk/disk.h"

enum gow_convert_target { GOW_CONVERT_TO_FILE, GOW_CONVERT_TO_DEVICE, GOW_CONVERT_TO_STREAM };

struct gow_convert_job {
	const gow_convert_options *options;
	gow_convert_result *result;
	uint64_t losses;

	const char *source_name;
	struct gow_source *source;
	struct gow_source *spooled; /* what source was copied from, to be read out of order */

	const char *dest;
	enum gow_convert_target target;
	const struct gow_layout *layout; /* of the destination, or of the image in it; NULL: raw */
	struct gow_file *device;         /* to a device */
	struct gow_draft *draft;         /* to a file */

	bool archive; /* the destination is one: with what follows */
	gow_compression compression;
	uint64_t *kept; /* the set of blocks that it stores */
	uint64_t kept_count;
	char *member; /* its members' name, without what they end in */

	struct gow_copy copy;
	struct gow_sample sample; /* of what was copied */
};

static inline bool gow_convert_has(const struct gow_convert_job *job, unsigned flag)
{
	return job->options->flags & flag;
}

static inline bool gow_convert_is_dry_run(const struct gow_convert_job *job)
{
	return job->options->common.flags & GOW_COMMON_DRY_RUN;
}

/* Counts a loss, and passes it on; the context is the job. */
void gow_convert_count_loss(void *context, const gow_loss *loss);

/* Names the destination in an error that was just filled; returns its code. */
int gow_convert_fail_dest(const struct gow_convert_job *job, int code, gow_error *error);

/* ---- target.c: where to ------------------------------------------------------------------ */

/* Settles what the destination is to be, without touching it. */
int gow_convert_choose_dest(struct gow_convert_job *job, gow_error *error);
int gow_convert_check_not_same(const struct gow_convert_job *job, gow_error *error);
int gow_convert_open_device(struct gow_convert_job *job, gow_error *error);

/* ---- room.c: whether it fits ------------------------------------------------------------- */

/* Whether the format holds a disk of that size. */
int gow_convert_check_size(const struct gow_convert_job *job, gow_error *error);

/* Whether there is room for the destination; reads the source where nothing else shows it. */
int gow_convert_check_room(struct gow_convert_job *job, gow_error *error);

/* ---- spool.c ----------------------------------------------------------------------------- */

/* Copies a source that can be read once, or not in order, to a file without a name. */
int gow_convert_spool(struct gow_convert_job *job, gow_error *error);

/* ---- archive.c: an archive as the destination -------------------------------------------- */

/* What is to be in it: an image, and of which version, or a raw disk. */
void gow_convert_choose_member(struct gow_convert_job *job);

/* A member's size stands before its data: settles which blocks are to be stored. */
int gow_convert_plan_archive(struct gow_convert_job *job, gow_error *error);

int gow_convert_make_archive_sink(struct gow_convert_job *job, gow_error *error);

/* ---- copy.c, verify.c -------------------------------------------------------------------- */

int gow_convert_copy(struct gow_convert_job *job, gow_error *error);

/* Reads the source once beforehand, into a sink that counts; *data_blocks are those that are not
 * zeros. */
int gow_convert_count(struct gow_convert_job *job, struct gow_sink *sink, uint64_t *data_blocks,
                      gow_error *error);

/* Reads back what was written, and compares its digest. */
int gow_convert_verify(struct gow_convert_job *job, gow_error *error);

#endif
