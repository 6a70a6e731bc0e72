/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo.h"
#include "journal/undo_format.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/xxh.h"

void gow_undo_seal(uint8_t sector[SECTOR])
{
	gow_record_put(sector + SEAL, 8, XXH3_64bits(sector, SEAL));
}

bool gow_undo_is_sealed(const uint8_t sector[SECTOR], const uint8_t magic[8])
{
	return memcmp(sector, magic, 8) == 0 &&
	       gow_record_get(sector + SEAL, 8) == XXH3_64bits(sector, SEAL);
}

uint64_t gow_undo_header_length(const struct gow_undo *undo)
{
	return gow_min(undo->old_size, gow_layout_header_end(undo->layout));
}

uint64_t gow_undo_end_at(const struct gow_undo *undo)
{
	return gow_round_up(SECTOR + undo->records_size, SECTOR);
}

uint64_t gow_undo_done_at(const struct gow_undo *undo)
{
	return gow_undo_end_at(undo) + SECTOR;
}

uint64_t gow_undo_back_at(const struct gow_undo *undo)
{
	return gow_undo_done_at(undo) + SECTOR;
}

uint64_t gow_undo_file_end(const struct gow_undo *undo)
{
	return gow_undo_back_at(undo) + SECTOR;
}

/* ---- the layout -------------------------------------------------------------------------- */

static void hash_layout(const uint8_t head[SECTOR], uint8_t hash[GOW_UNDO_DIGEST])
{
	struct gow_hash made;

	gow_hash_bytes(head + LAYOUT_AT, LAYOUT_HASH_AT - LAYOUT_AT, &made);
	memcpy(hash, made.bytes, GOW_UNDO_DIGEST);
}

void gow_undo_put_layout(uint8_t head[SECTOR], const struct gow_layout *layout)
{
	gow_layout_record_put(head + LAYOUT_AT, layout);
	gow_record_put(head + LAYOUT_FLAGS_AT, 4,
	               layout->per_logical_block ? LAYOUT_PER_LOGICAL_BLOCK : 0);
	hash_layout(head, head + LAYOUT_HASH_AT);
}

static const struct gow_layout *known_layout(const struct gow_undo_place *place,
                                             const struct gow_layout *recorded)
{
	for (size_t i = 0; i < place->row_count; i++)
		if (place->rows[i].per_logical_block == recorded->per_logical_block &&
		    gow_layouts_are_same(&place->rows[i], recorded))
			return &place->rows[i];
	return NULL;
}

const char *gow_undo_take_layout(const struct gow_undo_place *place, const uint8_t head[SECTOR],
                                 struct gow_undo *undo)
{
	const uint64_t flags = gow_record_get(head + LAYOUT_FLAGS_AT, 8);
	uint8_t hash[GOW_UNDO_DIGEST], again[GOW_LAYOUT_RECORD_SIZE];

	hash_layout(head, hash);
	if (memcmp(hash, head + LAYOUT_HASH_AT, sizeof hash) != 0)
		return "the layout in it is damaged";
	undo->recorded = gow_layout_record_get(head + LAYOUT_AT);
	undo->recorded.per_logical_block = flags == LAYOUT_PER_LOGICAL_BLOCK;
	gow_layout_record_put(again, &undo->recorded);
	/* What is read otherwise than it was written is no description. */
	if (flags > LAYOUT_PER_LOGICAL_BLOCK ||
	    memcmp(again, head + LAYOUT_AT, sizeof again) != 0 ||
	    undo->recorded.version != gow_record_get(head + 12, 4))
		return "the layout in it makes no sense";
	undo->layout = known_layout(place, &undo->recorded);
	if (!undo->layout && !gow_layout_record_is_valid(&undo->recorded))
		return "the layout in it makes no sense";
	if (!undo->layout)
		undo->layout = &undo->recorded;
	return NULL;
}

/* ---- digests ----------------------------------------------------------------------------- */

int gow_undo_digest_range(struct gow_file *file, uint64_t start, uint64_t end,
                          uint8_t digest[GOW_UNDO_DIGEST], gow_error *error)
{
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buffer = malloc(BUFFER);
	XXH128_canonical_t canonical;
	int code = GOW_OK;

	if (!state || !buffer || XXH3_128bits_reset(state) != XXH_OK)
		code = gow_fail_memory(error, BUFFER);
	while (!code && start < end) {
		size_t part = (size_t)gow_min(end - start, BUFFER);

		code = gow_file_read_all(file, start, buffer, part, error);
		if (!code)
			(void)XXH3_128bits_update(state, buffer, part);
		start += part;
	}
	if (!code) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(digest, canonical.digest, GOW_UNDO_DIGEST);
	}
	free(buffer);
	(void)XXH3_freeState(state);
	return code;
}
