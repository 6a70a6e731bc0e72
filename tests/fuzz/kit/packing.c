/* SPDX-License-Identifier: BSD-2-Clause */
#include "kit/packing.h"

#include <string.h>

#include "kit/input.h"

static uint64_t at_most(uint64_t number, uint64_t limit)
{
	return number < limit ? number : limit;
}

/* Bytes of the input itself. */
static uint64_t put_bytes(const struct unpacker *to, struct input *input, uint64_t offset,
                          uint64_t size)
{
	size = at_most(size, input->left);
	size = at_most(size, to->limit - at_most(offset, to->limit));
	if (size)
		to->put(to->context, offset, input->at, size, 0);
	input->at += size;
	input->left -= (size_t)size;
	return size;
}

uint64_t unpack(const struct unpacker *to, const uint8_t *packed, size_t size)
{
	struct input input = { packed, size };
	uint64_t end = 0, offset, length;
	uint8_t fill;

	while (input.left) {
		switch ((enum piece_kind)take_below(&input, PIECE_KINDS)) {
		case PIECE_BYTES:
			length = take_number(&input, 2);
			end += put_bytes(to, &input, end, length);
			break;
		case PIECE_RUN:
			length = at_most(take_number(&input, 4), to->limit - end);
			fill = (uint8_t)take_number(&input, 1);
			if (length)
				to->put(to->context, end, NULL, length, fill);
			end += length;
			break;
		case PIECE_HOLE:
			end += at_most(take_number(&input, 4), to->limit - end);
			to->resize(to->context, end);
			break;
		case PIECE_PATCH:
			offset = take_number(&input, 4);
			length = take_number(&input, 1);
			/* Inside of what there is. */
			length = at_most(length, end - at_most(offset, end));
			(void)put_bytes(to, &input, offset, length);
			break;
		default:
			end = at_most(take_number(&input, 5), to->limit);
			to->resize(to->context, end);
			break;
		}
	}
	return end;
}

static size_t put_number(uint8_t *packed, size_t at, uint64_t number, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		packed[at++] = (uint8_t)(number >> 8 * i);
	return at;
}

size_t pack_patch(uint8_t *packed, size_t size, size_t room, uint32_t offset, const uint8_t *bytes,
                  uint8_t length)
{
	if (room < size || room - size < 6u + length)
		return size;
	packed[size++] = PIECE_PATCH;
	size = put_number(packed, size, offset, 4);
	size = put_number(packed, size, length, 1);
	memcpy(packed + size, bytes, length);
	return size + length;
}

size_t pack_length(uint8_t *packed, size_t size, size_t room, uint64_t length)
{
	if (room < size || room - size < 6)
		return size;
	packed[size++] = PIECE_LENGTH;
	return put_number(packed, size, length, 5);
}
