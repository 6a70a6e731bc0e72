/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/monitor.h"
#include "io/device.h"
#include "io/holder.h"
#include "io/posix.h"
#include "io/remote.h"

static int busy(const char *name, const char *what, const char *holder, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_BUSY, "%s by %s; try again later", what, holder);

	return gow_fail_in_file(error, code, name);
}

/* ---- taking ------------------------------------------------------------------------------ */

/* How one attempt goes about it. */
struct policy {
	bool no_lock;
	bool patient; /* there will be another attempt, so a writer is waited for */
	bool exclusive;
	bool steady; /* an open writer is a reason to refuse */
	bool force_share;
	const gow_monitor *monitor;
};

static int take_lock(struct gow_lock *lock, const struct policy *policy, gow_error *error)
{
	const int fd = gow_posix_fd(lock->file);
	short type = policy->exclusive ? F_WRLCK : F_RDLCK;
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	char holder[GOW_HOLDER_SIZE];
	int code;

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return GOW_OK;
	if (errno != EAGAIN && errno != EACCES) {
		code = gow_fail_errno(error, errno,
		                      "cannot lock (use --no-lock on a file system without locks)");
		return gow_fail_in_file(error, code, lock->file->name);
	}
	gow_find_holder(fd, type, holder);
	if (!policy->force_share)
		return busy(lock->file->name, "is locked", holder, error);
	lock->in_use = true;
	gow_note(policy->monitor, GOW_NOTE_IN_USE, lock->file->name,
	         "is locked by %s; what is read may be changing", holder);
	return GOW_OK;
}

/*
 * Whether a lease that was refused with EAGAIN means nothing: over a network it is refused whenever
 * the server has not handed the file over to us (a delegation, an oplock), whoever has it open, and
 * would be for ever. A process of this machine that has it open is found all the same.
 */
static bool refusal_means_nothing(int fd)
{
	enum { NFS = 0x6969, CEPH = 0x00c36400, AFS = 0x5346414f, V9FS = 0x01021997 };
	const unsigned cifs = 0xff534d42, smb2 = 0xfe534d42;
	char holder[GOW_HOLDER_SIZE];
	struct statfs fs;
	struct stat st;
	unsigned type;

	if (fstatfs(fd, &fs) || fstat(fd, &st))
		return false;
	type = (unsigned)fs.f_type;
	if (type != NFS && type != CEPH && type != AFS && type != V9FS && type != cifs &&
	    type != smb2)
		return false;
	return !gow_find_opener(&st, holder);
}

/* A device that the system itself uses (mounted, swap, a part of another) can be opened, but not by
 * whoever asks for it alone. */
static int look_at_device(struct gow_lock *lock, const struct policy *policy, const char *path,
                          gow_error *error)
{
	char use[GOW_HOLDER_SIZE] = "in use by the system";
	int fd, code;

	if (policy->exclusive) /* it was opened that way */
		return GOW_OK;
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		(void)close(fd);
	if (fd >= 0 || errno != EBUSY)
		return GOW_OK;
	(void)gow_device_use(path, use, sizeof use);
	if (policy->patient) {
		code = gow_fail(error, GOW_ERR_BUSY, "is %s; try again later", use);
		return gow_fail_in_file(error, code, path);
	}
	lock->in_use = true;
	gow_note(policy->monitor, GOW_NOTE_IN_USE, path, "is %s; what is read may be changing",
	         use);
	return GOW_OK;
}

static int take_lease(struct gow_lock *lock, const struct policy *policy, gow_error *error)
{
	const int fd = gow_posix_fd(lock->file);
	short type = policy->exclusive ? F_WRLCK : F_RDLCK;
	char holder[GOW_HOLDER_SIZE];
	int refused;

	/* The lease's break is found by asking (gow_lock_poll), so its signal is to be one that
	 * is ignored unless somebody wants it: SIGIO would end the process. */
	(void)fcntl(fd, F_SETSIG, SIGURG);
	if (fcntl(fd, F_SETLEASE, (int)type) == 0) {
		lock->lease = type;
		return GOW_OK;
	}
	refused = errno;
	if (refused != EAGAIN || refusal_means_nothing(fd)) {
		gow_note(policy->monitor, GOW_NOTE_DETAIL, lock->file->name,
		         "cannot tell whether another process has it open: no lease: %s",
		         strerror(refused));
		return GOW_OK;
	}
	gow_find_holder(fd, type, holder);
	if (policy->exclusive || policy->patient || (policy->steady && !policy->force_share))
		return busy(lock->file->name, policy->exclusive ? "is open" : "is open for writing",
		            holder, error);
	lock->in_use = true;
	gow_note(policy->monitor, GOW_NOTE_IN_USE, lock->file->name,
	         "is open for writing by %s; what is read may be changing", holder);
	return GOW_OK;
}

/* Opening was refused: somebody's lease, or an exclusive device. There is no descriptor to ask. */
static int busy_to_open(const char *path, gow_error *error)
{
	char holder[GOW_HOLDER_SIZE] = "another process", use[GOW_HOLDER_SIZE];
	struct stat st;
	int code;

	if (gow_device_use(path, use, sizeof use)) {
		code = gow_fail(error, GOW_ERR_BUSY, "is %s; nothing was written", use);
		return gow_fail_in_file(error, code, path);
	}
	if (stat(path, &st) == 0)
		(void)gow_find_opener(&st, holder);
	return busy(path, "is in use", holder, error);
}

/* What the file is before anything of it is read. */
static void note_state(struct gow_lock *lock)
{
	struct stat st;

	if (fstat(gow_posix_fd(lock->file), &st) < 0)
		return;
	lock->size = (uint64_t)st.st_size;
	lock->seconds = st.st_mtim.tv_sec;
	lock->nanoseconds = st.st_mtim.tv_nsec;
}

/* Locks a file that was opened, from path, as it is to be; lock->file is that file. */
static int lock_opened(const char *path, const struct policy *policy, struct gow_lock *lock,
                       gow_error *error)
{
	int code;

	lock->monitor = policy->monitor;
	lock->lease = F_UNLCK;
	lock->must_yield = policy->exclusive || (policy->steady && !policy->force_share);
	if (policy->no_lock)
		return GOW_OK;
	code = take_lock(lock, policy, error);
	if (code)
		return code;
	return gow_file_is_device(lock->file) ? look_at_device(lock, policy, path, error)
	                                      : take_lease(lock, policy, error);
}

static int open_once(const char *path, unsigned file_flags, const struct policy *policy,
                     struct gow_file **file, struct gow_lock *lock, gow_error *error)
{
	struct gow_lock taken = { .file = NULL };
	char holder[GOW_HOLDER_SIZE];
	int code;

	if (!policy->no_lock && !policy->force_share &&
	    gow_is_locked(path, policy->exclusive, holder))
		return busy(path, "is locked", holder, error);
	code = gow_file_open(path, file_flags, &taken.file, error);
	if (code)
		return code == GOW_ERR_BUSY ? busy_to_open(path, error) : code;
	code = lock_opened(path, policy, &taken, error);
	note_state(&taken);
	if (code) {
		(void)gow_file_close(taken.file, NULL);
		return code;
	}
	*file = taken.file;
	*lock = taken;
	return GOW_OK;
}

/* On a server there is nothing to lock: a master that changes is noticed by its identity. */
static int open_remote(const char *uri, unsigned file_flags, const gow_open_options *options,
                       struct gow_file **file, struct gow_lock *lock, gow_error *error)
{
	const struct gow_remote_options remote = {
		.write = file_flags & GOW_FILE_WRITE,
		.wait_seconds = options->common.wait_seconds,
		.monitor = options->common.monitor,
	};

	/* Where a block device would do, so will a raw disk that a server exports. */
	if ((file_flags & GOW_FILE_WRITE) && !(file_flags & GOW_FILE_DEVICE)) {
		char *shown = gow_shown_name(uri);
		int code = gow_fail(error, GOW_ERR_UNSUPPORTED,
		                    "is on a server, where it can only be read: work on a copy");

		code = gow_fail_in_file(error, code, shown ? shown : "");
		free(shown);
		return code;
	}
	*lock = (struct gow_lock){ .lease = F_UNLCK };
	return gow_remote_open(uri, &remote, file, error);
}

static struct policy policy_of(unsigned file_flags, const gow_open_options *options)
{
	return (struct policy){
		.no_lock = options->common.flags & GOW_COMMON_NO_LOCK,
		.exclusive = file_flags & GOW_FILE_WRITE,
		.steady = options->flags & GOW_OPEN_STEADY,
		.force_share = options->common.flags & GOW_COMMON_FORCE_SHARE,
		.monitor = options->common.monitor,
	};
}

/* Whether another attempt is worth it after one that ended so; GOW_OK after a pause. */
static int pause_while_busy(int code, const struct policy *policy, double until, gow_error *error)
{
	const struct timespec pause = { .tv_nsec = 100000000L };
	int stopped;

	if (code != GOW_ERR_BUSY || (!policy->patient && gow_clock() >= until))
		return code;
	stopped = gow_tick(policy->monitor, "wait", 0, 0, error);
	if (!stopped)
		(void)nanosleep(&pause, NULL);
	return stopped;
}

int gow_open_locked(const char *path, unsigned file_flags, const gow_open_options *options,
                    struct gow_file **file, struct gow_lock *lock, gow_error *error)
{
	static const gow_open_options defaults;
	const gow_open_options *use = options ? options : &defaults;
	const double until = gow_clock() + use->common.wait_seconds;
	struct policy policy = policy_of(file_flags, use);
	int code, left;

	if (gow_name_is_uri(path))
		return open_remote(path, file_flags, use, file, lock, error);
	do {
		policy.patient = gow_clock() < until && !policy.force_share;
		code = open_once(path, file_flags, &policy, file, lock, error);
		left = code ? pause_while_busy(code, &policy, until, error) : GOW_OK;
	} while (code && !left);
	return left;
}

int gow_adopt_locked(int fd, const char *name, unsigned file_flags, const gow_open_options *options,
                     struct gow_file **file, struct gow_lock *lock, gow_error *error)
{
	const double until = gow_clock() + options->common.wait_seconds;
	struct policy policy = policy_of(file_flags, options);
	struct gow_lock taken;
	struct gow_file *made;
	int left = GOW_OK, code = gow_file_adopt(fd, name, file_flags, &made, error);

	if (code)
		return code;
	do {
		taken = (struct gow_lock){ .file = made };
		policy.patient = gow_clock() < until && !policy.force_share;
		code = lock_opened(name, &policy, &taken, error);
		left = code ? pause_while_busy(code, &policy, until, error) : GOW_OK;
	} while (code && !left);
	if (left) {
		(void)gow_file_close(made, NULL);
		return left;
	}
	note_state(&taken);
	*file = made;
	*lock = taken;
	return GOW_OK;
}

int gow_lock_poll(struct gow_lock *lock, gow_error *error)
{
	int fd;

	if (!lock->file || lock->lease == F_UNLCK)
		return GOW_OK;
	fd = gow_posix_fd(lock->file);
	if (fcntl(fd, F_GETLEASE) == lock->lease)
		return GOW_OK;
	if (lock->must_yield)
		return gow_fail_in_file(
			error, gow_fail(error, GOW_ERR_BUSY, "another process came to open it"),
			lock->file->name);
	lock->in_use = true;
	gow_note(lock->monitor, GOW_NOTE_IN_USE, lock->file->name,
	         "another process opens it for writing; what is read may mix old and new");
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	lock->lease = F_UNLCK;
	return GOW_OK;
}

int gow_safe_point(const gow_monitor *monitor, const char *phase, uint64_t done, uint64_t total,
                   struct gow_lock *lock, gow_error *error)
{
	const int code = gow_tick(monitor, phase, done, total, error);

	return code || !lock ? code : gow_lock_poll(lock, error);
}

void gow_lock_compare(struct gow_lock *lock)
{
	struct gow_lock now_is = { .file = lock->file };

	/* Whoever may write to it changes it himself. */
	if (!lock->file || lock->in_use || gow_posix_fd(lock->file) < 0 ||
	    gow_file_is_device(lock->file) || !lock->file->read_only)
		return;
	now_is.size = lock->size;
	now_is.seconds = lock->seconds;
	now_is.nanoseconds = lock->nanoseconds;
	note_state(&now_is);
	if (now_is.size == lock->size && now_is.seconds == lock->seconds &&
	    now_is.nanoseconds == lock->nanoseconds)
		return;
	lock->in_use = true;
	gow_note(lock->monitor, GOW_NOTE_IN_USE, lock->file->name,
	         "changed while it was read; what was read may mix old and new");
}
