/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/readback.h"
#include "ops/inplace/upgrade_steps.h"

enum { PART = 16384 }; /* entries that are written and compared at once */

/* ---- what it is made from ---------------------------------------------------------------- */

void gow_upgrade_free_tables(struct gow_upgrade *upgrade)
{
	free(upgrade->old_header);
	free(upgrade->entries);
	free(upgrade->versions);
}

/* What is written anew must be what the disk has. The record's copy was read at another time. */
int gow_upgrade_check_old_header(const struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;
	struct gow_hash hash;

	gow_hash_bytes(upgrade->old_header, (size_t)trailer->header_size, &hash);
	return memcmp(hash.bytes, trailer->header_hash, sizeof hash.bytes) == 0
	               ? GOW_OK
	               : gow_fail_read_again(upgrade->job->file, 0, error);
}

/* The old header, from the trailer; before that is written, from where it is. */
static int load_old_header(struct gow_upgrade *upgrade, gow_error *error)
{
	/* A file that ends early has a shorter one, and zeros from there on. */
	const size_t room = (size_t)gow_layout_data_start(upgrade->from);
	int code;

	if (upgrade->old_header)
		return GOW_OK;
	upgrade->old_header = calloc(1, room);
	if (!upgrade->old_header)
		return gow_fail_memory(error, room);
	code = gow_file_read_all(upgrade->job->file, upgrade->begun ? upgrade->trailer.offset : 0,
	                         upgrade->old_header, (size_t)upgrade->trailer.header_size, error);
	return code || !upgrade->begun ? code : gow_upgrade_check_old_header(upgrade, error);
}

/* An old entry's number in the new layout. */
static uint32_t translate(const struct gow_upgrade *upgrade, uint64_t slots, uint32_t entry)
{
	uint64_t present = upgrade->trailer.present_blocks;

	if (entry == GOW_UNALLOCATED)
		return entry;
	return (uint32_t)(entry < slots ? gow_max(present, slots) + entry - slots : entry - slots);
}

static void fill_entries(struct gow_upgrade *upgrade)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	const uint64_t slots = gow_upgrade_slots_taken(from, to);
	uint32_t *entries = upgrade->entries;

	gow_layout_decode_entries(from, upgrade->old_header + from->map_offset, entries,
	                          from->map_entries);
	for (uint32_t i = 0; i < from->map_entries && slots; i++)
		entries[i] = translate(upgrade, slots, entries[i]);
	for (uint32_t i = from->map_entries; i < to->map_entries; i++)
		entries[i] = GOW_UNALLOCATED;
}

/* Kept where the old layout has numbers; otherwise every block begins with 1. */
static void fill_versions(struct gow_upgrade *upgrade)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	uint32_t *versions = upgrade->versions;

	for (uint32_t i = 0; i < to->map_entries; i++)
		versions[i] = upgrade->entries[i] != GOW_UNALLOCATED;
	if (gow_layout_has_versions(from))
		gow_layout_decode_versions(from, upgrade->old_header + from->versions_offset,
		                           versions, from->map_entries);
}

static int make_tables(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	int code = load_old_header(upgrade, error);

	if (code || upgrade->entries)
		return code;
	code = gow_alloc_table(to->map_entries, &upgrade->entries, error);
	if (code)
		return code;
	fill_entries(upgrade);
	if (!gow_layout_has_versions(to))
		return GOW_OK;
	code = gow_alloc_table(to->map_entries, &upgrade->versions, error);
	if (!code)
		fill_versions(upgrade);
	return code;
}

/* ---- writing the new one ----------------------------------------------------------------- */

static int write_entries(struct gow_upgrade *upgrade, uint32_t first, uint32_t count,
                         gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	int code = gow_pen_mark(&upgrade->pen, gow_layout_entry_offset(to, first),
	                        (uint64_t)(count - 1) * to->map_stride + sizeof(uint32_t), error);

	return code || !gow_upgrade_writes(upgrade)
	               ? code
	               : gow_header_write_entries(upgrade->job->file, to, first, count,
	                                          upgrade->entries + first, error);
}

static bool are_zeros(const struct gow_upgrade *upgrade, uint32_t first, uint32_t count)
{
	return gow_is_zero(upgrade->versions + first, count * sizeof *upgrade->versions);
}

/* One hole for all parts from first on that are zeros; those before it belong to one already. */
static int clear_versions(struct gow_upgrade *upgrade, uint32_t first, gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	const uint64_t offset = gow_layout_version_offset(to, first);
	uint32_t end = first;

	if (first && are_zeros(upgrade, first - PART, PART))
		return GOW_OK;
	while (end < to->map_entries &&
	       are_zeros(upgrade, end, (uint32_t)gow_min(PART, to->map_entries - end)))
		end += (uint32_t)gow_min(PART, to->map_entries - end);
	return gow_pen_clear(&upgrade->pen, offset, gow_layout_version_offset(to, end) - offset,
	                     error);
}

/* In arrays of their own, numbers that are all zero become a hole. */
static int write_versions(struct gow_upgrade *upgrade, uint32_t first, uint32_t count,
                          gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	const uint32_t *versions = upgrade->versions + first;
	uint64_t offset = gow_layout_version_offset(to, first);
	uint64_t size = (uint64_t)(count - 1) * to->versions_stride + sizeof *versions;
	int code;

	if (to->versions_stride == sizeof *versions && are_zeros(upgrade, first, count))
		return clear_versions(upgrade, first, error);
	code = gow_pen_mark(&upgrade->pen, offset, size, error);
	return code || !gow_upgrade_writes(upgrade)
	               ? code
	               : gow_header_write_versions(upgrade->job->file, to, first, count, versions,
	                                           error);
}

/* The preamble of the target, pending. */
static struct gow_header new_preamble(const struct gow_upgrade *upgrade)
{
	const struct gow_layout *from = upgrade->from;
	const struct gow_field size = from->logical_size;

	return (struct gow_header){
		.layout = upgrade->to,
		.pending = true,
		.logical_size = size.width ? gow_load(upgrade->old_header + size.offset, size.width,
		                                      from->order) *
		                                     gow_layout_size_unit(from)
		                           : from->fixed_size,
		/* Whatever it was: every present block is handed out, and none besides. */
		.block_count = upgrade->trailer.present_blocks,
	};
}

static int write_preamble(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_header header = new_preamble(upgrade);
	int code = gow_pen_mark(&upgrade->pen, 0, gow_layout_preamble_end(upgrade->to), error);

	return code || !gow_upgrade_writes(upgrade)
	               ? code
	               : gow_header_write(upgrade->job->file, &header, error);
}

/* Calls for all parts of a table. */
typedef int (*part_taker)(struct gow_upgrade *upgrade, uint32_t first, uint32_t count,
                          gow_error *error);

static int each_part(struct gow_upgrade *upgrade, part_taker take, gow_error *error)
{
	const uint32_t entries = upgrade->to->map_entries;
	int code = GOW_OK;

	for (uint32_t at = 0; at < entries && !code; at += PART)
		code = take(upgrade, at, (uint32_t)gow_min(PART, entries - at), error);
	return code;
}

static int write_new_header(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *to = upgrade->to;
	uint64_t end = gow_layout_header_end(to);
	int code = make_tables(upgrade, error);

	if (!code)
		code = each_part(upgrade, write_entries, error);
	if (!code && upgrade->versions)
		code = each_part(upgrade, write_versions, error);
	if (!code)
		code = gow_pen_clear(&upgrade->pen, end, gow_layout_data_start(to) - end, error);
	return code ? code : write_preamble(upgrade, error);
}

/* ---- reading it back --------------------------------------------------------------------- */

typedef int (*number_reader)(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                             uint32_t count, uint32_t *numbers, gow_error *error);

static int compare_numbers(struct gow_upgrade *upgrade, number_reader read, uint32_t first,
                           uint32_t count, const uint32_t *meant, uint64_t offset, gow_error *error)
{
	uint32_t found[PART];
	int code = read(upgrade->job->file, upgrade->to, first, count, found, error);

	if (!code && memcmp(found, meant + first, count * sizeof *found) != 0)
		code = gow_fail_read_back(upgrade->job->file, offset, error);
	return code;
}

static int compare_entries(struct gow_upgrade *upgrade, uint32_t first, uint32_t count,
                           gow_error *error)
{
	return compare_numbers(upgrade, gow_header_read_entries, first, count, upgrade->entries,
	                       gow_layout_entry_offset(upgrade->to, first), error);
}

static int compare_versions(struct gow_upgrade *upgrade, uint32_t first, uint32_t count,
                            gow_error *error)
{
	return compare_numbers(upgrade, gow_header_read_versions, first, count, upgrade->versions,
	                       gow_layout_version_offset(upgrade->to, first), error);
}

static int compare_padding(struct gow_upgrade *upgrade, gow_error *error)
{
	static const uint8_t zeros[4096];
	const uint64_t end = gow_layout_data_start(upgrade->to);
	int code = GOW_OK;

	for (uint64_t at = gow_layout_header_end(upgrade->to); at < end && !code;
	     at += sizeof zeros)
		code = gow_file_compare(upgrade->job->file, at, zeros,
		                        (size_t)gow_min(sizeof zeros, end - at), error);
	return code;
}

static int compare_preamble(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_header meant = new_preamble(upgrade);
	struct gow_header found;

	if (gow_header_read(upgrade->job->file, upgrade->to, 1, &found, NULL) || !found.pending ||
	    found.logical_size != meant.logical_size || found.block_count != meant.block_count)
		return gow_fail_read_back(upgrade->job->file, 0, error);
	return GOW_OK;
}

static int compare_new_header(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = compare_preamble(upgrade, error);

	if (!code)
		code = each_part(upgrade, compare_entries, error);
	if (!code && upgrade->versions)
		code = each_part(upgrade, compare_versions, error);
	return code ? code : compare_padding(upgrade, error);
}

/* ---- the old one ------------------------------------------------------------------------- */

static int write_old_header(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_layout *from = upgrade->from;
	const uint64_t size = upgrade->trailer.header_size;
	int code = load_old_header(upgrade, error);

	if (code)
		return code;
	memcpy(upgrade->old_header + from->magic_offset, from->magic_pending, GOW_MAGIC_SIZE);
	for (uint64_t at = 0; at < size && !code; at += GOW_BLOCK_SIZE)
		code = gow_pen_write(&upgrade->pen, at, upgrade->old_header + at,
		                     (size_t)gow_min(GOW_BLOCK_SIZE, size - at), error);
	return code;
}

int gow_upgrade_write_header(struct gow_upgrade *upgrade, gow_error *error)
{
	int code = upgrade->back ? write_old_header(upgrade, error)
	                         : write_new_header(upgrade, error);

	if (code || !gow_upgrade_writes(upgrade))
		return code;
	code = gow_file_settle(upgrade->job->file, error);
	if (code)
		return code;
	return upgrade->back ? gow_file_compare(upgrade->job->file, 0, upgrade->old_header,
	                                        (size_t)upgrade->trailer.header_size, error)
	                     : compare_new_header(upgrade, error);
}
