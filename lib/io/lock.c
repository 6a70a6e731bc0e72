/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"

enum { HOLDER_SIZE = 128 };

/* ---- who holds it ------------------------------------------------------------------------ */

/* Writes "process 12 (name)". */
static void name_process(long pid, char *holder)
{
	char path[64], name[64] = "";
	FILE *comm;

	(void)snprintf(path, sizeof path, "/proc/%ld/comm", pid);
	comm = fopen(path, "re");
	if (comm) {
		if (fgets(name, sizeof name, comm))
			name[strcspn(name, "\n")] = '\0';
		(void)fclose(comm);
	}
	(void)snprintf(holder, HOLDER_SIZE, name[0] ? "process %ld (%s)" : "process %ld", pid,
	               name);
}

/* Whether process pid has the file of st open. */
static bool has_open(long pid, const struct stat *st)
{
	char path[64];
	struct dirent *entry;
	bool found = false;
	DIR *fds;

	(void)snprintf(path, sizeof path, "/proc/%ld/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false; /* gone, or not ours to look into */
	while (!found && (entry = readdir(fds))) {
		struct stat other;

		found = fstatat(dirfd(fds), entry->d_name, &other, 0) == 0 &&
		        other.st_dev == st->st_dev && other.st_ino == st->st_ino;
	}
	(void)closedir(fds);
	return found;
}

/* Looks for another process that has the file of st open; leaves holder alone if there is none. */
static void find_opener(const struct stat *st, char *holder)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	while ((entry = readdir(proc))) {
		long pid = isdigit((unsigned char)entry->d_name[0])
		                   ? strtol(entry->d_name, NULL, 10)
		                   : 0;

		if (pid > 0 && pid != getpid() && has_open(pid, st)) {
			name_process(pid, holder);
			break;
		}
	}
	(void)closedir(proc);
}

static void find_holder(int fd, short type, char *holder)
{
	/* Tells the pid of a POSIX lock's holder; an OFD lock has none (-1), so look around. */
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	struct stat st;

	(void)snprintf(holder, HOLDER_SIZE, "another process");
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		name_process(lock.l_pid, holder);
	else if (fstat(fd, &st) == 0)
		find_opener(&st, holder);
}

/*
 * Whether a line of /proc/locks (proc_locks(5)) tells of a lock on the file with that id that keeps
 * us out. *pid is its holder's, 0 where it has none.
 */
static bool line_keeps_out(char *line, const char *file_id, bool exclusive, long *pid)
{
	enum { NUMBER, KIND, MANNER, TYPE, PID, ID, FIELDS };
	char *fields[FIELDS], *rest = NULL;

	for (int i = 0; i < FIELDS; i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!fields[i])
			return false;
	}
	if (strcmp(fields[KIND], "OFDLCK") != 0 && strcmp(fields[KIND], "POSIX") != 0)
		return false;
	*pid = strtol(fields[PID], NULL, 10);
	return strcmp(fields[ID], file_id) == 0 &&
	       (exclusive || strcmp(fields[TYPE], "WRITE") == 0);
}

/*
 * Whether a lock that is there would keep us out, asked without opening the file: that would break
 * its holder's lease, and end the holder's work, only for us to be refused then. What cannot be
 * told this way is told by trying.
 */
static bool is_locked(const char *path, bool exclusive, char *holder)
{
	char file_id[64], line[256];
	struct stat st;
	bool locked = false;
	FILE *locks;
	long pid = 0;

	if (stat(path, &st))
		return false;
	(void)snprintf(file_id, sizeof file_id, "%02x:%02x:%lu", major(st.st_dev),
	               minor(st.st_dev), (unsigned long)st.st_ino);
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return false;
	while (!locked && fgets(line, sizeof line, locks))
		locked = line_keeps_out(line, file_id, exclusive, &pid);
	(void)fclose(locks);
	if (!locked)
		return false;
	(void)snprintf(holder, HOLDER_SIZE, "another process");
	if (pid > 0)
		name_process(pid, holder);
	else
		find_opener(&st, holder);
	return true;
}

static int busy(const char *name, const char *what, const char *holder, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_BUSY, "%s by %s; try again later", what, holder);

	return gow_fail_in_file(error, code, name);
}

/* ---- taking ------------------------------------------------------------------------------ */

/* How one attempt goes about it. */
struct policy {
	bool exclusive;
	bool steady;      /* an open writer is a reason to refuse */
	bool force_share;
	const gow_monitor *monitor;
};

static int take_lock(struct gow_lock *lock, const struct policy *policy, gow_error *error)
{
	int fd = lock->file->fd;
	short type = policy->exclusive ? F_WRLCK : F_RDLCK;
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	char holder[HOLDER_SIZE];
	int code;

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return GOW_OK;
	if (errno != EAGAIN && errno != EACCES) {
		code = gow_fail_errno(error, errno,
		                      "cannot lock (use --no-lock on a file system without locks)");
		return gow_fail_in_file(error, code, lock->file->name);
	}
	find_holder(fd, type, holder);
	if (!policy->force_share)
		return busy(lock->file->name, "is locked", holder, error);
	lock->in_use = true;
	gow_note(policy->monitor, GOW_NOTE_WARNING, lock->file->name,
	         "is locked by %s; what is read may be changing", holder);
	return GOW_OK;
}

static int take_lease(struct gow_lock *lock, const struct policy *policy, gow_error *error)
{
	int fd = lock->file->fd;
	short type = policy->exclusive ? F_WRLCK : F_RDLCK;
	char holder[HOLDER_SIZE];

	if (gow_file_is_device(lock->file))
		return GOW_OK;
	/* The lease's break is found by asking (gow_lock_poll), so its signal is to be one that
	 * is ignored unless somebody wants it: SIGIO would end the process. */
	(void)fcntl(fd, F_SETSIG, SIGURG);
	if (fcntl(fd, F_SETLEASE, (int)type) == 0) {
		lock->lease = type;
		return GOW_OK;
	}
	if (errno != EAGAIN) {
		gow_note(policy->monitor, GOW_NOTE_DETAIL, lock->file->name,
		         "cannot tell whether another process has it open: no lease: %s",
		         strerror(errno));
		return GOW_OK;
	}
	find_holder(fd, type, holder);
	if (policy->exclusive || (policy->steady && !policy->force_share))
		return busy(lock->file->name, policy->exclusive ? "is open" : "is open for writing",
		            holder, error);
	lock->in_use = true;
	gow_note(policy->monitor, GOW_NOTE_WARNING, lock->file->name,
	         "is open for writing by %s; what is read may be changing", holder);
	return GOW_OK;
}

/* Opening was refused: somebody's lease, or an exclusive device. There is no descriptor to ask. */
static int busy_to_open(const char *path, gow_error *error)
{
	char holder[HOLDER_SIZE] = "another process";
	struct stat st;

	if (stat(path, &st) == 0)
		find_opener(&st, holder);
	return busy(path, "is in use", holder, error);
}

static int open_once(const char *path, unsigned file_flags, const struct policy *policy,
                     bool no_lock, struct gow_file **file, struct gow_lock *lock,
                     gow_error *error)
{
	struct gow_lock taken = { .monitor = policy->monitor, .lease = F_UNLCK };
	char holder[HOLDER_SIZE];
	int code;

	if (!no_lock && !policy->force_share && is_locked(path, policy->exclusive, holder))
		return busy(path, "is locked", holder, error);
	code = gow_file_open(path, file_flags, &taken.file, error);
	if (code)
		return code == GOW_ERR_BUSY ? busy_to_open(path, error) : code;
	taken.must_yield = policy->exclusive || (policy->steady && !policy->force_share);
	if (!no_lock) {
		code = take_lock(&taken, policy, error);
		if (!code)
			code = take_lease(&taken, policy, error);
	}
	if (code) {
		(void)gow_file_close(taken.file, NULL);
		return code;
	}
	*file = taken.file;
	*lock = taken;
	return GOW_OK;
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int gow_open_locked(const char *path, unsigned file_flags, const gow_open_options *options,
                    struct gow_file **file, struct gow_lock *lock, gow_error *error)
{
	static const gow_open_options defaults;
	const gow_open_options *use = options ? options : &defaults;
	const struct policy policy = {
		.exclusive = file_flags & GOW_FILE_WRITE,
		.steady = use->flags & GOW_OPEN_STEADY,
		.force_share = use->flags & GOW_OPEN_FORCE_SHARE,
		.monitor = use->monitor,
	};
	const struct timespec pause = { .tv_nsec = 100000000L };
	double until = now() + use->wait_seconds;

	for (;;) {
		int code = open_once(path, file_flags, &policy, use->flags & GOW_OPEN_NO_LOCK,
		                     file, lock, error);
		int stopped;

		if (code != GOW_ERR_BUSY || now() >= until)
			return code;
		stopped = gow_tick(use->monitor, "wait", 0, 0, error);
		if (stopped)
			return stopped;
		(void)nanosleep(&pause, NULL);
	}
}

int gow_lock_poll(struct gow_lock *lock, gow_error *error)
{
	int fd;

	if (!lock->file || lock->lease == F_UNLCK)
		return GOW_OK;
	fd = lock->file->fd;
	if (fcntl(fd, F_GETLEASE) == lock->lease)
		return GOW_OK;
	if (lock->must_yield)
		return gow_fail_in_file(error,
		                        gow_fail(error, GOW_ERR_BUSY,
		                                 "another process came to open it"),
		                        lock->file->name);
	lock->in_use = true;
	gow_note(lock->monitor, GOW_NOTE_WARNING, lock->file->name,
	         "another process opens it for writing; what is read may mix old and new");
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	lock->lease = F_UNLCK;
	return GOW_OK;
}
