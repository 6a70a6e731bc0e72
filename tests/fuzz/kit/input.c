/* SPDX-License-Identifier: BSD-2-Clause */
#include "kit/input.h"

uint64_t take_number(struct input *input, unsigned width)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < width && input->left; i++, input->left--)
		number |= (uint64_t)*input->at++ << 8 * i;
	return number;
}

uint32_t take_below(struct input *input, uint32_t below)
{
	unsigned width = below <= 1 << 8 ? 1 : below <= 1 << 16 ? 2 : 4;

	return (uint32_t)(take_number(input, width) % below);
}

bool take_chance(struct input *input, uint32_t of_256)
{
	/* From the top, so that 0 is "no". */
	return take_number(input, 1) >= 256 - of_256;
}

uint64_t take_near(struct input *input, const uint64_t *anchors, uint32_t count)
{
	uint32_t which = take_below(input, count + 1);

	if (which == count)
		return take_number(input, 8);
	/* A byte with a sign. */
	return anchors[which] + (((take_number(input, 1) & 0xff) ^ 0x80) - 0x80);
}
