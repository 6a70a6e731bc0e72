/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Archives, as gow-convert reads them. One that is refused leaves no file; of one that is taken
 * the disk is what its digest says, read again from the file that was made. How much memory and
 * time it may take the run says.
 */
#include "kit/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "gow.h"
#include "kit/directory.h"
#include "support/check.h"

static gow_error error;
static const char archive[] = "in.tar";

void fuzz_one(struct input *input)
{
	static const gow_format dests[] = { GOW_FORMAT_RAW, GOW_FORMAT_GOW1, GOW_FORMAT_TAR };
	static const char *const names[] = { "out.raw", "out.gow", "out.tar" };
	uint32_t what = take_below(input, 8);
	uint32_t dest = what < 6 ? 0 : what - 5; /* the quickest is the most frequent */
	const gow_convert_options options = {
		.struct_size = sizeof options,
		.flags = what == 1 ? GOW_CONVERT_VERIFY : 0u,
		.source_format = what == 2 ? GOW_FORMAT_TAR : GOW_FORMAT_PROBE,
		.dest_format = dests[dest],
		.member_name = what == 3 ? "disk.raw" : NULL,
		.member_format = GOW_FORMAT_RAW,
		.level = GOW_LEVEL_USUAL,
	};
	gow_convert_result result = { .struct_size = sizeof result };
	gow_digest digest;
	int code;

	/* A disk may be larger than what is at hand. */
	directory_limit(UINT64_C(1) << 30);
	directory_clear();
	directory_unpack(archive, input, UINT64_C(1) << 25);
	code = gow_convert(archive, names[dest], &options, &result, &error);
	if (fuzz_lies())
		directory_unpack("lies", input, 1);
	CHECK_EQ(code ? 1 : 2, directory_count());
	if (code) {
		CHECK(code != GOW_ERR_MEMORY && error.what[0]);
		return;
	}
	CHECK_EQ(result.file_size, directory_length(names[dest]));
	if (!result.digest.text[0] || result.source_format != GOW_FORMAT_TAR)
		return;
	/* A disk may itself look like something else, and is then not read as it is meant. */
	if (dest != 1)
		return;
	CHECK_OK(gow_digest_path(names[dest], NULL, &digest, &error), &error);
	CHECK(!strcmp(result.digest.text, digest.text));
}

/* ---- mutating ---------------------------------------------------------------------------- */

enum { TAR_HEADER = 512, TAR_SUM = 148, TAR_SIZE = 124, TAR_MAGIC = 257 };

/* A header's sum, anew: one that is wrong is all that anybody looks at. */
static void sum_header(uint8_t *header)
{
	unsigned sum = 0;
	char text[8];

	memset(header + TAR_SUM, ' ', 8);
	for (unsigned i = 0; i < TAR_HEADER; i++)
		sum += header[i];
	(void)snprintf(text, sizeof text, "%06o", sum);
	memcpy(header + TAR_SUM, text, 7);
}

/* The next header of a tar file at or after from; SIZE_MAX where there is none. */
static size_t find_header(const uint8_t *bytes, size_t size, size_t from)
{
	for (size_t at = from; at + TAR_HEADER <= size; at++)
		if (!memcmp(bytes + at + TAR_MAGIC, "ustar", 5))
			return at;
	return SIZE_MAX;
}

static void set_size(uint8_t *header, struct rng *rng)
{
	static const uint64_t sizes[] = { 0, 1, 511, 512, 65536, 4194324, UINT64_C(1) << 32,
		                          (UINT64_C(1) << 33) - 1 };
	uint64_t size = sizes[rng_below(rng, 8)] + rng_below(rng, 3);
	char text[32];

	(void)snprintf(text, sizeof text, "%011llo", (unsigned long long)size & 077777777777);
	memcpy(header + TAR_SIZE, text, 11);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max_size, unsigned seed)
{
	struct rng rng = { seed };

	size = LLVMFuzzerMutate(bytes, size, max_size);
	if (rng_chance(&rng, 10))
		return size;
	for (size_t at = find_header(bytes, size, 0); at != SIZE_MAX;
	     at = find_header(bytes, size, at + 1)) {
		if (rng_chance(&rng, 10))
			set_size(bytes + at, &rng);
		sum_header(bytes + at);
	}
	return size;
}
