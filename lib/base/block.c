/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/block.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/xxh.h"

/* Big enough for the compiler to use vectors, small enough to stop early in data. */
enum { ZERO_STRIDE = 256 };

bool gow_is_zero(const void *p, size_t size)
{
	const uint8_t *byte = p;
	size_t at = 0;

	/* Data mostly shows itself in its first bytes. */
	while (at < size && at < 16)
		if (byte[at++])
			return false;
	for (; size - at >= ZERO_STRIDE; at += ZERO_STRIDE) {
		uint64_t any = 0;

		for (size_t i = 0; i < ZERO_STRIDE; i += sizeof any) {
			uint64_t word;

			memcpy(&word, byte + at + i, sizeof word);
			any |= word;
		}
		if (any)
			return false;
	}
	while (at < size)
		if (byte[at++])
			return false;
	return true;
}

/* ---- hashes ------------------------------------------------------------------------------ */

void gow_hash_bytes(const void *bytes, size_t size, struct gow_hash *hash)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
	memcpy(hash->bytes, canonical.digest, sizeof hash->bytes);
}

void gow_hash_block(const void *block, struct gow_hash *hash)
{
	gow_hash_bytes(block, GOW_BLOCK_SIZE, hash);
}

void gow_hash_text(const struct gow_hash *hash, char text[GOW_HASH_TEXT])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof hash->bytes; i++) {
		text[2 * i] = hex[hash->bytes[i] >> 4];
		text[2 * i + 1] = hex[hash->bytes[i] & 15];
	}
	text[2 * sizeof hash->bytes] = '\0';
}

/* ---- the guest digest -------------------------------------------------------------------- */

struct gow_digester {
	XXH3_state_t *state;
};

int gow_digester_new(struct gow_digester **digester, gow_error *error)
{
	struct gow_digester *made = calloc(1, sizeof *made);

	if (made)
		made->state = XXH3_createState();
	if (!made || !made->state || XXH3_128bits_reset(made->state) != XXH_OK) {
		gow_digester_free(made);
		return gow_fail_memory(error, sizeof *made);
	}
	*digester = made;
	return GOW_OK;
}

void gow_digester_free(struct gow_digester *digester)
{
	if (!digester)
		return;
	(void)XXH3_freeState(digester->state);
	free(digester);
}

static void feed_number(struct gow_digester *digester, uint64_t number)
{
	uint8_t bytes[8];

	gow_store(bytes, sizeof bytes, GOW_LITTLE_ENDIAN, number);
	(void)XXH3_128bits_update(digester->state, bytes, sizeof bytes);
}

void gow_digester_add(struct gow_digester *digester, uint64_t index, const struct gow_hash *hash)
{
	feed_number(digester, index);
	(void)XXH3_128bits_update(digester->state, hash->bytes, sizeof hash->bytes);
}

void gow_digester_finish(struct gow_digester *digester, uint64_t logical_size, gow_digest *digest)
{
	XXH128_canonical_t canonical;
	struct gow_hash hash;

	feed_number(digester, logical_size);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digester->state));
	memcpy(hash.bytes, canonical.digest, sizeof hash.bytes);
	gow_hash_text(&hash, digest->text);
}
