/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - whether a file may be taken for a raw disk. That is a conclusion, not what is left
 * over: nothing in its content, its name or its size says something else.
 */
#ifndef GOW_DISK_PROBE_H
#define GOW_DISK_PROBE_H

#include "disk/formats.h"
#include "io/file.h"

/* The last bytes of what comes in pieces. */
struct gow_last {
	uint8_t bytes[GOW_FORMAT_TAIL];
	size_t size;
};

void gow_last_note(struct gow_last *last, const uint8_t *buf, size_t size);

struct gow_bytes {
	void *bytes;
	size_t size;
};

/* Reads what is judged here. A read that fails is that error, and no conclusion is drawn from it;
 * only salvage continues without (*got is 0), and reports the loss when the data is read. */
int gow_probe_read(struct gow_file *file, uint64_t offset, struct gow_bytes into, bool salvage,
                   size_t *got, gow_error *error);

/* The content and the name of what is no GOW image; head: its first bytes. name may be NULL. */
int gow_probe_head(const uint8_t *head, size_t size, const char *name, gow_error *error);

/* The end and the size, now that they are known. */
int gow_probe_end(const struct gow_last *last, uint64_t size, gow_error *error);

/* All of it, of a file or a device that has so many bytes. A device is judged by content only,
 * and only where it begins like another disk format. */
int gow_probe_file(struct gow_file *file, uint64_t size, bool salvage, gow_error *error);

/* Whether the file is the first part of a disk that was split (x.001 beside x.002, x.aa beside
 * x.ab): then it is refused, with the command that joins them. */
int gow_probe_split(const struct gow_file *file, uint64_t size, gow_error *error);

/*
 * Where a zip archive ends that the file ends with; zeros may follow. *end is 0 where there is
 * none.
 */
int gow_zip_end(struct gow_file *file, uint64_t size, uint64_t *end, gow_error *error);

/* Whether it is a zip archive after something else: a program that unpacks it, or padding. */
int gow_probe_stub(struct gow_file *file, uint64_t size, const uint8_t *head, size_t head_size,
                   bool *zip, gow_error *error);

/* Where the zeros begin that the file ends with, at least from on. */
int gow_data_end(struct gow_file *file, uint64_t from, uint64_t size, uint64_t *end,
                 gow_error *error);

#endif
