/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/windows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
	LEAST = 64 << 10, /* bytes; what a read here and there fetches */
	ORDER = 1 << 20,  /* what reading in order fetches at once to begin with */
	MOST = 4 << 20,   /* and what it fetches in the end, where the answers take long */
	SILENT = 8        /* seconds; what fails sooner was refused, or broke */
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

/* How much a read of wanted bytes fetches, where ahead bytes are best. Nothing that failed is fetched
 * once more with what is beside it. */
static size_t how_much(const struct gow_windows *windows, uint64_t offset, size_t wanted,
                       size_t ahead)
{
	const struct gow_window_range *failed = &windows->failed;
	uint64_t size = ahead;

	if (offset < failed->end)
		size = offset >= failed->start ? 0 : gow_min(size, failed->start - offset);
	size = gow_max(size, gow_min(wanted, MOST));
	return (size_t)gow_min(size, windows->file_size - offset);
}

static int make_room(struct gow_window *window, size_t size, gow_error *error)
{
	uint8_t *grown;

	if (window->room >= size)
		return GOW_OK;
	grown = realloc(window->data, size);
	if (!grown)
		return gow_fail_memory(error, size);
	window->data = grown;
	window->room = size;
	return GOW_OK;
}

static int fetch(const struct gow_windows *windows, struct gow_window *window, uint64_t offset,
                 size_t size, gow_error *error)
{
	const double begun = now();
	int code = make_room(window, size, error);

	if (!code)
		code = windows->fetch(windows->context, offset, window->data, size, error);
	window->offset = offset;
	window->size = code ? 0 : size;
	window->seconds = now() - begun;
	return code;
}

static int fill(struct gow_windows *windows, uint64_t offset, size_t wanted,
                struct gow_window **filled, gow_error *error)
{
	size_t ahead;
	struct gow_window *window = choose(windows, offset, &ahead);
	size_t size = how_much(windows, offset, wanted, ahead);
	int code = fetch(windows, window, offset, size, error);

	/* It may be what nobody has asked for yet. A server that is silent is not waited for twice. */
	if (code == GOW_ERR_IO && size > wanted && window->seconds < SILENT) {
		windows->failed = (struct gow_window_range){ offset, offset + size };
		code = fetch(windows, window, offset, wanted, error);
	}
	if (!code)
		*filled = window;
	return code;
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
