/* SPDX-License-Identifier: BSD-2-Clause */
#include "info/changes.h"

#include <inttypes.h>

#include "common/signals.h"
#include "common/size.h"

/* What a walk prints to, and what it counts. */
struct walk {
	struct cli *cli;
	struct doc *doc;
	bool data;
	uint64_t newer, unmapped, extents;
};

static bool stops(const struct walk *walk)
{
	return walk->cli->out.failed || signals_stop();
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* "3 blocks, 192 KiB (196608 bytes), " */
static void print_blocks(struct out *out, uint64_t blocks, const char *what)
{
	char text[SIZE_TEXT];

	out_print(out, "%" PRIu64 " block%s%s, %s", blocks, plural(blocks), what,
	          size_long(text, sizeof text, blocks * GOW_BLOCK_SIZE));
}

/* ---- above a number ---------------------------------------------------------------------- */

static void add_newer(struct doc *doc, const gow_extent *extent)
{
	doc_object(doc, NULL);
	doc_uint(doc, "start", extent->logical * GOW_BLOCK_SIZE);
	doc_uint(doc, "length", extent->blocks * GOW_BLOCK_SIZE);
	doc_uint_or_null(doc, extent->physical != GOW_NOWHERE, "offset", extent->offset);
	doc_uint(doc, "version", extent->version);
	doc_close(doc);
}

static void print_newer(struct out *out, const gow_extent *extent)
{
	out_print(out, "%" PRIu64 " ", extent->logical);
	if (extent->physical == GOW_NOWHERE)
		out_print(out, "-");
	else
		out_print(out, "%" PRIu64, extent->physical);
	out_print(out, " %" PRIu64 " %" PRIu32 "\n", extent->blocks, extent->version);
}

static int visit_newer(void *context, const gow_extent *extent)
{
	struct walk *walk = context;

	walk->extents++;
	if (extent->physical == GOW_NOWHERE)
		walk->unmapped += extent->blocks;
	else
		walk->newer += extent->blocks;
	if (walk->cli->json)
		add_newer(walk->doc, extent);
	else
		print_newer(&walk->cli->out, extent);
	return stops(walk);
}

static void end_newer(const struct walk *walk)
{
	struct out *out = &walk->cli->out;

	if (walk->cli->json) {
		doc_close(walk->doc);
		doc_uint(walk->doc, "newer_blocks", walk->newer);
		doc_uint(walk->doc, "newer_bytes", walk->newer * GOW_BLOCK_SIZE);
		doc_uint(walk->doc, "unmapped_blocks", walk->unmapped);
		return;
	}
	out_print(out, "# ");
	print_blocks(out, walk->newer, " allocated");
	out_print(out, "; %" PRIu64 " not allocated; %" PRIu64 " extent%s\n", walk->unmapped,
	          walk->extents, plural(walk->extents));
}

int changes_since(struct cli *cli, const char *image, gow_check *check, uint32_t since,
                  struct doc *doc, gow_error *error)
{
	struct walk walk = { .cli = cli, .doc = doc };
	int code;

	if (cli->json) {
		doc_uint(doc, "since", since);
		doc_array(doc, "extents");
	} else {
		out_print(&cli->out, "# ");
		out_name(&cli->out, image);
		out_print(&cli->out,
		          ": numbers above %" PRIu32 ": logical physical blocks version\n", since);
	}
	code = gow_check_each_newer(check, since, visit_newer, &walk, error);
	if (!code)
		end_newer(&walk);
	return code;
}

/* ---- two images -------------------------------------------------------------------------- */

static const char *newer_name(const gow_difference *run)
{
	return run->newer > 0 ? "image" : "other";
}

static void add_difference(const struct walk *walk, const gow_difference *run)
{
	struct doc *doc = walk->doc;

	doc_object(doc, NULL);
	doc_uint(doc, "start", run->logical * GOW_BLOCK_SIZE);
	doc_uint(doc, "length", run->blocks * GOW_BLOCK_SIZE);
	if (!walk->data)
		doc_text(doc, "newer", newer_name(run));
	doc_bool(doc, "allocated", run->allocated);
	doc_bool(doc, "other_allocated", run->other_allocated);
	doc_close(doc);
}

static const char *allocated_name(const gow_difference *run)
{
	if (run->allocated)
		return run->other_allocated ? "both" : "image";
	return run->other_allocated ? "other" : "none";
}

static int visit_difference(void *context, const gow_difference *run)
{
	const struct walk *walk = context;
	struct out *out = &walk->cli->out;

	if (walk->cli->json) {
		add_difference(walk, run);
	} else {
		out_print(out, "%" PRIu64 " %" PRIu64 " %s", run->logical, run->blocks,
		          allocated_name(run));
		out_print(out, walk->data ? "\n" : " %s\n", newer_name(run));
	}
	return stops(walk);
}

static void begin_comparison(const struct walk *walk, const char *image, const char *other)
{
	struct out *out = &walk->cli->out;

	if (walk->cli->json) {
		doc_begin(walk->doc, out, walk->cli->tool->name, image);
		doc_name(walk->doc, "other", other);
		doc_text(walk->doc, "by", walk->data ? "data" : "number");
		doc_array(walk->doc, "extents");
		return;
	}
	out_print(out, "# ");
	out_name(out, image);
	out_print(out, ", other: ");
	out_name(out, other);
	out_print(out, ": logical blocks allocated%s\n", walk->data ? "" : " newer");
}

static void add_counts(const struct walk *walk, const gow_compare_result *result)
{
	struct doc *doc = walk->doc;

	doc_close(doc);
	doc_uint(doc, "logical_size", result->logical_size);
	doc_uint(doc, "other_logical_size", result->other_size);
	doc_uint(doc, "differing_blocks", result->differing_blocks);
	doc_uint(doc, "differing_bytes", result->differing_blocks * GOW_BLOCK_SIZE);
	if (!walk->data) {
		doc_uint(doc, "newer_blocks", result->newer_blocks);
		doc_uint(doc, "unmapped_blocks", result->unmapped_blocks);
		doc_uint(doc, "older_blocks", result->older_blocks);
		doc_uint(doc, "fetch_bytes", result->newer_blocks * GOW_BLOCK_SIZE);
	}
	if (result->in_use)
		doc_bool(doc, "in_use", true);
	doc_end(doc, EXIT_CLEAN);
}

static void print_counts(const struct walk *walk, const gow_compare_result *result)
{
	struct out *out = &walk->cli->out;

	out_print(out, "# ");
	print_blocks(out, result->differing_blocks,
	             result->differing_blocks == 1 ? " differs" : " differ");
	out_print(out, ", %" PRIu64 " extent%s\n", result->extents, plural(result->extents));
	if (!walk->data && result->differing_blocks) {
		out_print(out, "# newer in image: ");
		print_blocks(out, result->newer_blocks, " to fetch");
		out_print(out, "; %" PRIu64 " not allocated\n", result->unmapped_blocks);
		out_print(out, "# newer in other: %" PRIu64 " block%s%s\n", result->older_blocks,
		          plural(result->older_blocks),
		          result->older_blocks && result->older_blocks < result->differing_blocks
		                  ? " (they diverged: each has changes that the other lacks)"
		                  : "");
	}
	if (result->logical_size != result->other_size)
		out_print(out, "# their disks have %" PRIu64 " and %" PRIu64 " bytes\n",
		          result->logical_size, result->other_size);
	if (result->in_use)
		out_print(out, "# in use: what is shown here may be changing\n");
}

int changes_compare(struct cli *cli, const char *image, const char *other, bool data,
                    struct doc *doc, gow_error *error)
{
	struct walk walk = { .cli = cli, .doc = doc, .data = data };
	const gow_compare_options options = {
		.struct_size = sizeof options,
		.common = cli->shared,
		.flags = data ? GOW_COMPARE_DATA : 0,
		.visit = cli_prints(cli) ? visit_difference : NULL,
		.context = &walk,
	};
	gow_compare_result result = { .struct_size = sizeof result };
	int code;

	if (cli_prints(cli))
		begin_comparison(&walk, image, other);
	code = gow_compare(image, other, &options, &result, error);
	if (!code && cli->json)
		add_counts(&walk, &result);
	else if (!code && cli_prints(cli))
		print_counts(&walk, &result);
	return code;
}
