/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/names.h"

#include <string.h>
#include <strings.h>

#include "image/layout_text.h"

/* ---- formats ----------------------------------------------------------------------------- */

static const struct format {
	gow_format format;
	const char *name;
	unsigned version; /* 0: no reference layout */
} formats[] = {
	{ GOW_FORMAT_RAW, "raw", 0 },   { GOW_FORMAT_GOW1, "gow1", 1 },
	{ GOW_FORMAT_GOW2, "gow2", 2 }, { GOW_FORMAT_GOW3, "gow3", 3 },
	{ GOW_FORMAT_GOW, "gow", 0 },   { GOW_FORMAT_TAR, "tar", 0 },
};

static const size_t format_count = sizeof formats / sizeof *formats;

static const struct format *row_of(gow_format format)
{
	for (size_t i = 0; i < format_count; i++)
		if (formats[i].format == format)
			return &formats[i];
	return NULL;
}

const char *gow_format_name(gow_format format)
{
	const struct format *row = row_of(format);

	return row ? row->name : "probe";
}

gow_format gow_format_by_name(const char *name)
{
	for (size_t i = 0; i < format_count; i++)
		if (strcasecmp(formats[i].name, name) == 0)
			return formats[i].format;
	return GOW_FORMAT_PROBE;
}

const struct gow_layout *gow_layout_of_format(gow_format format)
{
	const struct format *row = row_of(format);

	return row && row->version ? gow_layout_of(row->version) : NULL;
}

gow_format gow_format_of_layout(const struct gow_layout *layout)
{
	for (size_t i = 0; i < format_count && gow_layout_is_reference(layout); i++)
		if (formats[i].version == layout->version)
			return formats[i].format;
	return GOW_FORMAT_GOW;
}

/* ---- suffixes ---------------------------------------------------------------------------- */

static const struct gow_suffix suffixes[] = {
	{ ".gow", GOW_FORMAT_GOW3, GOW_COMPRESSION_BY_NAME },
	{ ".gow1", GOW_FORMAT_GOW1, GOW_COMPRESSION_BY_NAME },
	{ ".gow2", GOW_FORMAT_GOW2, GOW_COMPRESSION_BY_NAME },
	{ ".gow3", GOW_FORMAT_GOW3, GOW_COMPRESSION_BY_NAME },
	{ ".raw", GOW_FORMAT_RAW, GOW_COMPRESSION_BY_NAME },
	{ ".img", GOW_FORMAT_RAW, GOW_COMPRESSION_BY_NAME },
	{ ".tar", GOW_FORMAT_TAR, GOW_COMPRESSION_NONE },
	{ ".tar.zst", GOW_FORMAT_TAR, GOW_COMPRESSION_ZSTD },
	{ ".tzst", GOW_FORMAT_TAR, GOW_COMPRESSION_ZSTD },
	{ ".tar.gz", GOW_FORMAT_TAR, GOW_COMPRESSION_GZIP },
	{ ".tgz", GOW_FORMAT_TAR, GOW_COMPRESSION_GZIP },
	{ ".tar.xz", GOW_FORMAT_TAR, GOW_COMPRESSION_XZ },
	{ ".txz", GOW_FORMAT_TAR, GOW_COMPRESSION_XZ },
	{ ".tar.lz4", GOW_FORMAT_TAR, GOW_COMPRESSION_LZ4 },
};

const struct gow_suffix *gow_suffix_of(const char *path, size_t *stem)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t tail = strlen(suffixes[i].text);

		if (length > tail && strcasecmp(path + length - tail, suffixes[i].text) == 0) {
			*stem = length - tail;
			return &suffixes[i];
		}
	}
	*stem = length;
	return NULL;
}

gow_format gow_format_of_suffix(const char *path)
{
	size_t stem;
	const struct gow_suffix *suffix = gow_suffix_of(path, &stem);

	return suffix ? suffix->format : GOW_FORMAT_PROBE;
}

bool gow_compression_of_name(const char *path, gow_compression *compression)
{
	size_t stem;
	const struct gow_suffix *suffix = gow_suffix_of(path, &stem);

	if (!suffix || suffix->format != GOW_FORMAT_TAR)
		return false;
	*compression = suffix->compression;
	return true;
}
