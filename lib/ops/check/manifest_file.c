/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/check/manifest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/remote.h"
#include "io/stream.h"

enum { CHUNK = 1 << 16 };

static const uint64_t most = UINT64_C(1) << 30; /* no disk has a manifest of so many bytes */

/* Copies a stream to a temporary file, which takes its name. */
static int spool(struct gow_stream *stream, struct gow_file *file, gow_error *error)
{
	uint8_t *buffer = malloc(CHUNK);
	size_t got = CHUNK;
	int code = buffer ? GOW_OK : gow_fail_memory(error, CHUNK);

	while (!code && got == CHUNK) {
		uint64_t at = stream->position;

		code = gow_stream_read(stream, buffer, CHUNK, &got, error);
		if (!code && at > most)
			code = gow_fail_in_file(error,
			                        gow_fail(error, GOW_ERR_DAMAGED, "is no manifest"),
			                        stream->name);
		if (!code)
			code = gow_file_write(file, at, buffer, got, error);
	}
	free(buffer);
	return code;
}

static int open_stream(int fd, const char *name, const gow_common *common, struct gow_file **file,
                       gow_error *error)
{
	struct gow_stream stream = { .fd = fd, .name = name, .monitor = common->monitor };
	char *own = strdup(name);
	int code = own ? gow_file_unnamed(NULL, file, error) : gow_fail_memory(error, strlen(name));

	if (!code)
		code = spool(&stream, *file, error);
	if (code) {
		free(own);
		return code;
	}
	free((*file)->name);
	(*file)->name = own;
	return GOW_OK;
}

int gow_manifest_input(const char *path, const gow_common *common, struct gow_file **file,
                       struct gow_lock *lock, gow_error *error)
{
	const gow_open_options options = {
		.common = { .wait_seconds = common->wait_seconds,
		            .monitor = common->monitor,
		            .flags = common->flags & GOW_COMMON_NO_LOCK },
	};
	struct stat st;
	int fd, code;

	if (strcmp(path, "-") == 0)
		return open_stream(STDIN_FILENO, "standard input", common, file, error);
	if (gow_name_is_uri(path) || stat(path, &st) < 0 || !S_ISFIFO(st.st_mode))
		return gow_open_locked(path, 0, &options, file, lock, error);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return gow_fail_in_file(error, gow_fail_errno(error, errno, "cannot open"), path);
	code = open_stream(fd, path, common, file, error);
	(void)close(fd);
	return code;
}

int gow_manifest_output(struct gow_file *file, const gow_monitor *monitor, gow_error *error)
{
	struct gow_stream stream = { .fd = STDOUT_FILENO,
		                     .name = "standard output",
		                     .monitor = monitor };
	uint8_t *buffer = malloc(CHUNK);
	size_t got = CHUNK;
	int code = buffer ? GOW_OK : gow_fail_memory(error, CHUNK);

	while (!code && got == CHUNK) {
		code = gow_file_read(file, stream.position, buffer, CHUNK, &got, error);
		if (!code)
			code = gow_stream_write(&stream, buffer, got, error);
	}
	free(buffer);
	return code;
}
