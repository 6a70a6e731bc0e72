/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * formats.h - what a file is: one table of formats, with what their content begins (or ends) with,
 * the names of such files, and what is to be done with one. A raw disk is not among them: it is
 * what is left when nothing in the content, the size or the name says something else.
 */
#ifndef GOW_DISK_FORMATS_H
#define GOW_DISK_FORMATS_H

#include "gow.h"

/* What is to be done with a file of a format. */
enum gow_deed {
	GOW_DEED_DECOMPRESS, /* read: the disk, or an archive, is inside */
	GOW_DEED_ARCHIVE,    /* read: the disk is a member */
	GOW_DEED_CONVERT,    /* another disk format: to be converted to raw first */
	GOW_DEED_UNPACK,     /* packed, and not read: to be unpacked first */
	GOW_DEED_OURS,       /* a file that goes with an image */
	GOW_DEED_NO_DISK     /* anything else that is not a disk */
};

enum { GOW_SIGNATURES_MAX = 7 };

struct gow_signature {
	uint32_t offset;
	uint32_t length;
	const char *bytes; /* NULL: there is none */
};

struct gow_file_format {
	const char *name; /* with its article: "a qcow2 image" */
	enum gow_deed deed;
	const char *suffixes; /* in lower case, parted by blanks; "" where names say nothing */
	const char *advice;   /* the command that helps, or NULL */
	/* Any of them will do, */
	struct gow_signature signs[GOW_SIGNATURES_MAX];
	/* if this agrees; NULL: no more is asked. head: the file's first bytes, as many as there
	 * are of GOW_FORMAT_HEAD. Alone, where there are no signatures. */
	bool (*agrees)(const uint8_t *head, size_t size);
	/* What its last 512 bytes show; size is the file's. NULL: nothing. */
	bool (*ends)(const uint8_t *tail, uint64_t size);
};

/* How much of a file's start is looked at, and of its end. */
enum { GOW_FORMAT_HEAD = 512, GOW_FORMAT_TAIL = 512 };

extern const struct gow_file_format gow_file_formats[];
extern const size_t gow_file_format_count;

/* By content; NULL: none of them. */
const struct gow_file_format *gow_format_of_head(const uint8_t *head, size_t size);
const struct gow_file_format *gow_format_of_tail(const uint8_t *tail, uint64_t file_size);

/* By what the name ends in; NULL: it does not say. Also parts of split files (.7z.002) and of
 * downloads (.img.part). */
const struct gow_file_format *gow_format_of_name(const char *path);

/* Without what says that it is compressed ("d.raw" of "d.raw.gz"); the length that is left. */
size_t gow_name_without_compression(const char *path);

/*
 * Why a file of that format is no raw disk, and what to do, as an error of the code that fits.
 * by_name: only the name says so.
 */
int gow_format_refuse(const struct gow_file_format *format, bool by_name, gow_error *error);

/* The rule about a raw disk's size: not empty, and in sectors. */
int gow_format_check_size(uint64_t size, gow_error *error);

#endif
