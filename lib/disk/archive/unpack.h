/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unpack.h - the layers of an archive: the file or pipe that it comes from, what takes off the
 * compression (where there is any), and libarchive's handle for the container (where there is
 * one). Two layers, and the bytes between them pass through here: otherwise nothing would show whether
 * something follows the end of either.
 */
#ifndef GOW_OPS_UNPACK_H
#define GOW_OPS_UNPACK_H

#include <archive.h>

#include "io/stream.h"
#include "disk/formats.h"
#include "disk/archive/input.h"

/* Bytes that pass from one layer to the next. */
struct gow_flow {
	uint64_t start;                 /* where the first of them is in the file */
	uint64_t position;              /* how many there were up to now */
	uint64_t data_end;              /* one past the last that was not zero */
	bool later_volume;              /* it begins like one (gow_sign_later_volume) */
	uint8_t *buffer;                /* READ_BYTES */
	size_t filled;                  /* of these, which end at position; 0: not known */
	uint8_t head[GOW_ARCHIVE_HEAD]; /* what was read to learn what it is */
	size_t head_size, head_used;
};

struct gow_gunzip;

struct gow_unpack {
	char *name; /* for messages; owned, and may be replaced */
	const gow_monitor *monitor;
	gow_error failure;     /* of reading, inside of a call of libarchive; code 0: none */
	struct gow_file *file; /* NULL: a stream */
	uint64_t file_size;
	struct gow_stream stream;
	int owned_fd;              /* of the stream; 0 or less: it is not owned */
	bool bare;                 /* nothing is packed: what comes in comes out */
	struct gow_flow input;     /* what is in the file */
	struct gow_gunzip *gunzip; /* what takes off the compression: this or the next */
	struct archive *filter;
	struct gow_flow plain;     /* what comes out of that */
	struct archive *container; /* NULL: what was compressed is the disk itself */
};

/*
 * Opens the layers that there are; input->file is owned from then on, also when it fails.
 * any_format: it is an archive (-f), so formats are tried that are not recognized otherwise.
 * Release in any case.
 */
int gow_unpack_open(struct gow_unpack *unpack, const struct gow_archive_input *input,
                    bool any_format, const gow_monitor *monitor, gow_error *error);
void gow_unpack_release(struct gow_unpack *unpack);

/* Whether the container can be sought in, so that passing over an entry costs nothing. */
bool gow_unpack_can_seek(const struct gow_unpack *unpack);

/* Whether the container is a later volume of a tar archive; known once there was an entry. */
bool gow_unpack_is_later_volume(const struct gow_unpack *unpack);

/* Bytes of the container that libarchive has gone over lately; false where they are gone. */
bool gow_unpack_look_back(const struct gow_unpack *unpack, uint64_t offset, uint8_t *buf,
                          size_t size);

/* A call of libarchive failed, or a function that it called: says which. */
int gow_unpack_failed(struct gow_unpack *unpack, struct archive *archive, gow_error *error);

/* GOW_ERR_DAMAGED, and why. */
int gow_unpack_damaged(const struct gow_unpack *unpack, const char *why, gow_error *error);

/* Names the archive in an error that was just filled. */
int gow_unpack_name(const struct gow_unpack *unpack, int code, gow_error *error);

/* What was compressed by itself; *got falls short of size only at the end. */
int gow_unpack_read(struct gow_unpack *unpack, uint8_t *buf, size_t size, size_t *got,
                    gow_error *error);

/*
 * Everything has been read that is wanted: whether the archive ends here, and nothing follows.
 * entry_end: where in the container the last entry ended, as archive_filter_bytes(.., 0) says.
 */
int gow_unpack_finish(struct gow_unpack *unpack, uint64_t entry_end, gow_error *error);

#endif
