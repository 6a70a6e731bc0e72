/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * benchdata: makes what the benchmarks measure, the same at every run.
 *
 *	benchdata map FILE              a full 256 GiB image of version 3, its blocks (holes) in
 *	                                random order
 *	benchdata disk FILE [SIZE DATA] a raw disk of SIZE (16G) with DATA (2G) bytes of noise, in
 *	                                runs of 1 to 32 MiB
 *
 * Written from format.md's numbers, without the library.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static uint64_t state = 88172645463325252u;

/* xorshift64: noise that no compressor and no zero test gets the better of. */
static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static _Noreturn void failed(const char *what)
{
	perror(what);
	exit(1);
}

static void write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
	if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		failed("benchdata: write");
}

static void put32(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static void make_map(int fd)
{
	enum { ENTRIES = 1 << 22, DATA_START = 33554944 };
	uint32_t *blocks = malloc(ENTRIES * sizeof *blocks);
	uint8_t *bytes = malloc((size_t)ENTRIES * 4);
	uint8_t preamble[20] = { 'G', 'O', 'W', 0, 3 };

	if (!blocks || !bytes)
		failed("benchdata: memory");
	for (uint32_t i = 0; i < ENTRIES; i++)
		blocks[i] = i;
	for (uint32_t i = ENTRIES - 1; i > 0; i--) {
		uint32_t j = (uint32_t)(next_random() % (i + 1));
		uint32_t swap = blocks[i];

		blocks[i] = blocks[j];
		blocks[j] = swap;
	}
	put32(preamble + 12, 1 << 6); /* logical size: 2^38 */
	put32(preamble + 16, ENTRIES);
	write_at(fd, preamble, sizeof preamble, 0);
	for (size_t i = 0; i < ENTRIES; i++)
		put32(bytes + 4 * i, blocks[i]);
	write_at(fd, bytes, (size_t)ENTRIES * 4, 20);
	for (size_t i = 0; i < ENTRIES; i++)
		put32(bytes + 4 * i, 1 + i % 1000);
	write_at(fd, bytes, (size_t)ENTRIES * 4, 20 + ((uint64_t)ENTRIES << 2));
	if (ftruncate(fd, DATA_START + (off_t)ENTRIES * 65536) < 0)
		failed("benchdata: truncate");
	free(blocks);
	free(bytes);
}

static uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t size = strtoull(text, &end, 10);

	return size << (*end == 'G' ? 30 : *end == 'M' ? 20 : 0);
}

/* Runs of 1 to 32 MiB, and after each a gap so long that the data is spread over the disk. */
static void make_disk(int fd, uint64_t size, uint64_t data)
{
	uint64_t gap = data ? (size - data) / data : 0; /* as many times as long as the run */
	uint64_t *piece = malloc(MIB);
	uint64_t at = 0;

	if (!piece)
		failed("benchdata: memory");
	if (ftruncate(fd, (off_t)size) < 0)
		failed("benchdata: truncate");
	while (data >= MIB && at + MIB <= size) {
		uint64_t run = (UINT64_C(1) << next_random() % 6) * MIB;

		for (uint64_t i = 0; i < run && data >= MIB && at + MIB <= size; i += MIB) {
			for (size_t w = 0; w < MIB / sizeof *piece; w++)
				piece[w] = next_random();
			write_at(fd, piece, MIB, at);
			at += MIB;
			data -= MIB;
		}
		at += run * gap;
	}
	free(piece);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3 || (strcmp(argv[1], "map") != 0 && strcmp(argv[1], "disk") != 0)) {
		fputs("usage: benchdata map FILE | benchdata disk FILE [SIZE DATA]\n", stderr);
		return 2;
	}
	fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		failed(argv[2]);
	if (strcmp(argv[1], "map") == 0)
		make_map(fd);
	else
		make_disk(fd, argc > 4 ? parse_size(argv[3]) : 16384 * MIB,
		          argc > 4 ? parse_size(argv[4]) : 2048 * MIB);
	if (close(fd) < 0)
		failed(argv[2]);
	return 0;
}
