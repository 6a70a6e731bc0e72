/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"

struct posix_file {
	struct gow_file base;
	int fd;
	bool holes_unknown; /* SEEK_DATA has once been refused */
	bool sharing_asked; /* whether any of it is shared has been found out: */
	bool sharing;
};

static struct posix_file *posix_of(struct gow_file *file)
{
	return (struct posix_file *)file;
}

static int fd_of(const struct gow_file *file)
{
	return ((const struct posix_file *)file)->fd;
}

/* Names the file, the place and the reason of a failed call. */
static int call_failed(const struct gow_file *file, int sys_errno, const char *what,
                       uint64_t offset, gow_error *error)
{
	/* Nobody expects a limit that a shell has set. */
	const char *limit = sys_errno == EFBIG ? "; see ulimit -f" : "";
	int code = gow_fail_errno(error, sys_errno, "%s%s%s", what,
	                          file->temporary ? file->temporary : "", limit);

	return gow_fail_in_file(error, gow_fail_at_offset(error, code, offset), file->name);
}

static int posix_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                      gow_error *error)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd_of(file), (uint8_t *)buf + done, size - done,
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
		ssize_t n = pwrite(fd_of(file), (const uint8_t *)buf + done, size - done,
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

	if (file->is_device) {
		if (ioctl(fd_of(file), BLKGETSIZE64, size) == 0)
			return GOW_OK;
		return call_failed(file, errno, "cannot ask the device's size", GOW_NOWHERE, error);
	}
	if (fstat(fd_of(file), &st) < 0)
		return call_failed(file, errno, "cannot ask the file's size", GOW_NOWHERE, error);
	*size = (uint64_t)st.st_size;
	return GOW_OK;
}

static int posix_truncate(struct gow_file *file, uint64_t size, gow_error *error)
{
	int result;

	do
		result = ftruncate(fd_of(file), (off_t)size);
	while (result < 0 && errno == EINTR);
	return result < 0 ? call_failed(file, errno, "cannot set the file's length", size, error)
	                  : GOW_OK;
}

static int posix_sync(struct gow_file *file, gow_error *error)
{
	/* EINTR is not retried: whether the kernel still holds the error is not known. */
	return fsync(fd_of(file)) < 0
	               ? call_failed(file, errno, "cannot bring the data to stable storage",
	                             GOW_NOWHERE, error)
	               : GOW_OK;
}

static int posix_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                           gow_error *error)
{
	struct posix_file *posix = posix_of(file);
	off_t data, hole;

	(void)error;
	if (file->is_device || posix->holes_unknown || offset > INT64_MAX)
		return GOW_ERR_UNSUPPORTED;
	data = lseek(fd_of(file), (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO) { /* no data from there to the end */
		*start = *end = offset;
		return GOW_OK;
	}
	if (data < 0) {
		posix->holes_unknown = true;
		return GOW_ERR_UNSUPPORTED;
	}
	hole = lseek(fd_of(file), data, SEEK_HOLE);
	if (hole <= data) /* the file shrank in between; reading finds out */
		return GOW_ERR_UNSUPPORTED;
	*start = (uint64_t)data;
	*end = (uint64_t)hole;
	return GOW_OK;
}

static int posix_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	enum { SECTOR = 512 };

	(void)error;
	if (file->is_device && offset % SECTOR == 0 && size % SECTOR == 0) {
		uint64_t range[2] = { offset, size };

		/* The kernel zeroes by the device's own means or by writing; never by a mere
		 * discard, whose blocks may read as anything. */
		if (ioctl(fd_of(file), BLKZEROOUT, range) == 0)
			return GOW_OK;
	}
	return GOW_ERR_UNSUPPORTED;
}

/* Asks the file system's map of extents once, for whether any is shared, and then by ranges. */
static int posix_shared(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *bytes,
                        gow_error *error)
{
	struct posix_file *posix = posix_of(file);

	(void)error;
	*bytes = 0;
	if (!posix->sharing_asked) {
		posix->sharing_asked = true;
		posix->sharing = gow_posix_shared_bytes(fd_of(file), 0, INT64_MAX) > 0;
	}
	if (posix->sharing)
		*bytes = gow_posix_shared_bytes(fd_of(file), offset, size);
	return GOW_OK;
}

static bool posix_would_share(struct gow_file *file, struct gow_file *from, uint64_t from_offset)
{
	return gow_posix_fd(from) >= 0 &&
	       gow_posix_try_sharing(fd_of(file), gow_posix_fd(from),
	                             gow_round_up(from_offset, GOW_FILE_GRAIN));
}

static int change_space(struct gow_file *file, int mode, uint64_t offset, uint64_t size,
                        const char *unsupported, const char *failed, gow_error *error)
{
	int result;

	do
		result = fallocate(fd_of(file), mode, (off_t)offset, (off_t)size);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return GOW_OK;
	if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV)
		return gow_fail_in_file(
			error, gow_fail(error, GOW_ERR_UNSUPPORTED, "%s", unsupported), file->name);
	return call_failed(file, errno, failed, offset, error);
}

static int posix_allocate(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error)
{
	uint64_t shared = 0;
	int code = posix_shared(file, offset, size, &shared, error);

	/* What is shared gets a place of its own, so that writing to it needs none. */
	if (!code && shared)
		code = change_space(file, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, offset,
		                    size, "space cannot be reserved on this file system",
		                    "cannot reserve space", error);
	return code ? code
	            : change_space(file, 0, offset, size,
	                           "space cannot be reserved on this file system",
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

/* Shares the range where the file system can (reflink), and has the kernel copy it otherwise. */
static int posix_copy(struct gow_file *file, uint64_t offset, struct gow_file *from,
                      uint64_t from_offset, uint64_t size, uint64_t *done, gow_error *error)
{
	off_t source = (off_t)from_offset, target = (off_t)offset;
	const int from_fd = gow_posix_fd(from);

	(void)error;
	*done = 0;
	while (from_fd >= 0 && *done < size) {
		const size_t part = (size_t)gow_min(size - *done, SSIZE_MAX);
		ssize_t n = copy_file_range(from_fd, &source, fd_of(file), &target, part, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* what fails for good fails through memory again, and says where */
			break;
		*done += (uint64_t)n;
	}
	return *done == size ? GOW_OK : GOW_ERR_UNSUPPORTED;
}

static void posix_write_out(struct gow_file *file, uint64_t offset, uint64_t size)
{
	/* Without waiting, which would take an error away from the sync. */
	(void)sync_file_range(fd_of(file), (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static int posix_close(struct gow_file *file, gow_error *error)
{
	int code = GOW_OK;

	/* Linux frees the descriptor whatever close says; EINTR loses nothing. */
	if (close(fd_of(file)) < 0 && errno != EINTR)
		code = call_failed(file, errno, "cannot close", GOW_NOWHERE, error);
	free(file->name);
	free(file);
	return code;
}

static void posix_drop_cache(struct gow_file *file)
{
	(void)posix_fadvise(fd_of(file), 0, 0, POSIX_FADV_DONTNEED);
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
	.copy = posix_copy,
	.shared = posix_shared,
	.would_share = posix_would_share,
	.identity = gow_posix_identity,
	.attributes = gow_posix_attributes,
	.each_xattr = gow_posix_each_xattr,
	.dress = gow_posix_dress,
	.close_to_others = gow_posix_close_to_others,
	.room = gow_posix_room,
	.drop_cache = posix_drop_cache,
	.write_out = posix_write_out,
	.close = posix_close,
};

int gow_posix_fd(const struct gow_file *file)
{
	return file->ops == &posix_ops ? fd_of(file) : -1;
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
	made->base.read_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
	made->base.can_lock = true;
	made->base.is_device = S_ISBLK(st.st_mode);
	made->base.concurrent = true;
	made->fd = fd;
	*file = &made->base;
	return GOW_OK;
}
