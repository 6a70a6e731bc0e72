/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen-problems.c - writes the manual page gow-problems(7), in mdoc, from the library's catalogue,
 * so that the page cannot say anything else than the tools do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gow.h"
#include "mdoc.h"

static const char head[] =
	".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	".\\\" Made from the catalogue of problems: do not edit.\n"
	".Dd November 22, 2026\n"
	".Dt GOW-PROBLEMS 7\n"
	".Os\n"
	".Sh NAME\n"
	".Nm gow-problems\n"
	".Nd everything that can be wrong with a GOW image\n"
	".Sh DESCRIPTION\n"
	"These are the findings of\n"
	".Xr gow-check 1 ,\n"
	"in the order in which it reports them, and what\n"
	".Xr gow-repair 1\n"
	"does about each.\n"
	"The names are fixed: a script may rely on them.\n"
	"What the words mean, and what a sound image looks like, is described in\n"
	".Xr gow 5 .\n"
	".Pp\n"
	"There are two severities.\n"
	".Bl -tag -width Ds\n"
	".It corrupt\n"
	"The guest's data is wrong or at risk, or the header contradicts itself.\n"
	"Do not boot the image.\n"
	"The exit status has bit 4.\n"
	".It advisory\n"
	"The image is wasteful, or of concern to a program that synchronises copies.\n"
	"It is safe to boot.\n"
	"The exit status has bit 2, unless\n"
	".Xr gow-check 1\n"
	"was told\n"
	".Fl -boot .\n"
	".El\n"
	".Pp\n"
	"A finding is reported once, with the number of things that are wrong so.\n"
	"What is counted is said for each below.\n"
	".Xr gow-check 1\n"
	"tells where the first of them is, and with\n"
	".Fl v\n"
	"where all of them are.\n"
	".Sh PROBLEMS\n";

static const char tail[] =
	".Sh SEE ALSO\n"
	".Xr gow-check 1 ,\n"
	".Xr gow-convert 1 ,\n"
	".Xr gow-repair 1 ,\n"
	".Xr gow 5\n";

static void put_problem(const gow_problem *problem)
{
	(void)printf(".Ss %s\n", problem->name);
	mdoc_put_text(problem->title);
	(void)printf(".Pp\n");
	mdoc_put_text(problem->about);
	(void)printf(".Pp\n.Bl -tag -width \"gow-repair\" -compact\n"
	             ".It severity\n%s\n"
	             ".It counted\n%s\n"
	             ".It gow-repair\n",
	             gow_severity_name(problem->severity), problem->unit);
	if (problem->fix)
		mdoc_put_text(problem->fix);
	else
		mdoc_put_text("does nothing: the image does not hold what the data was");
	(void)printf(".El\n");
}

int main(void)
{
	const gow_problem *problem;

	(void)fputs(head, stdout);
	for (unsigned id = 0; (problem = gow_problem_get((gow_problem_id)id)); id++)
		put_problem(problem);
	(void)fputs(tail, stdout);
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
