/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mkundo: writes the undo file of a repair, from what gow-undo(5) says and without the library.
 *
 *	mkundo FORMAT BEFORE AFTER VERSION MAGIC-AT VERSION-AT VERSION-WIDTH HEADER-END
 *	       [LAYOUT [OFFSET HEX]...] >UNDO
 *
 * BEFORE and AFTER are the image as it was, and as the repair makes it; no shorter.  FORMAT goes into
 * the first sector; 1 is written without a layout.  LAYOUT is a file with the 104 bytes that describe
 * one, as gow-trailer(5) has them.  OFFSET HEX puts other bytes into the first sector, after the hash
 * of the layout was taken and before the sector is sealed.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SECTOR = 512, LONGEST = 65536, LARGEST = 64 << 20 };
static const uint8_t head_magic[8] = { 'G', 'O', 'W', '-', 'U', 'N', 'D', 'O' };
static const uint8_t end_magic[8] = { 'G', 'O', 'W', '-', 'E', 'N', 'D', '.' };

enum { LAYOUT_AT = 328, LAYOUT_SIZE = 104, LAYOUT_HASH_AT = 440 };

struct bytes {
	uint8_t *at;
	size_t size;
};

struct mark {
	size_t offset, length;
};

static uint8_t *made; /* the file */
static size_t used;

static void die(const char *what)
{
	fprintf(stderr, "mkundo: %s (%s)\n", what, strerror(errno));
	exit(2);
}

static size_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (!*text || *end)
		die(text);
	return (size_t)value;
}

static struct bytes read_file(const char *name)
{
	struct bytes bytes = { malloc(LARGEST), 0 };
	FILE *file = fopen(name, "rb");

	if (!bytes.at || !file)
		die(name);
	bytes.size = fread(bytes.at, 1, LARGEST, file);
	if (ferror(file) || bytes.size == LARGEST || fclose(file) != 0)
		die(name);
	return bytes;
}

static void put(uint8_t *at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void hash128(uint8_t *to, const void *bytes, size_t size)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
	memcpy(to, canonical.digest, sizeof canonical.digest);
}

static void seal(uint8_t *sector)
{
	put(sector + SECTOR - 8, 8, XXH3_64bits(sector, SECTOR - 8));
}

/* Appends a record of [offset, offset + length). */
static void record(const struct bytes *before, const struct bytes *after, size_t offset,
                   size_t length, unsigned flags)
{
	uint8_t *at = made + used, *summed = malloc(24 + length);

	if (!summed || used + 32 + length > LARGEST)
		die("too many records");
	put(at, 8, offset);
	put(at + 8, 4, length);
	put(at + 12, 4, flags);
	put(at + 16, 8, XXH3_64bits(after->at + offset, length));
	memcpy(at + 32, before->at + offset, length);
	memcpy(summed, at, 24);
	memcpy(summed + 24, at + 32, length);
	put(at + 24, 8, XXH3_64bits(summed, 24 + length));
	free(summed);
	used += 32 + length;
}

static int is_mark(const struct mark marks[2], size_t at)
{
	for (int i = 0; i < 2; i++)
		if (at >= marks[i].offset && at < marks[i].offset + marks[i].length)
			return 1;
	return 0;
}

/* All records; returns how many. */
static unsigned records(const struct bytes *before, const struct bytes *after,
                        const struct mark marks[2])
{
	unsigned count = 2;

	for (int i = 0; i < 2; i++)
		record(before, after, marks[i].offset, marks[i].length, 1);
	for (size_t at = 0; at < before->size;) {
		size_t past = at;

		while (past < before->size && past - at < LONGEST && !is_mark(marks, past) &&
		       before->at[past] != after->at[past])
			past++;
		if (past > at) {
			record(before, after, at, past - at, 0);
			count++;
		}
		at = past > at ? past : at + 1;
	}
	return count;
}

/* The description of a layout, if there is one, and what is put over it. */
static void put_layout(uint8_t *head, char **args)
{
	struct bytes layout;

	if (!args[0])
		return;
	layout = read_file(args[0]);
	if (layout.size != LAYOUT_SIZE)
		die("a layout has 104 bytes");
	memcpy(head + LAYOUT_AT, layout.at, LAYOUT_SIZE);
	hash128(head + LAYOUT_HASH_AT, head + LAYOUT_AT, LAYOUT_HASH_AT - LAYOUT_AT);
	for (args++; args[0] && args[1]; args += 2) {
		size_t at = number(args[0]);
		char digits[3] = "";

		for (const char *hex = args[1]; at < SECTOR && hex[0] && hex[1]; hex += 2) {
			memcpy(digits, hex, 2);
			head[at++] = (uint8_t)strtoul(digits, NULL, 16);
		}
	}
	free(layout.at);
}

int main(int argc, char **argv)
{
	struct bytes before, after;
	struct mark marks[2];
	size_t header, end;
	unsigned count;

	if (argc < 9)
		die("usage: mkundo FORMAT BEFORE AFTER VERSION MAGIC-AT VERSION-AT VERSION-WIDTH "
		    "HEADER-END [LAYOUT [OFFSET HEX]...]");
	before = read_file(argv[2]);
	after = read_file(argv[3]);
	if (after.size < before.size)
		die("a repair never cuts");
	made = calloc(1, LARGEST + 8 * SECTOR);
	if (!made)
		die("no memory");
	marks[0] = (struct mark){ number(argv[5]), 4 };
	marks[1] = (struct mark){ number(argv[6]), number(argv[7]) };
	header = number(argv[8]) < before.size ? number(argv[8]) : before.size;
	used = SECTOR;
	count = records(&before, &after, marks);
	memcpy(made, head_magic, sizeof head_magic);
	put(made + 8, 4, number(argv[1]));
	put(made + 12, 4, number(argv[4]));
	put(made + 16, 8, before.size);
	put(made + 24, 8, after.size);
	put(made + 32, 8, count);
	put(made + 40, 8, used - SECTOR);
	put(made + 48, 8, header);
	hash128(made + 56, before.at, header);
	memcpy(made + 72, "by hand", 8);
	put_layout(made, argv + 9);
	seal(made);
	end = (used + SECTOR - 1) / SECTOR * SECTOR;
	memcpy(made + end, end_magic, sizeof end_magic);
	hash128(made + end + 8, made, end);
	seal(made + end);
	if (fwrite(made, 1, end + 3 * (size_t)SECTOR, stdout) != end + 3 * (size_t)SECTOR ||
	    fflush(stdout) != 0)
		die("standard output");
	free(before.at);
	free(after.at);
	free(made);
	return 0;
}
