/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/header.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "base/monitor.h"

/* ---- preamble ---------------------------------------------------------------------------- */

static bool field_is_in(struct gow_field field, size_t size)
{
	return field.width && (size_t)field.offset + field.width <= size;
}

/* The field's value, or 0 where the bytes end before it does. */
static uint64_t field_value(const struct gow_layout *layout, struct gow_field field,
                            const uint8_t *bytes, size_t size)
{
	return field_is_in(field, size) ? gow_load(bytes + field.offset, field.width, layout->order)
	                                : 0;
}

static bool magic_is(const struct gow_layout *layout, const uint8_t *magic, const uint8_t *bytes,
                     size_t size)
{
	return gow_layout_has_magic(layout) &&
	       layout->magic_offset + (size_t)layout->magic_size <= size &&
	       memcmp(bytes + layout->magic_offset, magic, layout->magic_size) == 0;
}

static bool is_pending(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	return layout->has_pending && magic_is(layout, layout->magic_pending, bytes, size);
}

static bool has_magic(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	return magic_is(layout, layout->magic, bytes, size) || is_pending(layout, bytes, size);
}

/* What a row says nothing about fits. */
static bool row_fits(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	if (gow_layout_has_magic(layout) && !has_magic(layout, bytes, size))
		return false;
	return !layout->version_field.width ||
	       (field_is_in(layout->version_field, size) &&
	        field_value(layout, layout->version_field, bytes, size) == layout->version);
}

/* Bytes; a number of sectors or blocks that no size could be is the largest. */
static uint64_t logical_size_of(const struct gow_layout *layout, const uint8_t *bytes, size_t size)
{
	uint64_t unit = gow_layout_size_unit(layout);
	uint64_t value = field_value(layout, layout->logical_size, bytes, size);

	if (!layout->logical_size.width)
		return layout->fixed_size ? layout->fixed_size : layout->logical_limit;
	return value > UINT64_MAX / unit ? UINT64_MAX : value * unit;
}

/* A layout without the field allocates behind what is present. */
static uint32_t block_count_of(const struct gow_layout *layout, uint32_t present,
                               const uint8_t *bytes, size_t size)
{
	if (!layout->block_count.width)
		return present;
	return (uint32_t)gow_min(field_value(layout, layout->block_count, bytes, size), UINT32_MAX);
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
			code = gow_fail(error, GOW_ERR_NOT_GOW, "is cut short before its version");
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
	return (uint32_t)gow_min(gow_divide_up(file_size - data_start, GOW_BLOCK_SIZE), UINT32_MAX);
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

/*
 * Without the zeros that a server added when it rounded the file's size up: less than it rounds to,
 * where by the header no block is.
 */
static uint64_t own_size(struct gow_file *file, const struct gow_layout *layout,
                         const uint8_t *bytes, size_t size, uint64_t file_size)
{
	const uint64_t start = gow_layout_data_start(layout);
	const uint64_t blocks = file_size > start ? (file_size - start) / GOW_BLOCK_SIZE : 0;
	const uint64_t excess = file_size > start ? (file_size - start) % GOW_BLOCK_SIZE : 0;
	uint8_t end[GOW_FILE_GRAIN];

	if (!excess || excess >= file->rounding || excess > sizeof end ||
	    block_count_of(layout, (uint32_t)gow_min(blocks, UINT32_MAX), bytes, size) > blocks ||
	    gow_file_read_all(file, file_size - excess, end, (size_t)excess, NULL) ||
	    !gow_is_zero(end, (size_t)excess))
		return file_size;
	return file_size - excess;
}

void gow_header_warn_rounded(struct gow_file *file, const struct gow_layout *layout,
                             const gow_monitor *monitor)
{
	const uint64_t start = gow_layout_data_start(layout);
	uint64_t size, rest;

	if (!file->rounding || gow_file_size(file, &size, NULL) || size <= start)
		return;
	rest = (size - start) % GOW_BLOCK_SIZE;
	if (rest && GOW_BLOCK_SIZE - rest < file->rounding)
		gow_note(monitor, GOW_NOTE_WARNING, file->name,
		         "the last block lacks %llu bytes, which read as zeros: the server may "
		         "have cut them off, by rounding the size down (gow-uri(7))",
		         (unsigned long long)(GOW_BLOCK_SIZE - rest));
}

/* Takes the fields as the row says where they are. */
static int parse(struct gow_file *file, const struct gow_layout *row, const uint8_t *bytes,
                 size_t size, struct gow_header *header, gow_error *error)
{
	uint64_t logical_size = logical_size_of(row, bytes, size);
	const struct gow_layout *layout;
	uint64_t file_size;
	int code = gow_file_size(file, &file_size, error);

	if (!code)
		code = gow_layout_resolve(row, logical_size, &layout, error);
	if (code)
		return code;
	file_size = own_size(file, layout, bytes, size, file_size);
	*header = (struct gow_header){
		.layout = layout,
		.pending = is_pending(layout, bytes, size),
		.truncated = file_size < gow_layout_header_end(layout),
		.logical_size = logical_size,
		.file_size = file_size,
		.present_blocks = gow_present_blocks(layout, file_size),
	};
	header->block_count = block_count_of(layout, header->present_blocks, bytes, size);
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

bool gow_rows_have_magic(const struct gow_layout *rows, size_t row_count, const uint8_t *bytes,
                         size_t size)
{
	for (size_t i = 0; i < row_count; i++)
		if (has_magic(&rows[i], bytes, size))
			return true;
	return false;
}

int gow_header_has_magic(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                         bool *has, gow_error *error)
{
	uint8_t bytes[GOW_PREAMBLE_MAX];
	size_t size;
	int code = read_preamble(file, bytes, &size, error);

	if (code)
		return code;
	*has = gow_rows_have_magic(rows, row_count, bytes, size);
	return GOW_OK;
}

bool gow_size_is_valid(const struct gow_layout *layout, uint64_t logical_size)
{
	return logical_size >= 512 && logical_size % 512 == 0 &&
	       logical_size <= layout->logical_limit;
}

/* Stores value in the field of a preamble, if it is as wide as that. */
static int store_field(const struct gow_layout *layout, struct gow_field field, uint64_t value,
                       uint8_t *bytes, gow_error *error)
{
	if (!field.width)
		return GOW_OK;
	if (!gow_fits(value, field.width))
		return gow_fail_at_offset(error,
		                          gow_fail(error, GOW_ERR_LIMIT,
		                                   "%llu does not fit the %u bytes of its field",
		                                   (unsigned long long)value, field.width),
		                          field.offset);
	gow_store(bytes + field.offset, field.width, layout->order, value);
	return GOW_OK;
}

/* A disk that is no whole number of the field's units cannot be stored in it. */
static int store_size(const struct gow_layout *layout, uint64_t size, uint8_t *bytes,
                      gow_error *error)
{
	uint64_t unit = gow_layout_size_unit(layout);

	if (layout->logical_size.width && size % unit)
		return gow_fail_at_offset(error,
		                          gow_fail(error, GOW_ERR_LIMIT,
		                                   "a disk of %llu bytes is no multiple of %llu",
		                                   (unsigned long long)size,
		                                   (unsigned long long)unit),
		                          layout->logical_size.offset);
	return store_field(layout, layout->logical_size, size / unit, bytes, error);
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
	       header->pending ? layout->magic_pending : layout->magic, layout->magic_size);
	code = store_field(layout, layout->version_field, layout->version, bytes, error);
	if (!code)
		code = store_size(layout, header->logical_size, bytes, error);
	if (!code)
		code = store_field(layout, layout->block_count, header->block_count, bytes, error);
	return code ? code : gow_file_write(file, 0, bytes, size, error);
}

int gow_header_write_magic(struct gow_file *file, const struct gow_layout *layout, bool pending,
                           gow_error *error)
{
	return gow_file_write(file, layout->magic_offset,
	                      pending ? layout->magic_pending : layout->magic, layout->magic_size,
	                      error);
}

int gow_header_write_block_count(struct gow_file *file, const struct gow_header *header,
                                 gow_error *error)
{
	struct gow_field field = header->layout->block_count;
	struct gow_field at_start = { 0, field.width };
	uint8_t bytes[8];
	int code = store_field(header->layout, at_start, header->block_count, bytes, error);

	if (!field.width)
		return code;
	return code ? gow_fail_at_offset(error, code, field.offset)
	            : gow_file_write(file, field.offset, bytes, field.width, error);
}
