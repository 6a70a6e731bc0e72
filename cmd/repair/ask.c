/* SPDX-License-Identifier: BSD-2-Clause */
#include "repair/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/signals.h"
#include "common/text.h"
#include "repair/job.h"

static void print_number(const char *before, uint64_t number)
{
	if (number != GOW_NOWHERE)
		(void)fprintf(stderr, "%s%" PRIu64, before, number);
}

static void print_question(const struct repair_job *job, const gow_problem *problem,
                           const gow_place *place)
{
	char *clean = text_one_line(job->image);
	const char *image = clean ? clean : "?";

	progress_erase(&job->cli->progress);
	(void)fprintf(stderr, "%s: %s (%s): %s", image, problem->name,
	              gow_severity_name(problem->severity), problem->title);
	print_number("; logical block ", place->logical);
	print_number(" and ", place->other);
	print_number("; physical block ", place->physical);
	print_number("; offset ", place->offset);
	(void)fprintf(stderr, "\n%s: %s? [y]es, [n]o, [a]ll of this kind, [q]uit: ", image,
	              problem->fix);
	(void)fflush(stderr);
	free(clean);
}

/* The first character of a line; 0: there is none. */
static char read_answer(void)
{
	char first = '\0', byte = '\0';

	while (byte != '\n') {
		ssize_t got = read(STDIN_FILENO, &byte, 1);

		if (got < 0 && errno == EINTR && !signals_stop())
			continue;
		if (got <= 0)
			return '\0';
		if (!first && byte != ' ' && byte != '\t')
			first = byte;
	}
	return first;
}

gow_answer repair_ask(void *context, const gow_problem *problem, const gow_place *place)
{
	const struct repair_job *job = context;

	for (;;) {
		print_question(job, problem, place);
		switch (read_answer()) {
		case 'y':
		case 'Y':
			return GOW_ANSWER_YES;
		case 'n':
		case 'N':
			return GOW_ANSWER_NO;
		case 'a':
		case 'A':
			return GOW_ANSWER_ALL;
		case '\0':
			(void)fputc('\n', stderr);
			return GOW_ANSWER_QUIT;
		case 'q':
		case 'Q':
			return GOW_ANSWER_QUIT;
		default:
			break;
		}
	}
}
