/* SPDX-License-Identifier: BSD-2-Clause */
#include "convert/metadata.h"

#include "common/size.h"

static void print_json(struct cli *cli, const char *source, const char *dest,
                       const gow_metadata_result *result, struct doc *doc)
{
	doc_begin(doc, &cli->out, cli->tool->name, source);
	doc_name(doc, "dest", dest);
	doc_bool(doc, "metadata_only", true);
	doc_bool(doc, "restored", result->restored);
	doc_uint(doc, "version", result->version);
	doc_uint(doc, "image_size", result->file_size);
	doc_uint(doc, "metadata_bytes", result->kept_bytes);
	doc_uint(doc, "file_size", result->written);
	doc_bool(doc, "record", result->record);
	if (result->in_use)
		doc_bool(doc, "in_use", true);
	if (cli->dry_run)
		doc_bool(doc, "dry_run", true);
	doc_end(doc, EXIT_CLEAN);
}

static void print_text(struct cli *cli, const char *source, const char *dest,
                       const gow_metadata_result *result)
{
	struct out *out = &cli->out;
	char kept[SIZE_TEXT], size[SIZE_TEXT], written[SIZE_TEXT], name[32];

	/* Another layout may have none. */
	(void)snprintf(name, sizeof name, result->version ? "gow%u" : "another layout",
	               result->version);
	out_name(out, source);
	out_print(out, " -> ");
	out_name(out, dest);
	if (result->restored)
		out_print(out, ": %srestored without its data: %s, a file of %s",
		          cli->dry_run ? "would be " : "", name,
		          size_long(size, sizeof size, result->file_size));
	else if (cli->dry_run)
		out_print(out, ": would be the metadata of a file of %s, %s",
		          size_short(size, sizeof size, result->file_size),
		          size_short(kept, sizeof kept, result->kept_bytes));
	else
		out_print(out, ": metadata of a file of %s: %s, packed into %s",
		          size_short(size, sizeof size, result->file_size),
		          size_short(kept, sizeof kept, result->kept_bytes),
		          size_short(written, sizeof written, result->written));
	out_end_line(out, result->in_use);
}

/* An option that is about copying a disk, which does not happen here. */
static const char *unwanted(const gow_convert_options *options)
{
	if (options->flags & GOW_CONVERT_SALVAGE)
		return "--salvage";
	if (options->flags & GOW_CONVERT_VERIFY)
		return "--verify";
	if (options->flags & GOW_CONVERT_DROP_ZEROS)
		return "--drop-zeros";
	if (options->member_format != GOW_FORMAT_PROBE)
		return "--member";
	if (options->member_name)
		return "--member-name";
	if (options->source_format == GOW_FORMAT_RAW)
		return "-f raw";
	return options->dest_format == GOW_FORMAT_RAW ? "-O raw" : NULL;
}

int metadata_convert(struct cli *cli, const char *source, const char *dest,
                     const gow_convert_options *options)
{
	const gow_metadata_options metadata = {
		.struct_size = sizeof metadata,
		.common = cli->shared,
		.flags = options->flags & GOW_CONVERT_FORCE ? GOW_METADATA_FORCE : 0,
		.level = options->level,
		.mtime = options->mtime,
		.compression = options->compression,
		.dest_format = options->dest_format,
	};
	gow_metadata_result result = { .struct_size = sizeof result };
	struct doc doc = { .out = NULL };
	gow_error error;

	if (unwanted(options))
		return cli_usage(cli, "%s and --metadata-only do not go together",
		                 unwanted(options));
	if (gow_convert_metadata(source, dest, &metadata, &result, &error))
		return cli_fail(cli, &doc, source, &error);
	if (cli->json)
		print_json(cli, source, dest, &result, &doc);
	else if (cli_prints(cli))
		print_text(cli, source, dest, &result);
	return EXIT_CLEAN;
}
