/* SPDX-License-Identifier: BSD-2-Clause */
#include "info/contents.h"

#include <inttypes.h>

#include "common/size.h"

/* ---- JSON -------------------------------------------------------------------------------- */

static void add_partition(struct doc *doc, const gow_partition *part)
{
	doc_object(doc, NULL);
	doc_uint(doc, "number", part->number);
	doc_uint(doc, "start", part->start);
	doc_uint(doc, "size", part->size);
	if (part->filesystem)
		doc_text(doc, "filesystem", part->filesystem);
	else
		doc_null(doc, "filesystem");
	doc_uint_or_null(doc, part->filesystem_size != 0, "filesystem_size", part->filesystem_size);
	doc_bool(doc, "past_end", part->past_end);
	doc_close(doc);
}

void contents_json(struct doc *doc, const gow_contents *contents)
{
	if (!contents->table && !contents->count) {
		doc_null(doc, "guest");
		return;
	}
	doc_object(doc, "guest");
	if (contents->table)
		doc_text(doc, "table", contents->table);
	else
		doc_null(doc, "table");
	doc_array(doc, "partitions");
	for (size_t i = 0; i < contents->count; i++)
		add_partition(doc, contents->partitions[i]);
	doc_close(doc);
	doc_uint(doc, "end", contents->end);
	doc_bool(doc, "past_end", contents->past_end);
	doc_close(doc);
}

/* ---- text -------------------------------------------------------------------------------- */

static void print_partition(struct out *out, const gow_partition *part)
{
	char start[SIZE_TEXT], size[SIZE_TEXT];

	if (part->number)
		out_print(out, "  partition %-6u %s at %s, ", part->number,
		          size_short(size, sizeof size, part->size),
		          size_short(start, sizeof start, part->start));
	else
		out_print(out, "  whole disk       ");
	out_print(out, "%s", part->filesystem ? part->filesystem : "unknown content");
	if (part->filesystem_size)
		out_print(out, " of %s", size_short(size, sizeof size, part->filesystem_size));
	out_print(out, "%s\n", part->past_end ? ", past the end of the disk" : "");
}

void contents_text(struct out *out, const gow_contents *contents)
{
	if (!contents->table && !contents->count)
		return;
	out_print(out, "%-18s %s\n",
	          "guest:", contents->table ? contents->table : "no partition table");
	for (size_t i = 0; i < contents->count; i++)
		print_partition(out, contents->partitions[i]);
}

void contents_warn(const struct cli *cli, const char *image, const gow_contents *contents,
                   uint64_t logical_size)
{
	char text[256];
	uint64_t end = contents->end > contents->disk_size ? contents->end : contents->disk_size;

	if (!contents->past_end)
		return;
	(void)snprintf(text, sizeof text,
	               "the disk has %" PRIu64 " bytes, and what is on it reaches to %" PRIu64
	               ": a copy that was cut short, or a part of a split disk",
	               logical_size, end);
	report_note(&cli->report, GOW_NOTE_WARNING, image, text);
}
