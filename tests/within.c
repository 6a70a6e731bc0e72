/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * within: runs a program that has a limited time, and nothing else of whoever started it.
 *
 *	within SECONDS [NAME=VALUE...] PROGRAM ARGUMENT...
 *
 * It becomes the program, which has all signals at their defaults (a shell's background job
 * ignores SIGINT), a process group of its own, and the variables in its environment.  After
 * SECONDS the program dies of SIGALRM.  One process where env and timeout take three.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void failed(const char *what)
{
	int error = errno;

	fprintf(stderr, "within: %s: %s\n", what, strerror(error));
	exit(error == ENOENT ? 127 : 126);
}

int main(int argc, char **argv)
{
	int i = 2;
	sigset_t none;

	if (argc < 3 || strtoul(argv[1], NULL, 10) == 0) {
		fputs("usage: within SECONDS [NAME=VALUE...] PROGRAM ARGUMENT...\n", stderr);
		return 126;
	}
	for (int number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0 || setpgid(0, 0) != 0)
		failed("signals");
	for (; i < argc - 1 && strchr(argv[i], '=') && argv[i][0] != '/'; i++)
		if (putenv(argv[i]) != 0)
			failed(argv[i]);
	alarm((unsigned)strtoul(argv[1], NULL, 10));
	execvp(argv[i], argv + i);
	failed(argv[i]);
}
