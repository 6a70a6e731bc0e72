/* SPDX-License-Identifier: BSD-2-Clause */
/* metadata.c - whether an image's metadata is to be saved or restored. */
#include "base/growing.h"
#include "disk/names.h"
#include "ops/metadata/metadata.h"

/* Whether dest is to be an archive; and by what it is compressed then. */
static bool is_archive(const char *dest, gow_metadata_options *options)
{
	gow_compression compression = GOW_COMPRESSION_NONE;
	bool named = gow_compression_of_name(dest, &compression);

	if (options->compression == GOW_COMPRESSION_BY_NAME)
		options->compression = compression;
	if (options->dest_format == GOW_FORMAT_PROBE)
		return named || gow_is_standard_output(dest);
	return options->dest_format == GOW_FORMAT_TAR;
}

int gow_convert_metadata(const char *source, const char *dest, const gow_metadata_options *options,
                         gow_metadata_result *result, gow_error *error)
{
	gow_metadata_options use = { .struct_size = sizeof use,
		                     .level = GOW_LEVEL_USUAL,
		                     .mtime = GOW_TIME_OF_SOURCE };
	gow_metadata_result made = { .struct_size = sizeof made };
	int code = gow_take_options(options, &use, sizeof use, GOW_METADATA_FORCE, error);

	if (!code)
		code = gow_check_result(result, error);
	if (code)
		return code;
	code = is_archive(dest, &use) ? gow_metadata_save(source, dest, &use, &made, error)
	                              : gow_metadata_restore(source, dest, &use, &made, error);
	if (!code)
		gow_give_result(result, &made, sizeof made);
	return code;
}
