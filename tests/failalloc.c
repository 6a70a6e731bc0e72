/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failalloc: a shared object to preload, that makes memory run out on demand.
 *
 *	LD_PRELOAD=failalloc.so FAILALLOC=N[+] COMMAND
 *
 * The Nth allocation of the whole process fails, with `+` it and every later one. Without
 * FAILALLOC, or with 0, none does. FAILALLOC_COUNT=FILE writes to FILE how many there were.
 * A bad value ends the command with status 125.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static unsigned long nth;
static bool ever_after;
static atomic_ulong calls;

static bool fails(void)
{
	unsigned long call = atomic_fetch_add(&calls, 1) + 1;

	if (!nth || (ever_after ? call < nth : call != nth))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

/* What the loader allocates before is not the program's. */
__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("FAILALLOC");
	char *end = NULL;

	atomic_store(&calls, 0);
	if (!text)
		return;
	nth = strtoul(text, &end, 10);
	ever_after = *end == '+';
	if (end == text || end[ever_after])
		_exit(125);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("FAILALLOC_COUNT");
	unsigned long count = atomic_load(&calls);
	char text[24];
	size_t at = sizeof text;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	text[--at] = '\n';
	do
		text[--at] = (char)('0' + count % 10);
	while (count /= 10);
	if (write(fd, text + at, sizeof text - at) < 0)
		_exit(125);
	(void)close(fd);
}
