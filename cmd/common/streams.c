/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/signals.h"

bool streams_fill(void)
{
	/* A new descriptor is the lowest that is free, so the order matters. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int filler;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		filler = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
		if (filler != fd)
			return false;
	}
	return true;
}

/* Waits until a descriptor that somebody made non-blocking takes more. */
static void wait_for_room(int fd)
{
	struct pollfd want = { .fd = fd, .events = POLLOUT };

	(void)poll(&want, 1, -1);
}

int streams_write(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t written = write(fd, at, size);

		if (written >= 0) {
			at += written;
			size -= (size_t)written;
		} else if (errno == EAGAIN) {
			wait_for_room(fd);
		} else if (errno != EINTR) {
			return errno;
		}
		if (written < 0 && signals_stop())
			return EINTR;
	}
	return 0;
}

bool streams_is_device_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *above = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
	char *real = realpath(above ? above : ".", NULL);
	const bool is = real && (strcmp(real, "/dev") == 0 || strncmp(real, "/dev/", 5) == 0) &&
	                strncmp(real, "/dev/shm", 8) != 0;

	free(above);
	free(real);
	return is;
}

bool streams_colour(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}
