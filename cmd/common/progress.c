/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/signals.h"
#include "common/size.h"
#include "common/streams.h"

/* Seconds from one bar or line to the next; and before a bar where none was requested. */
#define BAR_EVERY 0.1
#define JSON_EVERY 0.5
#define BAR_AFTER 0.3

enum { BAR_WIDTH_MAX = 30, LINE_MAX_WIDTH = 256 };

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

bool progress_mode_by_name(const char *name, enum progress_mode *mode)
{
	static const char *const names[] = { "auto", "never", "bar", "json" };

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(name, names[i]) == 0) {
			*mode = (enum progress_mode)i;
			return true;
		}
	}
	return false;
}

void progress_init(struct progress *progress, enum progress_mode mode, int fd, bool quiet)
{
	bool bars = mode == PROGRESS_BAR || (mode == PROGRESS_AUTO && fd < 0);

	if (mode == PROGRESS_AUTO && fd >= 0)
		mode = PROGRESS_JSON;
	*progress = (struct progress){
		.mode = mode,
		.fd = fd,
		.bar = bars && !quiet && isatty(STDERR_FILENO),
	};
	progress_begin(progress);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void show_json(const struct progress *progress)
{
	char text[256];
	int size = snprintf(
		text, sizeof text,
		"{\"phase\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64 ",\"elapsed\":%.3f}\n",
		progress->phase, progress->done, progress->total, now() - progress->begun);

	/* A line of progress is not worth an error. */
	if (size > 0 && (size_t)size < sizeof text)
		(void)streams_write(progress->fd >= 0 ? progress->fd : STDERR_FILENO, text,
		                    (size_t)size);
}

/* ---- the bar ----------------------------------------------------------------------------- */

static unsigned terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return 80;
}

static double share_done(const struct progress *progress)
{
	double share = progress->total ? (double)progress->done / (double)progress->total : 0;

	return share > 1 ? 1 : share;
}

static void draw_cells(char *cells, double share)
{
	memset(cells, ' ', BAR_WIDTH_MAX);
	memset(cells, '#', (size_t)(share * BAR_WIDTH_MAX));
	cells[BAR_WIDTH_MAX] = '\0';
}

static void describe(const struct progress *progress, char *line, size_t size)
{
	double share = share_done(progress);
	char cells[BAR_WIDTH_MAX + 1], done[SIZE_TEXT], total[SIZE_TEXT];

	(void)size_short(done, sizeof done, progress->done);
	(void)size_short(total, sizeof total, progress->total);
	draw_cells(cells, share);
	if (progress->total)
		(void)snprintf(line, size, "%-8s [%s] %3d %% %s of %s", progress->phase, cells,
		               (int)(share * 100), done, total);
	else if (progress->done)
		(void)snprintf(line, size, "%-8s %s", progress->phase, done);
	else
		(void)snprintf(line, size, "%-8s ...", progress->phase);
}

static void show_bar(struct progress *progress)
{
	char text[LINE_MAX_WIDTH], line[2 * LINE_MAX_WIDTH + 2];
	unsigned columns = terminal_columns();
	unsigned before = progress->width;

	describe(progress, text, sizeof text);
	/* In the last column it might wrap, and could not be erased. */
	if (columns <= sizeof text)
		text[columns - 1] = '\0';
	progress->width = (unsigned)strlen(text);
	(void)snprintf(line, sizeof line, "\r%-*s", (int)before, text);
	(void)streams_write(STDERR_FILENO, line, strlen(line));
}

void progress_erase(struct progress *progress)
{
	char line[LINE_MAX_WIDTH + 3];

	if (!progress->width)
		return;
	(void)snprintf(line, sizeof line, "\r%*s\r", (int)progress->width, "");
	(void)streams_write(STDERR_FILENO, line, strlen(line));
	progress->width = 0;
}

/* ---- when to show ------------------------------------------------------------------------ */

static bool due(const struct progress *progress, double time)
{
	if (progress->mode == PROGRESS_JSON)
		return time - progress->shown >= JSON_EVERY;
	if (!progress->bar || time - progress->shown < BAR_EVERY)
		return false;
	return progress->mode == PROGRESS_BAR || time - progress->begun >= BAR_AFTER;
}

static void show(struct progress *progress, double time)
{
	if (progress->mode == PROGRESS_JSON)
		show_json(progress);
	else
		show_bar(progress);
	progress->shown = time;
	progress->stale = false;
}

/* What came of the phase, if that was not shown yet; a bar only where one stands already. */
static void end_phase(struct progress *progress)
{
	if (progress->stale && (progress->mode == PROGRESS_JSON || progress->width))
		show(progress, now());
	progress->stale = false;
	progress->shown = 0;
}

static void answer_signal(struct progress *progress)
{
	if (!signals_take_status())
		return;
	progress_erase(progress);
	show_json(progress);
}

void progress_begin(struct progress *progress)
{
	progress->begun = now();
	progress->shown = 0;
	progress->stale = false;
	progress->done = 0;
	progress->total = 0;
	(void)snprintf(progress->phase, sizeof progress->phase, "start");
}

void progress_end(struct progress *progress)
{
	end_phase(progress);
	answer_signal(progress);
	progress_erase(progress);
}

int progress_tick(struct progress *progress, const char *phase, uint64_t done, uint64_t total)
{
	double time;

	if (strncmp(progress->phase, phase, sizeof progress->phase - 1) != 0) {
		end_phase(progress);
		(void)snprintf(progress->phase, sizeof progress->phase, "%s", phase);
	}
	progress->done = done;
	progress->total = total;
	progress->stale = true;
	answer_signal(progress);
	if (progress->bar || progress->mode == PROGRESS_JSON) {
		time = now();
		if (due(progress, time))
			show(progress, time);
	}
	return signals_stop();
}
