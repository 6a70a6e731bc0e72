/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-probe - finds out the layout of an image that no known layout fits. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/batch.h"
#include "common/cli.h"
#include "common/options.h"
#include "common/streams.h"

enum { REPORT = 1 };

static const struct poptOption options[] = {
	OPTION_VALUE("report", '\0', REPORT,
	             "write what is needed to support the layout, without the guest's data",
	             "FILE"),
	OPTIONS_BATCH,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

struct probe_job {
	char *report; /* owned; NULL: none */
};

static int take(struct cli *cli, int option, const char *value)
{
	struct probe_job *job = cli->own;

	(void)option;
	return cli_keep_file(cli, &job->report, "--report", value);
}

static int status_of(const gow_probe *probe)
{
	switch (gow_probe_get_verdict(probe)) {
	case GOW_PROBE_KNOWN:
	case GOW_PROBE_PROVEN:
		return EXIT_CLEAN;
	case GOW_PROBE_LIKELY:
		return EXIT_ADVISORY;
	default:
		return EXIT_ERROR;
	}
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_layout(struct doc *doc, const char *key, const gow_probe_layout *layout)
{
	doc_object(doc, key);
	doc_text(doc, "name", layout->name);
	doc_text(doc, "byte_order", layout->big_endian ? "big" : "little");
	doc_uint(doc, "map_offset", layout->map_offset);
	doc_uint(doc, "map_stride", layout->map_stride);
	doc_uint(doc, "map_entries", layout->map_entries);
	doc_uint(doc, "first_block", layout->first_block);
	doc_uint(doc, "unallocated", layout->unallocated);
	doc_uint_or_null(doc, layout->versions_offset != GOW_NOWHERE, "versions_offset",
	                 layout->versions_offset);
	doc_uint_or_null(doc, layout->versions_stride != GOW_NOWHERE, "versions_stride",
	                 layout->versions_stride);
	doc_uint(doc, "data_start", layout->data_start);
	doc_uint(doc, "logical_size", layout->logical_size);
	doc_text(doc, "text", layout->text);
	doc_close(doc);
}

static void add_evidence(struct doc *doc, const gow_probe *probe)
{
	const gow_probe_evidence *evidence;
	size_t count = gow_probe_get_evidence(probe, &evidence);

	doc_array(doc, "evidence");
	for (size_t i = 0; i < count; i++) {
		doc_object(doc, NULL);
		doc_text(doc, "what", evidence[i].what);
		doc_text(doc, "says", evidence[i].says);
		doc_double(doc, "weight", evidence[i].weight);
		doc_close(doc);
	}
	doc_close(doc);
}

static int print_json(struct cli *cli, const char *image, const gow_probe *probe, struct doc *doc,
                      gow_error *error)
{
	gow_probe_layout layout = { .struct_size = sizeof layout };
	size_t count = gow_probe_count(probe);
	int code = GOW_OK;

	doc_begin(doc, &cli->out, cli->tool->name, image);
	doc_text(doc, "verdict", gow_probe_verdict_name(gow_probe_get_verdict(probe)));
	if (count && status_of(probe) != EXIT_ERROR) {
		code = gow_probe_get(probe, 0, &layout, error);
		if (!code)
			add_layout(doc, "layout", &layout);
	} else {
		doc_null(doc, "layout");
	}
	if (code)
		return code;
	add_evidence(doc, probe);
	doc_array(doc, "candidates");
	for (size_t i = 0; i < count && !code; i++) {
		code = gow_probe_get(probe, i, &layout, error);
		if (!code)
			add_layout(doc, NULL, &layout);
	}
	doc_close(doc);
	if (gow_probe_is_in_use(probe))
		doc_bool(doc, "in_use", true);
	if (!code)
		doc_end(doc, status_of(probe));
	return code;
}

/* ---- text -------------------------------------------------------------------------------- */

static void print_evidence(struct out *out, const gow_probe *probe)
{
	const gow_probe_evidence *evidence;
	size_t count = gow_probe_get_evidence(probe, &evidence);

	out_print(out, "# verdict: %s\n", gow_probe_verdict_name(gow_probe_get_verdict(probe)));
	for (size_t i = 0; i < count; i++)
		out_print(out, "# %s: %s (%d)\n", evidence[i].what, evidence[i].says,
		          evidence[i].weight);
}

static int print_text(struct cli *cli, const gow_probe *probe, gow_error *error)
{
	gow_probe_layout layout = { .struct_size = sizeof layout };
	int code = gow_probe_get(probe, 0, &layout, error);

	if (code)
		return code;
	if (cli->report.verbose)
		print_evidence(&cli->out, probe);
	if (gow_probe_is_in_use(probe))
		out_print(&cli->out, "# in use: the image may have been changing\n");
	out_print(&cli->out, "%s", layout.text);
	return GOW_OK;
}

/* What was found is no result: said as a message. */
static void tell_why_not(struct cli *cli, const char *image, const gow_probe *probe)
{
	const gow_probe_evidence *evidence;
	size_t count = gow_probe_get_evidence(probe, &evidence);

	report_error(&cli->report, image, "its layout is %s",
	             gow_probe_get_verdict(probe) == GOW_PROBE_NONE ? "not recognised"
	                                                            : "ambiguous");
	for (size_t i = 0; i < count; i++)
		report_error(&cli->report, image, "%s: %s", evidence[i].what, evidence[i].says);
	for (size_t i = 0; i < gow_probe_count(probe); i++) {
		gow_probe_layout layout = { .struct_size = sizeof layout };

		if (gow_probe_get(probe, i, &layout, NULL))
			return;
		report_error(&cli->report, image,
		             "candidate: map at %" PRIu64 ", stride %" PRIu32 ", %" PRIu64
		             " entries, block 0 at %" PRIu64,
		             layout.map_offset, layout.map_stride, layout.map_entries,
		             layout.data_start);
	}
}

/* ---- the report -------------------------------------------------------------------------- */

static void write_header(FILE *file, const uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at < size; at += 16) {
		(void)fprintf(file, "%04zx ", at);
		for (size_t i = at; i < at + 16 && i < size; i++)
			(void)fprintf(file, " %02x", bytes[i]);
		(void)fputc('\n', file);
	}
}

/* How the entries spread over the file's blocks. */
static void write_entries(FILE *file, const gow_probe_layout *layout)
{
	(void)fprintf(file,
	              "# entries: %" PRIu64 " in all, %" PRIu64 " allocated, %" PRIu64
	              " wrong, %" PRIu64 " of these out of the file; %" PRIu64
	              " blocks unreferenced\n# entries by the part of the file's blocks that they "
	              "name, in %ds:",
	              layout->map_entries, layout->allocated_blocks, layout->wrong_entries,
	              layout->range_entries, layout->leaked_blocks, GOW_PROBE_PARTS);
	for (size_t i = 0; i < GOW_PROBE_PARTS; i++)
		(void)fprintf(file, " %" PRIu64, layout->spread[i]);
	(void)fputc('\n', file);
}

static void write_candidates(FILE *file, const gow_probe *probe)
{
	for (size_t i = 0; i < gow_probe_count(probe); i++) {
		gow_probe_layout layout = { .struct_size = sizeof layout };

		if (gow_probe_get(probe, i, &layout, NULL))
			return;
		(void)fprintf(file, "\n# candidate %zu\n", i + 1);
		if (gow_probe_get_verdict(probe) != GOW_PROBE_KNOWN)
			write_entries(file, &layout);
		(void)fprintf(file, "%s", layout.text);
	}
}

/* Parts that are alike are one line. */
static void write_words(FILE *file, const gow_probe *probe)
{
	const gow_probe_words *words;
	size_t count = gow_probe_get_words(probe, &words);

	if (count)
		(void)fprintf(
			file,
			"\n# the 32-bit words of the file's start, counted in parts: all bits "
			"0, all bits 1, a block's number (little-endian), (big-endian), "
			"another\n");
	for (size_t i = 0, next; i < count; i = next) {
		const gow_probe_words *first = &words[i];

		for (next = i + 1; next < count; next++)
			if (words[next].size != first->size || words[next].zeros != first->zeros ||
			    words[next].ones != first->ones ||
			    words[next].little != first->little || words[next].big != first->big)
				break;
		(void)fprintf(file,
		              "%" PRIu64 "-%" PRIu64 ": %" PRIu32 " %" PRIu32 " %" PRIu32
		              " %" PRIu32 " %" PRIu32 "%s\n",
		              first->offset, words[next - 1].offset + words[next - 1].size - 1,
		              first->zeros, first->ones, first->little, first->big, first->others,
		              next - i > 1 ? " in each 64 KiB" : "");
	}
}

/* What is behind the header is the guest's: where the best layout says, or while none is likely, where
 * any does. */
static size_t without_data(const gow_probe *probe, size_t size)
{
	size_t count = gow_probe_get_verdict(probe) >= GOW_PROBE_LIKELY ? 1
	                                                                : gow_probe_count(probe);

	for (size_t i = 0; i < count; i++) {
		gow_probe_layout layout = { .struct_size = sizeof layout };

		if (!gow_probe_get(probe, i, &layout, NULL) && layout.data_start < size)
			size = (size_t)layout.data_start;
	}
	return size;
}

static void write_text(FILE *file, const gow_probe *probe)
{
	const gow_probe_evidence *evidence;
	size_t count = gow_probe_get_evidence(probe, &evidence);
	const uint8_t *bytes;
	uint64_t file_size;
	size_t size = gow_probe_header(probe, &bytes, &file_size);

	size = without_data(probe, size);
	(void)fprintf(file, "gow-probe report, gow-tools %s\n", gow_version());
	(void)fprintf(file, "file size: %" PRIu64 "\nverdict: %s\n", file_size,
	              gow_probe_verdict_name(gow_probe_get_verdict(probe)));
	for (size_t i = 0; i < count; i++)
		(void)fprintf(file, "%s: %s (%d)\n", evidence[i].what, evidence[i].says,
		              evidence[i].weight);
	write_candidates(file, probe);
	write_words(file, probe);
	(void)fprintf(file,
	              "\n# the first %zu bytes of the header (check that they hold no "
	              "confidential name)\n",
	              size);
	write_header(file, bytes, size);
}

static int write_report(const char *path, const gow_probe *probe)
{
	FILE *file;
	int fd, failed;

	if (access(path, F_OK) < 0 && streams_is_device_name(path))
		return ENODEV;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	failed = file ? 0 : errno;
	if (!file && fd >= 0)
		(void)close(fd);
	if (file) {
		write_text(file, probe);
		if (fflush(file) || ferror(file) || fsync(fd))
			failed = errno ? errno : EIO;
		if (fclose(file) && !failed)
			failed = errno;
	}
	if (failed && fd >= 0) /* a part of it is of no use */
		(void)unlink(path);
	return failed;
}

/* ---- the work ---------------------------------------------------------------------------- */

static int show(struct cli *cli, const char *image)
{
	const struct probe_job *job = cli->own;
	const gow_open_options open_options = cli_open_options(cli, 0);
	struct doc doc = { .out = NULL };
	gow_probe *probe = NULL;
	gow_error error;
	int status = EXIT_CLEAN;
	int failed = 0;
	int code = gow_probe_open(image, &open_options, &probe, &error);

	if (!code)
		status = status_of(probe);
	if (!code && cli->json)
		code = print_json(cli, image, probe, &doc, &error);
	else if (!code && status == EXIT_ERROR)
		tell_why_not(cli, image, probe);
	else if (!code && cli_prints(cli))
		code = print_text(cli, probe, &error);
	if (!code && job->report)
		failed = write_report(job->report, probe);
	gow_probe_close(probe);
	if (failed)
		report_error(&cli->report, job->report, "cannot be written: %s", strerror(failed));
	return code ? cli_fail(cli, &doc, image, &error) : status | (failed ? EXIT_ERROR : 0);
}

static int run(struct cli *cli)
{
	return batch_run(cli, show);
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-probe",
		.arguments = "IMAGE...",
		.min_args = 1,
		.max_args = CLI_MANY,
		.options = options,
		.take = take,
		.run = run,
	};
	struct probe_job job = { .report = NULL };

	int status = cli_main(&tool, &job, argc, argv);

	free(job.report);
	return status;
}
