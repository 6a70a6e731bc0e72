/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/readback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/xxh.h"

struct gow_meant {
	XXH3_state_t *state;
};

int gow_meant_new(struct gow_meant **meant, gow_error *error)
{
	struct gow_meant *made = calloc(1, sizeof *made);

	if (made)
		made->state = XXH3_createState();
	if (!made || !made->state) {
		gow_meant_free(made);
		return gow_fail_memory(error, sizeof *made);
	}
	gow_meant_reset(made);
	*meant = made;
	return GOW_OK;
}

void gow_meant_free(struct gow_meant *meant)
{
	if (!meant)
		return;
	(void)XXH3_freeState(meant->state);
	free(meant);
}

void gow_meant_reset(struct gow_meant *meant)
{
	(void)XXH3_128bits_reset(meant->state); /* fails for NULL only, as updating does */
}

void gow_meant_add(struct gow_meant *meant, const void *bytes, size_t size)
{
	(void)XXH3_128bits_update(meant->state, bytes, size);
}

void gow_meant_hash(const struct gow_meant *meant, uint8_t hash[GOW_MEANT_HASH])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(meant->state));
	memcpy(hash, canonical.digest, GOW_MEANT_HASH);
}

int gow_fail_read_back(const struct gow_file *file, uint64_t offset, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_MISMATCH,
	                    "reads back as something else than was written");

	if (offset != GOW_NOWHERE)
		code = gow_fail_at_offset(error, code, offset);
	return gow_fail_in_file(error, code, file->name);
}

int gow_file_compare(struct gow_file *file, uint64_t offset, const void *bytes, size_t size,
                     gow_error *error)
{
	uint8_t found[32 * 1024];

	for (size_t at = 0; at < size; at += sizeof found) {
		size_t part = (size_t)gow_min(sizeof found, size - at);
		int code = gow_file_read_all(file, offset + at, found, part, error);

		if (code)
			return code;
		if (memcmp(found, (const uint8_t *)bytes + at, part) != 0)
			return gow_fail_read_back(file, offset + at, error);
	}
	return GOW_OK;
}

int gow_file_check_written(struct gow_file *file, uint64_t offset, const void *bytes, size_t size,
                           gow_error *error)
{
	gow_file_drop_cache(file);
	return gow_file_compare(file, offset, bytes, size, error);
}

static int check_side(const struct gow_copied *copied, bool copy,
                      const uint8_t meant[GOW_MEANT_HASH], gow_error *error)
{
	uint8_t found[GOW_MEANT_HASH];
	int code;

	gow_meant_reset(copied->meant);
	code = copied->add(copied->context, copy, error);
	gow_meant_hash(copied->meant, found);
	if (code || memcmp(meant, found, sizeof found) == 0)
		return code;
	return copy ? gow_fail_read_back(copied->file, copied->to, error)
	            : gow_fail_read_again(copied->file, copied->from, error);
}

int gow_check_copied(const struct gow_copied *copied, gow_error *error)
{
	uint8_t meant[GOW_MEANT_HASH];
	int code;

	gow_meant_hash(copied->meant, meant);
	code = gow_file_settle(copied->file, error);
	if (!code)
		code = check_side(copied, false, meant, error);
	return code ? code : check_side(copied, true, meant, error);
}
