/* SPDX-License-Identifier: BSD-2-Clause */
#include "arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* By nbdkit(1)'s options. */
static bool said_read_only(int argc, char **argv)
{
	static const struct option known[] = {
		{ "readonly", no_argument, NULL, 'r' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "exportname", required_argument, NULL, 'e' },
		{ "export", required_argument, NULL, 'e' },
		{ "export-name", required_argument, NULL, 'e' },
		{ "filter", required_argument, NULL, 'F' },
		{ "group", required_argument, NULL, 'g' },
		{ "ip-addr", required_argument, NULL, 'i' },
		{ "ipaddr", required_argument, NULL, 'i' },
		{ "log", required_argument, NULL, 'l' },
		{ "mask-handshake", required_argument, NULL, 'm' },
		{ "port", required_argument, NULL, 'p' },
		{ "pid-file", required_argument, NULL, 'P' },
		{ "pidfile", required_argument, NULL, 'P' },
		{ "run", required_argument, NULL, 'R' },
		{ "selinux-label", required_argument, NULL, 'S' },
		{ "swap", no_argument, NULL, 'w' },
		{ "threads", required_argument, NULL, 't' },
		{ "tls", required_argument, NULL, 'T' },
		{ "unix", required_argument, NULL, 'U' },
		{ "tls-certificates", required_argument, NULL, 'T' },
		{ "tls-psk", required_argument, NULL, 'T' },
		{ "user", required_argument, NULL, 'u' },
		{ "debug", required_argument, NULL, 'D' },
		{ "vsock", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	bool said = false;
	int option;

	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+D:e:fg:i:nop:P:rst:u:U:vV", known, NULL)) != -1)
		said |= option == 'r';
	optind = 0;
	return said;
}

/* This process's arguments; *argv and its strings are one piece of memory. */
static int own_arguments(int *argc, char ***argv)
{
	char *text = NULL;
	size_t room = 0;
	FILE *file = fopen("/proc/self/cmdline", "re");
	ssize_t length = file ? getdelim(&text, &room, EOF, file) : -1;
	char **list;

	if (file)
		(void)fclose(file);
	if (length <= 0) {
		free(text);
		return -1;
	}
	list = malloc((size_t)(length + 1) * sizeof *list + (size_t)length);
	if (list) {
		char *words = memcpy(list + length + 1, text, (size_t)length);

		*argc = 0;
		for (ssize_t at = 0; at < length; at += (ssize_t)strlen(words + at) + 1)
			list[(*argc)++] = words + at;
		list[*argc] = NULL;
		*argv = list;
	}
	free(text);
	return list ? 0 : -1;
}

bool started_read_only(void)
{
	char **argv;
	int argc;
	bool said;

	if (own_arguments(&argc, &argv))
		return false;
	said = said_read_only(argc, argv);
	free(argv);
	return said;
}
