/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

enum { LEASE_POLL_MS = 500 };

struct session gow = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static struct {
	pthread_t thread;      /* looks for somebody who waits for the file */
	pthread_mutex_t mutex; /* of ending, with the condition that ends the pause */
	pthread_cond_t wake;   /* goes by the clock that nobody sets */
	bool watching, ending;
} watcher = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- errors ------------------------------------------------------------------------------- */

/* What a client gets for a gow_code. */
static int errno_of(const gow_error *error)
{
	switch (error->code) {
	case GOW_ERR_NO_SPACE:
		return ENOSPC;
	case GOW_ERR_MEMORY:
		return ENOMEM;
	case GOW_ERR_ARGUMENT:
		return EINVAL;
	case GOW_ERR_BUSY:
	case GOW_ERR_STOPPED:
		return ESHUTDOWN;
	default:
		return EIO;
	}
}

/* Those of ISO 6429 above 0x7f count, too, which are 0xc2 and another byte in UTF-8. */
void session_clean(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		const bool high = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0;

		if (*at < ' ' || *at == 0x7F || high)
			*at = '?';
		if (high)
			*++at = '?';
	}
}

/* Errors and warnings are for people, the rest for whoever looks for a defect (nbdkit -v). */
static void tell(bool error, const char *label, const char *file, const char *text)
{
	char shown[sizeof((gow_error *)NULL)->file], clean[1024];

	(void)snprintf(shown, sizeof shown, "%s", file ? file : gow.shown);
	(void)snprintf(clean, sizeof clean, "%s", text);
	session_clean(shown);
	session_clean(clean);
	if (error)
		nbdkit_error("%s%s: %s", label, shown, clean);
	else
		nbdkit_debug("%s%s: %s", label, shown, clean);
}

int complain(const gow_error *error)
{
	char text[1024];

	tell(true, "", error->file[0] ? error->file : NULL,
	     gow_error_text(error, text, sizeof text));
	nbdkit_set_error(errno_of(error));
	return -1;
}

static void on_note(void *context, gow_note_level level, const char *file, const char *text)
{
	const bool warning = level == GOW_NOTE_WARNING || level == GOW_NOTE_IN_USE;

	(void)context;
	tell(warning, warning ? "warning: " : "", file, text);
}

static const gow_monitor monitor = { .note = on_note };

/* ---- opening, watching, closing ----------------------------------------------------------- */

int session_open(void)
{
	gow_open_options options = { .struct_size = sizeof options };
	gow_error error;

	options.common.monitor = &monitor;
	options.common.layout = gow.layout;
	options.flags = gow.read_only ? 0 : GOW_OPEN_WRITE;
	return gow_image_open(gow.path, &options, &gow.image, &error) ? complain(&error) : 0;
}

/* Leaves the image to somebody who waits for it: what was answered is made durable first. */
static void give_up(void)
{
	gow_error error;

	(void)pthread_rwlock_wrlock(&gow.lock);
	nbdkit_error("%s: another process wants to open the image: this server stops", gow.shown);
	if (!gow.read_only && gow_image_flush(gow.image, &error))
		(void)complain(&error);
	gow_image_close(gow.image);
	gow.image = NULL;
	gow.given_up = true;
	(void)pthread_rwlock_unlock(&gow.lock);
	nbdkit_shutdown();
}

/* Waits; false when it is time to end. */
static bool pause_watching(void)
{
	struct timespec until;
	bool go_on;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LEASE_POLL_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	(void)pthread_mutex_lock(&watcher.mutex);
	while (!watcher.ending &&
	       pthread_cond_timedwait(&watcher.wake, &watcher.mutex, &until) == 0)
		;
	go_on = !watcher.ending;
	(void)pthread_mutex_unlock(&watcher.mutex);
	return go_on;
}

static void *watch(void *unused)
{
	gow_error error;

	(void)unused;
	while (pause_watching()) {
		int code;

		(void)pthread_rwlock_wrlock(&gow.lock);
		code = gow_image_poll(gow.image, &error);
		(void)pthread_rwlock_unlock(&gow.lock);
		if (code == GOW_ERR_BUSY) {
			give_up();
			break;
		}
	}
	return NULL;
}

/* Without the thread nobody would leave the image to whoever waits for it, so it is not served. */
int session_watch(void)
{
	pthread_condattr_t attributes;
	int code;

	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&watcher.wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	code = pthread_create(&watcher.thread, NULL, watch, NULL);
	if (code) {
		nbdkit_error("cannot start a thread: %s", strerror(code));
		return -1;
	}
	watcher.watching = true;
	return 0;
}

void session_close(void)
{
	gow_error error;

	if (watcher.watching) {
		(void)pthread_mutex_lock(&watcher.mutex);
		watcher.ending = true;
		(void)pthread_cond_signal(&watcher.wake);
		(void)pthread_mutex_unlock(&watcher.mutex);
		(void)pthread_join(watcher.thread, NULL);
		watcher.watching = false;
	}
	if (gow.image && !gow.read_only && gow_image_flush(gow.image, &error))
		(void)complain(&error);
	gow_image_close(gow.image);
	gow.image = NULL;
}
