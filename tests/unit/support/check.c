/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/check.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum outcome { PASSED, FAILED, SKIPPED };

static jmp_buf back;
static char about[512];
static char reason[512];
static size_t explored;

void check_about(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(about, sizeof about, fmt, args);
	va_end(args);
}

void check_explored(size_t states)
{
	explored += states;
}

void check_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	printf("# %s:%d: ", file, line);
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	printf("%s%s%s\n", about[0] ? " [" : "", about, about[0] ? "]" : "");
	longjmp(back, FAILED);
}

void check_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof reason, fmt, args);
	va_end(args);
	longjmp(back, SKIPPED);
}

void check_equal(const char *file, int line, const char *expected_text, uint64_t expected,
                 const char *actual_text, uint64_t actual)
{
	if (expected != actual)
		check_fail(file, line, "%s is %llu (%#llx), not %s = %llu (%#llx)", actual_text,
		           (unsigned long long)actual, (unsigned long long)actual, expected_text,
		           (unsigned long long)expected, (unsigned long long)expected);
}

void check_string(const char *file, int line, const char *expected, const char *actual)
{
	if (expected && actual ? strcmp(expected, actual) != 0 : expected != actual)
		check_fail(file, line, "\"%s\" instead of \"%s\"", actual ? actual : "(none)",
		           expected ? expected : "(none)");
}

void check_bytes(const char *file, int line, const void *expected, const void *actual, size_t size)
{
	const uint8_t *want = expected, *have = actual;

	for (size_t i = 0; i < size; i++)
		if (want[i] != have[i])
			check_fail(file, line, "byte %zu of %zu is %02x, not %02x", i, size, have[i],
			           want[i]);
}

void check_code(const char *file, int line, gow_code expected, const char *call, int code,
                const gow_error *error)
{
	char text[1024] = "";

	if (code == (int)expected) {
		/* What is returned is what is told. */
		if (code && error && error->code != expected)
			check_fail(file, line, "%s: returned %s and told %s", call,
			           gow_code_name(expected), gow_code_name(error->code));
		return;
	}
	if (code && error)
		(void)gow_error_text(error, text, sizeof text);
	check_fail(file, line, "%s: %s instead of %s: %s", call, gow_code_name((gow_code)code),
	           gow_code_name(expected), text);
}

void *check_alloc(size_t size)
{
	void *made = calloc(1, size ? size : 1);

	if (!made) {
		(void)fprintf(stderr, "no memory for %zu bytes\n", size);
		abort();
	}
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

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc < 2;
}

static enum outcome run(const struct check_test *test)
{
	about[0] = '\0';
	explored = 0;
	switch (setjmp(back)) {
	case 0:
		test->run();
		return PASSED;
	case SKIPPED:
		return SKIPPED;
	default:
		return FAILED;
	}
}

int check_main(const struct check_test *tests, size_t count, int argc, char **argv)
{
	enum { KEPT = 1 << 27 };
	bool failed = false;

	/* Thousands of states one after the other: to give their memory back each time, and have it
	 * again, would take half of the time. */
	(void)mallopt(M_TRIM_THRESHOLD, KEPT);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	/* A program that dies in a test has told what went before. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(tests[i].name, argc, argv))
			continue;
		switch (run(&tests[i])) {
		case PASSED:
			if (explored)
				printf("# %s: %zu crash states\n", tests[i].name, explored);
			printf("ok %s\n", tests[i].name);
			break;
		case SKIPPED:
			printf("skip %s: %s\n", tests[i].name, reason);
			break;
		case FAILED:
			printf("not ok %s\n", tests[i].name);
			failed = true;
			break;
		}
	}
	return failed;
}
