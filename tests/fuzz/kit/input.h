/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * input.h - the fuzzer's bytes as a list of decisions. Where they end every decision is 0, which
 * a target takes for "nothing out of the ordinary", so that short inputs are simple cases.
 */
#ifndef GOW_FUZZ_INPUT_H
#define GOW_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *at;
	size_t left;
};

/* An unsigned number of so many bytes (1 to 8). */
uint64_t take_number(struct input *input, unsigned width);

/* 0 to below - 1; below is at least 1. */
uint32_t take_below(struct input *input, uint32_t below);

/* True in so many cases of 256. */
bool take_chance(struct input *input, uint32_t of_256);

/* A number at or next to one of these, or, rarely, any at all. */
uint64_t take_near(struct input *input, const uint64_t *anchors, uint32_t count);

#endif
