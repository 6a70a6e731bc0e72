/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - the one way to bytes on disk: explicit calls at explicit offsets, explicit errors.
 *
 * Whatever can answer these calls is a file: the POSIX backend (file.c), and in the tests one
 * that records every call, fails any, and shows the states a crash could leave. Errors carry
 * the file's name and the offset.
 */
#ifndef GOW_IO_FILE_H
#define GOW_IO_FILE_H

#include "gow.h"

/* What file systems give space in, keep holes in and share, in bytes; the largest that is usual. */
enum { GOW_FILE_GRAIN = 4096 };

struct gow_file;

/*
 * A backend. Offsets and lengths were checked by the wrappers below: offset + size does not
 * exceed INT64_MAX. Members marked optional may be NULL.
 */
struct gow_file_ops {
	/* Reads up to size bytes; *got falls short of size only at the end of the file. */
	int (*read)(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
	            gow_error *error);
	/* Writes all of it, or fails. */
	int (*write)(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
	             gow_error *error);
	int (*size)(struct gow_file *file, uint64_t *size, gow_error *error);
	int (*truncate)(struct gow_file *file, uint64_t size, gow_error *error);
	/* Data and whatever is needed to read it back are on stable storage. */
	int (*sync)(struct gow_file *file, gow_error *error);
	/* Optional: the next run of bytes that may be other than zero (a hole is skipped) at or
	 * after offset; *start == *end where there is none. Without it all is data. */
	int (*next_data)(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
	                 gow_error *error);
	/* Optional: makes the range read as zeros, durably once synced, extending the file or
	 * not. Without it zeros are written. */
	int (*zero)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Optional: reserves space for the range without changing what it reads as; the file may
	 * grow. GOW_ERR_UNSUPPORTED where the file system cannot. */
	int (*allocate)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Optional: the same, and the file never grows: what is reserved past its end serves later
	 * writes, and is given back when the file is cut. */
	int (*reserve)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Optional: makes the range read as zeros and gives its space back; the size stays.
	 * GOW_ERR_UNSUPPORTED where the file system cannot. */
	int (*punch)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Frees everything, also when it fails. */
	int (*close)(struct gow_file *file, gow_error *error);
};

/* Backends embed this as their first member. */
struct gow_file {
	const struct gow_file_ops *ops;
	char *name;       /* for messages; owned */
	int fd;           /* of the POSIX backend, for locks and attributes; -1 in others (an
	                   * overlay has its base's) */
	bool sync_failed; /* a failed sync is final: what it lost cannot be known */
	/* What next_data found last: a hole from asked to start, data from there to end. Asking
	 * costs a walk over the data, so that doing it for every block would be quadratic. */
	struct {
		uint64_t asked, start, end;
	} run;
};

/* Fewer bytes than asked for mean the end of the file: *got says how many there were. */
int gow_file_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                  gow_error *error);

/* All size bytes, or GOW_ERR_CHANGED: for what was inside the file when it was measured. */
int gow_file_read_all(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                      gow_error *error);

/* All size bytes, those past the end of the file as zeros. */
int gow_file_read_padded(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                         gow_error *error);

int gow_file_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                   gow_error *error);
int gow_file_size(struct gow_file *file, uint64_t *size, gow_error *error);
int gow_file_truncate(struct gow_file *file, uint64_t size, gow_error *error);
int gow_file_sync(struct gow_file *file, gow_error *error);
int gow_file_next_data(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
                       gow_error *error);
int gow_file_zero(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
int gow_file_allocate(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
int gow_file_reserve(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

int gow_file_punch(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

/* Makes the range read as zeros: as a hole where the file system can, by writing elsewhere. */
int gow_file_clear(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);

/*
 * Copies a range from one file to another: shares it where the file system can (reflink), and has
 * the kernel copy it otherwise. What lies past the source's end is not written.
 */
int gow_file_copy(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                  uint64_t to_offset, uint64_t size, gow_error *error);

/* Accepts NULL. Check the result after writing; in a clean-up path pass NULL for error. */
int gow_file_close(struct gow_file *file, gow_error *error);

enum {
	GOW_FILE_WRITE = 1 << 0,    /* read and write; otherwise read only */
	GOW_FILE_DEVICE = 1 << 1,   /* a block device will do as well as a regular file */
	GOW_FILE_EXCLUSIVE = 1 << 2 /* a block device must not be mounted or otherwise in use */
};

/*
 * Opens an existing file. Anything but a regular file (or a block device, where allowed) is
 * refused with GOW_ERR_UNSUPPORTED, without the waiting or the side effects that opening a FIFO
 * or a tape would have. A lease that another process holds on it is GOW_ERR_BUSY.
 */
int gow_file_open(const char *path, unsigned flags, struct gow_file **file, gow_error *error);

/* Wraps a descriptor, which it owns from then on (on failure, too). */
int gow_file_from_fd(int fd, const char *name, struct gow_file **file, gow_error *error);

/*
 * A new, empty file without a name, which is gone when it is closed: in the folder of `beside`, or
 * where temporary files go if that is NULL.
 */
int gow_file_unnamed(const char *beside, struct gow_file **file, gow_error *error);

/* The same in memory. name is for messages. */
int gow_file_in_memory(const char *name, struct gow_file **file, gow_error *error);

/* Asks the system to forget what it holds of the file in memory. What has not been synced stays,
 * and so may anything else. */
void gow_file_drop_cache(const struct gow_file *file);

/* Asks the system to begin bringing what was written to the range to the disk, and waits for nothing:
 * a sync that follows has less to do. No promise of any kind; that is the sync's. */
void gow_file_write_out(const struct gow_file *file, uint64_t offset, uint64_t size);

/* Whether the open file is a block device. */
bool gow_file_is_device(const struct gow_file *file);

#endif
