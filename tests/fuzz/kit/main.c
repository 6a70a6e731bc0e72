/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - what stands between libFuzzer and a target: the entry point, and the assertions of
 * check.h in the form that a fuzzer understands, where a failure is the end of the program.
 */
#include "kit/fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/check.h"

static char about[512];

void check_about(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(about, sizeof about, fmt, args);
	va_end(args);
}

void check_explored(size_t states)
{
	(void)states;
}

void check_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	(void)fprintf(stderr, "FOUND: %s:%d: ", file, line);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "%s%s%s\n", about[0] ? " [" : "", about, about[0] ? "]" : "");
	abort();
}

void check_equal(const char *file, int line, const char *expected_text, uint64_t expected,
                 const char *actual_text, uint64_t actual)
{
	if (expected != actual)
		check_fail(file, line, "%s is %llu, not %s = %llu", actual_text,
		           (unsigned long long)actual, expected_text,
		           (unsigned long long)expected);
}

void check_bytes(const char *file, int line, const void *expected, const void *actual, size_t size)
{
	const uint8_t *want = expected, *have = actual;

	if (!size || !memcmp(want, have, size))
		return;
	for (size_t i = 0; i < size; i++)
		if (want[i] != have[i])
			check_fail(file, line, "byte %zu of %zu is %02x, not %02x", i, size,
			           have[i], want[i]);
}

void check_code(const char *file, int line, gow_code expected, const char *call, int code,
                const gow_error *error)
{
	char text[1024] = "";

	if (code == (int)expected)
		return;
	if (code && error)
		(void)gow_error_text(error, text, sizeof text);
	check_fail(file, line, "%s: %s instead of %s: %s", call, gow_code_name((gow_code)code),
	           gow_code_name(expected), text);
}

void *check_alloc(size_t size)
{
	void *made = calloc(1, size ? size : 1);

	if (!made)
		check_fail(__FILE__, __LINE__, "no memory for %zu bytes", size);
	return made;
}

void rng_fill(struct rng *rng, void *bytes, size_t size)
{
	uint8_t *byte = bytes;

	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t word = rng_next(rng);

		memcpy(byte + at, &word, size - at < sizeof word ? size - at : sizeof word);
	}
}

bool fuzz_lies(void)
{
	static int lies = -1;

	if (lies < 0)
		lies = getenv("GOW_FUZZ_LIE") != NULL;
	return lies;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };

	about[0] = '\0';
	fuzz_one(&input);
	return 0;
}
