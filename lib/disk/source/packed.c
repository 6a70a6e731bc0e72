/* SPDX-License-Identifier: BSD-2-Clause */
/* packed.c - what is read as an archive: by its content, or because -f says so. */
#include <unistd.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/archive/archive.h"
#include "disk/formats.h"
#include "disk/source/kinds.h"

bool gow_source_is_packed(const struct gow_source_options *options, const uint8_t *head,
                          size_t size)
{
	const struct gow_file_format *format;

	if (options->format != GOW_FORMAT_PROBE)
		return options->format == GOW_FORMAT_TAR;
	format = gow_format_of_head(head, size);
	return format && (format->deed == GOW_DEED_DECOMPRESS || format->deed == GOW_DEED_ARCHIVE);
}

int gow_source_open_packed(const struct gow_archive_input *input,
                           const struct gow_source_options *options, struct gow_layouts **layouts,
                           struct gow_source **source, gow_error *error)
{
	const char *name = input->file ? input->file->name : input->stream.name;

	if (options->salvage) {
		int code = gow_fail(error, GOW_ERR_ARGUMENT,
		                    "is %s, from which nothing can be salvaged; %s it",
		                    input->bare ? "a stream" : "an archive",
		                    input->bare ? "name a file that holds" : "unpack");

		code = gow_fail_in_file(error, code, name);
		(void)gow_file_close(input->file, NULL);
		if (input->owned_fd > 0)
			(void)close(input->owned_fd);
		return code;
	}
	gow_note(options->common.monitor, GOW_NOTE_DETAIL, name,
	         "is read as an archive (if it is a raw disk, say -f raw)");
	return gow_source_archive(input, options, layouts, source, error);
}
