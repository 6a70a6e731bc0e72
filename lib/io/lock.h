/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - keeping others out of a file, and learning that somebody is in it.
 *
 * Programs that lock are met by an open-file-description lock over the whole file; programs
 * that do not (the old hypervisors) by a lease, which the kernel refuses while they have the
 * file open, and breaks when they open it. Both end when the file is closed.
 */
#ifndef GOW_IO_LOCK_H
#define GOW_IO_LOCK_H

#include "io/file.h"

/* Part of whoever owns the file; zeroed, it is a lock that was never taken. */
struct gow_lock {
	struct gow_file *file; /* not owned; NULL: nothing is locked */
	const gow_monitor *monitor;
	short lease;     /* F_RDLCK, F_WRLCK, or F_UNLCK where there is none */
	bool must_yield; /* stop when the lease is broken, rather than warn */
	bool in_use;     /* somebody else has the file open for writing, or wrote to it */
	uint64_t size;   /* what it had when it was opened, */
	int64_t seconds; /* and when it had been written to last */
	int64_t nanoseconds;
};

/*
 * Opens path (flags of gow_file_open) and locks it: exclusively with GOW_FILE_WRITE, shared
 * otherwise, as options (may be NULL) say; tries again until wait_seconds are over
 * while the file is busy. GOW_ERR_BUSY names the holder where it can be found.
 */
int gow_open_locked(const char *path, unsigned file_flags, const gow_open_options *options,
                    struct gow_file **file, struct gow_lock *lock, gow_error *error);

/* The same of a descriptor, which it owns from then on, also when it fails; name is for messages, and
 * what lies beside it is looked for there. */
int gow_adopt_locked(int fd, const char *name, unsigned file_flags, const gow_open_options *options,
                     struct gow_file **file, struct gow_lock *lock, gow_error *error);

/*
 * To be called at every safe point of a long operation: whether somebody has come to open the
 * file. GOW_ERR_BUSY where the operation must give way; otherwise warns once, and work continues.
 */
int gow_lock_poll(struct gow_lock *lock, gow_error *error);

/* What every loop over blocks calls: GOW_ERR_STOPPED where the monitor is told to (gow_tick, whose phase,
 * done and total these are), or what gow_lock_poll says; lock: NULL where there is none. */
int gow_safe_point(const gow_monitor *monitor, const char *phase, uint64_t done, uint64_t total,
                   struct gow_lock *lock, gow_error *error);

/* To be called when all has been read: whether the file is still what it was when it was opened, by
 * its size and its time. Warns, and sets in_use, where it is not (as it may be without a lock). */
void gow_lock_compare(struct gow_lock *lock);

#endif
