/* SPDX-License-Identifier: BSD-2-Clause */
/* plan.c - what an archive of metadata holds: its text, and what of a file it is about. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/bytes.h"
#include "base/error.h"
#include "ops/metadata/metadata.h"

/* ---- what the ranges hold ---------------------------------------------------------------- */

static int add_run(struct gow_metadata_runs *runs, uint64_t start, uint64_t end, gow_error *error)
{
	struct gow_tar_run *more;
	size_t room = runs->room ? runs->room * 2 : 64;

	runs->bytes += end - start;
	if (runs->count && runs->runs[runs->count - 1].end == start) {
		runs->runs[runs->count - 1].end = end;
		return GOW_OK;
	}
	if (runs->count == runs->room) {
		more = realloc(runs->runs, room * sizeof *more);
		if (!more)
			return gow_fail_memory(error, room * sizeof *more);
		runs->runs = more;
		runs->room = room;
	}
	runs->runs[runs->count++] = (struct gow_tar_run){ start, end };
	return GOW_OK;
}

struct scan {
	struct gow_file *file;
	struct gow_metadata_runs *runs;
	struct gow_digester *digester;
	uint64_t pieces;
	uint8_t *block;
};

static int scan_piece(struct scan *scan, uint64_t start, uint64_t end, gow_error *error)
{
	size_t size = (size_t)(end - start);
	struct gow_hash hash;
	int code = gow_file_read_all(scan->file, start, scan->block, size, error);

	if (code || gow_is_zero(scan->block, size))
		return code;
	memset(scan->block + size, 0, GOW_BLOCK_SIZE - size);
	gow_hash_block(scan->block, &hash);
	gow_digester_add(scan->digester, scan->pieces++, &hash);
	return add_run(scan->runs, start, end, error);
}

static int scan_range(struct scan *scan, const struct gow_tar_run *range, gow_error *error)
{
	int code = GOW_OK;

	for (uint64_t at = range->start; at < range->end && !code; at += GOW_BLOCK_SIZE)
		code = scan_piece(scan, at, gow_min(range->end, at + GOW_BLOCK_SIZE), error);
	return code;
}

int gow_metadata_scan(struct gow_file *file, const struct gow_metadata_plan *plan,
                      struct gow_metadata_runs *runs, gow_error *error)
{
	struct scan scan = { .file = file, .runs = runs };
	gow_digest digest;
	int code = gow_digester_new(&scan.digester, error);

	*runs = (struct gow_metadata_runs){ .count = 0 };
	if (code)
		return code;
	scan.block = malloc(GOW_BLOCK_SIZE);
	if (!scan.block)
		code = gow_fail_memory(error, GOW_BLOCK_SIZE);
	for (size_t i = 0; i < plan->range_count && !code; i++)
		code = scan_range(&scan, &plan->ranges[i], error);
	gow_digester_finish(scan.digester, plan->file_size, &digest);
	memcpy(runs->digest, digest.text, sizeof runs->digest);
	gow_digester_free(scan.digester);
	free(scan.block);
	return code;
}

/* ---- the text ---------------------------------------------------------------------------- */

size_t gow_metadata_print(const struct gow_metadata_plan *plan, char text[GOW_METADATA_TEXT])
{
	int size = snprintf(text, GOW_METADATA_TEXT,
	                    "gow-metadata 1\nversion %u\nlayout %s\nfile-size %" PRIu64 "\n",
	                    plan->version, plan->layout, plan->file_size);

	for (size_t i = 0; i < plan->range_count; i++)
		size += snprintf(text + size, GOW_METADATA_TEXT - (size_t)size,
		                 "range %" PRIu64 " %" PRIu64 "\n", plan->ranges[i].start,
		                 plan->ranges[i].end - plan->ranges[i].start);
	size += snprintf(text + size, GOW_METADATA_TEXT - (size_t)size, "digest %s\n",
	                 plan->digest);
	return (size_t)size;
}

static bool ranges_are_sane(const struct gow_metadata_plan *plan)
{
	uint64_t at = 0;

	for (size_t i = 0; i < plan->range_count; i++) {
		const struct gow_tar_run *range = &plan->ranges[i];

		if (range->start < at || range->end < range->start || range->end > plan->file_size)
			return false;
		at = range->end;
	}
	return true;
}

int gow_metadata_parse(const char *text, struct gow_metadata_plan *plan, gow_error *error)
{
	struct gow_metadata_plan read = { .range_count = 0 };
	char again[GOW_METADATA_TEXT];
	int used = 0;
	uint64_t start, length;
	const char *at = text;

	/* NOLINTBEGIN(cert-err34-c): what was read is printed again and compared. */
	if (sscanf(at, "gow-metadata 1 version %9u layout %63s file-size %" SCNu64 "%n",
	           &read.version, read.layout, &read.file_size, &used) == 3 &&
	    used) {
		for (at += used;
		     read.range_count < GOW_METADATA_RANGES &&
		     sscanf(at, " range %" SCNu64 " %" SCNu64 "%n", &start, &length, &used) == 2;
		     at += used)
			read.ranges[read.range_count++] = (struct gow_tar_run){ start,
				                                                start + length };
		/* What is not exactly as we write it is not ours, or newer than we are. */
		if (sscanf(at, " digest %32s", read.digest) == 1 && ranges_are_sane(&read) &&
		    read.file_size <= INT64_MAX &&
		    gow_metadata_print(&read, again) < sizeof again && strcmp(again, text) == 0) {
			*plan = read;
			return GOW_OK;
		}
	}
	/* NOLINTEND(cert-err34-c) */
	return gow_fail(error, GOW_ERR_DAMAGED,
	                "holds no metadata that this version (%s) can restore", gow_version());
}
