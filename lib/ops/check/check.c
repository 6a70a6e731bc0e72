/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c - judging an image: the public face of the validator. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/growing.h"
#include "image/layout_text.h"
#include "journal/open.h"
#include "ops/check/check.h"
#include "ops/infer/infer.h"

/* ---- opening ----------------------------------------------------------------------------- */

void gow_check_list_findings(gow_check *check)
{
	check->finding_count = 0;
	for (size_t i = 0; i < GOW_PROBLEM_COUNT; i++)
		if (check->verdict.by_id[i].problem)
			check->findings[check->finding_count++] = check->verdict.by_id[i];
}

/* NULL: no memory. */
static gow_check *new_check(const gow_monitor *monitor, gow_error *error)
{
	gow_check *made = calloc(1, sizeof *made);

	if (!made) {
		(void)gow_fail_memory(error, sizeof *made);
		return NULL;
	}
	made->monitor = monitor;
	made->lock = &made->own_lock;
	return made;
}

/* Judges what has been opened; closes the check where that fails. */
static int judge(gow_check *made, gow_check **check, gow_error *error)
{
	int code = gow_journal_begin(made->file, made->rows, made->row_count, &made->unchecked,
	                             error);

	if (!code)
		code = gow_judge(&made->unchecked, &made->verdict, error);
	if (code) {
		gow_check_close(made);
		return code;
	}
	gow_header_warn_rounded(made->file, made->unchecked.header.layout, made->monitor);
	gow_check_list_findings(made);
	*check = made;
	return GOW_OK;
}

int gow_check_open(const char *path, const gow_open_options *options, gow_check **check,
                   gow_error *error)
{
	gow_open_options use = { .struct_size = sizeof use };
	gow_check *made;
	int code = gow_take_options(options, &use, sizeof use,
	                            GOW_OPEN_WRITE | GOW_OPEN_STEADY | GOW_OPEN_SALVAGE, error);

	if (code)
		return code;
	if (use.flags & (GOW_OPEN_WRITE | GOW_OPEN_SALVAGE))
		return gow_fail(error, GOW_ERR_ARGUMENT, "checking changes nothing");
	made = new_check(use.common.monitor, error);
	if (!made)
		return GOW_ERR_MEMORY;
	made->common = use.common;
	made->common.layout = NULL; /* which is the caller's */
	code = gow_open_locked(path, 0, &use, &made->file, made->lock, error);
	if (!code)
		code = gow_layouts_load_for(&use.common, made->file, gow_infer_find_layout,
		                            &made->layouts, error);
	if (code) {
		gow_check_close(made);
		return code;
	}
	made->rows = gow_layouts_rows(made->layouts, &made->row_count);
	return judge(made, check, error);
}

int gow_check_of_file(struct gow_file *file, struct gow_lock *lock, const struct gow_layout *rows,
                      size_t row_count, const gow_monitor *monitor, gow_check **check,
                      gow_error *error)
{
	gow_check *made = new_check(monitor, error);

	if (!made)
		return GOW_ERR_MEMORY;
	made->file = file;
	made->borrowed = true;
	made->rows = rows;
	made->row_count = row_count;
	if (lock)
		made->lock = lock;
	return judge(made, check, error);
}

void gow_check_close(gow_check *check)
{
	if (!check)
		return;
	gow_unchecked_release(&check->unchecked);
	if (!check->borrowed)
		(void)gow_file_close(check->file, NULL);
	gow_layouts_free(check->layouts);
	free(check->contents);
	free(check->unreadable);
	free(check->mismatched);
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

gow_place gow_check_place(const gow_check *check, uint32_t logical)
{
	uint32_t physical = check->unchecked.entries[logical];
	gow_place place = { logical, GOW_NOWHERE, GOW_NOWHERE, GOW_NOWHERE };

	if (physical != GOW_UNALLOCATED) {
		place.physical = physical;
		place.offset = gow_layout_block_offset(check->unchecked.header.layout, physical);
	}
	return place;
}

/* The blocks of a bitmap, which is NULL where nobody looked for any. */
static void visit_blocks(const gow_check *check, const uint64_t *blocks, struct place_walk *walk)
{
	const uint32_t count = blocks ? check->unchecked.header.layout->map_entries : 0;

	for (uint32_t i = 0; i < count && !walk->refused; i++)
		if (gow_get_bit(blocks, i)) {
			gow_place place = gow_check_place(check, i);

			(void)visit_place(walk, walk->id, &place, 1);
		}
}

int gow_check_each_place(gow_check *check, gow_problem_id id, gow_place_visitor visit,
                         void *context, gow_error *error)
{
	struct place_walk walk = { .id = id, .visit = visit, .context = context };
	int code = GOW_OK;

	if (id == GOW_DATA_UNREADABLE)
		visit_blocks(check, check->unreadable, &walk);
	else if (id == GOW_DATA_MISMATCH)
		visit_blocks(check, check->mismatched, &walk);
	else {
		code = gow_unchecked_need_entries(&check->unchecked, error);
		if (!code)
			code = gow_validate(&check->unchecked, visit_place, &walk, NULL, error);
	}
	if (walk.refused)
		return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	return code;
}

/* ---- information ------------------------------------------------------------------------- */

/* The share of neighbours, both allocated, that are not neighbours in the file. */
static int fragmentation(gow_check *check, double *share, gow_error *error)
{
	struct gow_neighbours neighbours = check->verdict.tally.neighbours;
	int code = GOW_OK;

	if (!check->verdict.tally.walked) {
		code = gow_unchecked_need_entries(&check->unchecked, error);
		if (code)
			return code;
		gow_count_neighbours(check->unchecked.entries,
		                     check->unchecked.header.layout->map_entries, &neighbours);
	}
	*share = neighbours.pairs ? (double)neighbours.apart / neighbours.pairs : 0;
	return code;
}

enum { VERSION_CHUNK = 16384 };

static int highest_version(const gow_check *check, uint32_t *highest, gow_error *error)
{
	const struct gow_layout *layout = check->unchecked.header.layout;
	uint32_t versions[VERSION_CHUNK];

	*highest = check->verdict.tally.highest_version;
	if (check->verdict.tally.walked) /* the validator read them all */
		return GOW_OK;
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
	const struct gow_header *header = &check->unchecked.header;
	gow_info found;

	gow_lock_compare(check->lock);
	found = (gow_info){
		.struct_size = sizeof found,
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
		.map_readable = !header->truncated,
		.pending = check->unchecked.pending.kind == GOW_PENDING_NONE
		                   ? NULL
		                   : check->unchecked.pending.what,
		.in_use = check->lock->in_use,
		.foreign = !gow_layout_is_reference(header->layout),
	};

	int code = gow_check_result(info, error);

	memcpy(found.layout, header->layout->name, sizeof found.layout);
	if (!code && found.map_readable) {
		code = fragmentation(check, &found.fragmentation, error);
		if (!code && found.has_versions)
			code = highest_version(check, &found.highest_version, error);
	}
	if (!code)
		gow_give_result(info, &found, sizeof found);
	return code;
}
