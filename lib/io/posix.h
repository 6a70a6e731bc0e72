/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posix.h - the POSIX backend of struct gow_file. For the code below io/ that deals with the
 * system itself (locks, drafts); nobody else is to know a descriptor.
 */
#ifndef GOW_IO_POSIX_H
#define GOW_IO_POSIX_H

#include <sys/statvfs.h>

#include "io/file.h"

/* Wraps a descriptor, which it owns from then on (on failure, too). */
int gow_file_from_fd(int fd, const char *name, struct gow_file **file, gow_error *error);

/*
 * The same of a descriptor that somebody else opened, with the flags of gow_file_open: GOW_ERR_ARGUMENT
 * where it does not serve for that (opened for reading only, for appending, past the cache),
 * GOW_ERR_UNSUPPORTED where it is no regular file.
 */
int gow_file_adopt(int fd, const char *name, unsigned flags, struct gow_file **file,
                   gow_error *error);

/* The file's descriptor, which stays the file's; -1 in files of other backends. */
int gow_posix_fd(const struct gow_file *file);

/* How many bytes we may still write there; UINT64_MAX: without a limit. */
uint64_t gow_posix_room_in(const struct statvfs *fs);

/* ---- posix_attributes.c, for posix.c: members of struct gow_file_ops ---------------------- */

int gow_posix_identity(const struct gow_file *file, struct gow_file_identity *identity,
                       gow_error *error);
int gow_posix_attributes(const struct gow_file *file, struct gow_file_attributes *attributes,
                         gow_error *error);
int gow_posix_each_xattr(const struct gow_file *file, gow_file_xattr_visitor visit, void *context,
                         gow_error *error);
int gow_posix_close_to_others(struct gow_file *file, gow_error *error);
int gow_posix_dress(struct gow_file *file, const struct gow_file *like, gow_error *error);
int gow_posix_room(const struct gow_file *file, uint64_t *room, gow_error *error);

/* ---- posix_sharing.c, for posix.c ---------------------------------------------------------- */

uint64_t gow_posix_shared_bytes(int fd, uint64_t offset, uint64_t size);
bool gow_posix_try_sharing(int fd, int from_fd, uint64_t from_offset);

#endif
