/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/inplace/zeros.h"

#include <stdlib.h>

#include "base/block.h"
#include "base/error.h"

/* What is read of a block to see whether it is worth reading the rest. */
enum { PROBE = 4096 };

/* How often others are looked for. */
enum { SAFE_POINT_BLOCKS = 256 };

int gow_block_set_new(uint32_t blocks, struct gow_block_set *set, gow_error *error)
{
	size_t words = blocks / 64 + 1;

	set->bits = calloc(words, sizeof *set->bits);
	set->count = 0;
	return set->bits ? GOW_OK : gow_fail_memory(error, words * sizeof *set->bits);
}

void gow_block_set_release(struct gow_block_set *set)
{
	free(set->bits);
	set->bits = NULL;
}

/* Whether the first size bytes of the block at offset are zeros. */
static int is_zero_block(struct gow_file *file, uint64_t offset, size_t size, uint8_t *buffer,
                         bool *zero, gow_error *error)
{
	size_t probe = (size_t)gow_min(PROBE, size);
	int code = gow_file_read_padded(file, offset, buffer, probe, error);

	*zero = !code && gow_is_zero(buffer, probe);
	if (!*zero || probe == size)
		return code;
	code = gow_file_read_padded(file, offset + probe, buffer, size - probe, error);
	*zero = !code && gow_is_zero(buffer, size - probe);
	return code;
}

/* Among so many blocks; NULL: all. */
static int find_among(struct gow_file *file, const struct gow_map *map,
                      const struct gow_block_set *among, struct gow_lock *lock,
                      const gow_monitor *monitor, struct gow_block_set *zeros, gow_error *error)
{
	uint8_t buffer[GOW_BLOCK_SIZE];
	int code = GOW_OK;

	for (uint32_t i = 0; i < map->logical_blocks && !code; i++) {
		uint64_t start = (uint64_t)i * GOW_BLOCK_SIZE;
		bool zero = false;

		if (i % SAFE_POINT_BLOCKS == 0)
			code = gow_safe_point(monitor, "scan", start, map->logical_size, lock,
			                      error);
		if (code || map->entries[i] == GOW_UNALLOCATED ||
		    (among && !gow_block_set_has(among, i)))
			continue;
		code = is_zero_block(file, gow_layout_block_offset(map->layout, map->entries[i]),
		                     (size_t)gow_min(GOW_BLOCK_SIZE, map->logical_size - start),
		                     buffer, &zero, error);
		if (code)
			code = gow_fail_at_block(error, code, i);
		else if (zero)
			gow_block_set_add(zeros, i);
	}
	return code;
}

int gow_find_zeros(struct gow_file *file, const struct gow_map *map, struct gow_lock *lock,
                   const gow_monitor *monitor, struct gow_block_set *zeros, gow_error *error)
{
	return find_among(file, map, NULL, lock, monitor, zeros, error);
}

int gow_check_zeros(struct gow_file *file, const struct gow_map *map, struct gow_lock *lock,
                    const gow_monitor *monitor, const struct gow_block_set *zeros, gow_error *error)
{
	struct gow_block_set found;
	int code = gow_block_set_new(map->logical_blocks, &found, error);

	if (code)
		return code;
	gow_file_drop_cache(file);
	code = find_among(file, map, zeros, lock, monitor, &found, error);
	for (uint32_t i = 0; i < map->logical_blocks && !code; i++)
		if (gow_block_set_has(zeros, i) && !gow_block_set_has(&found, i))
			code = gow_fail_read_again(
				file, gow_layout_block_offset(map->layout, map->entries[i]), error);
	gow_block_set_release(&found);
	return code;
}
