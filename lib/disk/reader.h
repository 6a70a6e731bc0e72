/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h - reads a source front to back, a few chunks ahead of its user, in a thread of its
 * own: while one chunk is written the next is read. Chunks come in order (but for a source with
 * pull), and holes are left out.
 */
#ifndef GOW_DISK_READER_H
#define GOW_DISK_READER_H

#include "disk/disk.h"

/* Bytes of a chunk: large enough to make calls cheap, small enough to stay in the cache. */
enum { GOW_CHUNK = 8 * GOW_BLOCK_SIZE };

/* The smallest piece of a disk that can be unreadable by itself. */
enum { GOW_SECTOR = 512 };

struct gow_chunk {
	uint64_t offset; /* in the disk; a block's start */
	size_t size;     /* bytes; 0: the end of the disk, at offset */
	uint8_t *bytes;  /* GOW_CHUNK of them; zeros from size to the end of its block */
	/* Salvage: ranges that could not be read, and are zeros. */
	gow_loss losses[GOW_CHUNK / GOW_SECTOR];
	size_t loss_count;
};

struct gow_reader;

/*
 * Begins to read source, which is not owned and must be left alone until the reader is freed
 * (but for its poll). A source of unknown size, or that waits, is read when a chunk is taken, in
 * the caller's thread. salvage: sectors that cannot be read are zeros.
 */
int gow_reader_new(struct gow_source *source, bool salvage, struct gow_reader **reader,
                   gow_error *error);
void gow_reader_free(struct gow_reader *reader);

/*
 * The next chunk; valid until the next call. *chunk is NULL when there was none within a moment:
 * call again, and meanwhile check whether to stop.
 */
int gow_reader_take(struct gow_reader *reader, const struct gow_chunk **chunk, gow_error *error);

#endif
