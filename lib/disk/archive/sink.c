/* SPDX-License-Identifier: BSD-2-Clause */
/* sink.c - a guest's disk as a member of a new tar file, and its manifest as the next. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/monitor.h"
#include "disk/archive/archive.h"
#include "disk/archive/tar.h"
#include "disk/manifest.h"
#include "image/builder.h"

/* The sparse map of a raw member costs memory for every run: where there are more, neighbours are
 * joined, and the zeros between them stored. */
enum { RUNS_MAX = 1 << 18 };

struct archive_sink {
	struct gow_sink base;
	struct gow_archive_options options;
	struct gow_tar *tar;
	uint64_t next; /* the first block that has not been written, or left out, yet */
	uint64_t end;  /* past the last block of the disk */
	struct gow_file *manifest_file;
	struct gow_manifest_writer *manifest;
};

static const uint8_t zero_block[GOW_BLOCK_SIZE];

/* ---- members ----------------------------------------------------------------------------- */

/* Begins a member that is named after the image and ends in suffix. */
static int begin_member(struct archive_sink *sink, const char *suffix, uint64_t size,
                        const struct gow_tar_runs *runs, gow_error *error)
{
	char *name = NULL;
	int code;

	if (asprintf(&name, "%s%s", sink->options.name, suffix) < 0)
		return gow_fail_memory(error, strlen(sink->options.name));
	code = gow_tar_begin_member(sink->tar, name, size, runs, error);
	free(name);
	return code;
}

/* ---- the runs of a raw member ------------------------------------------------------------ */

/* A run of blocks to be stored, with gaps of less than `grain` blocks in it. */
struct run {
	uint64_t start, end;
};

/* The run at or after block at; false: no more. */
static bool next_run(const struct archive_sink *sink, uint64_t at, uint64_t grain, struct run *run)
{
	const uint64_t *kept = sink->options.kept;

	while (at < sink->end && !gow_get_bit(kept, at))
		at += kept[at / GOW_WORD_BITS] ? 1 : GOW_WORD_BITS - at % GOW_WORD_BITS;
	if (at >= sink->end)
		return false;
	*run = (struct run){ at, at + 1 };
	for (at++; at < sink->end && at - run->end < grain; at++)
		if (gow_get_bit(kept, at))
			run->end = at + 1;
	return true;
}

static uint64_t count_runs(const struct archive_sink *sink, uint64_t grain)
{
	struct run run = { 0, 0 };
	uint64_t count = 0;

	while (next_run(sink, run.end, grain, &run))
		count++;
	return count;
}

/* Goes through the runs in bytes. */
struct walk {
	const struct archive_sink *sink;
	uint64_t grain;
	struct run run;
};

static bool next_bytes(void *context, struct gow_tar_run *bytes)
{
	struct walk *walk = context;

	if (!next_run(walk->sink, walk->run.end, walk->grain, &walk->run))
		return false;
	bytes->start = walk->run.start * GOW_BLOCK_SIZE;
	bytes->end = gow_min(walk->run.end * GOW_BLOCK_SIZE, walk->sink->options.size);
	return true;
}

static int begin_raw(struct archive_sink *sink, gow_error *error)
{
	struct walk walk = { .sink = sink, .grain = 1, .run = { 0, 0 } };
	const struct gow_tar_runs runs = { .next = next_bytes, .context = &walk };

	while (count_runs(sink, walk.grain) > RUNS_MAX)
		walk.grain *= 2;
	return begin_member(sink, ".raw", sink->options.size, &runs, error);
}

/* ---- the header of an image -------------------------------------------------------------- */

/* The map and the version numbers of the blocks to be stored, which stand in logical order. */
static int write_numbers(const struct archive_sink *sink, struct gow_file *file, gow_error *error)
{
	enum { PART = 8192 };
	const struct gow_layout *layout = sink->options.layout;
	const uint64_t *kept = sink->options.kept;
	uint32_t physical = 0;
	int code = GOW_OK;

	for (uint32_t at = 0; at < layout->map_entries && !code; at += PART) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, PART);
		uint32_t entries[PART], ones[PART];
		const uint32_t *versions = sink->options.versions ? sink->options.versions + at
		                                                  : ones;

		for (uint32_t i = 0; i < count; i++) {
			ones[i] = at + i < sink->end && gow_get_bit(kept, at + i);
			entries[i] = ones[i] ? physical++ : GOW_UNALLOCATED;
		}
		code = gow_header_write_entries(file, layout, at, count, entries, error);
		if (!code && gow_layout_has_versions(layout) &&
		    !gow_is_zero(versions, count * sizeof *versions))
			code = gow_header_write_versions(file, layout, at, count, versions, error);
	}
	return code;
}

static int write_header(struct archive_sink *sink, uint32_t blocks, gow_error *error)
{
	const struct gow_layout *layout = sink->options.layout;
	const struct gow_header header = {
		.layout = layout,
		.logical_size = sink->options.size,
		.block_count = blocks,
	};
	uint64_t size = gow_layout_data_start(layout);
	struct gow_file *file;
	/* In memory, 32 MiB at most: beside an archive of a few there may be no room for it. */
	int code = gow_file_in_memory(
		sink->options.beside ? sink->options.beside : "standard output", &file, error);

	if (code)
		return code;
	code = gow_file_truncate(file, size, error);
	if (!code)
		code = write_numbers(sink, file, error);
	if (!code)
		code = gow_header_write(file, &header, error);
	if (!code)
		code = gow_tar_copy(sink->tar, file, (struct gow_tar_run){ 0, size }, error);
	(void)gow_file_close(file, NULL);
	return code;
}

static uint64_t count_kept(const struct archive_sink *sink)
{
	uint64_t count = 0;

	for (size_t i = 0; i < gow_bit_words(sink->end); i++)
		count += (uint64_t)__builtin_popcountll(sink->options.kept[i]);
	return count;
}

static int begin_disk(struct archive_sink *sink, gow_error *error)
{
	const struct gow_layout *layout = sink->options.layout;
	uint64_t blocks = count_kept(sink);
	int code;

	if (!layout)
		return begin_raw(sink, error);
	code = begin_member(sink, ".gow", gow_image_file_size(layout, blocks), NULL, error);
	return code ? code : write_header(sink, (uint32_t)blocks, error);
}

/* ---- the disk's blocks ------------------------------------------------------------------- */

/* Up to block end there is nothing but zeros: those of a raw disk's holes libarchive leaves out,
 * of an image only the blocks stand in the file that are to be stored. */
static int write_zeros(struct archive_sink *sink, uint64_t end, gow_error *error)
{
	int code = GOW_OK;

	for (; sink->next < end && !code; sink->next++) {
		uint64_t start = sink->next * GOW_BLOCK_SIZE;

		if (!sink->options.layout)
			code = gow_tar_write(
				sink->tar, zero_block,
				(size_t)gow_min(sink->options.size - start, GOW_BLOCK_SIZE), error);
		else if (gow_get_bit(sink->options.kept, sink->next))
			code = gow_tar_write(sink->tar, zero_block, GOW_BLOCK_SIZE, error);
		if (!code && sink->next % 65536 == 0) /* 4 GiB of zeros */
			code = gow_tick(sink->base.monitor, "copy", start, sink->options.size,
			                error);
	}
	return code;
}

/* Data where there was none when the member's size was written cannot be stored any more. */
static int check_kept(const struct archive_sink *sink, uint64_t first, uint64_t end,
                      gow_error *error)
{
	for (uint64_t i = first; i < end; i++)
		if (!gow_get_bit(sink->options.kept, i))
			return gow_fail_at_block(error,
			                         gow_fail(error, GOW_ERR_CHANGED,
			                                  "the disk changed while it was read"),
			                         i);
	return GOW_OK;
}

static int archive_data(struct gow_sink *base, uint64_t offset, const void *buf, size_t size,
                        gow_error *error)
{
	struct archive_sink *sink = (struct archive_sink *)base;
	uint64_t first = offset / GOW_BLOCK_SIZE;
	uint64_t end = gow_divide_up(offset + size, GOW_BLOCK_SIZE);
	/* The last block of an image is whole, the last of a raw disk may not be. */
	uint64_t disk_end = sink->options.layout ? end * GOW_BLOCK_SIZE : sink->options.size;
	size_t rest = (size_t)(gow_min(end * GOW_BLOCK_SIZE, disk_end) - (offset + size));
	int code = check_kept(sink, first, end, error);

	if (!code)
		code = write_zeros(sink, first, error);
	if (!code)
		code = gow_tar_write(sink->tar, buf, size, error);
	if (!code)
		code = gow_tar_write(sink->tar, zero_block, rest, error);
	sink->next = end;
	return code;
}

/* Left until it is known what follows. */
static int archive_zeros(struct gow_sink *base, uint64_t offset, uint64_t size, gow_error *error)
{
	(void)base;
	(void)offset;
	(void)size;
	(void)error;
	return GOW_OK;
}

static int archive_hashed(struct gow_sink *base, uint64_t index, const struct gow_hash *hash,
                          gow_error *error)
{
	return gow_manifest_add(((struct archive_sink *)base)->manifest, index, hash, error);
}

static int write_manifest(struct archive_sink *sink, const gow_digest *digest, gow_error *error)
{
	uint64_t size;
	int code = gow_manifest_end(sink->manifest, digest, error);

	if (!code)
		code = gow_file_size(sink->manifest_file, &size, error);
	if (!code)
		code = begin_member(sink, ".manifest", size, NULL, error);
	if (!code)
		code = gow_tar_copy(sink->tar, sink->manifest_file, (struct gow_tar_run){ 0, size },
		                    error);
	return code ? code : gow_tar_end_member(sink->tar, error);
}

static int archive_finish(struct gow_sink *base, uint64_t size, const gow_digest *digest,
                          gow_error *error)
{
	struct archive_sink *sink = (struct archive_sink *)base;
	int code;

	if (size != sink->options.size)
		return gow_fail(error, GOW_ERR_CHANGED, "the disk changed while it was read");
	code = write_zeros(sink, sink->end, error);
	if (!code)
		code = gow_tar_end_member(sink->tar, error);
	if (!code)
		code = write_manifest(sink, digest, error);
	if (!code)
		code = gow_tar_end(sink->tar, error);
	sink->base.written = gow_tar_size(sink->tar);
	return code;
}

static void archive_release(struct gow_sink *base)
{
	struct archive_sink *sink = (struct archive_sink *)base;

	gow_tar_free(sink->tar);
	gow_manifest_writer_free(sink->manifest);
	(void)gow_file_close(sink->manifest_file, NULL);
	free(sink);
}

static const struct gow_sink_ops archive_ops = {
	.data = archive_data,
	.zeros = archive_zeros,
	.hashed = archive_hashed,
	.finish = archive_finish,
	.release = archive_release,
};

/* ---- making it --------------------------------------------------------------------------- */

uint64_t gow_archive_size(const struct gow_layout *layout, uint64_t blocks)
{
	/* A line of a manifest, the map of runs; and headers and padding. */
	enum { EACH = 64 + 64, OTHER = 4 * GOW_TAR_RECORD };

	return (layout ? gow_layout_data_start(layout) : 0) + blocks * (GOW_BLOCK_SIZE + EACH) +
	       OTHER;
}

int gow_sink_archive(const struct gow_archive_options *options, struct gow_sink **sink,
                     gow_error *error)
{
	const struct gow_tar_options tar = {
		.file = options->file,
		.name = options->name,
		.compression = options->compression,
		.level = options->level,
		.mtime = options->mtime,
		.monitor = options->monitor,
	};
	struct archive_sink *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->base.ops = &archive_ops;
	made->base.monitor = options->monitor;
	made->options = *options;
	made->end = gow_divide_up(options->size, GOW_BLOCK_SIZE);
	code = gow_file_unnamed(options->beside, &made->manifest_file, error);
	if (!code)
		code = gow_manifest_begin(made->manifest_file, options->size, &made->manifest,
		                          error);
	if (!code)
		code = gow_tar_begin(&tar, &made->tar, error);
	if (!code)
		code = begin_disk(made, error);
	if (code) {
		archive_release(&made->base);
		return code;
	}
	*sink = &made->base;
	return GOW_OK;
}
