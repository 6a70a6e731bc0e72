/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_open.c - opening files by name, and taking over descriptors: which kinds serve, and how. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/posix.h"

/* What a file of that mode is called, if it is not of the kind that we can take. */
static const char *unfit_kind(mode_t mode, unsigned flags)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return NULL;
	case S_IFBLK:
		return flags & GOW_FILE_DEVICE ? NULL : "a block device";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return "a special file";
	}
}

static int check_kind(mode_t mode, unsigned flags, gow_error *error)
{
	const char *kind = unfit_kind(mode, flags);

	if (!kind)
		return GOW_OK;
	return gow_fail(error, GOW_ERR_UNSUPPORTED, "is %s; a regular file%s is needed", kind,
	                flags & GOW_FILE_DEVICE ? " or a block device" : "");
}

/* Some devices are opened for writing, and only then refuse to be written to. */
static int check_writable(int fd, gow_error *error)
{
	int read_only = 0;

	return ioctl(fd, BLKROGET, &read_only) == 0 && read_only
	               ? gow_fail_errno(error, EROFS, "is a read-only device")
	               : GOW_OK;
}

int gow_file_open(const char *path, unsigned flags, struct gow_file **file, gow_error *error)
{
	int mode = flags & GOW_FILE_WRITE ? O_RDWR : O_RDONLY;
	struct gow_file *opened;
	struct stat st;
	int fd, code;

	/* Looked at before it is opened, since opening a device can have effects; and again
	 * afterwards, since the name may mean another file by then. */
	if (stat(path, &st) < 0)
		return gow_fail_in_file(error, gow_fail_errno(error, errno, "cannot open"), path);
	code = check_kind(st.st_mode, flags, error);
	if (code)
		return gow_fail_in_file(error, code, path);
	if (S_ISBLK(st.st_mode) && flags & GOW_FILE_EXCLUSIVE)
		mode |= O_EXCL;
	/* O_NONBLOCK: never wait for a FIFO's other end, or for a lease to be given back. */
	fd = open(path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		if (errno == EWOULDBLOCK || (errno == EBUSY && S_ISBLK(st.st_mode)))
			code = gow_fail(error, GOW_ERR_BUSY, "is in use by another process");
		else
			code = gow_fail_errno(error, errno, "cannot open");
		return gow_fail_in_file(error, code, path);
	}
	code = gow_file_from_fd(fd, path, &opened, error);
	if (code)
		return code;
	code = fstat(fd, &st) < 0 ? gow_fail_errno(error, errno, "cannot examine")
	                          : check_kind(st.st_mode, flags, error);
	if (!code && flags & GOW_FILE_WRITE && S_ISBLK(st.st_mode))
		code = check_writable(fd, error);
	if (code) {
		(void)gow_file_close(opened, NULL);
		return gow_fail_in_file(error, code, path);
	}
	*file = opened;
	return GOW_OK;
}

/* Why a descriptor that was opened elsewhere does not serve; NULL: it does. */
static const char *unfit_mode(int mode, unsigned flags)
{
	if (mode & (O_PATH | O_DIRECT))
		return "was opened with O_PATH or O_DIRECT";
	if ((mode & O_ACCMODE) == O_WRONLY)
		return "is not open for reading";
	if (!(flags & GOW_FILE_WRITE))
		return NULL;
	/* Linux appends whatever the offset is. */
	if (mode & O_APPEND)
		return "was opened for appending";
	return (mode & O_ACCMODE) == O_RDWR ? NULL : "is not open for writing";
}

int gow_file_adopt(int fd, const char *name, unsigned flags, struct gow_file **file,
                   gow_error *error)
{
	const int mode = fcntl(fd, F_GETFL);
	const char *unfit = mode < 0 ? NULL : unfit_mode(mode, flags);
	struct gow_file *made;
	struct stat st;
	int code;

	if (mode < 0) /* nothing that could be closed */
		return gow_fail_in_file(error, gow_fail_errno(error, errno, "cannot examine"),
		                        name);
	code = gow_file_from_fd(fd, name, &made, error);
	if (code)
		return code;
	if (unfit)
		code = gow_fail(error, GOW_ERR_ARGUMENT, "%s", unfit);
	else
		code = fstat(fd, &st) < 0 ? gow_fail_errno(error, errno, "cannot examine")
		                          : check_kind(st.st_mode, flags, error);
	if (code) {
		(void)gow_file_close(made, NULL);
		return gow_fail_in_file(error, code, name);
	}
	*file = made;
	return GOW_OK;
}
