/* SPDX-License-Identifier: BSD-2-Clause */
/* gow-create - makes a new, empty image. */
#include "common/cli.h"
#include "common/options.h"
#include "common/size.h"

enum { IMAGE_VERSION = 1, FORCE };

static const struct poptOption options[] = {
	OPTION_VALUE("image-version", '\0', IMAGE_VERSION, "make an image of this version (3)",
	             "1|2|3"),
	OPTION_FLAG("force", '\0', FORCE, "replace IMAGE if it exists"),
	OPTIONS_DRY_RUN,
	OPTIONS_LOCK,
	OPTIONS_PROGRESS,
	OPTIONS_COMMON,
	POPT_TABLEEND,
};

static int take(struct cli *cli, int option, const char *value)
{
	gow_create_options *create = cli->own;
	uint64_t version;

	if (option == FORCE) {
		create->flags |= GOW_CREATE_FORCE;
		return EXIT_CLEAN;
	}
	if (number_parse(value, 1, 3, &version))
		return cli_usage(cli, "--image-version: '%s': 1, 2 and 3 are known", value);
	create->version = (unsigned)version;
	return EXIT_CLEAN;
}

static void print_json(struct cli *cli, const char *image, uint64_t size)
{
	const gow_create_options *create = cli->own;
	struct doc doc;

	doc_begin(&doc, &cli->out, cli->tool->name, image);
	doc_uint(&doc, "version", create->version);
	doc_uint(&doc, "logical_size", size);
	doc_uint(&doc, "file_size", gow_version_empty_size(create->version));
	doc_bool(&doc, "changed", !cli->dry_run);
	if (cli->dry_run)
		doc_bool(&doc, "dry_run", true);
	doc_end(&doc, EXIT_CLEAN);
}

static void print_text(struct cli *cli, const char *image, uint64_t size)
{
	const gow_create_options *create = cli->own;
	char text[SIZE_TEXT], file_text[SIZE_TEXT];

	out_name(&cli->out, image);
	out_print(&cli->out, ": %s: GOW %u, %s, empty, in a file of %s\n",
	          cli->dry_run ? "would be made" : "made", create->version,
	          size_long(text, sizeof text, size),
	          size_short(file_text, sizeof file_text, gow_version_empty_size(create->version)));
}

/* Whether SIZE is one at all, and not too much for the version. */
static int take_size(struct cli *cli, const char *text, uint64_t *size)
{
	const gow_create_options *create = cli->own;
	uint64_t limit = gow_version_limit(create->version);
	const char *wrong = size_parse(text, size);
	char most[SIZE_TEXT];

	if (wrong)
		return cli_usage(cli, "SIZE: '%s': %s", text, wrong);
	if (*size > limit)
		return cli_usage(cli, "SIZE: '%s': version %u holds %s at most", text,
		                 create->version, size_short(most, sizeof most, limit));
	return EXIT_CLEAN;
}

static int run(struct cli *cli)
{
	gow_create_options *create = cli->own;
	const char *image = cli->args[1];
	uint64_t size;
	struct doc doc = { .out = NULL };
	gow_error error;
	int status = take_size(cli, cli->args[0], &size);

	if (status)
		return status;
	create->common = cli->shared;
	if (gow_create(image, size, create, &error))
		return cli_fail(cli, &doc, image, &error);
	if (cli->json)
		print_json(cli, image, size);
	else if (cli_prints(cli))
		print_text(cli, image, size);
	return EXIT_CLEAN;
}

int main(int argc, char **argv)
{
	static const struct cli_tool tool = {
		.name = "gow-create",
		.arguments = "SIZE IMAGE",
		.min_args = 2,
		.max_args = 2,
		.options = options,
		.take = take,
		.run = run,
	};
	gow_create_options create = { .struct_size = sizeof create, .version = 3 };

	return cli_main(&tool, &create, argc, argv);
}
