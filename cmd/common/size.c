/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char digits[] = "0123456789";

/* Reads the digits that text begins with; the end of them, or NULL if the number is too large. */
static const char *read_digits(const char *text, uint64_t *number)
{
	uint64_t sum = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
			return NULL;
	*number = sum;
	return text;
}

/* How many bits up a suffix shifts, or -1. */
static int shift_of(const char *suffix)
{
	static const char letters[] = "KMGT";

	if (!*suffix)
		return 0;
	for (int i = 0; letters[i]; i++) {
		const char one[] = { letters[i], '\0' };
		const char three[] = { letters[i], 'i', 'B', '\0' };

		if (strcasecmp(suffix, one) == 0 || strcasecmp(suffix, three) == 0)
			return 10 * (i + 1);
	}
	return -1;
}

const char *size_parse(const char *text, uint64_t *size)
{
	uint64_t number;
	const char *rest;
	int shift;

	if (!strspn(text, digits))
		return "not a size: a number is wanted, as in 512M, 10G or 10737418240";
	rest = read_digits(text, &number);
	if (!rest)
		return "too large";
	if (*rest == '.' || *rest == ',')
		return "a size is a whole number: take the next smaller suffix";
	shift = shift_of(rest);
	if (shift < 0)
		return "unknown suffix: K, M, G and T are known (powers of 1024)";
	if (number > UINT64_MAX >> shift)
		return "too large";
	*size = number << shift;
	return NULL;
}

const char *number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	const char *rest;
	uint64_t found;

	if (!strspn(text, digits))
		return "not a number";
	rest = read_digits(text, &found);
	if (rest && *rest)
		return "not a number";
	if (!rest || found > max)
		return "too large";
	if (found < min)
		return "too small";
	*number = found;
	return NULL;
}

const char *seconds_parse(const char *text, double *seconds)
{
	/* Longer than anybody waits, and still far from where a double loses seconds. */
	const double most = 1e9;
	size_t whole = strspn(text, digits);
	const char *rest = text + whole;
	double found;

	if (*rest == '.')
		rest += 1 + strspn(rest + 1, digits);
	if (!whole || *rest)
		return "not a number of seconds";
	found = strtod(text, NULL);
	if (!(found <= most))
		return "too large";
	*seconds = found;
	return NULL;
}

const char *size_short(char *buf, size_t buf_size, uint64_t size)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0;
	uint64_t part = size;

	if (size < 1024) {
		(void)snprintf(buf, buf_size, "%" PRIu64 " bytes", size);
		return buf;
	}
	for (; part >= UINT64_C(1) << 20; unit++)
		part /= 1024;
	if (size % (UINT64_C(1) << (10 * (unit + 1))) == 0)
		(void)snprintf(buf, buf_size, "%" PRIu64 " %s", part / 1024, units[unit]);
	else
		(void)snprintf(buf, buf_size, "%.1f %s", (double)part / 1024, units[unit]);
	return buf;
}

const char *size_long(char *buf, size_t buf_size, uint64_t size)
{
	char brief[SIZE_TEXT];

	if (size < 1024)
		return size_short(buf, buf_size, size);
	(void)snprintf(buf, buf_size, "%s (%" PRIu64 " bytes)",
	               size_short(brief, sizeof brief, size), size);
	return buf;
}
