/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - the one way to bytes: explicit calls at explicit offsets, explicit errors.
 *
 * Whatever can answer these calls is a file: the POSIX backend (posix.c), a file laid over another
 * (overlay.c), and in the tests one that records every call, fails any, and shows the states a
 * crash could leave. A backend states what it can by what it implements; nothing outside of it
 * knows a descriptor. Errors carry the file's name and the offset.
 */
#ifndef GOW_IO_FILE_H
#define GOW_IO_FILE_H

#include "gow.h"

/* What file systems give space in, keep holes in and share, in bytes; the largest that is usual. */
enum { GOW_FILE_GRAIN = 4096 };

struct gow_file;

/* Which object a file is: two handles with equal identities are handles of one object. */
struct gow_file_identity {
	const void *kind; /* of the backend: a pointer that no other one uses */
	uint64_t words[2];
};

/* What a file has besides its bytes. */
struct gow_file_attributes {
	bool is_regular; /* no device, whose mode and owner are no model for a file's */
	uint32_t mode;   /* the nine permission bits */
	uint32_t owner, group;
	int64_t mtime; /* in whole seconds */
	int64_t mtime_nanoseconds;
};

/* Another result than GOW_OK ends the walk, which returns it. */
typedef int (*gow_file_xattr_visitor)(void *context, const char *name, const void *value,
                                      size_t size, gow_error *error);

/*
 * A backend. Offsets and lengths were checked by the wrappers below: offset + size does not
 * exceed INT64_MAX. All but read, size and close are optional: NULL states that the backend
 * cannot do it, and GOW_ERR_UNSUPPORTED that this file cannot. The error is not looked at then.
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
	/* The next run of bytes that may be other than zero (a hole is skipped) at or after
	 * offset; *start == *end where there is none. Without it all is data. */
	int (*next_data)(struct gow_file *file, uint64_t offset, uint64_t *start, uint64_t *end,
	                 gow_error *error);
	/* Makes the range read as zeros, durably once synced, extending the file or not. Without
	 * it zeros are written. */
	int (*zero)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Reserves space for the range without changing what it reads as; the file may grow. */
	int (*allocate)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* The same, and the file never grows: what is reserved past its end serves later writes,
	 * and is given back when the file is cut. */
	int (*reserve)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/* Makes the range read as zeros and gives its space back; the size stays. */
	int (*punch)(struct gow_file *file, uint64_t offset, uint64_t size, gow_error *error);
	/*
	 * Copies a range of another file, which may be of any backend, by a way that is shorter
	 * than through our memory. *done says how far it came, also when it fails; what is left
	 * then (GOW_ERR_UNSUPPORTED), or at the source's end, is copied through memory.
	 */
	int (*copy)(struct gow_file *file, uint64_t offset, struct gow_file *from,
	            uint64_t from_offset, uint64_t size, uint64_t *done, gow_error *error);
	/* How many bytes of the range share their place on the disk with another file, so that writing
	 * to them takes new room; NULL: none. */
	int (*shared)(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *bytes,
	              gow_error *error);
	/* Whether a copy made here of that file's content would share it, and take no room. Tries it
	 * with the file's first page, which must be empty yet. NULL: no. */
	bool (*would_share)(struct gow_file *file, struct gow_file *from, uint64_t from_offset);
	/* Without it the file is nobody's but its own. */
	int (*identity)(const struct gow_file *file, struct gow_file_identity *identity,
	                gow_error *error);
	int (*attributes)(const struct gow_file *file, struct gow_file_attributes *attributes,
	                  gow_error *error);
	/* Visits the extended attributes that can be read. */
	int (*each_xattr)(const struct gow_file *file, gow_file_xattr_visitor visit, void *context,
	                  gow_error *error);
	/* Optional: see gow_file_close_to_others. */
	int (*close_to_others)(struct gow_file *file, gow_error *error);
	/* Takes on the attributes of like; see gow_dress_like. */
	int (*dress)(struct gow_file *file, const struct gow_file *like, gow_error *error);
	/* How many bytes more can be written before the file system is full. Without it (or
	 * UINT64_MAX): no limit is known. */
	int (*room)(const struct gow_file *file, uint64_t *room, gow_error *error);
	/* Forgets what is held of the file in memory and has been synced. Best effort. */
	void (*drop_cache)(struct gow_file *file);
	/* Begins to bring the range to the disk, and waits for nothing. */
	void (*write_out)(struct gow_file *file, uint64_t offset, uint64_t size);
	/* Frees everything, also when it fails. */
	int (*close)(struct gow_file *file, gow_error *error);
};

/* Backends embed this as their first member. What is left zeroed has the usual value. */
struct gow_file {
	const struct gow_file_ops *ops;
	char *name;            /* for messages; owned */
	const char *temporary; /* what else messages say of a file that nobody asked for; static */
	bool read_only;        /* opened so, whatever the backend could do */
	bool can_lock;         /* others can be kept out (lock.h) */
	bool is_device;        /* of a fixed size */
	bool concurrent;       /* several threads may read it at once */
	bool sync_failed;      /* a failed sync is final: what it lost cannot be known */
	bool doubted;          /* whatever is read is read twice; see gow_file_doubt */
	size_t preferred_request; /* bytes, where the caller can choose; 0: GOW_BLOCK_SIZE */
	uint64_t rounding;        /* struct gow_remote_info; 0: the size is exact */
	uint64_t size_seen; /* atomic; bytes that a file opened to be read was found to have */
	/* What next_data found last: a hole from asked to start, data from there to end. Asking
	 * costs a walk over the data, so that doing it for every block would be quadratic. */
	struct {
		uint64_t asked, start, end;
	} run;
};

enum gow_file_ability {
	GOW_FILE_CAN_WRITE,
	GOW_FILE_CAN_RESIZE,
	GOW_FILE_CAN_SYNC,
	GOW_FILE_CAN_MAP_HOLES,
	GOW_FILE_CAN_PUNCH,
	GOW_FILE_CAN_LOCK,
	GOW_FILE_CAN_IDENTIFY,
	GOW_FILE_CAN_DRESS /* it has attributes */
};

/* What a file states that it can. That a call is refused all the same (GOW_ERR_UNSUPPORTED) is the
 * file system's right. */
bool gow_file_can(const struct gow_file *file, enum gow_file_ability ability);

/* How many bytes a request should have where the caller can choose. */
size_t gow_file_preferred_request(const struct gow_file *file);

/* Fewer bytes than asked for mean the end of the file: *got says how many there were. */
int gow_file_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                  gow_error *error);

/*
 * From now on whatever is read is read twice, the second time past the cache, and has to be the same
 * (otherwise GOW_ERR_IO): for what is going to be written again, or decides what is written. A medium
 * can garble a read and say nothing. Returns what was so before.
 */
bool gow_file_doubt(struct gow_file *file, bool doubt);

/* Fails with GOW_ERR_IO: what stands at offset was not written to, and is not what was read. */
int gow_fail_read_again(const struct gow_file *file, uint64_t offset, gow_error *error);

/* All size bytes, or GOW_ERR_CHANGED: for what was inside the file when it was measured. */
int gow_file_read_all(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                      gow_error *error);

/* All size bytes, those past the end of the file as zeros. */
int gow_file_read_padded(struct gow_file *file, uint64_t offset, void *buf, size_t size,
                         gow_error *error);

int gow_file_write(struct gow_file *file, uint64_t offset, const void *buf, size_t size,
                   gow_error *error);
/* Of a file that was opened to be read, GOW_ERR_CHANGED where it has fewer bytes than when it was
 * asked before. */
int gow_file_size(struct gow_file *file, uint64_t *size, gow_error *error);
int gow_file_truncate(struct gow_file *file, uint64_t size, gow_error *error);
/* A sync that fails is final. It may have lost data that reads still return, so the cache is dropped. */
int gow_file_sync(struct gow_file *file, gow_error *error);

/*
 * Before anything is built on what a file holds: makes it durable and drops the cache, so that what
 * is read next is what is on the disk. An earlier process may have left data unsynced, or had a
 * sync fail, after which the cache may hold what the disk does not.
 */
int gow_file_settle(struct gow_file *file, gow_error *error);

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

/*
 * A new, empty file without a name, which is gone when it is closed: in the directory of `beside`,
 * or where temporary files go if that is NULL.
 */
int gow_file_unnamed(const char *beside, struct gow_file **file, gow_error *error);

/* The same in memory. name is for messages. */
int gow_file_in_memory(const char *name, struct gow_file **file, gow_error *error);

/* Asks the backend to forget what it holds of the file in memory. What has not been synced stays,
 * and so may anything else. A sync that fails does it, too. */
void gow_file_drop_cache(struct gow_file *file);

/* Asks for what was written to the range to be brought to the disk, and waits for nothing: a sync
 * that follows has less to do. No promise of any kind; that is the sync's. */
void gow_file_write_out(struct gow_file *file, uint64_t offset, uint64_t size);

/* Whether the open file is a device: of a size that stays, and whose bytes are a raw disk. */
bool gow_file_is_device(const struct gow_file *file);

int gow_file_shared(struct gow_file *file, uint64_t offset, uint64_t size, uint64_t *bytes,
                    gow_error *error);
bool gow_file_would_share(struct gow_file *file, struct gow_file *from, uint64_t from_offset);

/* Whether both are handles of one object. False where that cannot be known. */
bool gow_file_same(const struct gow_file *a, const struct gow_file *b);

/* Whether path leads to the very object of the file. False where that cannot be known. */
bool gow_file_is_at(const struct gow_file *file, const char *path);

/* Whether what is written to standard output comes into that very object. */
bool gow_file_is_standard_output(const struct gow_file *file);

/* GOW_ERR_UNSUPPORTED where the file has none. */
int gow_file_identity(const struct gow_file *file, struct gow_file_identity *identity,
                      gow_error *error);
int gow_file_attributes(const struct gow_file *file, struct gow_file_attributes *attributes,
                        gow_error *error);

/* None where the file has none. */
int gow_file_each_xattr(const struct gow_file *file, gow_file_xattr_visitor visit, void *context,
                        gow_error *error);

/* Gives a new file the mode of like, and where allowed its owner and extended attributes; never
 * more rights to anybody than like gives. Does nothing where one of them has no attributes, or
 * like is a device. */
int gow_dress_like(struct gow_file *file, const struct gow_file *like, gow_error *error);

/* Takes from group and others the right to write to it. Does nothing where it has no mode. */
int gow_file_close_to_others(struct gow_file *file, gow_error *error);

/* GOW_ERR_NO_SPACE, with both numbers, if there is not as much room left for the file. */
int gow_check_room(const struct gow_file *file, uint64_t need, gow_error *error);

/* The same, where the room is known; name is for messages. */
int gow_check_room_of(uint64_t room, uint64_t need, const char *name, gow_error *error);

#endif
