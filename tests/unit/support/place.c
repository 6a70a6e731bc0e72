/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/check.h"

static char directory[4096];
static pid_t owner;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_place(void)
{
	/* Not from a forked child. */
	if (getpid() == owner)
		(void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *place(void)
{
	const char *tmp = getenv("TMPDIR");

	if (directory[0])
		return directory;
	(void)snprintf(directory, sizeof directory, "%s/gow-unit.XXXXXX",
	               tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(directory)) {
		directory[0] = '\0';
		CHECK_FAIL("no temporary directory in %s", tmp ? tmp : "/tmp");
	}
	owner = getpid();
	(void)atexit(remove_place);
	return directory;
}

const char *place_path(void)
{
	static char paths[16][4200];
	static unsigned next;
	char *path = paths[next % 16];

	(void)snprintf(path, sizeof paths[0], "%s/file%u", place(), next++);
	return path;
}

void place_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, bytes, size) == (ssize_t)size);
	CHECK(close(fd) == 0);
}

size_t place_count(const char *of, const char *prefix)
{
	DIR *dir = opendir(of);
	struct dirent *entry;
	size_t count = 0;

	CHECK(dir);
	while ((entry = readdir(dir)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		         strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(dir);
	return count;
}
