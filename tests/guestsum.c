/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guestsum: what the guest of an image can read, block by block, as the bytes say.
 *
 *	guestsum IMAGE
 *
 * Prints one line, `BLOCK SUM`, for every logical block whose map entry names a block
 * that begins inside the file: sum is the FNV-1a of its bytes inside the disk, those
 * past the end of the file taken as zeros.  Where logical_size is no valid one, all
 * entries are gone through, and whole blocks.
 *
 * It is for comparing an image before and after it was repaired, with means that have
 * nothing of the library: written from the format's description alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 65536u

static const struct layout {
	uint64_t limit;
	uint32_t entries;
	uint64_t data_start;
} layouts[4] = {
	[1] = { UINT64_C(1) << 36, UINT32_C(1) << 20, 4194324 },
	[2] = { UINT64_C(1) << 38, UINT32_C(1) << 22, 16777728 },
	[3] = { UINT64_C(1) << 38, UINT32_C(1) << 22, 33554944 },
};

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "guestsum: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Zeros past the end. */
static void read_at(int fd, uint8_t *bytes, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, bytes + done, size - done, (off_t)(offset + done));

		if (got < 0)
			failed("cannot read");
		if (got == 0)
			break;
		done += (size_t)got;
	}
	memset(bytes + done, 0, size - done);
}

static uint64_t number(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	while (width--)
		value = value << 8 | bytes[width];
	return value;
}

static uint64_t fnv1a(const uint8_t *bytes, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

int main(int argc, char **argv)
{
	static uint8_t block[BLOCK];
	uint8_t preamble[20], *map;
	const struct layout *layout;
	uint64_t size;
	struct stat st;
	int fd;

	if (argc != 2) {
		fputs("usage: guestsum IMAGE\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		failed(argv[1]);
	read_at(fd, preamble, sizeof preamble, 0);
	layout = number(preamble + 4, 4) <= 3 ? &layouts[number(preamble + 4, 4)] : layouts;
	if (!layout->entries) {
		fprintf(stderr, "guestsum: %s: an unknown version\n", argv[1]);
		return 1;
	}
	size = number(preamble + 8, 8);
	if (size == 0 || size % 512 != 0 || size > layout->limit)
		size = layout->limit;
	map = calloc(layout->entries, 4);
	if (!map)
		failed("memory");
	read_at(fd, map, 4 * (size_t)layout->entries, 20);
	for (uint64_t i = 0; i < layout->entries && i * BLOCK < size; i++) {
		uint64_t offset = layout->data_start + number(map + 4 * i, 4) * BLOCK;
		uint64_t inside = size - i * BLOCK < BLOCK ? size - i * BLOCK : BLOCK;

		/* A last block that is cut short begins inside the file, too. */
		if (number(map + 4 * i, 4) == UINT32_MAX || offset >= (uint64_t)st.st_size)
			continue;
		read_at(fd, block, (size_t)inside, offset);
		printf("%" PRIu64 " %016" PRIx64 "\n", i, fnv1a(block, (size_t)inside));
	}
	free(map);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
