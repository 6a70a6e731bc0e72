/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/windows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

enum {
	LEAST = 64 << 10, /* bytes; what a read here and there fetches */
	ORDER = 1 << 20,  /* what reading in order fetches at once to begin with */
	MOST = 4 << 20    /* and what it fetches in the end, where the answers take long */
};

/* What comes faster than that is copied from the cache of the processor while the window is small,
 * and gains nothing by a larger one. */
static const double quick = 0.004; /* seconds */

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct gow_window *find(struct gow_windows *windows, uint64_t offset)
{
	for (size_t i = 0; i < GOW_WINDOWS; i++) {
		struct gow_window *window = &windows->list[i];

		if (window->size && offset >= window->offset &&
		    offset - window->offset < window->size)
			return window;
	}
	return NULL;
}

/* How much the window that comes after this one, in order, fetches. */
static size_t size_after(const struct gow_window *window)
{
	if (window->size < ORDER / 2 || window->seconds < quick)
		return ORDER;
	return window->size < MOST / 2 ? 2 * window->size : MOST;
}

/* The window that ends where this read begins, which is read in order then; or the one that was
 * used longest ago. */
static struct gow_window *choose(struct gow_windows *windows, uint64_t offset, size_t *ahead)
{
	struct gow_window *oldest = &windows->list[0];

	*ahead = LEAST;
	for (size_t i = 0; i < GOW_WINDOWS; i++) {
		struct gow_window *window = &windows->list[i];

		if (window->size && window->offset + window->size == offset) {
			*ahead = size_after(window);
			return window;
		}
		if (window->used < oldest->used)
			oldest = window;
	}
	return oldest;
}

static int fill(struct gow_windows *windows, uint64_t offset, size_t wanted,
                struct gow_window **filled, gow_error *error)
{
	size_t size;
	struct gow_window *window = choose(windows, offset, &size);
	double begun;
	int code;

	if (size < wanted)
		size = wanted < MOST ? wanted : MOST;
	if (size > windows->file_size - offset)
		size = (size_t)(windows->file_size - offset);
	window->size = 0;
	if (window->room < size) {
		uint8_t *grown = realloc(window->data, size);

		if (!grown)
			return gow_fail_memory(error, size);
		window->data = grown;
		window->room = size;
	}
	begun = now();
	code = windows->fetch(windows->context, offset, window->data, size, error);
	if (code)
		return code;
	window->offset = offset;
	window->size = size;
	window->seconds = now() - begun;
	*filled = window;
	return GOW_OK;
}

int gow_windows_read(struct gow_windows *windows, uint64_t offset, void *buf, size_t size,
                     size_t *got, gow_error *error)
{
	struct gow_window *window = find(windows, offset);
	int code = GOW_OK;

	if (!window)
		code = fill(windows, offset, size, &window, error);
	if (code)
		return code;
	window->used = ++windows->reads;
	*got = window->size - (size_t)(offset - window->offset);
	if (*got > size)
		*got = size;
	memcpy(buf, window->data + (offset - window->offset), *got);
	return GOW_OK;
}

void gow_windows_forget(struct gow_windows *windows)
{
	for (size_t i = 0; i < GOW_WINDOWS; i++)
		windows->list[i].size = 0;
}

void gow_windows_release(struct gow_windows *windows)
{
	for (size_t i = 0; i < GOW_WINDOWS; i++)
		free(windows->list[i].data);
}
