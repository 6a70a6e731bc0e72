/* SPDX-License-Identifier: BSD-2-Clause */
#include "journal/undo.h"
#include "journal/undo_format.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "io/draft.h"
#include "io/overlay.h"

uint64_t gow_undo_get(const uint8_t *at, unsigned width)
{
	return gow_load(at, width, GOW_LITTLE_ENDIAN);
}

void gow_undo_put(uint8_t *at, unsigned width, uint64_t value)
{
	gow_store(at, width, GOW_LITTLE_ENDIAN, value);
}

void gow_undo_seal(uint8_t sector[SECTOR])
{
	gow_undo_put(sector + SEAL, 8, XXH3_64bits(sector, SEAL));
}

bool gow_undo_is_sealed(const uint8_t sector[SECTOR], const uint8_t magic[8])
{
	return memcmp(sector, magic, 8) == 0 &&
	       gow_undo_get(sector + SEAL, 8) == XXH3_64bits(sector, SEAL);
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
