/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c - judging an image: the public face of the validator, and reading its data. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "image/map.h"
#include "io/lock.h"

struct gow_check {
	struct gow_file *file;
	struct gow_lock lock;
	struct gow_raw raw;
	struct gow_verdict verdict;
	const gow_monitor *monitor;
	uint64_t *unreadable; /* bit per logical block, once data has been read; or NULL */
	gow_finding findings[GOW_PROBLEM_COUNT];
	size_t finding_count;
};

enum { WORD_BITS = 64 };

/* ---- opening ----------------------------------------------------------------------------- */

/* The verdict as a list: only what was found. */
static void list_findings(gow_check *check)
{
	check->finding_count = 0;
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (check->verdict.by_id[i].problem)
			check->findings[check->finding_count++] = check->verdict.by_id[i];
}

int gow_check_open(const char *path, const gow_open_options *options, gow_check **check,
                   gow_error *error)
{
	gow_check *made;
	int code;

	if (options && options->flags & (GOW_OPEN_WRITE | GOW_OPEN_SALVAGE))
		return gow_fail(error, GOW_ERR_ARGUMENT, "checking changes nothing");
	made = calloc(1, sizeof *made);
	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->monitor = options ? options->monitor : NULL;
	code = gow_open_locked(path, 0, options, &made->file, &made->lock, error);
	if (!code)
		code = gow_raw_load(made->file, gow_layouts, gow_layout_count, &made->raw, error);
	if (!code)
		code = gow_judge(&made->raw, &made->verdict, error);
	if (code) {
		gow_check_close(made);
		return code;
	}
	list_findings(made);
	*check = made;
	return GOW_OK;
}

void gow_check_close(gow_check *check)
{
	if (!check)
		return;
	gow_raw_release(&check->raw);
	(void)gow_file_close(check->file, NULL);
	free(check->unreadable);
	free(check);
}

/* ---- findings ---------------------------------------------------------------------------- */

size_t gow_check_findings(const gow_check *check, const gow_finding **findings)
{
	*findings = check->findings;
	return check->finding_count;
}

unsigned gow_check_count(const gow_check *check, gow_severity severity)
{
	unsigned count = 0;

	for (size_t i = 0; i < check->finding_count; i++)
		count += check->findings[i].problem->severity == severity;
	return count;
}

struct place_walk {
	gow_problem_id id;
	gow_place_visitor visit;
	void *context;
	bool refused;
};

static int visit_place(void *context, gow_problem_id id, const gow_place *place, uint64_t run)
{
	struct place_walk *walk = context;
	gow_place each = *place;

	if (id != walk->id)
		return 0;
	/* A cross-link's further owners come with run 0: places all the same. */
	for (uint64_t i = 0; i < (run ? run : 1) && !walk->refused; i++) {
		walk->refused = walk->visit(walk->context, &each) != 0;
		each.physical++;
		each.offset += GOW_BLOCK_SIZE;
	}
	return walk->refused;
}

static gow_place place_of_block(const gow_check *check, uint32_t logical)
{
	uint32_t physical = check->raw.entries[logical];

	return (gow_place){
		.logical = logical,
		.physical = physical,
		.offset = gow_layout_block_offset(check->raw.header.layout, physical),
		.other = GOW_NOWHERE,
	};
}

static void visit_unreadable(const gow_check *check, struct place_walk *walk)
{
	for (uint32_t i = 0; i < check->raw.header.layout->map_entries && !walk->refused; i++)
		if (check->unreadable[i / WORD_BITS] >> (i % WORD_BITS) & 1) {
			gow_place place = place_of_block(check, i);

			(void)visit_place(walk, GOW_DATA_UNREADABLE, &place, 1);
		}
}

int gow_check_each_place(gow_check *check, gow_problem_id id, gow_place_visitor visit,
                         void *context, gow_error *error)
{
	struct place_walk walk = { .id = id, .visit = visit, .context = context };
	int code = GOW_OK;

	if (id != GOW_DATA_UNREADABLE)
		code = gow_validate(&check->raw, visit_place, &walk, NULL, error);
	else if (check->unreadable)
		visit_unreadable(check, &walk);
	if (walk.refused)
		return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	return code;
}

/* ---- information ------------------------------------------------------------------------- */

/* The share of neighbours, both allocated, that are not neighbours in the file. */
static double fragmentation(const uint32_t *entries, uint32_t count)
{
	uint32_t pairs = 0, apart = 0;

	for (uint32_t i = 1; i < count; i++) {
		uint32_t both = (entries[i - 1] != GOW_UNALLOCATED) &
		                (entries[i] != GOW_UNALLOCATED);

		pairs += both;
		apart += both & (uint32_t)(entries[i] != entries[i - 1] + 1);
	}
	return pairs ? (double)apart / pairs : 0;
}

enum { VERSION_CHUNK = 16384 };

static int highest_version(const gow_check *check, uint32_t *highest, gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;
	uint32_t versions[VERSION_CHUNK];

	*highest = 0;
	for (uint32_t at = 0; at < layout->map_entries; at += VERSION_CHUNK) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, VERSION_CHUNK);
		int code = gow_header_read_versions(check->file, layout, at, count, versions,
		                                    error);

		if (code)
			return code;
		for (uint32_t i = 0; i < count; i++)
			*highest = versions[i] > *highest ? versions[i] : *highest;
	}
	return GOW_OK;
}

int gow_check_info(gow_check *check, gow_info *info, gow_error *error)
{
	const struct gow_header *header = &check->raw.header;
	gow_info found = {
		.version = header->layout->version,
		.logical_size = header->logical_size,
		.logical_blocks = header->logical_blocks,
		.map_entries = header->layout->map_entries,
		.block_count = header->block_count,
		.present_blocks = header->present_blocks,
		.allocated_blocks = check->verdict.tally.allocated,
		.leaked_blocks = check->verdict.tally.leaked,
		.file_size = header->file_size,
		.data_start = gow_layout_data_start(header->layout),
		.has_versions = gow_layout_has_versions(header->layout),
		.preamble_readable = header->file_size >= gow_layout_preamble_end(header->layout),
		.map_readable = check->raw.entries != NULL,
		.pending = check->raw.pending.kind == GOW_PENDING_NONE ? NULL
		                                                       : check->raw.pending.what,
		.in_use = check->lock.in_use,
	};

	if (found.map_readable) {
		int code = GOW_OK;

		found.fragmentation = fragmentation(check->raw.entries, found.map_entries);
		if (found.has_versions)
			code = highest_version(check, &found.highest_version, error);
		if (code)
			return code;
	}
	*info = found;
	return GOW_OK;
}

/* ---- extents ----------------------------------------------------------------------------- */

/* How many entries from logical on name present neighbours; 0 where the first names none. */
static uint32_t present_run(const gow_check *check, uint32_t logical, uint32_t end)
{
	const uint32_t *entries = check->raw.entries;
	uint32_t present = check->raw.header.present_blocks;

	if (entries[logical] >= present)
		return 0;
	return (uint32_t)gow_min(gow_entries_run(entries + logical, end - logical),
	                         present - entries[logical]);
}

/* Version numbers as they are come by in a walk upwards. */
struct version_window {
	uint32_t first, count; /* which are in it */
	uint32_t numbers[VERSION_CHUNK];
};

/* Makes sure that the number of a logical block is in the window. */
static int move_window(gow_check *check, struct version_window *window, uint32_t logical,
                       gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;

	if (logical - window->first < window->count)
		return GOW_OK;
	window->first = logical;
	window->count = (uint32_t)gow_min(layout->map_entries - logical, VERSION_CHUNK);
	return gow_header_read_versions(check->file, layout, logical, window->count,
	                                window->numbers, error);
}

/* Cuts a run where the version number changes. */
static int cut_at_version(gow_check *check, struct version_window *window, gow_extent *extent,
                          gow_error *error)
{
	uint32_t first = (uint32_t)extent->logical;
	uint32_t run = (uint32_t)extent->blocks;

	for (uint32_t i = 0; i < run; i++) {
		int code = move_window(check, window, first + i, error);
		uint32_t number;

		if (code)
			return code;
		number = window->numbers[first + i - window->first];
		if (i == 0)
			extent->version = number;
		if (number != extent->version) {
			extent->blocks = i;
			break;
		}
	}
	extent->has_version = true;
	return GOW_OK;
}

int gow_check_each_extent(gow_check *check, gow_extent_visitor visit, void *context,
                          gow_error *error)
{
	const struct gow_layout *layout = check->raw.header.layout;
	const uint32_t end = check->raw.entries ? layout->map_entries : 0;
	struct version_window window = { .count = 0 };
	uint32_t at = 0;

	while (at < end) {
		uint32_t run = present_run(check, at, end);
		gow_extent extent = { .logical = at, .blocks = run };
		int code = GOW_OK;

		if (!run) {
			at++;
			continue;
		}
		extent.physical = check->raw.entries[at];
		extent.offset = gow_layout_block_offset(layout, extent.physical);
		if (gow_layout_has_versions(layout))
			code = cut_at_version(check, &window, &extent, error);
		if (code)
			return code;
		if (visit(context, &extent))
			return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
		at += (uint32_t)extent.blocks;
	}
	return GOW_OK;
}

/* ---- reading the data -------------------------------------------------------------------- */

enum { READ_BLOCKS = 16 };

struct data_walk {
	gow_check *check;
	uint8_t *buffer;  /* READ_BLOCKS blocks */
	uint64_t done;    /* bytes */
	uint64_t total;
};

static void add_unreadable(gow_check *check, uint32_t logical)
{
	gow_place place = place_of_block(check, logical);

	check->unreadable[logical / WORD_BITS] |= UINT64_C(1) << (logical % WORD_BITS);
	gow_verdict_add(&check->verdict, GOW_DATA_UNREADABLE, &place, 1);
}

/* Reads what the file has of a run of blocks. */
static int read_run(const struct data_walk *walk, uint32_t logical, uint32_t blocks,
                    gow_error *error)
{
	const struct gow_header *header = &walk->check->raw.header;
	uint64_t offset = gow_layout_block_offset(header->layout,
	                                          walk->check->raw.entries[logical]);
	uint64_t end = gow_min(offset + (uint64_t)blocks * GOW_BLOCK_SIZE, header->file_size);

	return gow_file_read_all(walk->check->file, offset, walk->buffer, (size_t)(end - offset),
	                         error);
}

/* A run that cannot be read is read again block by block, to learn which it is. */
static int read_blocks(struct data_walk *walk, uint32_t logical, uint32_t blocks,
                       gow_error *error)
{
	int code = read_run(walk, logical, blocks, error);

	if (code != GOW_ERR_IO)
		return code;
	for (uint32_t i = 0; i < blocks; i++) {
		code = read_run(walk, logical + i, 1, error);
		if (code == GOW_ERR_IO)
			add_unreadable(walk->check, logical + i);
		else if (code)
			return code;
	}
	return GOW_OK;
}

/* How many blocks of the run at offset lie wholly in a hole of the file. */
static int hole_blocks(const struct data_walk *walk, uint64_t offset, uint32_t run,
                       uint32_t *blocks, gow_error *error)
{
	uint64_t end = offset + (uint64_t)run * GOW_BLOCK_SIZE;
	uint64_t data, data_end;
	int code = gow_file_next_data(walk->check->file, offset, &data, &data_end, error);

	if (code)
		return code;
	if (data == data_end || data >= end)
		*blocks = run;
	else
		*blocks = (uint32_t)((data - offset) / GOW_BLOCK_SIZE);
	return GOW_OK;
}

/* Reads up to run blocks from logical on; *blocks says how many have been dealt with. */
static int check_run(struct data_walk *walk, uint32_t logical, uint32_t run, uint32_t *blocks,
                     gow_error *error)
{
	const gow_check *check = walk->check;
	uint64_t offset = gow_layout_block_offset(check->raw.header.layout,
	                                          check->raw.entries[logical]);
	int code = hole_blocks(walk, offset, run, blocks, error);

	if (code || *blocks)
		return code;
	*blocks = (uint32_t)gow_min(run, READ_BLOCKS);
	return read_blocks(walk, logical, *blocks, error);
}

static int check_blocks(struct data_walk *walk, uint32_t end, gow_error *error)
{
	gow_check *check = walk->check;
	uint32_t at = 0;

	while (at < end) {
		uint32_t run = present_run(check, at, end);
		uint32_t blocks = 1;
		int code;

		if (!run) {
			at++;
			continue;
		}
		code = gow_tick(check->monitor, "data", walk->done, walk->total, error);
		if (!code)
			code = gow_lock_poll(&check->lock, error);
		if (!code)
			code = check_run(walk, at, run, &blocks, error);
		if (code)
			return code;
		walk->done += (uint64_t)blocks * GOW_BLOCK_SIZE;
		at += blocks;
	}
	return gow_tick(check->monitor, "data", walk->done, walk->total, error);
}

int gow_check_data(gow_check *check, gow_error *error)
{
	const struct gow_header *header = &check->raw.header;
	/* Also those past the end of the disk: somebody may want them back. */
	const uint32_t end = header->layout->map_entries;
	struct data_walk walk = { .check = check };
	int code;

	if (!check->raw.entries)
		return GOW_OK;
	for (uint32_t i = 0; i < end; i++)
		walk.total += check->raw.entries[i] < header->present_blocks ? GOW_BLOCK_SIZE : 0;
	free(check->unreadable);
	check->unreadable = calloc(end / WORD_BITS + 1, sizeof *check->unreadable);
	walk.buffer = malloc((size_t)READ_BLOCKS * GOW_BLOCK_SIZE);
	memset(&check->verdict.by_id[GOW_DATA_UNREADABLE], 0, sizeof(gow_finding));
	if (!check->unreadable || !walk.buffer)
		code = gow_fail_memory(error, (size_t)READ_BLOCKS * GOW_BLOCK_SIZE);
	else
		code = check_blocks(&walk, end, error);
	free(walk.buffer);
	list_findings(check);
	return code;
}
