/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/header.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- preamble ---------------------------------------------------------------------------- */

static bool field_is_in(struct gow_field field, size_t size)
{
	return (size_t)field.offset + field.width <= size;
}

/* The field's value, or 0 where the bytes end before it does. */
static uint64_t field_value(const struct gow_layout *layout, struct gow_field field,
                            const uint8_t *bytes, size_t size)
{
	return field_is_in(field, size)
	               ? gow_load(bytes + field.offset, field.width, layout->order)
	               : 0;
}

static bool magic_is(const struct gow_layout *layout, const uint8_t *magic, const uint8_t *bytes,
                     size_t size)
{
	return layout->magic_offset + (size_t)GOW_MAGIC_SIZE <= size &&
	       memcmp(bytes + layout->magic_offset, magic, GOW_MAGIC_SIZE) == 0;
}

static bool has_magic(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	return magic_is(layout, layout->magic, bytes, size) ||
	       magic_is(layout, layout->magic_pending, bytes, size);
}

static bool row_fits(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	return has_magic(layout, bytes, size) && field_is_in(layout->version_field, size) &&
	       field_value(layout, layout->version_field, bytes, size) == layout->version;
}

/* Says why no row fits. */
static int not_gow(const struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                   const uint8_t *bytes, size_t size, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_NOT_GOW, "is not a GOW image: it has no magic");

	code = gow_fail_at_offset(error, code, rows[0].magic_offset);
	if (!size)
		code = gow_fail(error, GOW_ERR_NOT_GOW, "is not a GOW image: it is empty");
	for (size_t i = 0; i < row_count; i++) {
		const struct gow_layout *row = &rows[i];

		if (!has_magic(row, bytes, size))
			continue;
		if (field_is_in(row->version_field, size))
			code = gow_fail(error, GOW_ERR_NOT_GOW,
			                "has GOW's magic and an unknown version, %llu",
			                (unsigned long long)field_value(row, row->version_field,
			                                                bytes, size));
		else
			code = gow_fail(error, GOW_ERR_NOT_GOW,
			                "is cut short before its version");
		code = gow_fail_at_offset(error, code, row->version_field.offset);
		break;
	}
	return gow_fail_in_file(error, code, file->name);
}

uint32_t gow_present_blocks(const struct gow_layout *layout, uint64_t file_size)
{
	uint64_t data_start = gow_layout_data_start(layout);

	if (file_size <= data_start)
		return 0;
	return (uint32_t)gow_min(gow_divide_up(file_size - data_start, GOW_BLOCK_SIZE),
	                         UINT32_MAX);
}

uint32_t gow_present_entries(const struct gow_layout *layout, uint64_t file_size)
{
	uint64_t room;

	if (file_size < layout->map_offset + sizeof(uint32_t))
		return 0;
	room = file_size - layout->map_offset - sizeof(uint32_t);
	return (uint32_t)gow_min(room / layout->map_stride + 1, layout->map_entries);
}

static int read_preamble(struct gow_file *file, uint8_t *bytes, size_t *size, gow_error *error)
{
	return gow_file_read(file, 0, bytes, GOW_PREAMBLE_MAX, size, error);
}

/* Takes the fields as the row says where they are. */
static int parse(struct gow_file *file, const struct gow_layout *layout, const uint8_t *bytes,
                 size_t size, struct gow_header *header, gow_error *error)
{
	uint64_t count = field_value(layout, layout->block_count, bytes, size);
	uint64_t file_size;
	int code = gow_file_size(file, &file_size, error);

	if (code)
		return code;
	*header = (struct gow_header){
		.layout = layout,
		.pending = magic_is(layout, layout->magic_pending, bytes, size),
		.truncated = file_size < gow_layout_header_end(layout),
		.logical_size = field_value(layout, layout->logical_size, bytes, size),
		.block_count = (uint32_t)gow_min(count, UINT32_MAX),
		.file_size = file_size,
		.present_blocks = gow_present_blocks(layout, file_size),
	};
	header->logical_blocks = gow_divide_up(header->logical_size, GOW_BLOCK_SIZE);
	return GOW_OK;
}

int gow_header_read(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                    struct gow_header *header, gow_error *error)
{
	uint8_t bytes[GOW_PREAMBLE_MAX];
	size_t size;
	int code = read_preamble(file, bytes, &size, error);

	if (code)
		return code;
	for (size_t i = 0; i < row_count; i++)
		if (row_fits(&rows[i], bytes, size))
			return parse(file, &rows[i], bytes, size, header, error);
	return not_gow(file, rows, row_count, bytes, size, error);
}

int gow_header_read_as(struct gow_file *file, const struct gow_layout *layout,
                       struct gow_header *header, gow_error *error)
{
	uint8_t bytes[GOW_PREAMBLE_MAX];
	size_t size;
	int code = read_preamble(file, bytes, &size, error);

	return code ? code : parse(file, layout, bytes, size, header, error);
}

int gow_header_has_magic(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                         bool *has, gow_error *error)
{
	uint8_t bytes[GOW_PREAMBLE_MAX];
	size_t size;
	int code = read_preamble(file, bytes, &size, error);

	if (code)
		return code;
	*has = false;
	for (size_t i = 0; i < row_count; i++)
		*has = *has || has_magic(&rows[i], bytes, size);
	return GOW_OK;
}

bool gow_size_is_lawful(const struct gow_layout *layout, uint64_t logical_size)
{
	return logical_size >= 512 && logical_size % 512 == 0 &&
	       logical_size <= layout->logical_limit;
}

/* Stores value in the field of a preamble, if it is as wide as that. */
static int store_field(const struct gow_layout *layout, struct gow_field field, uint64_t value,
                       uint8_t *bytes, gow_error *error)
{
	if (!gow_fits(value, field.width))
		return gow_fail_at_offset(error,
		                          gow_fail(error, GOW_ERR_LIMIT,
		                                   "%llu does not fit the %u bytes of its field",
		                                   (unsigned long long)value, field.width),
		                          field.offset);
	gow_store(bytes + field.offset, field.width, layout->order, value);
	return GOW_OK;
}

int gow_header_write(struct gow_file *file, const struct gow_header *header, gow_error *error)
{
	const struct gow_layout *layout = header->layout;
	size_t size = (size_t)gow_layout_preamble_end(layout);
	uint8_t bytes[GOW_PREAMBLE_MAX];
	size_t got;
	int code;

	if (size > sizeof bytes)
		return gow_fail(error, GOW_ERR_UNSUPPORTED, "the layout's preamble is too long");
	/* Bytes between the fields are nobody's, and stay. */
	code = gow_file_read(file, 0, bytes, size, &got, error);
	if (code)
		return code;
	memset(bytes + got, 0, size - got);
	memcpy(bytes + layout->magic_offset,
	       header->pending ? layout->magic_pending : layout->magic, GOW_MAGIC_SIZE);
	code = store_field(layout, layout->version_field, layout->version, bytes, error);
	if (!code)
		code = store_field(layout, layout->logical_size, header->logical_size, bytes,
		                   error);
	if (!code)
		code = store_field(layout, layout->block_count, header->block_count, bytes,
		                   error);
	return code ? code : gow_file_write(file, 0, bytes, size, error);
}

int gow_header_write_magic(struct gow_file *file, const struct gow_layout *layout, bool pending,
                           gow_error *error)
{
	return gow_file_write(file, layout->magic_offset,
	                      pending ? layout->magic_pending : layout->magic, GOW_MAGIC_SIZE,
	                      error);
}

int gow_header_write_block_count(struct gow_file *file, const struct gow_header *header,
                                 gow_error *error)
{
	struct gow_field field = header->layout->block_count;
	struct gow_field at_start = { 0, field.width };
	uint8_t bytes[8];
	int code = store_field(header->layout, at_start, header->block_count, bytes, error);

	return code ? gow_fail_at_offset(error, code, field.offset)
	            : gow_file_write(file, field.offset, bytes, field.width, error);
}

/* ---- map and version numbers ------------------------------------------------------------- */

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
                      const struct array *array, uint32_t first, uint32_t count,
                      uint32_t *numbers, gow_error *error)
{
	uint8_t bytes[CHUNK];

	while (count) {
		uint32_t part = (uint32_t)gow_min(count, CHUNK / array->stride);
		int code = gow_file_read_all(file,
		                             array->offset + (uint64_t)first * array->stride,
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

int gow_header_read_entries(struct gow_file *file, const struct gow_layout *layout,
                            uint32_t first, uint32_t count, uint32_t *entries, gow_error *error)
{
	struct array map = map_of(layout);

	/* The common case is as fast as if it were the only one. */
	if (gow_layout_entries_are_canonical(layout))
		return gow_file_read_all(file, gow_layout_entry_offset(layout, first), entries,
		                         (size_t)count * sizeof *entries, error);
	return read_array(file, layout, &map, first, count, entries, error);
}

int gow_header_read_versions(struct gow_file *file, const struct gow_layout *layout,
                             uint32_t first, uint32_t count, uint32_t *versions,
                             gow_error *error)
{
	struct array array = versions_of(layout);

	if (layout->order == GOW_HOST_ORDER && layout->versions_stride == sizeof *versions)
		return gow_file_read_all(file, gow_layout_version_offset(layout, first), versions,
		                         (size_t)count * sizeof *versions, error);
	return read_array(file, layout, &array, first, count, versions, error);
}

int gow_header_write_entries(struct gow_file *file, const struct gow_layout *layout,
                             uint32_t first, uint32_t count, const uint32_t *entries,
                             gow_error *error)
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
