/* SPDX-License-Identifier: BSD-2-Clause */
/* input.h - the open file or stream that an archive is read from. */
#ifndef GOW_DISK_INPUT_H
#define GOW_DISK_INPUT_H

#include "disk/formats.h"
#include "io/lock.h"
#include "io/stream.h"

/* How much of a file's start says what it is. */
enum { GOW_ARCHIVE_HEAD = GOW_FORMAT_HEAD };

/* Where the bytes of an archive come from. */
struct gow_archive_input {
	struct gow_file *file; /* owned by the source from then on; NULL: a stream */
	struct gow_lock lock;
	struct gow_stream stream; /* and what has been read of it already: */
	const uint8_t *head;
	size_t head_size;
	int owned_fd; /* of the stream, as file is; 0 or less: it is not owned */
	bool bare;    /* the stream is not packed at all: it is an image */
};

#endif
