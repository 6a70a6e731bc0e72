/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what a target is: a file tests/fuzz/NAME_fuzz.c with fuzz_one, which does something
 * with what the input says and holds the outcome against what is known of it without the
 * library. CHECK and its kin (support/check.h) end the program; that is what a finding is.
 */
#ifndef GOW_FUZZ_FUZZ_H
#define GOW_FUZZ_FUZZ_H

#include "kit/input.h"

/* The target's own. */
void fuzz_one(struct input *input);

/*
 * Whether the run is to prove that the target can fail: then it spoils, at one place, what the
 * library has made, before it looks. A target that finds nothing wrong then checks nothing.
 */
bool fuzz_lies(void);

/* libFuzzer's interface. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned seed);

#endif
