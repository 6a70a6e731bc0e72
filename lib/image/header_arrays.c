/* SPDX-License-Identifier: BSD-2-Clause */
/* header_arrays.c - the map and the version numbers in the file, by the layout's rules. */
#include <string.h>

#include "base/bytes.h"
#include "image/header.h"

/* One of the two arrays of 32-bit numbers, as seen by the loops below. */
struct array {
	uint64_t offset;
	uint32_t stride;
	void (*decode)(const struct gow_layout *, const void *, uint32_t *, size_t);
	void (*encode)(const struct gow_layout *, const uint32_t *, void *, size_t);
};

static struct array map_of(const struct gow_layout *layout)
{
	return (struct array){ layout->map_offset, layout->map_stride, gow_layout_decode_entries,
		               gow_layout_encode_entries };
}

static struct array versions_of(const struct gow_layout *layout)
{
	return (struct array){ layout->versions_offset, layout->versions_stride,
		               gow_layout_decode_versions, gow_layout_encode_versions };
}

/* Bytes of a buffer on the stack: small enough to stay in the cache. */
enum { CHUNK = 32768 };

/* Bytes from the first of count numbers to the end of the last. */
static size_t span(const struct array *array, uint32_t count)
{
	return (size_t)(count - 1) * array->stride + sizeof(uint32_t);
}

static int read_array(struct gow_file *file, const struct gow_layout *layout,
                      const struct array *array, uint32_t first, uint32_t count, uint32_t *numbers,
                      gow_error *error)
{
	uint8_t bytes[CHUNK];

	while (count) {
		uint32_t part = (uint32_t)gow_min(count, CHUNK / array->stride);
		int code = gow_file_read_all(file, array->offset + (uint64_t)first * array->stride,
		                             bytes, span(array, part), error);

		if (code)
			return code;
		array->decode(layout, bytes, numbers, part);
		first += part;
		numbers += part;
		count -= part;
	}
	return GOW_OK;
}

static int write_array(struct gow_file *file, const struct gow_layout *layout,
                       const struct array *array, uint32_t first, uint32_t count,
                       const uint32_t *numbers, gow_error *error)
{
	uint8_t bytes[CHUNK];

	while (count) {
		uint32_t part = (uint32_t)gow_min(count, CHUNK / array->stride);
		uint64_t offset = array->offset + (uint64_t)first * array->stride;
		int code = GOW_OK;

		/* What stands between the numbers is not ours to change. */
		if (array->stride != sizeof(uint32_t))
			code = gow_file_read_padded(file, offset, bytes, span(array, part), error);
		if (code)
			return code;
		array->encode(layout, numbers, bytes, part);
		code = gow_file_write(file, offset, bytes, span(array, part), error);
		if (code)
			return code;
		first += part;
		numbers += part;
		count -= part;
	}
	return GOW_OK;
}

int gow_header_read_entries(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                            uint32_t count, uint32_t *entries, gow_error *error)
{
	struct array map = map_of(layout);

	/* The common case is as fast as if it were the only one. */
	if (gow_layout_entries_are_canonical(layout))
		return gow_file_read_all(file, gow_layout_entry_offset(layout, first), entries,
		                         (size_t)count * sizeof *entries, error);
	return read_array(file, layout, &map, first, count, entries, error);
}

int gow_header_read_versions(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                             uint32_t count, uint32_t *versions, gow_error *error)
{
	struct array array = versions_of(layout);

	if (layout->order == GOW_HOST_ORDER && layout->versions_stride == sizeof *versions)
		return gow_file_read_all(file, gow_layout_version_offset(layout, first), versions,
		                         (size_t)count * sizeof *versions, error);
	return read_array(file, layout, &array, first, count, versions, error);
}

int gow_header_write_entries(struct gow_file *file, const struct gow_layout *layout, uint32_t first,
                             uint32_t count, const uint32_t *entries, gow_error *error)
{
	struct array map = map_of(layout);

	return write_array(file, layout, &map, first, count, entries, error);
}

int gow_header_write_versions(struct gow_file *file, const struct gow_layout *layout,
                              uint32_t first, uint32_t count, const uint32_t *versions,
                              gow_error *error)
{
	struct array array = versions_of(layout);

	return write_array(file, layout, &array, first, count, versions, error);
}
