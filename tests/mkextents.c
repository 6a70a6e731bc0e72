/*
 * mkextents: writes every other block of a raw disk that is there already.
 *
 *	mkextents DISK COUNT
 *
 * Blocks 0, 2, 4, ... get 4 KiB with their number at the start; COUNT of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 65536, PAGE = 4096 };

int main(int argc, char **argv)
{
	static char page[PAGE];
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	int fd = count > 0 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: mkextents DISK COUNT (%s)\n", strerror(errno));
		return 2;
	}
	for (long i = 0; i < count; i++) {
		(void)snprintf(page, sizeof page, "extent %ld", i);
		if (pwrite(fd, page, sizeof page, (off_t)i * 2 * BLOCK) != (ssize_t)sizeof page) {
			fprintf(stderr, "mkextents: %s\n", strerror(errno));
			return 1;
		}
	}
	return close(fd) == 0 ? 0 : 1;
}
