/* SPDX-License-Identifier: BSD-2-Clause */
/* file_copy.c - copying from one file to another, by the shortest way that both have. */
#include "base/bytes.h"
#include "io/file_parts.h"

/* What lies past the source's end is not written. */
static int copy_through_memory(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                               uint64_t to_offset, uint64_t size, gow_error *error)
{
	uint8_t buffer[GOW_BLOCK_SIZE];
	int code = GOW_OK;

	while (!code && size) {
		size_t part = (size_t)gow_min(size, sizeof buffer), got = 0;

		code = gow_file_read(from, from_offset, buffer, part, &got, error);
		if (!code && got)
			code = gow_file_write(to, to_offset, buffer, got, error);
		if (got < part)
			break;
		from_offset += part;
		to_offset += part;
		size -= part;
	}
	return code;
}

/*
 * Some file systems refuse in the middle, and some say that there is no more where there is: what
 * the backend leaves is copied through memory, which finds the true end of the source.
 */
static int copy_part(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                     uint64_t to_offset, uint64_t size, gow_error *error)
{
	uint64_t done = 0;
	int code = to->ops->copy
	                   ? to->ops->copy(to, to_offset, from, from_offset, size, &done, error)
	                   : GOW_ERR_UNSUPPORTED;

	if (code && code != GOW_ERR_UNSUPPORTED)
		return code;
	return copy_through_memory(from, from_offset + done, to, to_offset + done, size - done,
	                           error);
}

int gow_file_copy(struct gow_file *from, uint64_t from_offset, struct gow_file *to,
                  uint64_t to_offset, uint64_t size, gow_error *error)
{
	/* In the middle lie the pages that can be shared; the ends are copied. */
	const uint64_t head = gow_min(size,
	                              gow_round_up(from_offset, GOW_FILE_GRAIN) - from_offset);
	const uint64_t tail = (size - head) % GOW_FILE_GRAIN;
	const uint64_t parts[] = { head, size - head - tail, tail };
	int code = gow_file_check_range(from, from_offset, size, error);

	if (!code)
		code = gow_file_check_range(to, to_offset, size, error);
	gow_file_forget_run(to);
	for (size_t i = 0; i < 3 && !code; i++) {
		code = copy_part(from, from_offset, to, to_offset, parts[i], error);
		from_offset += parts[i];
		to_offset += parts[i];
	}
	return code;
}
