/* SPDX-License-Identifier: BSD-2-Clause */
/* convert.c - a guest's disk in another form: opens both ends, checks what can be checked before
 * the first byte is written, copies, verifies, and lets the new name appear. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/monitor.h"
#include "image/builder.h"
#include "io/draft.h"
#include "ops/archive.h"

/* ---- formats ----------------------------------------------------------------------------- */

static const struct format {
	gow_format format;
	const char *name;
	unsigned version; /* 0: no GOW image */
} formats[] = {
	{ GOW_FORMAT_RAW, "raw", 0 },   { GOW_FORMAT_GOW1, "gow1", 1 },
	{ GOW_FORMAT_GOW2, "gow2", 2 }, { GOW_FORMAT_GOW3, "gow3", 3 },
	{ GOW_FORMAT_GOW, "gow", 3 },   { GOW_FORMAT_TAR, "tar", 0 },
};

static const size_t format_count = sizeof formats / sizeof *formats;

static const struct format *row_of(gow_format format)
{
	for (size_t i = 0; i < format_count; i++)
		if (formats[i].format == format)
			return &formats[i];
	return NULL;
}

const char *gow_format_name(gow_format format)
{
	const struct format *row = row_of(format);

	return row ? row->name : "probe";
}

gow_format gow_format_by_name(const char *name)
{
	for (size_t i = 0; i < format_count; i++)
		if (strcasecmp(formats[i].name, name) == 0)
			return formats[i].format;
	return GOW_FORMAT_PROBE;
}

const char *gow_loss_name(gow_loss_kind kind)
{
	switch (kind) {
	case GOW_LOSS_UNREADABLE:
		return "unreadable";
	case GOW_LOSS_UNMAPPED:
		return "unmapped";
	case GOW_LOSS_SHARED:
		return "shared";
	case GOW_LOSS_BEYOND_SIZE:
		return "beyond-size";
	}
	return "unknown";
}

/* What a file's name stands for, by what it ends in; the longer of two that fit comes first. */
static const struct suffix {
	const char *text;
	gow_format format;
	gow_compression compression;
} suffixes[] = {
	{ ".gow", GOW_FORMAT_GOW3, GOW_COMPRESSION_BY_NAME },
	{ ".gow1", GOW_FORMAT_GOW1, GOW_COMPRESSION_BY_NAME },
	{ ".gow2", GOW_FORMAT_GOW2, GOW_COMPRESSION_BY_NAME },
	{ ".gow3", GOW_FORMAT_GOW3, GOW_COMPRESSION_BY_NAME },
	{ ".raw", GOW_FORMAT_RAW, GOW_COMPRESSION_BY_NAME },
	{ ".img", GOW_FORMAT_RAW, GOW_COMPRESSION_BY_NAME },
	{ ".tar", GOW_FORMAT_TAR, GOW_COMPRESSION_NONE },
	{ ".tar.zst", GOW_FORMAT_TAR, GOW_COMPRESSION_ZSTD },
	{ ".tzst", GOW_FORMAT_TAR, GOW_COMPRESSION_ZSTD },
	{ ".tar.gz", GOW_FORMAT_TAR, GOW_COMPRESSION_GZIP },
	{ ".tgz", GOW_FORMAT_TAR, GOW_COMPRESSION_GZIP },
	{ ".tar.xz", GOW_FORMAT_TAR, GOW_COMPRESSION_XZ },
	{ ".txz", GOW_FORMAT_TAR, GOW_COMPRESSION_XZ },
	{ ".tar.lz4", GOW_FORMAT_TAR, GOW_COMPRESSION_LZ4 },
};

/* NULL where a name stands for nothing. *stem: what it is long without the suffix. */
static const struct suffix *suffix_of(const char *path, size_t *stem)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t tail = strlen(suffixes[i].text);

		if (length > tail && strcasecmp(path + length - tail, suffixes[i].text) == 0) {
			*stem = length - tail;
			return &suffixes[i];
		}
	}
	*stem = length;
	return NULL;
}

/* The format that a destination's name stands for. */
static gow_format format_of_name(const char *path)
{
	size_t stem;
	const struct suffix *suffix = suffix_of(path, &stem);

	return suffix ? suffix->format : GOW_FORMAT_PROBE;
}

/* ---- the job ----------------------------------------------------------------------------- */

enum target { TARGET_FILE, TARGET_DEVICE, TARGET_STREAM };

struct job {
	const char *dest;
	enum target target;
	const gow_convert_options *options;
	const struct gow_layout *layout; /* of the destination, or of the image in it; NULL: raw */
	const char *source_name;
	struct gow_source *source;
	struct gow_source *spooled;      /* what source was read from, to be read out of order */
	bool archive;                    /* the destination is one: with what follows */
	gow_compression compression;
	uint64_t *kept;                  /* the set of blocks that it stores */
	uint64_t kept_count;
	char *member;                    /* its members' name, without what they end in */
	struct gow_copy copy;
	uint64_t losses;
	gow_convert_result *result;
	struct gow_file *device; /* for TARGET_DEVICE */
	struct gow_draft *draft; /* for TARGET_FILE */
};

static bool has_flag(const struct job *job, unsigned flag)
{
	return job->options->flags & flag;
}

static void count_loss(void *context, const gow_loss *loss)
{
	struct job *job = context;

	job->losses++;
	if (job->options->lost)
		job->options->lost(job->options->lost_context, loss);
}

static int fail_dest(const struct job *job, int code, gow_error *error)
{
	return gow_fail_in_file(error, code, job->dest);
}

static enum target target_of(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return TARGET_STREAM;
	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? TARGET_DEVICE : TARGET_FILE;
}

/* What a destination other than a file cannot do. */
static int check_target(const struct job *job, gow_error *error)
{
	int code = GOW_OK;

	if (job->target == TARGET_FILE)
		return gow_draft_check_force(job->dest, has_flag(job, GOW_CONVERT_FORCE), error);
	if (job->archive && job->target == TARGET_DEVICE)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "an archive is written to a file or to standard output, not to a "
		                "block device");
	else if (job->layout)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "a GOW image is written to a file, not to a %s",
		                job->target == TARGET_DEVICE ? "block device" : "pipe");
	else if (job->target == TARGET_STREAM && has_flag(job, GOW_CONVERT_VERIFY))
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "standard output cannot be read back to verify it");
	else if (job->target == TARGET_DEVICE && !has_flag(job, GOW_CONVERT_FORCE))
		code = gow_fail(error, GOW_ERR_EXISTS,
		                "is a block device, which would be overwritten; use --force if that "
		                "is meant");
	return code ? fail_dest(job, code, error) : GOW_OK;
}

static int choose_compression(struct job *job, gow_error *error)
{
	const struct suffix *suffix;
	size_t stem;

	job->compression = job->options->compression;
	if (job->compression == GOW_COMPRESSION_BY_NAME) {
		suffix = suffix_of(job->dest, &stem);
		job->compression = suffix && suffix->format == GOW_FORMAT_TAR
		                           ? suffix->compression
		                           : GOW_COMPRESSION_NONE;
	}
	return gow_compression_check(job->compression, job->options->level, error);
}

/* Settles what the destination is to be, without touching it. */
static int choose_dest(struct job *job, gow_error *error)
{
	gow_format format = job->options->dest_format;

	job->target = target_of(job->dest);
	if (format == GOW_FORMAT_PROBE)
		format = job->target == TARGET_FILE ? format_of_name(job->dest) : GOW_FORMAT_RAW;
	if (format == GOW_FORMAT_PROBE)
		return fail_dest(job,
		                 gow_fail(error, GOW_ERR_ARGUMENT,
		                          "its name does not tell its format; say it with -O"),
		                 error);
	if (format == GOW_FORMAT_GOW)
		format = GOW_FORMAT_GOW3;
	job->layout = gow_layout_of(row_of(format)->version);
	job->archive = format == GOW_FORMAT_TAR;
	job->result->dest_format = format;
	if (job->archive) {
		int code = choose_compression(job, error);

		if (code)
			return code;
	}
	return check_target(job, error);
}

static int open_source(struct job *job, const char *path, gow_error *error)
{
	const gow_convert_options *options = job->options;
	const struct gow_source_options source_options = {
		.format = options->source_format,
		.member_name = options->member_name,
		.salvage = has_flag(job, GOW_CONVERT_SALVAGE),
		.no_lock = has_flag(job, GOW_CONVERT_NO_LOCK),
		.wait_seconds = options->wait_seconds,
		.monitor = options->monitor,
		.lost = count_loss,
		.lost_context = job,
	};
	int code = gow_source_open(path, &source_options, &job->source, error);

	if (!code)
		job->result->source_format = job->source->format;
	return code;
}

/* ---- before the first byte --------------------------------------------------------------- */

static int check_not_same(const struct job *job, gow_error *error)
{
	struct stat source, dest;

	if (!job->source->file || job->target == TARGET_STREAM || stat(job->dest, &dest) < 0 ||
	    fstat(job->source->file->fd, &source) < 0 || source.st_dev != dest.st_dev ||
	    source.st_ino != dest.st_ino)
		return GOW_OK;
	return fail_dest(job,
	                 gow_fail(error, GOW_ERR_ARGUMENT,
	                          "source and destination are the same file"),
	                 error);
}

static int check_size(const struct job *job, gow_error *error)
{
	uint64_t size = job->source->size;
	int code;

	if ((!job->layout && !job->archive) || size == GOW_NOWHERE)
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
	return fail_dest(job, code, error);
}

/* What the destination's header takes, and its data in whole blocks. */
static uint64_t room_for(const struct job *job, uint64_t blocks)
{
	return blocks * GOW_BLOCK_SIZE + (job->layout ? gow_layout_header_end(job->layout) : 0);
}

/* How many blocks the source may have data in, as far as can be told without reading. */
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

/* The same by reading all of it, which also finds blocks that hold zeros. */
static int count_by_reading(struct job *job, uint64_t *blocks, gow_error *error)
{
	struct gow_copy copy = {
		.source = job->source,
		.monitor = job->options->monitor,
		.phase = "count",
		.size_unit = 1,
		.salvage = has_flag(job, GOW_CONVERT_SALVAGE),
	};
	int code = gow_copy_disk(&copy, error);

	*blocks = copy.data_blocks;
	return code;
}

static int check_room(struct job *job, gow_error *error)
{
	uint64_t blocks;
	int code;

	if (job->target != TARGET_FILE || job->source->size == GOW_NOWHERE || job->source->once)
		return GOW_OK;
	if (job->archive)
		return job->compression == GOW_COMPRESSION_NONE
		               ? gow_check_room_for(job->dest,
		                                    gow_archive_size(job->layout,
		                                                     job->kept_count),
		                                    error)
		               : GOW_OK;
	code = count_blocks(job->source, &blocks, error);
	if (code)
		return code;
	code = gow_check_room_for(job->dest, room_for(job, blocks), error);
	if (code != GOW_ERR_NO_SPACE)
		return code;
	/* It may be zeros that seem to need the room. */
	code = count_by_reading(job, &blocks, error);
	return code ? code : gow_check_room_for(job->dest, room_for(job, blocks), error);
}

static int open_device(struct job *job, gow_error *error)
{
	const gow_open_options options = {
		.flags = has_flag(job, GOW_CONVERT_NO_LOCK) ? GOW_OPEN_NO_LOCK : 0,
		.wait_seconds = job->options->wait_seconds,
		.monitor = job->options->monitor,
	};
	struct gow_lock lock;
	uint64_t room;
	int code = gow_open_locked(job->dest, GOW_FILE_DEVICE | GOW_FILE_WRITE | GOW_FILE_EXCLUSIVE,
	                           &options, &job->device, &lock, error);

	if (!code)
		code = gow_file_size(job->device, &room, error);
	if (!code && job->source->size != GOW_NOWHERE && room < job->source->size)
		code = fail_dest(job,
		                 gow_fail(error, GOW_ERR_NO_SPACE,
		                          "has %llu bytes, and the disk %llu; nothing was written",
		                          (unsigned long long)room,
		                          (unsigned long long)job->source->size),
		                 error);
	return code;
}

/* ---- an archive ---------------------------------------------------------------------------- */

/* Copies a source that comes but once, or not in order, to a file without a name. */
static int spool(struct job *job, gow_error *error)
{
	struct gow_copy copy = {
		.source = job->source,
		.monitor = job->options->monitor,
		.phase = "spool",
		.size_unit = 1,
		.limit = job->layout ? job->layout->logical_limit : 0,
	};
	struct gow_source *source = NULL;
	struct gow_file *file;
	int code = gow_file_unnamed(job->target == TARGET_FILE ? job->dest : NULL, &file, error);

	if (code)
		return code;
	gow_note(job->options->monitor, GOW_NOTE_WARNING, job->source_name,
	         "cannot be read twice or out of order, so it is first copied to a temporary file%s",
	         job->target == TARGET_FILE ? " beside the destination" : "");
	code = gow_sink_raw_file(file, &copy.sink, error);
	if (!code)
		code = gow_copy_disk(&copy, error);
	gow_sink_release(copy.sink);
	if (code) {
		(void)gow_file_close(file, NULL);
		return code;
	}
	code = gow_source_of_file(file, &source, error);
	if (code)
		return code;
	source->format = job->source->format;
	source->member_format = job->source->member_format;
	source->versions = job->source->versions;
	source->entries = job->source->entries;
	job->spooled = job->source;
	job->source = source;
	return GOW_OK;
}

/* What is to be in the archive. */
static void choose_member(struct job *job)
{
	const struct gow_source *source = job->source;
	gow_format format = job->options->member_format;

	if (format == GOW_FORMAT_PROBE)
		format = source->format == GOW_FORMAT_TAR ? source->member_format
		                                          : source->format;
	if (format == GOW_FORMAT_GOW ||
	    (format == GOW_FORMAT_RAW && job->options->member_format == GOW_FORMAT_PROBE))
		format = GOW_FORMAT_GOW3;
	job->layout = gow_layout_of(row_of(format)->version);
}

/* Members are called after the image. */
static int name_member(struct job *job, gow_error *error)
{
	const char *path = strcmp(job->source_name, "-") == 0 ? job->dest : job->source_name;
	const char *slash = strrchr(path, '/');
	const char *name = strcmp(path, "-") == 0 ? "disk" : slash ? slash + 1 : path;
	size_t stem;

	(void)suffix_of(name, &stem);
	job->member = strndup(name, stem);
	return job->member ? GOW_OK : gow_fail_memory(error, stem);
}

/* Which blocks there are: all that the map of an image has, all that a raw disk has no holes
 * for. */
static int keep_allocated(struct job *job, gow_error *error)
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
		for (uint64_t i = start / GOW_BLOCK_SIZE; i < gow_divide_up(end, GOW_BLOCK_SIZE); i++)
			gow_set_bit(job->kept, i);
		at = end;
	}
	return GOW_OK;
}

/* Which blocks have data, by reading them. */
static int keep_data(struct job *job, gow_error *error)
{
	struct gow_copy copy = {
		.source = job->source,
		.monitor = job->options->monitor,
		.phase = "count",
		.size_unit = 1,
		.salvage = has_flag(job, GOW_CONVERT_SALVAGE),
	};
	int code = gow_sink_marks(job->kept, &copy.sink, error);

	if (!code)
		code = gow_copy_disk(&copy, error);
	gow_sink_release(copy.sink);
	return code;
}

/* A member's size stands before its data: which blocks are to be stored must be known now. */
static int plan_archive(struct job *job, gow_error *error)
{
	uint64_t words;
	int code = GOW_OK;

	if (job->source->once || job->source->size == GOW_NOWHERE)
		code = spool(job, error);
	if (!code)
		code = check_size(job, error);
	if (!code)
		code = name_member(job, error);
	if (code)
		return code;
	words = gow_bit_words(gow_divide_up(job->source->size, GOW_BLOCK_SIZE));
	job->kept = calloc(words, sizeof *job->kept);
	if (!job->kept)
		return gow_fail_memory(error, words * sizeof *job->kept);
	code = has_flag(job, GOW_CONVERT_DROP_ZEROS) ? keep_data(job, error)
	                                             : keep_allocated(job, error);
	for (uint64_t i = 0; i < words; i++)
		job->kept_count += (uint64_t)__builtin_popcountll(job->kept[i]);
	return code;
}

/* ---- copying ----------------------------------------------------------------------------- */

static int make_draft(struct job *job, gow_error *error)
{
	const struct gow_draft_options options = {
		.force = has_flag(job, GOW_CONVERT_FORCE),
		.no_lock = has_flag(job, GOW_CONVERT_NO_LOCK),
		.wait_seconds = job->options->wait_seconds,
		.monitor = job->options->monitor,
		.like = job->spooled ? job->spooled->file : job->source->file,
	};

	return gow_draft_begin(job->dest, &options, &job->draft, error);
}

/* Of the source, in whole seconds; 0 where it has none. */
static int64_t time_of_source(const struct job *job)
{
	const struct gow_source *source = job->spooled ? job->spooled : job->source;
	struct stat st;

	if (job->options->mtime != GOW_TIME_OF_SOURCE)
		return job->options->mtime;
	return source->file && fstat(source->file->fd, &st) == 0 ? st.st_mtim.tv_sec : 0;
}

static int make_archive_sink(struct job *job, gow_error *error)
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
		.monitor = job->options->monitor,
	};

	return gow_sink_archive(&options, &job->copy.sink, error);
}

static int make_sink(struct job *job, gow_error *error)
{
	const gow_monitor *monitor = job->options->monitor;

	if (job->archive)
		return make_archive_sink(job, error);
	if (job->target == TARGET_STREAM)
		return gow_sink_raw_stream(STDOUT_FILENO, "standard output", monitor,
		                           &job->copy.sink, error);
	if (job->target == TARGET_DEVICE)
		return gow_sink_raw_device(job->device, monitor, &job->copy.sink, error);
	if (!job->layout)
		return gow_sink_raw_file(gow_draft_file(job->draft), &job->copy.sink, error);
	return gow_sink_image(gow_draft_file(job->draft), job->layout, job->source->versions,
	                      &job->copy.sink, error);
}

static int check_rounding(struct job *job, gow_error *error)
{
	const struct gow_copy *copy = &job->copy;

	if ((job->layout || job->archive) && !copy->source_size)
		return gow_fail(error, GOW_ERR_LIMIT,
		                "is empty; a guest's disk has at least 512 bytes");
	if (copy->size > copy->source_size)
		gow_note(job->options->monitor, GOW_NOTE_WARNING, job->dest,
		         "%llu bytes are no multiple of 512: %llu zeros were added at the end",
		         (unsigned long long)copy->source_size,
		         (unsigned long long)(copy->size - copy->source_size));
	return GOW_OK;
}

static int copy_disk(struct job *job, gow_error *error)
{
	int code = has_flag(job, GOW_CONVERT_DRY_RUN) ? GOW_OK : make_sink(job, error);

	if (code)
		return code;
	job->copy.source = job->source;
	job->copy.draft = job->draft;
	job->copy.wants_digest = has_flag(job, GOW_CONVERT_VERIFY);
	job->copy.monitor = job->options->monitor;
	job->copy.phase = "copy";
	job->copy.size_unit = job->layout || job->archive ? 512 : 1;
	job->copy.limit = job->layout ? job->layout->logical_limit : 0;
	job->copy.salvage = has_flag(job, GOW_CONVERT_SALVAGE);
	job->copy.lost = count_loss;
	job->copy.lost_context = job;
	code = gow_copy_disk(&job->copy, error);
	return code ? code : check_rounding(job, error);
}

/* ---- verifying --------------------------------------------------------------------------- */

/* Reads what lies in the file at path as the format that was written. */
static int read_back(struct job *job, const char *path, struct gow_copy *copy, gow_error *error)
{
	const struct gow_source_options options = {
		.format = job->result->dest_format,
		.no_lock = true, /* it is ours */
		.monitor = job->options->monitor,
	};
	int code = gow_source_open(path, &options, &copy->source, error);

	if (code)
		return code;
	/* A device may be larger than the disk on it. */
	if (job->target == TARGET_DEVICE)
		copy->source->size = gow_min(copy->source->size, job->copy.size);
	code = gow_copy_disk(copy, error);
	gow_source_close(copy->source);
	return code;
}

static int verify(struct job *job, gow_error *error)
{
	bool device = job->target == TARGET_DEVICE;
	struct gow_file *file = device ? job->device : gow_draft_file(job->draft);
	const char *path = device ? job->dest : gow_draft_temporary(job->draft);
	struct gow_copy copy = {
		.draft = job->draft,
		.monitor = job->options->monitor,
		.phase = "verify",
		.size_unit = 1,
		.wants_digest = true,
	};
	/* What is read back is to come from the disk, not from memory. */
	int code = gow_file_sync(file, error);

	if (!code) {
		gow_file_drop_cache(file);
		code = read_back(job, path, &copy, error);
	}
	if (code)
		return code;
	if (copy.size != job->copy.size || strcmp(copy.digest.text, job->copy.digest.text) != 0)
		return fail_dest(job,
		                 gow_fail(error, GOW_ERR_MISMATCH,
		                          "reads back as something else than was written (digest %s, "
		                          "should be %s)",
		                          copy.digest.text, job->copy.digest.text),
		                 error);
	job->result->verified = true;
	return GOW_OK;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* Everything that can be known before anything is written. */
static int prepare(struct job *job, const char *source, gow_error *error)
{
	int code = choose_dest(job, error);

	job->source_name = source;
	if (!code)
		code = open_source(job, source, error);
	if (!code && job->archive)
		choose_member(job);
	if (!code)
		code = check_not_same(job, error);
	if (!code)
		code = check_size(job, error);
	if (!code && job->target == TARGET_DEVICE)
		code = open_device(job, error);
	if (!code && job->archive)
		code = plan_archive(job, error);
	else if (!code && job->source->ops->pull && job->target == TARGET_STREAM)
		code = spool(job, error);
	if (!code)
		code = check_room(job, error);
	if (!code && job->target == TARGET_FILE && !has_flag(job, GOW_CONVERT_DRY_RUN))
		code = make_draft(job, error);
	return code;
}

/* What the destination is made of, once all is copied. */
static void tell_result(struct job *job)
{
	gow_convert_result *result = job->result;

	result->source_size = job->copy.source_size;
	result->logical_size = job->copy.size;
	result->data_bytes = job->copy.data_blocks * GOW_BLOCK_SIZE;
	if (job->archive)
		result->file_size = job->copy.sink ? job->copy.sink->written
		                                   : gow_archive_size(job->layout, job->kept_count);
	else
		result->file_size = job->layout ? gow_image_file_size(job->layout,
		                                                      job->copy.data_blocks)
		                                : job->copy.size;
	result->digest = job->copy.digest;
	result->damaged = job->source->damaged || job->losses;
	result->losses = job->losses;
}

/* Both hold maps as large as a header: verifying needs a third, and the memory is bounded. */
static void let_go_of_ends(struct job *job)
{
	gow_sink_release(job->copy.sink);
	gow_source_close(job->source);
	gow_source_close(job->spooled);
	job->copy.sink = NULL;
	job->copy.source = job->source = job->spooled = NULL;
}

/* Durable, and under its name. */
static int publish(struct job *job, gow_error *error)
{
	struct gow_draft *draft = job->draft;

	if (job->target == TARGET_DEVICE)
		return gow_file_sync(job->device, error);
	job->draft = NULL;
	return draft ? gow_draft_publish(draft, error) : GOW_OK;
}

int gow_convert(const char *source, const char *dest, const gow_convert_options *options,
                gow_convert_result *result, gow_error *error)
{
	gow_convert_result made = { .logical_size = 0 };
	struct job job = { .dest = dest, .options = options, .result = &made };
	bool dry_run = options->flags & GOW_CONVERT_DRY_RUN;
	int code = prepare(&job, source, error);

	if (!code)
		code = copy_disk(&job, error);
	if (!code)
		tell_result(&job);
	let_go_of_ends(&job);
	if (!code && options->flags & GOW_CONVERT_VERIFY && !dry_run)
		code = verify(&job, error);
	if (!code)
		code = publish(&job, error);
	if (!code)
		*result = made;
	gow_draft_discard(job.draft);
	(void)gow_file_close(job.device, NULL);
	free(job.kept);
	free(job.member);
	return code;
}
