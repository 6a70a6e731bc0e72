/* SPDX-License-Identifier: BSD-2-Clause */
/* source.c - a guest's disk to read from: which kind of source a name leads to. */
#include <string.h>

#include "base/error.h"
#include "base/monitor.h"
#include "disk/names.h"
#include "disk/probe.h"
#include "disk/source/kinds.h"

/* Whether the name says that it is an image. */
static bool is_named_image(const char *path)
{
	return gow_layout_of_format(gow_format_of_suffix(path));
}

static int refuse_device_image(const struct gow_file *file, gow_error *error)
{
	return gow_fail_in_file(error,
	                        gow_fail(error, GOW_ERR_UNSUPPORTED,
	                                 "is a block device that begins like a GOW image; those "
	                                 "are files (if it is a raw disk, say -f raw)"),
	                        file->name);
}

/* Whether it is read as an archive. */
static int probe_archive(struct gow_file *file, uint64_t length,
                         const struct gow_source_options *options, bool *archive, gow_error *error)
{
	uint8_t head[GOW_ARCHIVE_HEAD];
	size_t size;
	int code = gow_probe_read(file, 0, (struct gow_bytes){ head, sizeof head },
	                          options->salvage, &size, error);

	*archive = false;
	/* A part of one is neither that nor a disk. */
	if (!code && options->format == GOW_FORMAT_PROBE)
		code = gow_probe_split(file, length, error);
	if (code)
		return code;
	*archive = gow_source_is_packed(options, head, size);
	return *archive ? GOW_OK : gow_probe_stub(file, length, head, size, archive, error);
}

/* Whether it may be an image, or a raw disk. */
static int probe_disk(struct gow_file *file, uint64_t length, bool magic,
                      const struct gow_source_options *options, gow_error *error)
{
	int code;

	if (magic)
		return gow_file_is_device(file) ? GOW_OK : gow_probe_split(file, length, error);
	code = gow_probe_file(file, length, options->salvage, error);
	if (!code && is_named_image(file->name))
		gow_note(options->common.monitor, GOW_NOTE_WARNING, file->name,
		         "has the name of a GOW image, but does not begin like one: it is "
		         "taken for a raw disk");
	return code;
}

/* Which layouts the image may have, and whether it begins like one of them. Nothing is inferred of
 * what is packed. */
static int find_layouts(struct gow_file *file, const struct gow_source_options *options,
                        bool packed, struct gow_layouts **layouts, bool *magic, gow_error *error)
{
	const gow_layouts_finder find = packed ? gow_layouts_find_known : options->find_layout;
	const struct gow_layout *rows;
	size_t count;
	int code = gow_layouts_load_for(&options->common, file, find, layouts, error);

	if (code)
		return code;
	rows = gow_layouts_rows(*layouts, &count);
	return gow_header_has_magic(file, rows, count, magic, error);
}

/* Whether it begins like an archive. */
static int find_packing(struct gow_file *file, const struct gow_source_options *options,
                        bool *packed, gow_error *error)
{
	uint8_t head[GOW_ARCHIVE_HEAD];
	size_t size;
	int code = gow_probe_read(file, 0, (struct gow_bytes){ head, sizeof head },
	                          options->salvage, &size, error);

	*packed = !code && gow_source_is_packed(options, head, size);
	return code;
}

enum kind { KIND_RAW, KIND_IMAGE, KIND_ARCHIVE };

/* What -f, --layout and the content say that it is. *magic: it begins like an image. */
static int find_kind(struct gow_file *file, uint64_t length,
                     const struct gow_source_options *options, struct gow_layouts **layouts,
                     bool *magic, enum kind *kind, gow_error *error)
{
	const bool probe = options->format == GOW_FORMAT_PROBE;
	const bool wants_layout = gow_source_wants_layout(options);
	bool packed = options->format == GOW_FORMAT_TAR, archive = false;
	int code = GOW_OK;

	if (probe && wants_layout && !gow_file_is_device(file))
		code = find_packing(file, options, &packed, error);
	if (!code && options->format != GOW_FORMAT_RAW)
		code = find_layouts(file, options, packed, layouts, magic, error);
	if (!code && gow_file_is_device(file) && (*magic || gow_layout_of_format(options->format)))
		code = refuse_device_image(file, error);
	/* What looks like an archive on a device is what the guest has there. */
	if (!code && (options->format == GOW_FORMAT_TAR ||
	              (!*magic && (!wants_layout || packed) && probe && !gow_file_is_device(file))))
		code = probe_archive(file, length, options, &archive, error);
	if (!code && !archive && !wants_layout && probe)
		code = probe_disk(file, length, *magic, options, error);
	*kind = KIND_RAW;
	if (archive)
		*kind = KIND_ARCHIVE;
	else if (*magic || wants_layout || gow_source_wants_image(options))
		*kind = KIND_IMAGE;
	return code;
}

/* *layouts: those that the image may have; taken over by a source that is one. */
static int open_named(const char *path, const struct gow_source_options *options,
                      struct gow_layouts **layouts, struct gow_source **source, gow_error *error)
{
	const gow_open_options open_options = { .common = options->common };
	struct gow_archive_input input = { .file = NULL };
	bool magic = false;
	enum kind kind;
	uint64_t length;
	int code = gow_open_locked(path, GOW_FILE_DEVICE, &open_options, &input.file, &input.lock,
	                           error);

	if (code)
		return code;
	/* Measured before anything is read, so that a file which shrinks is caught at it. */
	code = gow_file_size(input.file, &length, error);
	if (!code)
		code = find_kind(input.file, length, options, layouts, &magic, &kind, error);
	if (code) {
		(void)gow_file_close(input.file, NULL);
		return code;
	}
	switch (kind) {
	case KIND_ARCHIVE:
		return gow_source_open_packed(&input, options, layouts, source, error);
	case KIND_IMAGE:
		return gow_source_open_image(input.file, &input.lock, magic, options, layouts,
		                             source, error);
	default:
		return gow_source_open_raw(input.file, length, &input.lock, source, error);
	}
}

int gow_source_open(const char *path, const struct gow_source_options *options,
                    struct gow_source **source, gow_error *error)
{
	struct gow_layouts *layouts = NULL;
	int code, stream = gow_source_stream_of(&path, error);

	if (stream == -2)
		return (int)GOW_ERR_IO;
	if (stream >= 0)
		return gow_source_open_stream(stream, path, options, source, error);
	code = open_named(path, options, &layouts, source, error);
	gow_layouts_free(layouts);
	return code;
}

void gow_source_close(struct gow_source *source)
{
	if (source)
		source->ops->close(source);
}
