/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mkforeign: makes an image of a foreign layout out of a raw disk. Written from the description of
 * layouts alone; it includes and links nothing from lib/.
 *
 *	mkforeign DISK OUT KEY=VALUE...
 *
 *	order=little|big start=N (of the tables) stride=4.. entries=N|0 (one per block)
 *	numbers=none|behind|before|after-entry|before-entry first=0|1 unallocated=N align=N
 *	size=OFFSET unit=1|512|65536 width=4|8 (size=-1: none) count=OFFSET|-1
 *	magic=WORD seed=N (0: in the guest's order) wrong=N (entries of a thousand) cut=N (bytes)
 *	lost=N (so many bytes of the start are zeros)
 *
 * Prints map_offset, data_start, entries and versions_offset, as the tests' own arithmetic says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 65536 };

static const char *option(char **args, const char *key, const char *otherwise)
{
	size_t length = strlen(key);

	for (; *args; args++)
		if (!strncmp(*args, key, length) && (*args)[length] == '=')
			return *args + length + 1;
	return otherwise;
}

static int64_t number(char **args, const char *key, int64_t otherwise)
{
	const char *text = option(args, key, NULL);

	return text ? strtoll(text, NULL, 0) : otherwise;
}

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static void put(uint8_t *at, unsigned width, int big, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		at[big ? width - 1 - i : i] = (uint8_t)(value >> (8 * i));
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	char **args = argv + 3;
	FILE *disk, *out;
	long disk_size;
	uint64_t blocks, entries, used = 0, start, stride, map, versions, end, data, align, seed;
	int big, apart;
	const char *numbers, *magic;
	uint32_t *place, first, none;
	uint8_t *head, block[BLOCK];
	uint64_t *order;

	if (argc < 3)
		return 1;
	disk = fopen(argv[1], "rb");
	out = fopen(argv[2], "wb");
	if (!disk || !out || fseek(disk, 0, SEEK_END))
		die(argv[1]);
	disk_size = ftell(disk);
	if (disk_size < 0)
		die(argv[1]);
	blocks = ((uint64_t)disk_size + BLOCK - 1) / BLOCK;
	big = !strcmp(option(args, "order", "little"), "big");
	numbers = option(args, "numbers", "none");
	apart = !strcmp(numbers, "behind") || !strcmp(numbers, "before");
	start = (uint64_t)number(args, "start", 20);
	stride = (uint64_t)number(args, "stride", 4);
	entries = (uint64_t)number(args, "entries", 0);
	if (!entries)
		entries = blocks;
	first = (uint32_t)number(args, "first", 0);
	none = (uint32_t)number(args, "unallocated", UINT32_MAX);
	align = (uint64_t)number(args, "align", 1);
	seed = (uint64_t)number(args, "seed", 0);
	map = start + (!strcmp(numbers, "before") ? entries * 4 : 0) +
	      (!strcmp(numbers, "before-entry") ? 4 : 0);
	versions = !strcmp(numbers, "behind")       ? start + entries * stride
	           : !strcmp(numbers, "after-entry") ? start + 4
	                                             : start;
	end = map + (entries - 1) * stride + 4;
	if (!strcmp(numbers, "behind"))
		end = versions + (entries - 1) * 4 + 4;
	if (!strcmp(numbers, "after-entry"))
		end += 4;
	data = (end + align - 1) / align * align;
	head = calloc(1, (size_t)data);
	place = malloc((size_t)blocks * sizeof *place);
	order = malloc((size_t)blocks * sizeof *order);
	if (!head || !place || !order)
		die("memory");
	/* Which blocks are kept. */
	for (uint64_t i = 0; i < blocks; i++) {
		size_t got, at = 0;

		memset(block, 0, BLOCK);
		if (fseek(disk, (long)(i * BLOCK), SEEK_SET))
			die(argv[1]);
		got = fread(block, 1, BLOCK, disk);
		while (at < got && !block[at])
			at++;
		place[i] = UINT32_MAX;
		if (at < got)
			order[used++] = i;
	}
	for (uint64_t i = used; seed && i > 1; i--) {
		uint64_t other = next(&seed) % i, kept = order[i - 1];

		order[i - 1] = order[other];
		order[other] = kept;
	}
	for (uint64_t p = 0; p < used; p++)
		place[order[p]] = (uint32_t)p;
	for (uint64_t i = 0; i < entries; i++) {
		uint32_t p = i < blocks ? place[i] : UINT32_MAX;

		put(head + map + i * stride, 4, big, p == UINT32_MAX ? none : p + first);
		if (strcmp(numbers, "none") != 0)
			put(head + versions + i * (apart ? 4 : stride), 4, big,
			    p == UINT32_MAX ? 0 : 1 + i % 3);
	}
	for (uint64_t i = 0; i < used * (uint64_t)number(args, "wrong", 0) / 1000; i++) {
		uint64_t s = 77 + i, victim = order[next(&s) % used];

		if (victim)
			put(head + map + victim * stride, 4, big, (uint32_t)next(&s));
	}
	magic = option(args, "magic", "");
	memcpy(head, magic, strlen(magic));
	if (number(args, "size", -1) >= 0)
		put(head + number(args, "size", 0), (unsigned)number(args, "width", 8), big,
		    (uint64_t)disk_size / (uint64_t)number(args, "unit", 1));
	if (number(args, "count", -1) >= 0)
		put(head + number(args, "count", 0), 4, big, used);
	memset(head, 0, (size_t)number(args, "lost", 0));
	if (fwrite(head, 1, (size_t)data, out) != data)
		die(argv[2]);
	for (uint64_t p = 0; p < used; p++) {
		size_t size = BLOCK;

		memset(block, 0, BLOCK);
		if (fseek(disk, (long)(order[p] * BLOCK), SEEK_SET))
			die(argv[1]);
		if (fread(block, 1, BLOCK, disk) == 0)
				die(argv[1]);
		if (p == used - 1)
			size -= (size_t)number(args, "cut", 0);
		if (fwrite(block, 1, size, out) != size)
			die(argv[2]);
	}
	if (fclose(out) || fclose(disk))
		die(argv[2]);
	printf("%llu %llu %llu %lld %llu\n", (unsigned long long)map, (unsigned long long)data,
	       (unsigned long long)entries,
	       strcmp(numbers, "none") ? (long long)versions : -1LL, (unsigned long long)used);
	free(head);
	free(place);
	free(order);
	return 0;
}
