/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maxrss: runs a command and says how much memory it took at most.
 *
 *	maxrss OUTPUT COMMAND ARGUMENT...
 *
 * The peak resident size in KiB is written to the file OUTPUT.  The exit status is
 * the command's; 128 + N where signal N ended it, 127 where it could not be run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "maxrss: %s: %s\n", what, strerror(errno));
	exit(127);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	pid_t child;
	FILE *output;
	int status;

	if (argc < 3) {
		fputs("usage: maxrss OUTPUT COMMAND ARGUMENT...\n", stderr);
		return 127;
	}
	child = fork();
	if (child < 0)
		failed("fork");
	if (child == 0) {
		execvp(argv[2], argv + 2);
		failed(argv[2]);
	}
	while (wait4(child, &status, 0, &usage) < 0)
		if (errno != EINTR)
			failed("wait4");
	output = fopen(argv[1], "we");
	if (!output || fprintf(output, "%ld\n", usage.ru_maxrss) < 0)
		failed(argv[1]);
	if (fclose(output) != 0)
		failed(argv[1]);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
