/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readback.h - proof that what was written is on the disk as it was meant: it is read past the
 * cache and compared with a hash that was taken from memory, never from the file. And that what was
 * meant is what the disk has: what is read to be written again is read twice.
 */
#ifndef GOW_IO_READBACK_H
#define GOW_IO_READBACK_H

#include "io/file.h"

enum { GOW_MEANT_HASH = 16 };

/* The running hash (XXH3-128) of bytes that are, or are to be, written. */
struct gow_meant;

int gow_meant_new(struct gow_meant **meant, gow_error *error);
void gow_meant_free(struct gow_meant *meant); /* accepts NULL */

/* Begins with no bytes. */
void gow_meant_reset(struct gow_meant *meant);
void gow_meant_add(struct gow_meant *meant, const void *bytes, size_t size);
void gow_meant_hash(const struct gow_meant *meant, uint8_t hash[GOW_MEANT_HASH]);

/* Compares bytes with what the file has there. Sync, and drop the cache, beforehand. */
int gow_file_compare(struct gow_file *file, uint64_t offset, const void *bytes, size_t size,
                     gow_error *error);

/* The same of what was written and synced, past the cache. */
int gow_file_check_written(struct gow_file *file, uint64_t offset, const void *bytes, size_t size,
                           gow_error *error);

/* Bytes that were copied within a file, from one place to another that does not overlap it. */
struct gow_copied {
	struct gow_file *file;
	struct gow_meant *meant; /* all that was copied was added */
	uint64_t from, to;       /* where that begins, for messages */
	/* Reads the source once more, or the copy, and adds the same bytes in the same order. */
	int (*add)(void *context, bool copy, gow_error *error);
	void *context;
};

/*
 * Proves that the copy is on the disk, and is one, before its source is given up. Makes it durable
 * and reads both, past the cache: GOW_ERR_IO where the source is not what was read,
 * GOW_ERR_MISMATCH where the copy is not what was written.
 */
int gow_check_copied(const struct gow_copied *copied, gow_error *error);

/* Fails with GOW_ERR_MISMATCH: what stands at offset (GOW_NOWHERE: somewhere) is not what was
 * written, since a medium can garble a write and say nothing. */
int gow_fail_read_back(const struct gow_file *file, uint64_t offset, gow_error *error);

#endif
