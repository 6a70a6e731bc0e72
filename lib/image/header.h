/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header.h - the header of an image as its bytes say, in canonical form: the preamble, the map
 * and the version numbers. Nothing here is judged; that is the validator's (validate.h).
 */
#ifndef GOW_IMAGE_HEADER_H
#define GOW_IMAGE_HEADER_H

#include "image/layout.h"
#include "io/file.h"

struct gow_header {
	const struct gow_layout *layout;
	bool pending;          /* the magic says: in the middle of an in-place change */
	bool truncated;        /* the file ends before the header does */
	uint64_t logical_size; /* bytes; 0 where the preamble is cut short */
	uint32_t block_count;
	uint64_t file_size;
	uint64_t logical_blocks; /* logical_size in blocks, rounded up */
	uint32_t present_blocks; /* physical blocks that begin before the end of the file */
};

/*
 * Reads the preamble with the first of the rows that fits. GOW_ERR_NOT_GOW where none does.
 * A file that ends behind the version succeeds, and is truncated.
 */
int gow_header_read(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                    struct gow_header *header, gow_error *error);

/* The same by a given row, whatever the magic and the version say; for damaged preambles. */
int gow_header_read_as(struct gow_file *file, const struct gow_layout *layout,
                       struct gow_header *header, gow_error *error);

/* Warns where a server seems to have cut off the end of the file, by rounding its size down. */
void gow_header_warn_rounded(struct gow_file *file, const struct gow_layout *layout,
                             const gow_monitor *monitor);

/* Whether the file begins with the magic of one of the rows, be the version known or not. */
int gow_header_has_magic(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                         bool *has, gow_error *error);

/* The same of the first bytes of a file, as far as they are there. */
bool gow_rows_have_magic(const struct gow_layout *rows, size_t row_count, const uint8_t *bytes,
                         size_t size);

/* Whether a guest disk of that size may be in such an image. */
bool gow_size_is_valid(const struct gow_layout *layout, uint64_t logical_size);

/* Writes the preamble. */
int gow_header_write(struct gow_file *file, const struct gow_header *header, gow_error *error);

/* Writes the magic alone: pending, or the one of an image at rest. */
int gow_header_write_magic(struct gow_file *file, const struct gow_layout *layout, bool pending,
                           gow_error *error);

/* Writes one field of it, for a step that must not touch the others. */
int gow_header_write_block_count(struct gow_file *file, const struct gow_header *header,
                                 gow_error *error);

/* How many physical blocks of that layout begin before the end of a file of that size. */
uint32_t gow_present_blocks(const struct gow_layout *layout, uint64_t file_size);

/* How many entries, from the first on, lie wholly inside a file of that size. */
uint32_t gow_present_entries(const struct gow_layout *layout, uint64_t file_size);

/*
 * count map entries, or version numbers, from logical block first on. Reading past the end of
 * the file is GOW_ERR_CHANGED.
 */
int gow_header_read_entries(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                            uint32_t count, uint32_t *entries, gow_error *error);
int gow_header_read_versions(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                             uint32_t count, uint32_t *versions, gow_error *error);

/* The same for writing; bytes between the entries of a stride are kept. */
int gow_header_write_entries(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                             uint32_t count, const uint32_t *entries, gow_error *error);
int gow_header_write_versions(struct gow_file *file, const struct gow_layout *layout,
                              uint32_t first, uint32_t count, const uint32_t *versions,
                              gow_error *error);

#endif
