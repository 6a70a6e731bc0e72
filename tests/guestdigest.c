/*
 * guestdigest: the digest, or the manifest, of a raw disk, straight from the description of the
 * format. It shares nothing with the library under test but the hash itself.
 *
 *	guestdigest DISK       32 hexadecimal digits
 *	guestdigest -m DISK    the manifest
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BLOCK = 65536 };

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "guestdigest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void add(XXH3_state_t *state, const void *bytes, size_t size)
{
	if (XXH3_128bits_update(state, bytes, size) != XXH_OK)
		failed("hash");
}

static void add_number(XXH3_state_t *state, uint64_t number)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	add(state, bytes, sizeof bytes);
}

static bool has_data(const unsigned char *block)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (block[i])
			return true;
	return false;
}

static uint64_t size_of(FILE *disk)
{
	off_t size;

	if (fseeko(disk, 0, SEEK_END) < 0 || (size = ftello(disk)) < 0 ||
	    fseeko(disk, 0, SEEK_SET) < 0)
		failed("size");
	/* A raw disk is a guest's when it is rounded up to whole sectors. */
	return ((uint64_t)size + 511) / 512 * 512;
}

int main(int argc, char **argv)
{
	bool manifest = argc == 3 && strcmp(argv[1], "-m") == 0;
	static unsigned char block[BLOCK];
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t hash;
	uint64_t size;
	size_t got;
	FILE *disk;

	if (argc != 2 && !manifest) {
		fputs("usage: guestdigest [-m] DISK\n", stderr);
		return 2;
	}
	disk = fopen(argv[argc - 1], "rb");
	if (!disk || !state || XXH3_128bits_reset(state) != XXH_OK)
		failed(argv[argc - 1]);
	size = size_of(disk);
	if (manifest)
		printf("gow-manifest 1\nsize %" PRIu64 "\n", size);
	for (uint64_t i = 0; (got = fread(block, 1, BLOCK, disk)) > 0; i++) {
		XXH128_canonical_t canonical;

		memset(block + got, 0, BLOCK - got);
		if (!has_data(block))
			continue;
		hash = XXH3_128bits_withSeed(block, BLOCK, 0);
		XXH128_canonicalFromHash(&canonical, hash);
		add_number(state, i);
		add(state, canonical.digest, sizeof canonical.digest);
		if (manifest)
			printf("block %" PRIu64 " %016" PRIx64 "%016" PRIx64 "\n", i, hash.high64,
			       hash.low64);
	}
	if (ferror(disk))
		failed("read");
	add_number(state, size);
	hash = XXH3_128bits_digest(state);
	printf("%s%016" PRIx64 "%016" PRIx64 "\n", manifest ? "digest " : "", hash.high64,
	       hash.low64);
	if (fclose(disk) != 0 || fclose(stdout) != 0)
		failed("close");
	XXH3_freeState(state);
	return 0;
}
