/*
 * guest: what the guest sees of a sound GOW image, and what its header says.
 *
 * Like mkimage it is written from the format's description alone, and must never include or link
 * anything from lib/: the tests compare what the tools have made of an image with what this
 * program reads there.
 *
 *	guest IMAGE DISK       writes the guest's disk to DISK, sparse
 *	guest --header IMAGE   prints a line `version V size S count C present P allocated A`, and
 *	                       for version 3 a line `numbers` and how many version numbers are 0,
 *	                       1 and higher: `numbers Z O H wrong W`, where W is how many allocated
 *	                       blocks have 0, or others another
 *	guest --data-blocks DISK
 *	                       prints how many blocks of a raw disk are not all zeros
 *	guest --map IMAGE      prints a line `logical physical` for every allocated block
 *
 * Exit status: 0 done, 1 a call failed, 2 bad usage, 3 the image is not sound: the magic is
 * another, an entry names no block of the file or one that is named twice, or is at or above
 * block_count, or past the end of the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK UINT64_C(65536)
#define NONE UINT32_C(0xffffffff)

struct layout {
	uint64_t limit;
	uint32_t entries;
	uint64_t versions_at; /* 0: none */
	uint64_t header_end;
	uint64_t data_start;
};

/* By version; number for number from the format's description. */
static const struct layout layouts[] = {
	[1] = { UINT64_C(1) << 36, UINT32_C(1) << 20, 0, 4194324, 4194324 },
	[2] = { UINT64_C(1) << 38, UINT32_C(1) << 22, 0, 16777236, 16777728 },
	[3] = { UINT64_C(1) << 38, UINT32_C(1) << 22, 16777236, 33554452, 33554944 },
};

struct image {
	const char *name;
	int fd;
	uint64_t file_size;
	uint32_t version;
	const struct layout *layout;
	uint64_t size;
	uint32_t count;
	uint64_t present;
	uint8_t *map;      /* as it stands in the file */
	uint8_t *versions; /* likewise; NULL: none */
	uint32_t allocated;
};

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void unsound(const struct image *image, const char *what, uint64_t where)
{
	fprintf(stderr, "guest: %s: %s (%" PRIu64 ")\n", image->name, what, where);
	exit(3);
}

static uint32_t number(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Bytes past the end of the file are zeros. */
static void read_at(const struct image *image, uint64_t offset, void *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(image->fd, (char *)buf + done, size - done,
		                  (off_t)(offset + done));

		if (n < 0)
			failed(image->name);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	memset((char *)buf + done, 0, size - done);
}

static uint32_t entry(const struct image *image, uint32_t logical)
{
	return number(image->map + 4 * (size_t)logical);
}

static void *take(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		failed("memory");
	return made;
}

static void judge_map(struct image *image)
{
	uint8_t *named = take((size_t)(image->present / 8 + 1));

	for (uint32_t i = 0; i < image->layout->entries; i++) {
		uint32_t physical = entry(image, i);

		if (physical == NONE)
			continue;
		image->allocated++;
		if (physical >= image->present)
			unsound(image, "an entry names no block of the file", i);
		if (physical >= image->count)
			unsound(image, "an entry names a block at or above block_count", i);
		if (i >= (image->size + BLOCK - 1) / BLOCK)
			unsound(image, "an entry past the end of the disk is allocated", i);
		if (named[physical / 8] >> (physical % 8) & 1)
			unsound(image, "a block is named twice", physical);
		named[physical / 8] |= (uint8_t)(1U << (physical % 8));
	}
	free(named);
}

static void open_image(struct image *image, const char *name)
{
	uint8_t preamble[20];
	struct stat st;

	image->name = name;
	image->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (image->fd < 0 || fstat(image->fd, &st) < 0)
		failed(name);
	image->file_size = (uint64_t)st.st_size;
	read_at(image, 0, preamble, sizeof preamble);
	if (memcmp(preamble, "GOW", 4) != 0)
		unsound(image, "the magic is another", number(preamble));
	image->version = number(preamble + 4);
	if (image->version < 1 || image->version > 3)
		unsound(image, "the version is unknown", image->version);
	image->layout = &layouts[image->version];
	image->size = number(preamble + 8) | (uint64_t)number(preamble + 12) << 32;
	image->count = number(preamble + 16);
	if (image->file_size < image->layout->header_end)
		unsound(image, "the header is cut short", image->file_size);
	if (!image->size || image->size % 512 || image->size > image->layout->limit)
		unsound(image, "the logical size is invalid", image->size);
	if (image->file_size > image->layout->data_start)
		image->present = (image->file_size - image->layout->data_start + BLOCK - 1) / BLOCK;
	image->map = take(4 * (size_t)image->layout->entries);
	read_at(image, 20, image->map, 4 * (size_t)image->layout->entries);
	if (image->layout->versions_at) {
		image->versions = take(4 * (size_t)image->layout->entries);
		read_at(image, image->layout->versions_at, image->versions,
		        4 * (size_t)image->layout->entries);
	}
	judge_map(image);
}

static void print_header(const struct image *image)
{
	uint32_t zero = 0, one = 0, higher = 0, wrong = 0;

	printf("version %" PRIu32 " size %" PRIu64 " count %" PRIu32 " present %" PRIu64
	       " allocated %" PRIu32 "\n",
	       image->version, image->size, image->count, image->present, image->allocated);
	for (uint32_t i = 0; i < image->layout->entries && image->versions; i++) {
		uint32_t version = number(image->versions + 4 * (size_t)i);

		zero += version == 0;
		one += version == 1;
		higher += version > 1;
		wrong += (version == 0) != (entry(image, i) == NONE);
	}
	if (image->versions)
		printf("numbers %" PRIu32 " %" PRIu32 " %" PRIu32 " wrong %" PRIu32 "\n", zero, one,
		       higher, wrong);
}

static void print_map(const struct image *image)
{
	for (uint32_t i = 0; i < image->layout->entries; i++)
		if (entry(image, i) != NONE)
			printf("%" PRIu32 " %" PRIu32 "\n", i, entry(image, i));
}

static void write_disk(const struct image *image, const char *name)
{
	static uint8_t block[BLOCK], zeros[BLOCK];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || ftruncate(fd, (off_t)image->size) < 0)
		failed(name);
	for (uint32_t i = 0; i < image->layout->entries; i++) {
		uint64_t at = i * BLOCK;
		size_t size = (size_t)(image->size - at < BLOCK ? image->size - at : BLOCK);

		if (entry(image, i) == NONE)
			continue;
		read_at(image, image->layout->data_start + entry(image, i) * BLOCK, block, size);
		if (memcmp(block, zeros, size) != 0 &&
		    pwrite(fd, block, size, (off_t)at) != (ssize_t)size)
			failed(name);
	}
	if (close(fd) < 0)
		failed(name);
}

/* A raw disk. */
static void count_data_blocks(const char *name)
{
	static uint8_t block[BLOCK], zeros[BLOCK];
	struct image disk = { .name = name, .fd = open(name, O_RDONLY | O_CLOEXEC) };
	uint32_t blocks = 0;
	struct stat st;

	if (disk.fd < 0 || fstat(disk.fd, &st) < 0)
		failed(name);
	for (uint64_t at = 0; at < (uint64_t)st.st_size; at += BLOCK) {
		read_at(&disk, at, block, sizeof block);
		blocks += memcmp(block, zeros, sizeof block) != 0;
	}
	printf("%" PRIu32 "\n", blocks);
}

int main(int argc, char **argv)
{
	struct image image = { .fd = -1 };

	if (argc != 3) {
		fputs("usage: guest IMAGE DISK | --header IMAGE | --map IMAGE | --data-blocks DISK\n",
		      stderr);
		return 2;
	}
	if (strcmp(argv[1], "--header") == 0) {
		open_image(&image, argv[2]);
		print_header(&image);
	} else if (strcmp(argv[1], "--data-blocks") == 0) {
		count_data_blocks(argv[2]);
	} else if (strcmp(argv[1], "--map") == 0) {
		open_image(&image, argv[2]);
		print_map(&image);
	} else {
		open_image(&image, argv[1]);
		write_disk(&image, argv[2]);
	}
	free(image.map);
	free(image.versions);
	return fflush(stdout) == 0 ? 0 : 1;
}
