/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/posix.h"

/* Files that nobody else can name. Linux keeps files in memory, sparse ones as well; what is made
 * of them is the POSIX backend's. */

/* The directory that `beside` lies in, allocated. */
static char *directory_for(const char *beside)
{
	const char *temporary = secure_getenv("TMPDIR");
	const char *slash = beside ? strrchr(beside, '/') : NULL;

	if (!beside)
		return strdup(temporary && temporary[0] ? temporary : "/tmp");
	if (!slash)
		return strdup(".");
	return strndup(beside, slash == beside ? 1 : (size_t)(slash - beside));
}

/* Where a file system knows no files without a name: one with a name that is taken back. */
static int open_and_unlink(const char *directory)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/.gow-tmp-XXXXXX", directory) < 0) {
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	free(path);
	return fd;
}

int gow_file_unnamed(const char *beside, struct gow_file **file, gow_error *error)
{
	char *directory = directory_for(beside);
	const char *name = beside ? beside : directory;
	int fd, code;

	if (!directory)
		return gow_fail_memory(error, PATH_MAX);
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = open_and_unlink(directory);
	if (fd < 0)
		code = gow_fail_in_file(
			error,
			gow_fail_errno(error, errno, "cannot make a temporary file %s",
		                       beside ? "beside it" : "there (TMPDIR says where)"),
			name);
	else
		code = gow_file_from_fd(fd, name, file, error);
	if (!code)
		(*file)->temporary = beside ? ", in a temporary file beside it"
		                            : ", in a temporary file (TMPDIR says where)";
	free(directory);
	return code;
}

int gow_file_in_memory(const char *name, struct gow_file **file, gow_error *error)
{
	int fd = memfd_create("gow", MFD_CLOEXEC);
	int code;

	if (fd < 0)
		return gow_fail_errno(error, errno, "no memory for a temporary file");
	code = gow_file_from_fd(fd, name, file, error);
	if (!code)
		(*file)->temporary = ", in a temporary file in memory";
	return code;
}
