/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t status_asked;

static void ask(int number)
{
	if (number == SIGUSR1)
		status_asked = 1;
	else
		stop_asked = 1;
}

/* Without SA_RESTART, so that a call that waits comes back and somebody looks at the flag. */
static void handle(int number)
{
	struct sigaction action = { .sa_handler = ask };
	struct sigaction before;

	if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
		return;
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(number, &action, NULL);
}

static void ignore(int number)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(number, &action, NULL);
}

void signals_install(void)
{
	handle(SIGINT);
	handle(SIGTERM);
	handle(SIGHUP);
	handle(SIGUSR1);
	ignore(SIGPIPE);
	ignore(SIGXFSZ);
}

bool signals_stop(void)
{
	return stop_asked != 0;
}

bool signals_take_status(void)
{
	if (!status_asked)
		return false;
	status_asked = 0;
	return true;
}
