/* SPDX-License-Identifier: BSD-2-Clause */
#include "kit/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "kit/packing.h"
#include "support/check.h"

enum { PIECE = 1 << 16, PAGE = 4096 };

static unsigned walk(bool clear)
{
	DIR *directory = opendir(".");
	unsigned count = 0;

	CHECK(directory);
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		count++;
		if (clear)
			CHECK(!unlink(entry->d_name));
	}
	(void)closedir(directory);
	return count;
}

void directory_clear(void)
{
	(void)walk(true);
}

unsigned directory_count(void)
{
	return walk(false);
}

static void write_all(int fd, const uint8_t *bytes, uint64_t size, uint64_t offset)
{
	CHECK(pwrite(fd, bytes, (size_t)size, (off_t)offset) == (ssize_t)size);
}

static void put(void *context, uint64_t offset, const uint8_t *bytes, uint64_t size, uint8_t fill)
{
	static uint8_t filled[PIECE];
	const int fd = *(const int *)context;

	if (bytes) {
		write_all(fd, bytes, size, offset);
		return;
	}
	memset(filled, fill, sizeof filled);
	for (uint64_t at = 0; at < size; at += PIECE)
		write_all(fd, filled, size - at < PIECE ? size - at : PIECE, offset + at);
}

static void resize(void *context, uint64_t size)
{
	CHECK(!ftruncate(*(const int *)context, (off_t)size));
}

void directory_unpack(const char *name, const struct input *packed, uint64_t limit)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct unpacker to = { put, resize, &fd, limit };

	CHECK(fd >= 0);
	(void)unpack(&to, packed->at, packed->left);
	CHECK(!close(fd));
}

uint64_t directory_next_data(int fd, uint64_t offset)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	return at < 0 ? UINT64_MAX : (uint64_t)at;
}

uint64_t directory_hash(const char *name)
{
	static const uint8_t zeros[PAGE];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	uint64_t hash = directory_length(name), at = 0;
	uint8_t page[PAGE];

	CHECK(fd >= 0);
	for (;;) {
		ssize_t got;

		at = directory_next_data(fd, at);
		if (at == UINT64_MAX)
			break;
		at -= at % PAGE;
		memset(page, 0, sizeof page);
		got = pread(fd, page, sizeof page, (off_t)at);
		CHECK(got > 0);
		if (memcmp(page, zeros, sizeof page) != 0)
			hash = XXH3_64bits_withSeed(page, sizeof page, hash ^ (at * 31 + 1));
		at += PAGE;
	}
	CHECK(!close(fd));
	return hash;
}

uint64_t directory_length(const char *name)
{
	struct stat found;

	CHECK(!stat(name, &found));
	return (uint64_t)found.st_size;
}

void directory_limit(uint64_t bytes)
{
	const struct rlimit limit = { bytes, bytes };

	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
}
