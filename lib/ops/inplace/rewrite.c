/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/rewrite.h"

#include <stdlib.h>

#include "image/builder.h"
#include "image/image.h"
#include "io/draft.h"
#include "journal/open.h"
#include "ops/infer/infer.h"
#include "ops/inplace/proof.h"
#include "ops/inplace/zeros.h"

/* Neighbours that are copied at once, between two safe points: 16 MiB. */
enum { RUN_BLOCKS = 256 };

struct rewrite {
	const gow_compact_options *options;
	gow_image *image;
	const struct gow_map *map;
	struct gow_block_set zeros;
	uint32_t kept;
	struct gow_draft *draft;
	struct gow_builder *builder;
	struct gow_proof proof;
};

static bool is_kept(const struct rewrite *rewrite, uint32_t logical)
{
	return rewrite->map->entries[logical] != GOW_UNALLOCATED &&
	       !gow_block_set_has(&rewrite->zeros, logical);
}

/* How many neighbours, for the guest and in the file, follow that are all kept. */
static uint32_t kept_run(const struct rewrite *rewrite, uint32_t logical, uint32_t most)
{
	const uint32_t *entries = rewrite->map->entries + logical;
	uint32_t run = 1;

	while (run < most && is_kept(rewrite, logical + run) && entries[run] == entries[0] + run)
		run++;
	return run;
}

/* What lies past the end of the disk in its last block is nobody's, and not carried over. */
static int append_last(struct rewrite *rewrite, uint32_t logical, size_t size, gow_error *error)
{
	uint8_t buffer[GOW_BLOCK_SIZE];
	int code = gow_image_read(rewrite->image, (uint64_t)logical * GOW_BLOCK_SIZE, buffer, size,
	                          error);

	return code ? code : gow_builder_append(rewrite->builder, logical, buffer, size, error);
}

static int append_blocks(struct rewrite *rewrite, uint32_t whole, gow_error *error)
{
	const struct gow_map *map = rewrite->map;
	uint32_t done = 0;
	int code = GOW_OK;

	for (uint32_t at = 0; at < whole && !code;) {
		uint32_t run;

		if (!is_kept(rewrite, at)) {
			at++;
			continue;
		}
		run = kept_run(rewrite, at, (uint32_t)gow_min(RUN_BLOCKS, whole - at));
		code = gow_safe_point(rewrite->options->common.monitor, "copy",
		                      (uint64_t)done * GOW_BLOCK_SIZE,
		                      (uint64_t)rewrite->kept * GOW_BLOCK_SIZE,
		                      gow_image_lock(rewrite->image), error);
		if (!code)
			code = gow_builder_append_from(
				rewrite->builder, at, gow_image_file(rewrite->image),
				gow_layout_block_offset(map->layout, map->entries[at]), run, error);
		done += run;
		at += run;
	}
	return code;
}

static int build(struct rewrite *rewrite, gow_error *error)
{
	const struct gow_map *map = rewrite->map;
	const uint32_t whole = (uint32_t)(map->logical_size / GOW_BLOCK_SIZE);
	const size_t rest = map->logical_size % GOW_BLOCK_SIZE;
	int code = gow_builder_new(gow_draft_file(rewrite->draft), map->layout, &rewrite->builder,
	                           error);

	if (!code)
		code = append_blocks(rewrite, whole, error);
	if (!code && rest && is_kept(rewrite, whole))
		code = append_last(rewrite, whole, rest, error);
	return code ? code
	            : gow_builder_finish(rewrite->builder, map->logical_size, map->versions, error);
}

/* Where the new file shares the blocks with the old one they take no room. Tried with a file that has
 * no name. */
static bool shares_blocks(const struct rewrite *rewrite)
{
	struct gow_file *file;
	bool shares;

	if (gow_file_unnamed(rewrite->options->output, &file, NULL))
		return false;
	shares = gow_file_would_share(file, gow_image_file(rewrite->image),
	                              gow_layout_data_start(rewrite->map->layout));
	(void)gow_file_close(file, NULL);
	return shares;
}

static int check_room(const struct rewrite *rewrite, gow_error *error)
{
	const char *output = rewrite->options->output;
	const uint64_t header = gow_builder_header_bytes(rewrite->map->layout,
	                                                 rewrite->map->versions);
	int code = gow_check_room_for(output, header + (uint64_t)rewrite->kept * GOW_BLOCK_SIZE,
	                              error);

	return code == GOW_ERR_NO_SPACE && shares_blocks(rewrite)
	               ? gow_check_room_for(output, header, error)
	               : code;
}

static int make_draft(struct rewrite *rewrite, gow_error *error)
{
	const gow_compact_options *options = rewrite->options;
	const struct gow_draft_options draft_options = {
		.common = options->common,
		.like = gow_image_file(rewrite->image),
	};
	int code = check_room(rewrite, error);

	if (code || options->common.flags & GOW_COMMON_DRY_RUN)
		return code;
	return gow_draft_begin(options->output, &draft_options, &rewrite->draft, error);
}

static int open_source(struct rewrite *rewrite, const char *path, gow_error *error)
{
	const gow_compact_options *options = rewrite->options;
	const gow_open_options open_options = {
		.struct_size = sizeof open_options,
		.common = options->common,
	};
	const struct gow_image_policy policy = { .numbers = GOW_NUMBERS_ALL,
		                                 .find_layout = gow_infer_find_layout };
	int code = gow_image_open_policy(path, &open_options, &policy, &rewrite->image, error);

	if (code)
		return code;
	rewrite->map = gow_image_map(rewrite->image);
	rewrite->proof = (struct gow_proof){
		.wanted = options->common.flags & GOW_COMMON_DIGEST,
		.file = gow_image_file(rewrite->image),
		.lock = gow_image_lock(rewrite->image),
		.rows = rewrite->map->layout,
		.row_count = 1,
		.monitor = options->common.monitor,
	};
	code = gow_block_set_new(rewrite->map->logical_blocks, &rewrite->zeros, error);
	if (!code && !(options->flags & GOW_COMPACT_KEEP_ZEROS))
		code = gow_find_zeros(gow_image_file(rewrite->image), rewrite->map,
		                      gow_image_lock(rewrite->image), options->common.monitor,
		                      &rewrite->zeros, error);
	for (uint32_t i = 0; i < rewrite->map->logical_blocks && !code; i++)
		rewrite->kept += is_kept(rewrite, i);
	return code;
}

/* Of the new file, which gets its name only when it holds the same disk. */
static int prove(struct rewrite *rewrite, gow_error *error)
{
	struct gow_file *file = rewrite->draft ? gow_draft_file(rewrite->draft) : NULL;
	int code = file && rewrite->proof.wanted ? gow_file_sync(file, error) : GOW_OK;

	if (!code)
		code = gow_proof_end(&rewrite->proof, file, error);
	return code ? code : gow_proof_compare(&rewrite->proof, error);
}

/* Of the blocks; what the last one lacks at the end of the file, or of the disk, is not. */
static uint64_t copied_bytes(const struct rewrite *rewrite)
{
	const struct gow_map *map = rewrite->map;
	const uint32_t whole = (uint32_t)(map->logical_size / GOW_BLOCK_SIZE);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < map->logical_blocks; i++) {
		if (!is_kept(rewrite, i))
			continue;
		bytes += i == whole
		                 ? map->logical_size % GOW_BLOCK_SIZE
		                 : gow_min(GOW_BLOCK_SIZE,
		                           map->file_size - gow_layout_block_offset(
								    map->layout, map->entries[i]));
	}
	return bytes;
}

static void report(const struct rewrite *rewrite, gow_compact_result *result)
{
	const struct gow_map *map = rewrite->map;
	const uint32_t present = gow_present_blocks(map->layout, map->file_size);
	const uint64_t size = gow_image_file_size(map->layout, rewrite->kept);

	*result = (gow_compact_result){
		.leaked_blocks = present - rewrite->kept - rewrite->zeros.count,
		.zero_blocks = rewrite->zeros.count,
		.moved_blocks = rewrite->kept,
		.written_bytes = copied_bytes(rewrite) +
		                 gow_builder_header_bytes(map->layout, map->versions),
		.extra_bytes = size,
		.old_file_size = map->file_size,
		.new_file_size = size,
		.digests = rewrite->proof.digests,
		.in_use = gow_image_lock(rewrite->image)->in_use,
	};
}

int gow_rewrite(const char *path, const gow_compact_options *options, gow_compact_result *result,
                gow_error *error)
{
	struct rewrite rewrite = { .options = options };
	int code = gow_draft_check(options->output, false, error);

	if (!code)
		code = open_source(&rewrite, path, error);
	if (!code)
		code = gow_proof_begin(&rewrite.proof, error);
	if (!code)
		code = make_draft(&rewrite, error);
	if (!code && rewrite.draft)
		code = build(&rewrite, error);
	if (!code)
		code = prove(&rewrite, error);
	if (!code && rewrite.draft) {
		struct gow_draft *draft = rewrite.draft;

		rewrite.draft = NULL;
		code = gow_draft_publish(draft, error);
	}
	if (!code)
		report(&rewrite, result);
	gow_draft_discard(rewrite.draft);
	gow_builder_free(rewrite.builder);
	gow_block_set_release(&rewrite.zeros);
	gow_image_close(rewrite.image);
	return code;
}
