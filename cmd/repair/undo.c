/* SPDX-License-Identifier: BSD-2-Clause */
#include "repair/undo.h"

#include <inttypes.h>

#include "common/digest.h"

static void print_json(struct cli *cli, const char *image, const gow_undo_result *result)
{
	struct doc doc;

	doc_begin(&doc, &cli->out, cli->tool->name, image);
	doc_text(&doc, "undo_file", result->undo_file);
	doc_text(&doc, "repair", result->what);
	doc_bool(&doc, "interrupted", result->interrupted);
	doc_uint(&doc, "old_size", result->old_size);
	doc_uint(&doc, "new_size", result->new_size);
	doc_uint(&doc, "layers_left", result->layers_left);
	if (cli->digest)
		digests_json(&doc, &result->digests);
	if (cli->dry_run)
		doc_bool(&doc, "dry_run", true);
	doc_bool(&doc, "changed", result->changed);
	doc_end(&doc, EXIT_CLEAN);
}

static void print_text(struct cli *cli, const char *image, const gow_undo_result *result)
{
	struct out *out = &cli->out;

	out_name(out, image);
	out_print(out, ": %s: the %srepair (%s); the file %s %" PRIu64 " bytes long",
	          cli->dry_run ? "would be undone" : "undone",
	          result->interrupted ? "interrupted " : "", result->what,
	          cli->dry_run ? "would be" : "is", result->old_size);
	if (result->layers_left)
		out_print(out, "; %u more can be undone", result->layers_left);
	out_print(out, "\n");
	if (cli->digest)
		digests_text(out, image, &result->digests);
}

int repair_undo_image(struct cli *cli, const char *image)
{
	const gow_undo_options undo_options = {
		.struct_size = sizeof undo_options,
		.common = cli->shared,
	};
	struct doc doc = { .out = NULL };
	gow_undo_result result = { .struct_size = sizeof result };
	gow_error error;

	if (gow_repair_undo(image, &undo_options, &result, &error))
		return cli_fail(cli, &doc, image, &error);
	if (cli->json)
		print_json(cli, image, &result);
	else if (cli_prints(cli))
		print_text(cli, image, &result);
	return EXIT_CLEAN;
}
