/* SPDX-License-Identifier: BSD-2-Clause */
/* pack: standard input, packed as packing.h tells, to standard output. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/packing.h"

/* A shorter run is cheaper as it is, and what looks for headers finds them whole. */
enum { RUN_MIN = 600, BYTES_MAX = 65535 };

struct text {
	uint8_t *bytes;
	size_t size;
};

static void put_number(uint64_t number, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		(void)putchar((int)(number >> 8 * i & 0xff));
}

static struct text read_all(void)
{
	struct text text = { NULL, 0 };
	size_t room = 0, got = 1;

	while (got) {
		if (text.size == room) {
			room = room ? 2 * room : 1 << 20;
			text.bytes = realloc(text.bytes, room);
			if (!text.bytes)
				exit(1);
		}
		got = fread(text.bytes + text.size, 1, room - text.size, stdin);
		text.size += got;
	}
	return text;
}

static void pack_bytes(const uint8_t *bytes, size_t size)
{
	while (size) {
		size_t part = size < BYTES_MAX ? size : BYTES_MAX;

		(void)putchar(PIECE_BYTES);
		put_number(part, 2);
		(void)fwrite(bytes, 1, part, stdout);
		bytes += part;
		size -= part;
	}
}

static void pack(const struct text *text)
{
	size_t told = 0, at = 0;

	while (at < text->size) {
		size_t run = 1;

		while (at + run < text->size && text->bytes[at + run] == text->bytes[at])
			run++;
		if (run >= RUN_MIN) {
			pack_bytes(text->bytes + told, at - told);
			(void)putchar(text->bytes[at] ? PIECE_RUN : PIECE_HOLE);
			put_number(run, 4);
			if (text->bytes[at])
				(void)putchar(text->bytes[at]);
			told = at + run;
		}
		at += run;
	}
	pack_bytes(text->bytes + told, text->size - told);
}

int main(void)
{
	struct text text = read_all();

	pack(&text);
	free(text.bytes);
	return fflush(stdout) || ferror(stdout);
}
