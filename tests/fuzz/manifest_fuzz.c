/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Manifests, valid ones and others. There is one way to write one, so whatever is accepted is,
 * written anew from what was read, the same text; and its digest follows from its lines.
 */
#include "kit/fuzz.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "disk/manifest.h"
#include "support/check.h"
#include "support/memfile.h"

enum { BLOCKS_MAX = 64, TEXT_MAX = 8192 };

static gow_error error;

struct text {
	char bytes[TEXT_MAX];
	size_t size;
};

static void add(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text->size += (size_t)vsnprintf(text->bytes + text->size, TEXT_MAX - text->size, fmt, args);
	va_end(args);
	CHECK(text->size < TEXT_MAX);
}

static void hash_text(const uint8_t hash[16], char text[33])
{
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(text + 2 * (size_t)i, 3, "%02x", hash[i]);
}

/* ---- the digest, as gow-manifest(5) has it ----------------------------------------------- */

struct list {
	uint8_t bytes[24 * BLOCKS_MAX + 8];
	size_t used;
};

static void put_little(struct list *list, uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		list->bytes[list->used++] = (uint8_t)(number >> 8 * i);
}

static void list_block(struct list *list, uint64_t index, const uint8_t hash[16])
{
	put_little(list, index);
	memcpy(list->bytes + list->used, hash, 16);
	list->used += 16;
}

static void digest_of(struct list *list, uint64_t size, char text[33])
{
	XXH128_canonical_t canonical;

	put_little(list, size);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(list->bytes, list->used));
	hash_text(canonical.digest, text);
}

/* ---- texts ------------------------------------------------------------------------------- */

/* A manifest; false if something about it is not valid. */
static bool make_text(struct text *text, struct input *input)
{
	const uint64_t sizes[] = { 0, 512, UINT64_C(1) << 36, UINT64_C(1) << 38, UINT64_MAX };
	uint64_t size = 512 * (1 + (uint64_t)take_below(input, 1 << 20)), index = 0;
	uint32_t blocks = take_below(input, BLOCKS_MAX);
	struct rng rng = { take_number(input, 2) };
	struct list list = { .used = 0 };
	bool valid = true;
	char hex[33];

	if (take_chance(input, 32))
		size = take_near(input, sizes, 5);
	add(text, "gow-manifest 1\nsize %" PRIu64 "\n", size);
	for (uint32_t i = 0; i < blocks; i++) {
		uint8_t hash[16];

		rng_fill(&rng, hash, sizeof hash);
		hash_text(hash, hex);
		valid = valid && index < size / 65536 + (size % 65536 != 0);
		add(text, "block %" PRIu64 " %s\n", index, hex);
		list_block(&list, index, hash);
		index += 1 + take_below(input, 8);
		if (take_chance(input, 4)) {
			index = take_near(input, sizes, 5);
			valid = false; /* or not; nobody knows */
		}
	}
	digest_of(&list, size, hex);
	add(text, "digest %s\n", hex);
	return valid && size && size % 512 == 0 && size <= UINT64_C(1) << 38;
}

/* Bytes that are other, more, or fewer. */
static bool deviate(struct text *text, struct input *input)
{
	static const char liked[] = "0123456789abcdefABF \n\r\t+-gx";
	uint32_t deviations = take_chance(input, 160) ? take_below(input, 4) : 0;
	bool any = deviations != 0;

	while (deviations-- && text->size > 1 && text->size < TEXT_MAX - 1) {
		size_t at = take_below(input, (uint32_t)text->size);
		char byte = liked[take_below(input, sizeof liked - 1)];

		if (take_chance(input, 48))
			byte = (char)take_number(input, 1);

		switch (take_below(input, 4)) {
		case 0:
			text->bytes[at] = byte;
			break;
		case 1:
			memmove(text->bytes + at + 1, text->bytes + at, text->size++ - at);
			text->bytes[at] = byte;
			break;
		case 2:
			memmove(text->bytes + at, text->bytes + at + 1, --text->size - at);
			break;
		default:
			text->size = at;
			break;
		}
	}
	return any;
}

/* ---- reading and writing anew ------------------------------------------------------------ */

struct reading {
	struct gow_manifest *manifest;
	struct gow_manifest_writer *writer;
	struct list list;
};

static int copy_blocks(struct reading *reading, gow_digest *digest)
{
	for (uint32_t i = 0;; i++) {
		struct gow_hash hash;
		uint64_t index;
		int code = gow_manifest_next(reading->manifest, &index, &hash, &error);

		if (code)
			return code;
		if (index == GOW_NOWHERE)
			return gow_manifest_read_all(reading->manifest, digest, &error);
		if (i < BLOCKS_MAX)
			list_block(&reading->list, index, hash.bytes);
		CHECK_OK(gow_manifest_add(reading->writer, index, &hash, &error), &error);
	}
}

static int read_and_write(struct gow_file *from, struct gow_file *to)
{
	struct reading reading = { .list = { .used = 0 } };
	gow_digest digest;
	char expected[33];
	int code = gow_manifest_open_file(from, &reading.manifest, &error);
	uint64_t size;

	if (code)
		return code;
	size = gow_manifest_size(reading.manifest);
	CHECK_OK(gow_manifest_begin(to, size, &reading.writer, &error), &error);
	code = copy_blocks(&reading, &digest);
	if (!code) {
		CHECK_OK(gow_manifest_end(reading.writer, &digest, &error), &error);
		digest_of(&reading.list, size, expected);
		CHECK(!strcmp(expected, digest.text));
	}
	gow_manifest_close(reading.manifest);
	gow_manifest_writer_free(reading.writer);
	return code;
}

/* Turns CR LF into LF: the reader accepts both, the writer writes LF. */
static void to_line_feeds(struct text *text)
{
	size_t kept = 0;

	for (size_t i = 0; i < text->size; i++)
		if (text->bytes[i] != '\r' || i + 1 == text->size || text->bytes[i + 1] != '\n')
			text->bytes[kept++] = text->bytes[i];
	text->size = kept;
}

void fuzz_one(struct input *input)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *in = memdisk_file(disk, "in"), *out = memdisk_file(disk, "out");
	struct gow_file *from = memfile_open(in), *to = memfile_open(out);
	struct text text = { .size = 0 };
	bool valid = false;
	int code;

	if (take_chance(input, 32)) {
		text.size = input->left < TEXT_MAX ? input->left : TEXT_MAX;
		memcpy(text.bytes, input->at, text.size);
	} else {
		valid = make_text(&text, input);
		valid = !deviate(&text, input) && valid;
	}
	memfile_put(in, 0, text.bytes, text.size);
	code = read_and_write(from, to);
	if (fuzz_lies())
		memfile_put(out, 0, "lies", 4);
	CHECK_EQ(GOW_OK, valid ? code : GOW_OK);
	CHECK(!code || code == GOW_ERR_DAMAGED);
	to_line_feeds(&text);
	memfile_resize(in, text.size);
	memfile_put(in, 0, text.bytes, text.size);
	CHECK(code || memfile_equal(in, out));
	CHECK_OK(gow_file_close(from, NULL), NULL);
	CHECK_OK(gow_file_close(to, NULL), NULL);
	memdisk_free(disk);
}
