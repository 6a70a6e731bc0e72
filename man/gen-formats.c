/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen-formats.c - writes the manual page gow-formats(7), in mdoc, from the library's table of
 * formats, so that the page cannot say anything else than the tools do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/formats.h"
#include "mdoc.h"

static const char head[] =
	".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	".\\\" Made from the table of formats: do not edit.\n"
	".Dd November 27, 2026\n"
	".Dt GOW-FORMATS 7\n"
	".Os\n"
	".Sh NAME\n"
	".Nm gow-formats\n"
	".Nd which files gow-convert reads, and which it refuses to take for a disk\n"
	".Sh DESCRIPTION\n"
	"These are the kinds of files that\n"
	".Xr gow-convert 1\n"
	"knows besides GOW images.\n"
	"It looks at what a file begins or ends with, and at its name.\n"
	"A name counts in upper and in lower case.\n"
	"What neither says something about is a raw disk, if its size is a multiple of\n"
	"512 and not 0.\n"
	".Pp\n"
	"An ISO 9660 image, of a CD or a DVD, is a raw disk: the medium itself, which a\n"
	"guest can boot from, and a hybrid one from a USB stick, too.\n"
	"A disk that is a file on such a medium is found with\n"
	".Fl f Cm tar .\n"
	".Pp\n"
	"A file that is refused is left as it is, and the exit status is 8.\n"
	"The message says what the file is and what to do.\n"
	".Fl f Cm raw\n"
	"says that the file is a raw disk in spite of its content or its name.\n";

static const char tail[] =
	".Sh SEE ALSO\n"
	".Xr gow-convert 1 ,\n"
	".Xr gow 5 ,\n"
	".Xr gow-layout 5\n";

/* The sections of the page, in the order of the table. */
static const struct section {
	const char *title, *about;
	enum gow_deed first, second;
} sections[] = {
	{ "FORMATS THAT ARE READ",
	  "The disk is found inside. An archive may be compressed; a file that is packed once more "
	  "inside an archive is refused.",
	  GOW_DEED_DECOMPRESS, GOW_DEED_ARCHIVE },
	{ "OTHER DISK FORMATS",
	  "They are refused. Convert them to a raw disk first, with the command that is named, "
	  "if there is one.",
	  GOW_DEED_CONVERT, GOW_DEED_CONVERT },
	{ "PACKED DATA THAT IS NOT READ",
	  "It is refused. Unpack it first, with the command that is named, if there is one.",
	  GOW_DEED_UNPACK, GOW_DEED_UNPACK },
	{ "FILES THAT GO WITH AN IMAGE",
	  "They are refused. Name the image that the file belongs to.", GOW_DEED_OURS,
	  GOW_DEED_OURS },
	{ "OTHER FILES", "They are refused.", GOW_DEED_NO_DISK, GOW_DEED_NO_DISK },
};

static void put_suffixes(const char *suffix)
{
	if (!*suffix)
		return;
	(void)puts(".Po");
	while (*suffix) {
		size_t length = strcspn(suffix, " ");
		const char *next = suffix + length + strspn(suffix + length, " ");

		(void)printf(".Pa %.*s%s\n", (int)length, suffix, *next ? " ," : "");
		suffix = next;
	}
	(void)puts(".Pc");
}

static void put_format(const struct gow_file_format *format)
{
	(void)puts(".It");
	mdoc_put_text(format->name);
	put_suffixes(format->suffixes);
	if (format->advice)
		(void)printf(".Dl %s\n", format->advice);
}

static void put_section(const struct section *section)
{
	(void)printf(".Sh %s\n", section->title);
	mdoc_put_text(section->about);
	(void)puts(".Bl -bullet -compact");
	for (size_t i = 0; i < gow_file_format_count; i++)
		if (gow_file_formats[i].deed == section->first ||
		    gow_file_formats[i].deed == section->second)
			put_format(&gow_file_formats[i]);
	(void)puts(".El");
}

int main(void)
{
	(void)fputs(head, stdout);
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
		put_section(&sections[i]);
	(void)fputs(tail, stdout);
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
