/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"

/* Zeros for files whose backend has no better way. */
static const uint8_t zeros[GOW_BLOCK_SIZE];

/* ---- wrappers: what holds for every backend ---------------------------------------------- */

static int check_range(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	if (offset <= INT64_MAX && size <= INT64_MAX - offset)
		return GOW_OK;
	return gow_fail_in_file(
		error,
		gow_fail_at_offset(error, gow_fail_errno(error, EFBIG, "no file can be that large"),
	                           offset),
		file->name);
}

/* What was a hole may be one no longer. */
static void forget_run(struct gow_file *file)
{
	file->run.asked = file->run.start = file->run.end = 0;
}

int gow_file_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                  gow_error *error)
{
	int code = check_range(file, offset, size, error);

	return code ? code : file->ops->read(file, offset, buf, size, got, error);
}

int gow_file_read_all(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                      gow_error *error)
{
	size_t got;
	int code = gow_file_read(file, offset, buf, size, &got, error);

	if (code || got == size)
		return code;
	code = gow_fail(error, GOW_ERR_CHANGED, "the file became shorter while it was read");
	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset + got), file->name);
}

int gow_file_read_padded(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                         gow_error *error)
{
	size_t got;
	int code = gow_file_read(file, offset, buf, size, &got, error);

	if (!code)
		memset((uint8_t *)buf + got, 0, size - got);
	return code;
}

int gow_file_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                   gow_error *error)
{
	int code = check_range(file, offset, size, error);

	forget_run(file);
	return code ? code : file->ops->write(file, offset, buf, size, error);
}

int gow_file_size(struct gow_file *file, uint64_t *size, gow_error *error)
{
	return file->ops->size(file, size, error);
}

int gow_file_truncate(struct gow_file *file, uint64_t size, gow_error *error)
{
	int code = check_range(file, size, 0, error);

	forget_run(file);
	return code ? code : file->ops->truncate(file, size, error);
}

int gow_file_sync(struct gow_file *file, gow_error *error)
{
	int code;

	if (file->sync_failed)
		return gow_fail_in_file(
			error,
			gow_fail_errno(error, EIO, "an earlier sync failed, so nothing more is written"),
			file->name);
	code = file->ops->sync(file, error);
	file->sync_failed = code != GOW_OK;
	return code;
}

/* Where holes cannot be told from data: everything from offset to the end. */
static int rest_is_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                        gow_error *error)
{
	uint64_t size;
	int code = gow_file_size(file, &size, error);

	if (code)
		return code;
	*start = gow_min(offset, size);
	*end = size;
	return GOW_OK;
}

/* Where zeros must be made by writing them. */
static int write_zeros(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, sizeof zeros);

		code = file->ops->write(file, offset, zeros, part, error);
		offset += part;
		size -= part;
	}
	return code;
}

int gow_file_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                       gow_error *error)
{
	if (offset < file->run.asked || offset >= file->run.end) {
		uint64_t found_start, found_end;
		int code = file->ops->next_data
		                   ? file->ops->next_data(file, offset, &found_start, &found_end,
		                                          error)
		                   : rest_is_data(file, offset, &found_start, &found_end, error);

		if (code)
			return code;
		file->run.asked = offset;
		file->run.start = found_start;
		file->run.end = found_end;
	}
	*start = gow_max(offset, file->run.start);
	*end = gow_max(*start, file->run.end);
	return GOW_OK;
}

int gow_file_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = check_range(file, offset, size, error);

	forget_run(file);
	if (code || !size)
		return code;
	return file->ops->zero ? file->ops->zero(file, offset, size, error)
	                       : write_zeros(file, offset, size, error);
}

typedef int (*reserver)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

static int call_reserver(reserver reserve, struct gow_file *file, uint64_t offset, uint64_t size,
                         gow_error *error)
{
	int code = check_range(file, offset, size, error);

	/* What was a hole is still zeros: the run that was found last stays true. */
	if (code || !size)
		return code;
	if (!reserve)
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_UNSUPPORTED,
		                                 "space cannot be reserved here"),
		                        file->name);
	return reserve(file, offset, size, error);
}

int gow_file_allocate(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return call_reserver(file->ops->allocate, file, offset, size, error);
}

int gow_file_reserve(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return call_reserver(file->ops->reserve, file, offset, size, error);
}

int gow_file_punch(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = check_range(file, offset, size, error);

	forget_run(file);
	if (code || !size)
		return code;
	if (!file->ops->punch)
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_UNSUPPORTED,
		                                 "holes cannot be made here"),
		                        file->name);
	return file->ops->punch(file, offset, size, error);
}

int gow_file_clear(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	int code = gow_file_punch(file, offset, size, error);

	return code == GOW_ERR_UNSUPPORTED ? gow_file_zero(file, offset, size, error) : code;
}

int gow_file_close(struct gow_file *file, gow_error *error)
{
	return file ? file->ops->close(file, error) : GOW_OK;
}

/* ---- the POSIX backend ------------------------------------------------------------------- */

struct posix_file {
	struct gow_file base;
	bool device;
	bool holes_unknown; /* SEEK_DATA has once been refused */
};

static struct posix_file *posix_of(struct gow_file *file)
{
	return (struct posix_file *)file;
}

/* Names the file, the place and the reason of a failed call. */
static int call_failed(const struct gow_file *file, int sys_errno, const char *what,
                       uint64_t offset, gow_error *error)
{
	int code = gow_fail_errno(error, sys_errno, "%s", what);

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), file->name);
}

static int posix_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                      gow_error *error)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(file->fd, (uint8_t *)buf + done, size - done,
		                  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return call_failed(file, errno, "cannot read", offset + done, error);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return GOW_OK;
}

static int posix_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                       gow_error *error)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(file->fd, (const uint8_t *)buf + done, size - done,
		                   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		/* A device that is full takes nothing and says nothing. */
		if (n <= 0)
			return call_failed(file, n ? errno : ENOSPC, "cannot write", offset + done,
			                   error);
		done += (size_t)n;
	}
	return GOW_OK;
}

static int posix_size(struct gow_file *file, uint64_t *size, gow_error *error)
{
	struct stat st;

	if (posix_of(file)->device) {
		if (ioctl(file->fd, BLKGETSIZE64, size) == 0)
			return GOW_OK;
		return call_failed(file, errno, "cannot ask the device's size", GOW_NOWHERE,
		                   error);
	}
	if (fstat(file->fd, &st) < 0)
		return call_failed(file, errno, "cannot ask the file's size", GOW_NOWHERE, error);
	*size = (uint64_t)st.st_size;
	return GOW_OK;
}

static int posix_truncate(struct gow_file *file, uint64_t size, gow_error *error)
{
	int result;

	do
		result = ftruncate(file->fd, (off_t)size);
	while (result < 0 && errno == EINTR);
	return result < 0 ? call_failed(file, errno, "cannot set the file's length", size, error)
	                  : GOW_OK;
}

static int posix_sync(struct gow_file *file, gow_error *error)
{
	/* EINTR is not retried: whether the kernel still holds the error is not known. */
	return fsync(file->fd) < 0 ? call_failed(file, errno,
	                                         "cannot bring the data to stable storage",
	                                         GOW_NOWHERE, error)
	                           : GOW_OK;
}

static int posix_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                           gow_error *error)
{
	struct posix_file *posix = posix_of(file);
	off_t data, hole;

	if (posix->device || posix->holes_unknown || offset > INT64_MAX)
		return rest_is_data(file, offset, start, end, error);
	data = lseek(file->fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO) { /* no data from there to the end */
		*start = *end = offset;
		return GOW_OK;
	}
	if (data < 0) {
		posix->holes_unknown = true;
		return rest_is_data(file, offset, start, end, error);
	}
	hole = lseek(file->fd, data, SEEK_HOLE);
	if (hole <= data) /* the file shrank in between; reading will tell */
		return rest_is_data(file, offset, start, end, error);
	*start = (uint64_t)data;
	*end = (uint64_t)hole;
	return GOW_OK;
}

static int posix_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	enum { SECTOR = 512 };

	if (posix_of(file)->device && offset % SECTOR == 0 && size % SECTOR == 0) {
		uint64_t range[2] = { offset, size };

		/* The kernel zeroes by the device's own means or by writing; never by a mere
		 * discard, whose blocks may read as anything. */
		if (ioctl(file->fd, BLKZEROOUT, range) == 0)
			return GOW_OK;
	}
	return write_zeros(file, offset, size, error);
}

static int change_space(struct gow_file *file, int mode, uint64_t offset, uint64_t size,
                        const char *unsupported, const char *failed, gow_error *error)
{
	int result;

	do
		result = fallocate(file->fd, mode, (off_t)offset, (off_t)size);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return GOW_OK;
	if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV)
		return gow_fail_in_file(error, gow_fail(error, GOW_ERR_UNSUPPORTED, "%s", unsupported),
		                        file->name);
	return call_failed(file, errno, failed, offset, error);
}

static int posix_allocate(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return change_space(file, 0, offset, size, "space cannot be reserved on this file system",
	                    "cannot reserve space", error);
}

static int posix_reserve(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return change_space(file, FALLOC_FL_KEEP_SIZE, offset, size,
	                    "space cannot be reserved on this file system", "cannot reserve space",
	                    error);
}

static int posix_punch(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	return change_space(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size,
	                    "holes cannot be made on this file system", "cannot make a hole",
	                    error);
}

static int posix_close(struct gow_file *file, gow_error *error)
{
	int code = GOW_OK;

	/* Linux frees the descriptor whatever close says; EINTR loses nothing. */
	if (close(file->fd) < 0 && errno != EINTR)
		code = call_failed(file, errno, "cannot close", GOW_NOWHERE, error);
	free(file->name);
	free(file);
	return code;
}

static const struct gow_file_ops posix_ops = {
	.read = posix_read,
	.write = posix_write,
	.size = posix_size,
	.truncate = posix_truncate,
	.sync = posix_sync,
	.next_data = posix_next_data,
	.zero = posix_zero,
	.allocate = posix_allocate,
	.reserve = posix_reserve,
	.punch = posix_punch,
	.close = posix_close,
};

/* ---- copying ----------------------------------------------------------------------------- */

static int copy_through_memory(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                               uint64_t to_offset, uint64_t size, gow_error *error)
{
	uint8_t buffer[GOW_BLOCK_SIZE];
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, sizeof buffer), got = 0;

		code = gow_file_read(from, from_offset, buffer, part, &got, error);
		if (!code)
			code = gow_file_write(to, to_offset, buffer, got, error);
		if (got < part)
			break;
		from_offset += part;
		to_offset += part;
		size -= part;
	}
	return code;
}

/* Where the kernel will not, memory does. */
static int copy_in_kernel(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                          uint64_t to_offset, uint64_t size, gow_error *error)
{
	off_t source = (off_t)from_offset, target = (off_t)to_offset;

	while (size) {
		ssize_t n = copy_file_range(from->fd, &source, to->fd, &target, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* what fails for good fails there again, and says where */
			return copy_through_memory(from, (uint64_t)source, to, (uint64_t)target,
			                           size, error);
		if (n == 0)
			break;
		size -= (uint64_t)n;
	}
	return GOW_OK;
}

int gow_file_copy(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                  uint64_t to_offset, uint64_t size, gow_error *error)
{
	/* In the middle lie the pages that can be shared; the ends are copied. */
	const uint64_t head = gow_min(size, gow_round_up(from_offset, GOW_FILE_GRAIN) - from_offset);
	const uint64_t tail = (size - head) % GOW_FILE_GRAIN;
	const uint64_t parts[] = { head, size - head - tail, tail };
	int code = check_range(from, from_offset, size, error);

	if (!code)
		code = check_range(to, to_offset, size, error);
	forget_run(to);
	for (size_t i = 0; i < 3 && !code; i++) {
		code = from->ops == &posix_ops && to->ops == &posix_ops
		               ? copy_in_kernel(from, from_offset, to, to_offset, parts[i], error)
		               : copy_through_memory(from, from_offset, to, to_offset, parts[i],
		                                     error);
		from_offset += parts[i];
		to_offset += parts[i];
	}
	return code;
}

/* ---- opening ----------------------------------------------------------------------------- */

int gow_file_from_fd(int fd, const char *name, struct gow_file **file, gow_error *error)
{
	struct posix_file *made = calloc(1, sizeof *made);
	char *copy = strdup(name);
	struct stat st;

	if (!made || !copy || fstat(fd, &st) < 0) {
		int code = made && copy ? gow_fail_errno(error, errno, "cannot examine")
		                        : gow_fail_memory(error, sizeof *made);

		free(made);
		free(copy);
		(void)close(fd);
		return gow_fail_in_file(error, code, name);
	}
	made->base.ops = &posix_ops;
	made->base.name = copy;
	made->base.fd = fd;
	made->device = S_ISBLK(st.st_mode);
	*file = &made->base;
	return GOW_OK;
}

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
	if (code) {
		(void)gow_file_close(opened, NULL);
		return gow_fail_in_file(error, code, path);
	}
	*file = opened;
	return GOW_OK;
}

/* The folder that `beside` lies in, allocated. */
static char *folder_for(const char *beside)
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
static int open_and_unlink(const char *folder)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/.gow-tmp-XXXXXX", folder) < 0) {
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
	char *folder = folder_for(beside);
	int fd, code;

	if (!folder)
		return gow_fail_memory(error, PATH_MAX);
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = open_and_unlink(folder);
	if (fd < 0)
		code = gow_fail_in_file(error,
		                        gow_fail_errno(error, errno,
		                                       "cannot make a temporary file there"),
		                        folder);
	else
		code = gow_file_from_fd(fd, folder, file, error);
	free(folder);
	return code;
}

int gow_file_in_memory(const char *name, struct gow_file **file, gow_error *error)
{
	int fd = memfd_create("gow", MFD_CLOEXEC);

	if (fd < 0)
		return gow_fail_errno(error, errno, "no memory for a temporary file");
	return gow_file_from_fd(fd, name, file, error);
}

void gow_file_drop_cache(const struct gow_file *file)
{
	(void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

void gow_file_write_out(const struct gow_file *file, uint64_t offset, uint64_t size)
{
	/* Without waiting, which would take an error away from the sync. */
	if (file->ops == &posix_ops)
		(void)sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

bool gow_file_is_device(const struct gow_file *file)
{
	return file->ops == &posix_ops && ((const struct posix_file *)file)->device;
}
