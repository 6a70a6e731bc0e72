/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/repair/assume.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/validate.h"

/* What is counted in a file that is read by one layout. */
struct evidence {
	bool long_enough;  /* the header is there */
	bool whole_blocks; /* the file ends where a block does */
	uint32_t allocated;
	uint32_t in_range; /* of those, how many name a block in the file */
	uint32_t distinct; /* and how many blocks they name */
	uint32_t present;
	uint32_t versioned; /* allocated ones that have a version number other than 0 */
	double score;       /* 0 to 1 */
};

/* As many of the allocated entries must make sense, for the map to be called healthy. */
static const double enough = 0.9;

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 1;
}

static int count_versions(const struct gow_unchecked *unchecked, struct evidence *found,
                          gow_error *error)
{
	enum { PART = 8192 };
	const struct gow_layout *layout = unchecked->header.layout;
	uint32_t versions[PART];

	for (uint32_t at = 0; at < layout->map_entries; at += PART) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, PART);
		int code = gow_header_read_versions(unchecked->file, layout, at, count, versions,
		                                    error);

		if (code)
			return code;
		for (uint32_t i = 0; i < count; i++)
			found->versioned += unchecked->entries[at + i] != GOW_UNALLOCATED &&
			                    versions[i];
	}
	return GOW_OK;
}

static int count_entries(const struct gow_unchecked *unchecked, struct evidence *found,
                         gow_error *error)
{
	const struct gow_header *header = &unchecked->header;
	/* Entries that name blocks further out than that are counted as if they did not. */
	uint32_t most = (uint32_t)gow_min(header->present_blocks,
	                                  UINT64_C(2) * header->layout->map_entries);
	uint8_t *named = calloc((size_t)most / 8 + 1, 1);

	if (!named)
		return gow_fail_memory(error, (size_t)most / 8 + 1);
	found->present = header->present_blocks;
	for (uint32_t i = 0; i < header->layout->map_entries; i++) {
		uint32_t entry = unchecked->entries[i];

		found->allocated += entry != GOW_UNALLOCATED;
		if (entry >= most)
			continue;
		found->in_range++;
		found->distinct += !(named[entry / 8] >> entry % 8 & 1);
		named[entry / 8] = (uint8_t)(named[entry / 8] | 1u << entry % 8);
	}
	free(named);
	return gow_layout_has_versions(header->layout) ? count_versions(unchecked, found, error)
	                                               : GOW_OK;
}

static double score_of(const struct evidence *found, const struct gow_layout *layout)
{
	double score = share(found->in_range, found->allocated) *
	               share(found->distinct, found->allocated) *
	               share((uint64_t)found->distinct + 1, (uint64_t)found->present + 1);

	if (gow_layout_has_versions(layout))
		score *= share(found->versioned, found->allocated);
	return found->whole_blocks ? score : score * enough;
}

static int gather(struct gow_file *file, const struct gow_layout *layout, struct evidence *found,
                  gow_error *error)
{
	struct gow_unchecked unchecked;
	int code = gow_unchecked_load_as(file, layout, &unchecked, error);
	uint64_t data_start = gow_layout_data_start(layout);

	if (code)
		return code;
	*found = (struct evidence){ .long_enough = !unchecked.header.truncated };
	if (found->long_enough) {
		found->whole_blocks = unchecked.header.file_size <= data_start ||
		                      (unchecked.header.file_size - data_start) % GOW_BLOCK_SIZE ==
		                              0;
		code = count_entries(&unchecked, found, error);
		found->score = score_of(found, layout);
	}
	gow_unchecked_release(&unchecked);
	return code;
}

static bool agrees(const struct evidence *found, const struct gow_layout *layout)
{
	if (!found->allocated) /* nothing but the length speaks */
		return found->long_enough && found->score > 0.5;
	return found->long_enough && share(found->in_range, found->allocated) >= enough &&
	       share(found->distinct, found->allocated) >= enough &&
	       (!gow_layout_has_versions(layout) ||
	        share(found->versioned, found->allocated) >= enough);
}

static void describe(const struct evidence *found, const struct gow_layout *layout, char *text,
                     size_t size)
{
	int used;

	if (!found->long_enough) {
		(void)snprintf(text, size, "the file is shorter than the header of %s",
		               layout->name);
		return;
	}
	used = snprintf(text, size,
	                "as %s, of %u allocated entries %u name a block in the file, %u different "
	                "ones of %u; the file ends %s",
	                layout->name, found->allocated, found->in_range, found->distinct,
	                found->present, found->whole_blocks ? "with a block" : "inside a block");
	if (gow_layout_has_versions(layout) && used > 0 && (size_t)used < size)
		(void)snprintf(text + used, size - (size_t)used, "; %u have a version number",
		               found->versioned);
}

int gow_assume_weigh(struct gow_file *file, const struct gow_layout *layout,
                     const struct gow_layout *rows, size_t row_count, char *text, size_t size,
                     gow_error *error)
{
	struct evidence ours, other;
	int code = gather(file, layout, &ours, error);

	if (code)
		return code;
	describe(&ours, layout, text, size);
	if (!agrees(&ours, layout))
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_MISMATCH,
		                                 "does not look like version %u: %s",
		                                 layout->version, text),
		                        file->name);
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].version == layout->version)
			continue;
		code = gather(file, &rows[i], &other, error);
		if (code)
			return code;
		if (agrees(&other, &rows[i]) && other.score >= ours.score)
			return gow_fail_in_file(
				error,
				gow_fail(error, GOW_ERR_MISMATCH,
			                 "looks more like version %u than version %u: %s",
			                 rows[i].version, layout->version, text),
				file->name);
	}
	return GOW_OK;
}
