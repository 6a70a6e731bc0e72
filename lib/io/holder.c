/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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
	(void)snprintf(holder, GOW_HOLDER_SIZE, name[0] ? "process %ld (%s)" : "process %ld", pid,
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

bool gow_find_opener(const struct stat *st, char *holder)
{
	struct dirent *entry;
	bool found = false;
	DIR *proc = opendir("/proc");

	if (!proc)
		return false;
	while (!found && (entry = readdir(proc))) {
		long pid = isdigit((unsigned char)entry->d_name[0])
		                   ? strtol(entry->d_name, NULL, 10)
		                   : 0;

		found = pid > 0 && pid != getpid() && has_open(pid, st);
		if (found)
			name_process(pid, holder);
	}
	(void)closedir(proc);
	return found;
}

void gow_find_holder(int fd, short type, char *holder)
{
	/* Tells the pid of a POSIX lock's holder; an OFD lock has none (-1), so look around. */
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	struct stat st;

	(void)snprintf(holder, GOW_HOLDER_SIZE, "another process");
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		name_process(lock.l_pid, holder);
	else if (fstat(fd, &st) == 0)
		(void)gow_find_opener(&st, holder);
}

/*
 * The device by which /proc/locks names files on that file's mount. It is the file system's own,
 * where stat(2) may report another: a btrfs subvolume's, or that of an overlay's layer.
 */
static dev_t device_of_locks(const char *path, const struct stat *st)
{
	struct statx mount;
	unsigned major_number, minor_number;
	unsigned long long id;
	dev_t device = st->st_dev;
	char line[4096];
	FILE *mounts;

	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &mount) || !(mount.stx_mask & STATX_MNT_ID))
		return device;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return device;
	while (fgets(line, sizeof line, mounts))
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
		if (sscanf(line, "%llu %*u %u:%u ", &id, &major_number, &minor_number) == 3 &&
		    id == mount.stx_mnt_id) {
			device = makedev(major_number, minor_number);
			break;
		}
	(void)fclose(mounts);
	return device;
}

/*
 * Whether a line of /proc/locks (proc_locks(5)) is about a lock on the file with that id that keeps
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

bool gow_is_locked(const char *path, bool exclusive, char *holder)
{
	char file_id[64], line[256];
	struct stat st;
	bool locked = false;
	dev_t device;
	FILE *locks;
	long pid = 0;

	if (stat(path, &st))
		return false;
	device = device_of_locks(path, &st);
	(void)snprintf(file_id, sizeof file_id, "%02x:%02x:%lu", major(device), minor(device),
	               (unsigned long)st.st_ino);
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return false;
	while (!locked && fgets(line, sizeof line, locks))
		locked = line_keeps_out(line, file_id, exclusive, &pid);
	(void)fclose(locks);
	if (!locked)
		return false;
	(void)snprintf(holder, GOW_HOLDER_SIZE, "another process");
	if (pid > 0)
		name_process(pid, holder);
	else
		(void)gow_find_opener(&st, holder);
	return true;
}
