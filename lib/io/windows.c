/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/windows.h"

#include <stdlib.h>
#include <string.h>

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

/* How much is fetched of what comes after this window. */
static size_t size_after(const struct gow_window *window)
{
	if (window->fetched < ORDER / 2 || window->seconds < quick)
		return ORDER;
	return window->fetched < MOST / 2 ? 2 * window->fetched : MOST;
}

/* The window that ends where this read begins, which is read in order then; or the one that was
 * used longest ago. */
static struct gow_window *choose(struct gow_windows *windows, uint64_t offset, size_t *ahead)
{
	struct gow_window *oldest = &windows->list[0];

	*ahead = LEAST;
	for (size_t i = 0; i < GOW_WINDOWS; i++) {
		struct gow_window *window = &windows->list[i];

		if (window->next && window->next == offset) {
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
	return (size_t)gow_min(gow_max(size, wanted), windows->file_size - offset);
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

/* Waits for what was begun, and is not wanted any more: to give it up may take the connection, and some
 * servers have one only. */
static void settle(struct gow_windows *windows, struct gow_window *window)
{
	if (window->coming.size)
		(void)windows->finish(windows->context, &window->coming, NULL);
	window->coming.size = 0;
}

static bool comes(const struct gow_window *window, uint64_t offset)
{
	return window->coming.size && window->coming.offset == offset;
}

/* Begins what comes after a window that is read in order, so that a quick server is at work meanwhile.
 * One that is waited for is asked for more at once instead. */
static void begin_next(struct gow_windows *windows, struct gow_window *window)
{
	const struct gow_window_range *failed = &windows->failed;
	const uint64_t expected = gow_min(windows->expected, windows->file_size);
	const uint64_t end = gow_min(window->next + ORDER, expected);

	if (!windows->begin || window->fetched < ORDER || window->seconds >= quick ||
	    window->next >= end || (window->next < failed->end && end > failed->start))
		return;
	if (!window->spare)
		window->spare = malloc(ORDER);
	if (!window->spare)
		return;
	window->coming = (struct gow_remote_range){ window->next, (size_t)(end - window->next),
		                                    window->spare };
	windows->begin(windows->context, &window->coming);
}

/* What comes is to be the window; the memory of the old one is spare then. */
static void swap_in(struct gow_window *window)
{
	uint8_t *data = window->data;

	window->data = window->spare;
	window->room = ORDER;
	window->spare = data;
}

/* Whether a part of what failed, and took so long, may be had. A silent server is not waited for
 * twice. */
static bool may_have_less(int code, double seconds)
{
	return code == GOW_ERR_IO && seconds < SILENT;
}

/* Fetches a range in the window's place, to its memory or to somebody's own; or waits for it, where it
 * was begun to come there. */
static int fetch(struct gow_windows *windows, struct gow_window *window, uint64_t offset, void *to,
                 size_t size, gow_error *error)
{
	const double begun = windows->clock();
	int code;

	if (window->coming.size && window->coming.buf == to) {
		code = windows->finish(windows->context, &window->coming, error);
		window->coming.size = 0;
	} else {
		settle(windows, window);
		code = windows->fetch(windows->context, offset, to, size, error);
	}
	window->size = 0;
	window->next = code ? 0 : offset + size;
	window->fetched = (size_t)gow_min(size, MOST);
	window->seconds = (windows->clock() - begun) * (double)window->fetched / (double)size;
	if (may_have_less(code, window->seconds) &&
	    (offset < windows->failed.start || offset + size > windows->failed.end))
		windows->failed = (struct gow_window_range){ offset, offset + size };
	return code;
}

static int fill(struct gow_windows *windows, struct gow_window *window, uint64_t offset,
                size_t size, size_t wanted, gow_error *error)
{
	int code = GOW_OK;

	if (comes(window, offset))
		swap_in(window);
	else
		code = make_room(window, size, error);
	if (code)
		return code;
	code = fetch(windows, window, offset, window->data, size, error);
	/* It may be what nobody has asked for yet. */
	if (size > wanted && may_have_less(code, window->seconds)) {
		size = wanted;
		code = fetch(windows, window, offset, window->data, size, error);
	}
	window->offset = offset;
	window->size = code ? 0 : size;
	if (!code)
		begin_next(windows, window);
	return code;
}

size_t gow_windows_take(struct gow_windows *windows, uint64_t offset, void *buf, size_t size)
{
	uint8_t *to = buf;
	size_t done = 0;
	const struct gow_window *window;

	while (done < size && (window = find(windows, offset + done)) != NULL) {
		const size_t inside = (size_t)(offset + done - window->offset);
		const size_t part = (size_t)gow_min(size - done, window->size - inside);

		memcpy(to + done, window->data + inside, part);
		done += part;
	}
	return done;
}

int gow_windows_read(struct gow_windows *windows, uint64_t offset, void *buf, size_t size,
                     size_t *got, gow_error *error)
{
	struct gow_window *window = find(windows, offset);
	size_t ahead, whole = 0;
	int code = GOW_OK;

	if (!window) {
		window = choose(windows, offset, &ahead);
		whole = comes(window, offset) ? window->coming.size
		                              : how_much(windows, offset, size, ahead);
	}
	window->used = ++windows->reads;
	/* Much that is wanted as a whole needs no window, and copying it would take long beside what
	 * a server nearby takes to send it. */
	if (whole >= ORDER && whole == size && !comes(window, offset))
		code = fetch(windows, window, offset, buf, size, error);
	else if (whole)
		code = fill(windows, window, offset, whole, size, error);
	if (code)
		return code;
	*got = size;
	if (!window->size)
		return GOW_OK;
	*got = (size_t)gow_min(size, window->size - (size_t)(offset - window->offset));
	memcpy(buf, window->data + (offset - window->offset), *got);
	return GOW_OK;
}

void gow_windows_forget(struct gow_windows *windows)
{
	for (size_t i = 0; i < GOW_WINDOWS; i++) {
		settle(windows, &windows->list[i]);
		windows->list[i].size = 0;
		windows->list[i].next = 0;
	}
}

void gow_windows_release(struct gow_windows *windows)
{
	for (size_t i = 0; i < GOW_WINDOWS; i++) {
		struct gow_window *window = &windows->list[i];

		if (window->coming.size)
			windows->abandon(windows->context, &window->coming);
		free(window->data);
		free(window->spare);
	}
}
