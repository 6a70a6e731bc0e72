/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/error.h"
#include "journal/layout_record.h"
#include "ops/inplace/upgrade_steps.h"

static bool fields_agree(struct gow_field a, struct gow_field b)
{
	return a.offset == b.offset && a.width == b.width;
}

static bool magics_agree(const struct gow_layout *a, const struct gow_layout *b)
{
	return a->magic_offset == b->magic_offset &&
	       memcmp(a->magic, b->magic, GOW_MAGIC_SIZE) == 0 &&
	       memcmp(a->magic_pending, b->magic_pending, GOW_MAGIC_SIZE) == 0;
}

static bool preambles_agree(const struct gow_layout *a, const struct gow_layout *b)
{
	return a->order == b->order && magics_agree(a, b) &&
	       fields_agree(a->version_field, b->version_field) &&
	       fields_agree(a->logical_size, b->logical_size) &&
	       gow_layout_size_unit(a) == gow_layout_size_unit(b) &&
	       a->fixed_size == b->fixed_size && fields_agree(a->block_count, b->block_count);
}

/* Why an image of one layout cannot become one of the other in place; NULL where it can. */
static const char *why_not(const struct gow_layout *from, const struct gow_layout *to,
                           uint64_t logical_size)
{
	const uint64_t start = gow_layout_data_start(from), new_start = gow_layout_data_start(to);
	const uint32_t sector = 512;

	if (gow_layout_why_no_mark(from))
		return gow_layout_why_no_mark(from);
	if (!gow_layout_has_mark(to) || to->per_logical_block ||
	    gow_layout_preamble_end(to) > sector)
		return "the new layout is not for changes in place";
	if (!preambles_agree(from, to))
		return "magic, version, size and count are not in the same places in both layouts, and "
		       "the image has to be readable by either while it lasts";
	if (from->map_entries > to->map_entries || logical_size > to->logical_limit)
		return "the map, or the disk, is larger than the new layout holds";
	if (start > new_start || new_start - start == 1)
		return "the blocks would have to move towards the start of the file, or by one byte";
	return NULL;
}

/*
 * While an upgrade lasts the preamble must be readable by either layout, and is written in one
 * sector. And everything that the old layout holds must have its place in the new one. Data moves
 * by two bytes or more: two chunks fit into the distance.
 */
static int check_layouts(const struct gow_layout *from, const struct gow_layout *to,
                         uint64_t logical_size, gow_error *error)
{
	const char *why = why_not(from, to, logical_size);

	if (!why)
		return GOW_OK;
	return gow_fail(
		error, GOW_ERR_UNSUPPORTED,
		"cannot become %s in place: %s; write a new image with -o, or with gow-convert "
		"--layout",
		to->name, why);
}

uint64_t gow_upgrade_slots_taken(const struct gow_layout *from, const struct gow_layout *to)
{
	uint64_t growth = gow_layout_data_start(to) - gow_layout_data_start(from);

	return growth % GOW_BLOCK_SIZE ? 0 : growth / GOW_BLOCK_SIZE;
}

/* What moves: where the header grows by whole blocks the slots that it takes, to the end; where
 * it does not, everything, up. */
static void plan_move(const struct gow_layout *from, const struct gow_layout *to,
                      struct gow_trailer *trailer)
{
	const uint64_t present = trailer->present_blocks;
	const uint64_t slots = gow_upgrade_slots_taken(from, to);

	trailer->move_from = gow_layout_data_start(from);
	if (slots) {
		trailer->move_to = gow_layout_block_offset(from, gow_max(present, slots));
		trailer->move_length = gow_min(present, slots) * GOW_BLOCK_SIZE;
	} else {
		trailer->move_to = gow_layout_data_start(to);
		trailer->move_length = trailer->move_to == trailer->move_from
		                               ? 0
		                               : present * GOW_BLOCK_SIZE;
	}
	trailer->unmoved = trailer->move_length;
}

int gow_upgrade_plan(struct gow_upgrade *upgrade, const struct gow_header *header, gow_error *error)
{
	const struct gow_layout *from = upgrade->from, *to = upgrade->to;
	struct gow_trailer *trailer = &upgrade->trailer;
	int code = check_layouts(from, to, header->logical_size, error);

	if (code)
		return code;
	*trailer = (struct gow_trailer){
		.format = GOW_TRAILER_FORMAT,
		.from = *from,
		.to = *to,
		.present_blocks = header->present_blocks,
		.original_size = header->file_size,
		.final_size = gow_layout_block_offset(to, header->present_blocks),
		.header_size = gow_min(gow_layout_data_start(from), header->file_size),
		.new_header_size = gow_layout_data_start(to),
	};
	if (header->file_size > gow_layout_block_offset(from, header->present_blocks))
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "is longer than entries can reach; cut it with gow-compact first");
	trailer->offset = gow_trailer_place(trailer->final_size);
	plan_move(from, to, trailer);
	return GOW_OK;
}

/* ---- from a record ----------------------------------------------------------------------- */

/* The layout by which the image was or will be, as the record has it: a known one where it is the
 * same. A record of the old format names it by its version. */
static const struct gow_layout *layout_of(const struct gow_upgrade *upgrade,
                                          const struct gow_layout *recorded)
{
	const struct gow_upgrade_job *job = upgrade->job;

	if (upgrade->trailer.format == GOW_TRAILER_OLD_FORMAT)
		return gow_layout_among(job->rows, job->row_count, recorded->version);
	for (size_t i = 0; i < job->row_count; i++)
		if (gow_layouts_are_same(&job->rows[i], recorded))
			return &job->rows[i];
	return recorded;
}

static bool moves_agree(const struct gow_trailer *trailer, const struct gow_layout *from,
                        const struct gow_layout *to)
{
	struct gow_trailer planned = *trailer;

	plan_move(from, to, &planned);
	return planned.move_from == trailer->move_from && planned.move_to == trailer->move_to &&
	       planned.move_length == trailer->move_length;
}

/* What was added to the file since is cut off in the end: it must be worth nothing. */
static int check_rest(const struct gow_upgrade *upgrade, gow_error *error)
{
	struct gow_file *file = upgrade->job->file;
	uint64_t at = gow_trailer_end(&upgrade->trailer), size;
	uint8_t bytes[4096];
	int code = gow_file_size(file, &size, error);

	for (; at < size && !code; at += sizeof bytes) {
		size_t part = (size_t)gow_min(sizeof bytes, size - at);

		code = gow_file_read_all(file, at, bytes, part, error);
		for (size_t i = 0; i < part && !code; i++)
			if (bytes[i])
				return gow_fail(
					error, GOW_ERR_CORRUPT,
					"has data behind the record of its upgrade, at byte "
					"%llu; if nobody needs it, cut the file to %llu "
					"bytes and run gow-upgrade again",
					(unsigned long long)(at + i),
					(unsigned long long)gow_trailer_end(&upgrade->trailer));
	}
	return code;
}

int gow_upgrade_take_record(struct gow_upgrade *upgrade, gow_error *error)
{
	const struct gow_trailer *trailer = &upgrade->trailer;
	const struct gow_layout *from = layout_of(upgrade, &trailer->from);
	const struct gow_layout *to = layout_of(upgrade, &trailer->to);
	int code;

	if (!from || !to || !gow_trailer_agrees(trailer, from, to) ||
	    !moves_agree(trailer, from, to))
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "the record of its upgrade is of layouts that are not known here");
	upgrade->from = from;
	upgrade->to = to;
	code = check_layouts(from, to, 0, error);
	return code ? code : check_rest(upgrade, error);
}
