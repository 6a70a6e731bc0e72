/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold: runs a command while it holds a file open, locked or leased.
 *
 *	hold [-r|-w] [-l KIND] [-b START:LENGTH] [-t SECONDS] FILE COMMAND ARGUMENT...
 *
 *	-r, -w     open FILE for reading (unless told) or for reading and writing
 *	-l KIND    ofd-read, ofd-write, posix-read, posix-write, flock-shared,
 *	           flock-exclusive, lease-read or lease-write
 *	-b ...     the bytes that a lock is taken on (all of the file unless told)
 *	-t SECONDS let go after that time (fractions allowed), while COMMAND goes on
 *
 * COMMAND inherits nothing of it, and finds this process' number in HOLD_PID.  The
 * exit status is the command's; 128 + N where signal N ended it; 126 where the file
 * could not be had as told.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int held = -1;

static _Noreturn void failed(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
	exit(126);
}

static _Noreturn void usage(void)
{
	fputs("usage: hold [-r|-w] [-l KIND] [-b START:LENGTH] [-t SECONDS] FILE COMMAND...\n",
	      stderr);
	exit(126);
}

static void let_go(int signal_number)
{
	(void)signal_number;
	close(held);
}

static void take(const char *kind, off_t start, off_t length)
{
	static const struct {
		const char *name;
		int command;
		short type;
	} kinds[] = {
		{ "ofd-read", F_OFD_SETLK, F_RDLCK },	 { "ofd-write", F_OFD_SETLK, F_WRLCK },
		{ "posix-read", F_SETLK, F_RDLCK },	 { "posix-write", F_SETLK, F_WRLCK },
		{ "lease-read", F_SETLEASE, F_RDLCK },	 { "lease-write", F_SETLEASE, F_WRLCK },
		{ "flock-shared", -1, LOCK_SH | LOCK_NB }, { "flock-exclusive", -1, LOCK_EX | LOCK_NB },
	};
	struct flock lock = { .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	size_t i;
	int result;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kind, kinds[i].name) == 0)
			break;
	if (i == sizeof kinds / sizeof *kinds)
		usage();
	lock.l_type = kinds[i].type;
	if (kinds[i].command == -1)
		result = flock(held, kinds[i].type);
	else if (kinds[i].command == F_SETLEASE)
		result = fcntl(held, F_SETLEASE, (int)kinds[i].type);
	else
		result = fcntl(held, kinds[i].command, &lock);
	if (result != 0)
		failed(kind);
}

static void let_go_after(double seconds)
{
	struct itimerval timer = { 0 };
	struct sigaction action = { .sa_handler = let_go, .sa_flags = SA_RESTART };

	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
	if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &timer, NULL) != 0)
		failed("timer");
}

int main(int argc, char **argv)
{
	const char *kind = NULL;
	intmax_t start = 0, length = 0;
	double seconds = 0;
	bool writing = false;
	char number[32];
	char *end;
	pid_t child;
	int option, status;

	while ((option = getopt(argc, argv, "+rwl:b:t:")) != -1) {
		switch (option) {
		case 'r':
		case 'w':
			writing = option == 'w';
			break;
		case 'l':
			kind = optarg;
			break;
		case 'b':
			start = strtoimax(optarg, &end, 10);
			if (*end != ':')
				usage();
			length = strtoimax(end + 1, &end, 10);
			if (*end != '\0')
				usage();
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		default:
			usage();
		}
	}
	if (argc - optind < 2)
		usage();
	held = open(argv[optind], (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (held < 0)
		failed(argv[optind]);
	if (kind)
		take(kind, (off_t)start, (off_t)length);
	snprintf(number, sizeof number, "%jd", (intmax_t)getpid());
	if (setenv("HOLD_PID", number, 1) != 0)
		failed("setenv");
	/* Who breaks the lease must not end this process before its command. */
	signal(SIGIO, SIG_IGN);
	child = fork();
	if (child < 0)
		failed("fork");
	if (child == 0) {
		signal(SIGIO, SIG_DFL);
		execvp(argv[optind + 1], argv + optind + 1);
		fprintf(stderr, "hold: %s: %s\n", argv[optind + 1], strerror(errno));
		_exit(126);
	}
	/* A record lock is this process', not the child's copy of it: only now. */
	if (seconds > 0)
		let_go_after(seconds);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			failed("waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
