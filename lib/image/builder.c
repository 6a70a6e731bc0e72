/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/header.h"

struct gow_builder {
	struct gow_file *file;
	const struct gow_layout *layout;
	uint32_t *entries;
	uint32_t block_count;
};

int gow_builder_new(struct gow_file *file, const struct gow_layout *layout,
                    struct gow_builder **builder, gow_error *error)
{
	struct gow_builder *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	code = gow_alloc_table(layout->map_entries, &made->entries, error);
	if (code) {
		free(made);
		return code;
	}
	memset(made->entries, 0xff, layout->map_entries * sizeof *made->entries); /* unallocated */
	made->file = file;
	made->layout = layout;
	*builder = made;
	return GOW_OK;
}

void gow_builder_free(struct gow_builder *builder)
{
	if (!builder)
		return;
	free(builder->entries);
	free(builder);
}

static int check_limit(const struct gow_builder *builder, uint64_t logical, uint32_t blocks,
                       gow_error *error)
{
	if (logical + blocks <= builder->layout->map_entries)
		return GOW_OK;
	return gow_fail_at_block(
		error,
		gow_fail(error, GOW_ERR_LIMIT, "the disk is larger than %s holds (%llu bytes)",
	                 builder->layout->name, (unsigned long long)builder->layout->logical_limit),
		logical);
}

static uint64_t next_offset(const struct gow_builder *builder)
{
	return gow_layout_block_offset(builder->layout, builder->block_count);
}

static void number_blocks(struct gow_builder *builder, uint64_t logical, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		builder->entries[logical + i] = builder->block_count++;
}

int gow_builder_append(struct gow_builder *builder, uint64_t logical, const void *bytes,
                       size_t size, gow_error *error)
{
	uint32_t blocks = (uint32_t)gow_divide_up(size, GOW_BLOCK_SIZE);
	int code = check_limit(builder, logical, blocks, error);

	if (!code)
		code = gow_file_write(builder->file, next_offset(builder), bytes, size, error);
	if (!code)
		number_blocks(builder, logical, blocks);
	return code;
}

int gow_builder_append_from(struct gow_builder *builder, uint64_t logical, struct gow_file *file,
                            uint64_t offset, uint32_t blocks, gow_error *error)
{
	int code = check_limit(builder, logical, blocks, error);

	if (!code)
		code = gow_file_copy(file, offset, builder->file, next_offset(builder),
		                     (uint64_t)blocks * GOW_BLOCK_SIZE, error);
	if (!code)
		number_blocks(builder, logical, blocks);
	return code;
}

uint64_t gow_image_file_size(const struct gow_layout *layout, uint64_t blocks)
{
	return gow_layout_block_offset(layout, blocks);
}

/* Version numbers are written in parts, so that those without one other than zero stay holes. */
enum { PART = 8192 };

uint64_t gow_builder_header_bytes(const struct gow_layout *layout, const uint32_t *versions)
{
	uint64_t bytes = gow_layout_preamble_end(layout) +
	                 (layout->map_entries - UINT64_C(1)) * layout->map_stride +
	                 sizeof(uint32_t);

	for (uint32_t at = 0; at < layout->map_entries && versions; at += PART) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, PART);

		if (!gow_is_zero(versions + at, count * sizeof *versions))
			bytes += (count - UINT64_C(1)) * layout->versions_stride + sizeof *versions;
	}
	return bytes;
}

static int write_versions(const struct gow_builder *builder, const uint32_t *versions,
                          gow_error *error)
{
	const struct gow_layout *layout = builder->layout;
	int code = GOW_OK;

	for (uint32_t at = 0; at < layout->map_entries && !code; at += PART) {
		uint32_t count = (uint32_t)gow_min(layout->map_entries - at, PART);
		uint32_t ones[PART];

		for (uint32_t i = 0; i < count && !versions; i++)
			ones[i] = builder->entries[at + i] != GOW_UNALLOCATED;
		if (!gow_is_zero(versions ? versions + at : ones, count * sizeof *ones))
			code = gow_header_write_versions(builder->file, layout, at, count,
			                                 versions ? versions + at : ones, error);
	}
	return code;
}

int gow_builder_finish(struct gow_builder *builder, uint64_t logical_size, const uint32_t *versions,
                       gow_error *error)
{
	const struct gow_layout *layout = builder->layout;
	const struct gow_header header = {
		.layout = layout,
		.logical_size = logical_size,
		.block_count = builder->block_count,
	};
	/* Also makes a partial last block whole. */
	int code = gow_file_truncate(builder->file,
	                             gow_image_file_size(layout, builder->block_count), error);

	if (!code)
		code = gow_header_write_entries(builder->file, layout, 0, layout->map_entries,
		                                builder->entries, error);
	if (!code && gow_layout_has_versions(layout))
		code = write_versions(builder, versions, error);
	return code ? code : gow_header_write(builder->file, &header, error);
}
