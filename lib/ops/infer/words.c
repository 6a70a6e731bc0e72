/* SPDX-License-Identifier: BSD-2-Clause */
/* words.c - what kinds of numbers a file begins with: for whoever has the report and not the image.
 * Counts say nothing of what the guest has there. */
#include "ops/infer/infer.h"

static void count_words(const uint8_t *bytes, size_t size, uint64_t blocks, gow_probe_words *words)
{
	for (size_t at = 0; at + 4 <= size; at += 4) {
		uint32_t little = gow_load32(bytes + at, GOW_LITTLE_ENDIAN);
		uint32_t big = gow_load32(bytes + at, GOW_BIG_ENDIAN);

		if (!little)
			words->zeros++;
		else if (little == UINT32_MAX)
			words->ones++;
		else if (little <= blocks)
			words->little++;
		else if (big <= blocks)
			words->big++;
		else
			words->others++;
	}
}

void gow_infer_count_words(const struct gow_infer_work *work)
{
	struct gow_infer *result = work->result;

	for (size_t at = 0; at < work->head_size && result->words_count < GOW_WORDS;
	     at += GOW_BLOCK_SIZE) {
		gow_probe_words *words = &result->words[result->words_count++];
		size_t size = (size_t)gow_min(work->head_size - at, GOW_BLOCK_SIZE);

		*words = (gow_probe_words){ .offset = at, .size = size };
		count_words(work->head + at, size, gow_divide_up(work->file_size, GOW_BLOCK_SIZE),
		            words);
	}
}
