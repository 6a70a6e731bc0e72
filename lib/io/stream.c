/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/monitor.h"

enum { WAIT_MS = 200, PART = 65536 };

/* Whether a name is that of a standard descriptor, whose number is a digit. */
static bool names(const char *name, const char *device, char descriptor)
{
	static const char *const directories[] = { "/dev/fd/", "/proc/self/fd/" };

	if (strcmp(name, "-") == 0 || strcmp(name, device) == 0)
		return true;
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		size_t length = strlen(directories[i]);

		if (strncmp(name, directories[i], length) == 0 && name[length] == descriptor &&
		    !name[length + 1])
			return true;
	}
	return false;
}

bool gow_is_standard_input(const char *name)
{
	return names(name, "/dev/stdin", '0');
}

bool gow_is_standard_output(const char *name)
{
	return names(name, "/dev/stdout", '1');
}

static int failed(const struct gow_stream *stream, const char *what, gow_error *error)
{
	int code = gow_fail_errno(error, errno, "%s", what);

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, stream->position),
	                        stream->name);
}

/* Until the descriptor is ready; a signal shows itself as a stop asked by the monitor. */
static int wait_for(struct gow_stream *stream, short events, gow_error *error)
{
	struct pollfd poll_fd = { .fd = stream->fd, .events = events };

	for (;;) {
		int ready = poll(&poll_fd, 1, WAIT_MS);
		int code = gow_tick(stream->monitor, "copy", stream->position, 0, error);

		if (code)
			return code;
		if (ready > 0)
			return GOW_OK;
		if (ready < 0 && errno != EINTR)
			return failed(stream, "cannot wait for the other end", error);
	}
}

int gow_stream_read(struct gow_stream *stream, void *buf, size_t size, size_t *got,
                    gow_error *error)
{
	size_t done = 0;

	while (done < size) {
		int code = wait_for(stream, POLLIN, error);
		ssize_t n;

		if (code)
			return code;
		n = read(stream->fd, (uint8_t *)buf + done, size - done);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return failed(stream, "cannot read", error);
		if (n == 0)
			break;
		done += (size_t)n;
		stream->position += (uint64_t)n;
	}
	*got = done;
	return GOW_OK;
}

/* As much as the other end has room for, without waiting for it to make more: a stop that is
 * asked for meanwhile would not be heard. */
static ssize_t write_some(const struct gow_stream *stream, const void *buf, size_t size)
{
	struct iovec part = { .iov_len = (size_t)gow_min(size, PART) };
	ssize_t n;

	if (!stream->may_wait)
		return write(stream->fd, buf, part.iov_len);
	memcpy(&part.iov_base, &buf, sizeof buf); /* which is not const; it is only read */
	n = pwritev2(stream->fd, &part, 1, -1, RWF_NOWAIT);
	if (n >= 0 || (errno != EAGAIN && errno != EOPNOTSUPP && errno != ENOSYS))
		return n;
	/* The kernel cannot; so much never waits in a pipe that is ready. */
	return write(stream->fd, buf, (size_t)gow_min(size, PIPE_BUF));
}

int gow_stream_write(struct gow_stream *stream, const void *buf, size_t size, gow_error *error)
{
	size_t done = 0;
	struct stat st;

	if (stream->position == 0)
		stream->may_wait = fstat(stream->fd, &st) < 0 || !S_ISREG(st.st_mode);
	while (done < size) {
		int code = wait_for(stream, POLLOUT, error);
		ssize_t n;

		if (code)
			return code;
		n = write_some(stream, (const uint8_t *)buf + done, size - done);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return failed(stream, "cannot write", error);
		done += (size_t)n;
		stream->position += (uint64_t)n;
	}
	return GOW_OK;
}
