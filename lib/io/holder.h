/* SPDX-License-Identifier: BSD-2-Clause */
/* holder.h - which other process holds a file: what /proc says, without opening the file. */
#ifndef GOW_IO_HOLDER_H
#define GOW_IO_HOLDER_H

#include <stdbool.h>
#include <sys/stat.h>

/* What has room for "process 12 (name)", or what the system uses a device for. */
enum { GOW_HOLDER_SIZE = 128 };

/* Looks for another process that has the file of st open; leaves holder alone if there is none. */
bool gow_find_opener(const struct stat *st, char *holder);

/* Who keeps a lock of that type (F_RDLCK, F_WRLCK) on an open file from being taken: "another
 * process" where that cannot be found out. */
void gow_find_holder(int fd, short type, char *holder);

/*
 * Whether a lock that is there would keep us out, asked without opening the file: that would break
 * its holder's lease, and end the holder's work, only for us to be refused then. What cannot be
 * found out this way shows when the lock is tried.
 */
bool gow_is_locked(const char *path, bool exclusive, char *holder);

#endif
