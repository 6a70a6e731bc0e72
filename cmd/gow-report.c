/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-report - sums up the JSON Lines of the other tools: a fleet on one page. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/options.h"
#include "common/signals.h"
#include "common/size.h"
#include "report/tally.h"

enum { TOP = 1, EXPECT, NULL_NAMES };

static const struct poptOption options[] = {
	OPTION_VALUE("top", '\0', TOP, "name so many of the worst images (20)", "N"),
	OPTION_VALUE("expect", '\0', EXPECT, "count images of LIST that have no result", "LIST"),
	OPTION_FLAG("null", '0', NULL_NAMES, "the names in LIST end with NUL"),
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct report_job {
	uint64_t top;
	char *expect; /* owned; NULL: none */
	bool null_names;
	struct tally tally;
};

/* What the table says. */
struct totals {
	uint64_t images[TALLY_STATES];
	uint64_t space[TALLY_STATES];
	uint64_t all_space;
	const struct tally_image *oldest; /* NULL: no line has a time */
	int status;
};

static int take(struct cli *cli, int option, const char *value)
{
	struct report_job *job = cli->own;
	const char *wrong;

	if (option == NULL_NAMES) {
		job->null_names = true;
		return EXIT_CLEAN;
	}
	if (option == TOP) {
		wrong = number_parse(value, 0, UINT32_MAX, &job->top);
		return wrong ? cli_usage(cli, "--top: '%s': %s", value, wrong) : EXIT_CLEAN;
	}
	return cli_keep(cli, &job->expect, "--expect", value);
}

/* ---- reading ----------------------------------------------------------------------------- */

typedef int (*take_line)(struct tally *tally, char *line, size_t length);

static int take_name(struct tally *tally, char *line, size_t length)
{
	return length ? tally_expect(tally, line) : 0;
}

static int take_line_name(struct tally *tally, char *line, size_t length)
{
	return take_name(tally, line, batch_drop_windows(line, length, false));
}

static int take_result(struct tally *tally, char *line, size_t length)
{
	return tally_line(tally, line, length);
}

/* Hands every line to take, without its end. 0 or errno. */
static int read_lines(struct tally *tally, FILE *file, int separator, take_line take_it)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	bool first = true;
	int failed = 0;

	errno = 0;
	while (!failed && !signals_stop() &&
	       (length = getdelim(&line, &room, separator, file)) > 0) {
		/* What Windows puts before a text. */
		const size_t mark = first && separator == '\n' && length >= 3 &&
		                                    memcmp(line, "\xef\xbb\xbf", 3) == 0
		                            ? 3
		                            : 0;

		first = false;
		if (line[length - 1] == separator)
			line[--length] = '\0';
		failed = take_it(tally, line + mark, (size_t)length - mark);
		errno = 0;
	}
	/* getdelim runs out of memory without marking the stream. */
	if (!failed && (ferror(file) || (errno && !feof(file))))
		failed = errno ? errno : EIO;
	free(line);
	return failed;
}

static int read_file(struct cli *cli, const char *name, int separator, take_line take_it)
{
	struct report_job *job = cli->own;
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(name, "re");
	int failed = file ? read_lines(&job->tally, file, separator, take_it) : errno;

	if (file && !is_stdin)
		(void)fclose(file);
	if (signals_stop())
		return EXIT_STOPPED;
	if (!failed)
		return EXIT_CLEAN;
	report_error(&cli->report, is_stdin ? "standard input" : name, "cannot read: %s",
	             strerror(failed));
	return EXIT_ERROR;
}

static int read_all(struct cli *cli)
{
	const struct report_job *job = cli->own;
	int status = EXIT_CLEAN;

	if (job->expect)
		status = job->null_names ? read_file(cli, job->expect, '\0', take_name)
		                         : read_file(cli, job->expect, '\n', take_line_name);
	if (!cli->arg_count)
		status |= read_file(cli, "-", '\n', take_result);
	for (size_t i = 0; i < cli->arg_count && !(status & EXIT_STOPPED); i++)
		status |= read_file(cli, cli->args[i], '\n', take_result);
	return status;
}

/* ---- adding up --------------------------------------------------------------------------- */

static void add_up(const struct tally *tally, struct totals *totals)
{
	*totals = (struct totals){ .status = tally->bad_lines ? EXIT_ERROR : EXIT_CLEAN };
	for (size_t i = 0; i < tally->count; i++) {
		const struct tally_image *image = &tally->images[i];

		totals->images[image->state]++;
		totals->space[image->state] += image->space;
		totals->all_space += image->space;
		totals->status |= image->state == TALLY_MISSING ? EXIT_ERROR : (int)image->status;
		if (image->time && (!totals->oldest || image->time < totals->oldest->time))
			totals->oldest = image;
	}
}

/* The worst first, of the same state the one with the most to win, then by name. */
static int compare(const void *one, const void *two)
{
	const struct tally_image *a = one, *b = two;

	if (a->state != b->state)
		return a->state < b->state ? -1 : 1;
	if (a->space != b->space)
		return a->space > b->space ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* How many are to be named: those with nothing to say are not. */
static size_t count_top(const struct report_job *job)
{
	size_t count = 0;

	while (count < job->top && count < job->tally.count &&
	       (job->tally.images[count].state < TALLY_REPAIRED || job->tally.images[count].space))
		count++;
	return count;
}

/* ---- printing ---------------------------------------------------------------------------- */

static void print_states(struct out *out, const struct tally *tally, const struct totals *totals)
{
	char text[SIZE_TEXT];

	out_print(out, "%-10s %10s  %s\n", "state", "images", "space to win");
	for (int state = 0; state < TALLY_STATES; state++)
		if (totals->images[state])
			out_print(out, "%-10s %10" PRIu64 "  %s\n",
			          tally_state_name((enum tally_state)state), totals->images[state],
			          size_short(text, sizeof text, totals->space[state]));
	out_print(out, "%-10s %10zu  %s\n", "all", tally->count,
	          size_short(text, sizeof text, totals->all_space));
}

static void print_oldest(struct out *out, const struct tally_image *oldest)
{
	char text[64] = "?";
	struct tm tm;
	time_t when = (time_t)oldest->time;

	if (gmtime_r(&when, &tm))
		(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
	out_print(out, "\noldest check: %s ", text);
	out_text(out, oldest->name);
	out_print(out, "\n");
}

static void print_top(struct cli *cli)
{
	const struct report_job *job = cli->own;
	size_t count = count_top(job);
	char text[SIZE_TEXT];

	for (size_t i = 0; i < count; i++) {
		const struct tally_image *image = &job->tally.images[i];

		out_print(&cli->out, "%s%-10s ", i ? "" : "\nworst first:\n",
		          tally_state_name(image->state));
		out_text(&cli->out, image->name);
		if (image->space)
			out_print(&cli->out, " (%s to win)",
			          size_short(text, sizeof text, image->space));
		if (image->why) {
			out_print(&cli->out, ": ");
			out_text(&cli->out, image->why);
		}
		out_print(&cli->out, "\n");
	}
}

static void print_text(struct cli *cli, const struct totals *totals)
{
	const struct report_job *job = cli->own;

	print_states(&cli->out, &job->tally, totals);
	if (totals->oldest)
		print_oldest(&cli->out, totals->oldest);
	print_top(cli);
}

static void print_worst_json(struct cli *cli, struct doc *doc)
{
	const struct report_job *job = cli->own;
	size_t count = count_top(job);

	doc_array(doc, "worst");
	for (size_t i = 0; i < count; i++) {
		const struct tally_image *image = &job->tally.images[i];

		doc_object(doc, NULL);
		doc_image(doc, image->name);
		doc_text(doc, "state", tally_state_name(image->state));
		doc_uint(doc, "status", image->status);
		doc_uint(doc, "space_bytes", image->space);
		if (image->why)
			doc_text(doc, "why", image->why);
		doc_close(doc);
	}
	doc_close(doc);
}

static void print_json(struct cli *cli, const struct totals *totals)
{
	const struct report_job *job = cli->own;
	struct doc doc;

	doc_begin_line(&doc, &cli->out);
	doc_uint(&doc, "schema", 1);
	doc_text(&doc, "tool", cli->tool->name);
	doc_uint(&doc, "images", job->tally.count);
	doc_object(&doc, "states");
	for (int state = 0; state < TALLY_STATES; state++)
		doc_uint(&doc, tally_state_name((enum tally_state)state), totals->images[state]);
	doc_close(&doc);
	doc_uint(&doc, "space_bytes", totals->all_space);
	doc_uint(&doc, "bad_lines", job->tally.bad_lines);
	if (totals->oldest) {
		doc_object(&doc, "oldest");
		doc_image(&doc, totals->oldest->name);
		doc_uint(&doc, "time", totals->oldest->time);
		doc_close(&doc);
	}
	print_worst_json(cli, &doc);
	doc_end(&doc, totals->status);
}

/* ---- the work ---------------------------------------------------------------------------- */

static int run(struct cli *cli)
{
	struct report_job *job = cli->own;
	struct totals totals;
	int status;

	if (tally_begin(&job->tally)) {
		report_error(&cli->report, NULL, "no memory");
		return EXIT_ERROR;
	}
	status = read_all(cli);
	if (!status) {
		if (job->tally.bad_lines)
			report_error(&cli->report, NULL, "%" PRIu64 " lines are no results",
			             job->tally.bad_lines);
		if (job->tally.count)
			qsort(job->tally.images, job->tally.count, sizeof *job->tally.images,
			      compare);
		add_up(&job->tally, &totals);
		status = totals.status;
		if (cli->json)
			print_json(cli, &totals);
		else if (cli_prints(cli))
			print_text(cli, &totals);
	}
	tally_end(&job->tally);
	return status;
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-report",
		.arguments = "[FILE...]",
		.streams = true,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct report_job job = { .top = 20 };
	int status = cli_main(&tool, &job, argc, argv);

	free(job.expect);
	return status;
}
