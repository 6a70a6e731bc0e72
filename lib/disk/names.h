/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.h - the formats that a disk is read from and written to: their names (gow_format_name, in
 * gow.h), their layouts, and what the end of a file's name says of them. formats.h is about what
 * files contain.
 */
#ifndef GOW_DISK_NAMES_H
#define GOW_DISK_NAMES_H

#include "image/layout.h"

/* The reference layout of a format; NULL: it is not an image, or one of any version. */
const struct gow_layout *gow_layout_of_format(gow_format format);

/* The other way round; GOW_FORMAT_GOW: another layout, so not a version that can be written. */
gow_format gow_format_of_layout(const struct gow_layout *layout);

/* What a file's name stands for, by what it ends in. */
struct gow_suffix {
	const char *text;
	gow_format format;
	gow_compression compression; /* of an archive; else GOW_COMPRESSION_BY_NAME */
};

/* NULL where a name says nothing. *stem: how long it is without the suffix. */
const struct gow_suffix *gow_suffix_of(const char *path, size_t *stem);

/* GOW_FORMAT_PROBE where the name says nothing. */
gow_format gow_format_of_suffix(const char *path);

/* Whether the name is that of an archive; and how it is to be compressed then. */
bool gow_compression_of_name(const char *path, gow_compression *compression);

#endif
