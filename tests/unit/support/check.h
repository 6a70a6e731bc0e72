/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - assertions for the unit tests. A program is a table of test functions; each prints
 * `ok NAME`, `not ok NAME` or `skip NAME: reason`, and the program exits with 1 if one failed.
 *
 * A failed assertion ends its test function at once, from however deep it was called.
 */
#ifndef GOW_TESTS_CHECK_H
#define GOW_TESTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gow.h"

struct check_test {
	const char *name;
	void (*run)(void);
};

#define CHECK_TEST(function) { #function, function }

/* Runs the tests, or those named in the arguments; the result is main's. */
int check_main(const struct check_test *tests, size_t count, int argc, char **argv);

/* A program's main: CHECK_MAIN(CHECK_TEST(one), CHECK_TEST(two)). */
/* Under a sanitizer, which takes many times as long and looks for other things, a test that goes
 * through very many states takes every so-manieth. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define CHECK_SAMPLE 23
#else
#define CHECK_SAMPLE 1
#endif

#define CHECK_MAIN(...)                                                                       \
	int main(int argc, char **argv)                                                       \
	{                                                                                     \
		static const struct check_test check_tests[] = { __VA_ARGS__ };               \
		return check_main(check_tests, sizeof check_tests / sizeof *check_tests,      \
		                  argc, argv);                                                \
	}

/* What a failure further on is about (a seed, a row); kept until set anew or the test ends. */
void check_about(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void check_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void check_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The arguments, evaluated once each. */
void check_equal(const char *file, int line, const char *expected_text, uint64_t expected,
                 const char *actual_text, uint64_t actual);
/* No text at all (NULL) is unlike every text. */
void check_string(const char *file, int line, const char *expected, const char *actual);
void check_bytes(const char *file, int line, const void *expected, const void *actual,
                 size_t size);
/* error is what the call filled, for the message; may be NULL. */
void check_code(const char *file, int line, gow_code expected, const char *call, int code,
                const gow_error *error);

#define CHECK(condition)                                                   \
	((condition) ? (void)0 : check_fail(__FILE__, __LINE__, "%s", #condition))
#define CHECK_FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK_EQ(expected, actual)                                         \
	check_equal(__FILE__, __LINE__, #expected, (uint64_t)(expected), #actual, (uint64_t)(actual))
#define CHECK_STR(expected, actual) check_string(__FILE__, __LINE__, expected, actual)
#define CHECK_BYTES(expected, actual, size) check_bytes(__FILE__, __LINE__, expected, actual, size)
/* call must fill the gow_error that error points to. */
#define CHECK_CODE(expected, call, error) \
	check_code(__FILE__, __LINE__, expected, #call, call, error)
#define CHECK_OK(call, error) CHECK_CODE(GOW_OK, call, error)

/* So many more states that a crash can leave were looked at; the test prints their sum. */
void check_explored(size_t states);

/* Memory or the end of the program: a test that cannot have it tells nothing. */
void *check_alloc(size_t size); /* zeroed */

/* ---- numbers that look random and are the same in every run ------------------------------- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	/* SplitMix64: every seed is as good as any other. */
	uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* 0 to below - 1. */
static inline uint32_t rng_below(struct rng *rng, uint32_t below)
{
	return (uint32_t)((rng_next(rng) >> 32) * below >> 32);
}

static inline bool rng_chance(struct rng *rng, uint32_t percent)
{
	return rng_below(rng, 100) < percent;
}

void rng_fill(struct rng *rng, void *bytes, size_t size);

#endif
