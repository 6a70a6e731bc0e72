/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest digest, against one made the other way round: all bytes of gow(5)'s sequence are laid
 * out in memory, and hashed in one go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/block.h"
#include "support/check.h"

enum { BLOCK = 65536, BLOCKS = 9 };

static gow_error error;

static uint8_t *put_little(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		*at++ = (uint8_t)(value >> 8 * i);
	return at;
}

static uint8_t *put_big(uint8_t *at, uint64_t value)
{
	for (int i = 7; i >= 0; i--)
		*at++ = (uint8_t)(value >> 8 * i);
	return at;
}

static bool has_data(const uint8_t *block)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (block[i])
			return true;
	return false;
}

/* disk: whole blocks, zeros past size. index is where the first of them stands in the disk. */
static void expect(const uint8_t *disk, size_t blocks, uint64_t index, uint64_t size, char *text)
{
	uint8_t *bytes = check_alloc(blocks * 24 + 8), *at = bytes;
	XXH128_hash_t hash;

	for (size_t i = 0; i < blocks; i++) {
		if (!has_data(disk + i * BLOCK))
			continue;
		hash = XXH3_128bits(disk + i * BLOCK, BLOCK);
		at = put_little(at, index + i);
		at = put_big(at, hash.high64);
		at = put_big(at, hash.low64);
	}
	at = put_little(at, size);
	hash = XXH3_128bits(bytes, (size_t)(at - bytes));
	(void)snprintf(text, 33, "%016llx%016llx", (unsigned long long)hash.high64,
	               (unsigned long long)hash.low64);
	free(bytes);
}

/* As whoever reads a disk does: zeros are passed over. */
static void add_block(struct gow_digester *digester, uint64_t index, const uint8_t *block)
{
	struct gow_hash hash;

	if (gow_is_zero(block, BLOCK))
		return;
	gow_hash_block(block, &hash);
	gow_digester_add(digester, index, &hash);
}

static gow_digest digest_of(const uint8_t *disk, size_t blocks, uint64_t index, uint64_t size,
                            bool with_zeros)
{
	struct gow_digester *digester;
	gow_digest digest;

	CHECK_OK(gow_digester_new(&digester, &error), &error);
	for (size_t i = 0; i < blocks; i++)
		if (with_zeros || has_data(disk + i * BLOCK))
			add_block(digester, index + i, disk + i * BLOCK);
	memset(&digest, 'x', sizeof digest);
	gow_digester_finish(digester, size, &digest);
	gow_digester_free(digester);
	return digest;
}

static void check_disk(const uint8_t *disk, size_t blocks, uint64_t index, uint64_t size)
{
	char want[33];

	expect(disk, blocks, index, size, want);
	CHECK_STR(want, digest_of(disk, blocks, index, size, false).text);
	/* An allocated block of zeros and none are the same. */
	CHECK_STR(want, digest_of(disk, blocks, index, size, true).text);
}

static void digests_follow_the_definition(void)
{
	uint8_t *disk = check_alloc(BLOCKS * BLOCK);
	struct rng rng = { 12 };

	check_disk(disk, BLOCKS, 0, BLOCKS * BLOCK); /* nothing but zeros */
	check_disk(disk, 0, 0, 512);
	for (int round = 0; round < 40; round++) {
		const uint64_t size = BLOCKS * BLOCK - 512 * (uint64_t)rng_below(&rng, 128);

		check_about("round %d", round);
		memset(disk, 0, BLOCKS * BLOCK);
		for (size_t i = 0; i < BLOCKS; i++)
			switch (rng_below(&rng, 3)) {
			case 0: /* one byte, of which the last inside the disk is one */
				disk[i * BLOCK + (rng_chance(&rng, 30) ? BLOCK - 1
				                                       : rng_below(&rng, BLOCK))] = 1;
				break;
			case 1:
				rng_fill(&rng, disk + i * BLOCK, BLOCK);
				break;
			default:
				break;
			}
		memset(disk + size, 0, (size_t)(BLOCKS * BLOCK - size));
		check_disk(disk, BLOCKS, 0, size);
		/* Far into the largest disk. */
		check_disk(disk, 3, UINT64_C(4194301), UINT64_C(274877906944));
		check_disk(disk, 3, UINT64_C(0x0102030405060708), UINT64_MAX);
	}
	free(disk);
}

/* Every part counts: content, place, order, size. */
static void other_guests_have_other_digests(void)
{
	uint8_t *disk = check_alloc(2 * BLOCK);
	gow_digest first, other;

	disk[0] = 1;
	disk[BLOCK] = 2;
	first = digest_of(disk, 2, 0, 2 * BLOCK, false);
	CHECK_EQ(32, strlen(first.text));
	CHECK_EQ(32, strspn(first.text, "0123456789abcdef"));
	other = digest_of(disk, 2, 1, 2 * BLOCK, false);
	CHECK(strcmp(first.text, other.text) != 0);
	other = digest_of(disk, 2, 0, 2 * BLOCK - 512, false);
	CHECK(strcmp(first.text, other.text) != 0);
	disk[BLOCK] = 3;
	other = digest_of(disk, 2, 0, 2 * BLOCK, false);
	CHECK(strcmp(first.text, other.text) != 0);
	disk[BLOCK] = 2;
	other = digest_of(disk, 2, 0, 2 * BLOCK, true);
	CHECK_STR(first.text, other.text);
	gow_digester_free(NULL);
	free(disk);
}

/* Numbers that must never change: a digest is kept in manifests. */
static void known_digests_stay(void)
{
	uint8_t *disk = check_alloc(2 * BLOCK);

	CHECK_STR("90221d41f4b993578ecc76ce3fc80072", digest_of(disk, 2, 0, 2 * BLOCK, false).text);
	for (size_t i = 0; i < BLOCK; i++)
		disk[BLOCK + i] = (uint8_t)(i * 7 + (i >> 8));
	CHECK_STR("3622c1ef23dd4983202d3b1fb49b2965", digest_of(disk, 2, 0, 2 * BLOCK, false).text);
	free(disk);
}

CHECK_MAIN(CHECK_TEST(digests_follow_the_definition), CHECK_TEST(other_guests_have_other_digests),
           CHECK_TEST(known_digests_stay))
