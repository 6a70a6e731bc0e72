/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/signals.h"

static int run_one(struct cli *cli, batch_job job, const char *image)
{
	int status;

	if (signals_stop())
		return EXIT_STOPPED;
	progress_begin(&cli->progress);
	status = job(cli, image);
	progress_end(&cli->progress);
	out_commit(&cli->out);
	return status;
}

/* ---- a list of names --------------------------------------------------------------------- */

/* No name or URI is as long as that: what has no ends of lines may be an image of any size. */
enum { NAME_MOST = 1 << 20 };

/* Read as it comes. (getdelim would take what a signal left of a name for the whole of it.) */
struct list {
	int fd;
	char separator;
	bool ended;
	char *bytes;
	size_t at, used, room; /* bytes[at] to bytes[used - 1] are yet to be given out */
};

/* Reads on, after what is there; 0 or errno. */
static int read_more(struct list *list)
{
	ssize_t got;

	if (list->used - list->at > NAME_MOST)
		return ENAMETOOLONG;
	memmove(list->bytes, list->bytes + list->at, list->used - list->at);
	list->used -= list->at;
	list->at = 0;
	/* One byte stays free for the NUL after the last name. */
	if (list->used + 1 >= list->room) {
		size_t room = list->room * 2;
		char *bytes = realloc(list->bytes, room);

		if (!bytes)
			return ENOMEM;
		list->bytes = bytes;
		list->room = room;
	}
	do
		got = read(list->fd, list->bytes + list->used, list->room - list->used - 1);
	while (got < 0 && errno == EINTR && !signals_stop());
	if (got < 0)
		return errno;
	list->used += (size_t)got;
	list->ended = got == 0;
	return 0;
}

/* The next name, ended by NUL, valid until the next call; NULL at the end. 0 or errno. */
static int next_name(struct list *list, char **name, size_t *length)
{
	char *end;

	*name = NULL;
	while (!(end = memchr(list->bytes + list->at, list->separator, list->used - list->at))) {
		int failed;

		if (list->ended && list->at == list->used)
			return 0;
		if (list->ended) {
			end = list->bytes + list->used++;
			break;
		}
		failed = read_more(list);
		if (failed)
			return failed;
	}
	*end = '\0';
	*name = list->bytes + list->at;
	*length = (size_t)(end - *name);
	list->at += *length + 1;
	return 0;
}

size_t batch_drop_windows(char *name, size_t length, bool first)
{
	struct stat st;

	if (length && name[length - 1] == '\r' && lstat(name, &st) < 0)
		name[--length] = '\0';
	return first && strncmp(name, "\xef\xbb\xbf", 3) == 0 && lstat(name, &st) < 0 ? length - 3
	                                                                              : length;
}

static int run_list(struct cli *cli, batch_job job, struct list *list, const char *list_name)
{
	int status = EXIT_CLEAN;
	bool first = true;

	while (!(status & EXIT_STOPPED)) {
		size_t length;
		char *image;
		int failed = next_name(list, &image, &length);

		if (failed && signals_stop())
			return status | EXIT_STOPPED;
		if (failed) {
			report_error(&cli->report, list_name, "cannot read the list: %s",
			             strerror(failed));
			return status | EXIT_ERROR;
		}
		if (!image)
			break;
		if (strlen(image) != length) {
			report_error(&cli->report, list_name,
			             "a name has a NUL in it; -0 is for names ended by NUL");
			return status | EXIT_ERROR;
		}
		if (!cli->null_separated)
			length = batch_drop_windows(image, length, first);
		first = false;
		if (length)
			status |= run_one(cli, job, image + (strlen(image) - length));
	}
	return status;
}

static int open_list(const char *path)
{
	int fd;

	if (strcmp(path, "-") == 0)
		return STDIN_FILENO;
	do
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR && !signals_stop());
	return fd;
}

static int run_files_from(struct cli *cli, batch_job job)
{
	const char *name = strcmp(cli->files_from, "-") == 0 ? "standard input" : cli->files_from;
	struct list list = {
		.fd = open_list(cli->files_from),
		.separator = cli->null_separated ? '\0' : '\n',
		.room = 4096,
	};
	int status;

	if (list.fd < 0) {
		report_error(&cli->report, name, "cannot open the list: %s", strerror(errno));
		return EXIT_ERROR;
	}
	list.bytes = malloc(list.room);
	if (list.bytes) {
		status = run_list(cli, job, &list, name);
	} else {
		report_error(&cli->report, name, "no memory");
		status = EXIT_ERROR;
	}
	free(list.bytes);
	if (list.fd != STDIN_FILENO)
		(void)close(list.fd);
	return status;
}

int batch_run(struct cli *cli, batch_job job)
{
	int status = EXIT_CLEAN;

	for (size_t i = 0; i < cli->arg_count && !(status & EXIT_STOPPED); i++)
		status |= run_one(cli, job, cli->args[i]);
	if (cli->files_from && !(status & EXIT_STOPPED))
		status |= run_files_from(cli, job);
	return status;
}
