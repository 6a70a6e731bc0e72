/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/infer/infer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/header.h"

/* The header of the largest layout: 16 MiB of map, as much of version numbers, what is before. */
enum { HEAD_MAX = (32 << 20) + 2 * 65536 };

/* ---- evidence ---------------------------------------------------------------------------- */

static void say(struct gow_infer *result, const char *what, int weight, const char *fmt, ...)
	GOW_PRINTF(4, 5);

static void say(struct gow_infer *result, const char *what, int weight, const char *fmt, ...)
{
	gow_probe_evidence *evidence = &result->evidence[result->evidence_count];
	va_list args;

	if (result->evidence_count == GOW_EVIDENCE)
		return;
	result->evidence_count++;
	evidence->what = what;
	evidence->weight = weight;
	va_start(args, fmt);
	(void)vsnprintf(evidence->says, sizeof evidence->says, fmt, args);
	va_end(args);
}

static void say_map(struct gow_infer *result, const struct gow_candidate *best)
{
	say(result, "map", best->wrong ? 50 : 100,
	    "%" PRIu32 " of %" PRIu32 " entries are allocated, %" PRIu32
	    " cannot be right; the file has %" PRIu32 " blocks, %" PRIu32 " of them unreferenced",
	    best->allocated, best->row.map_entries, best->wrong, best->present, best->leaked);
	if (gow_layout_has_versions(&best->row))
		say(result, "versions", best->odd_versions ? 20 : 50,
		    "%" PRIu32 " version numbers do not go with their entries", best->odd_versions);
}

static void say_size(struct gow_infer *result, const struct gow_candidate *best)
{
	if (!best->size_is_told)
		say(result, "size", 0,
		    "the disk's size is not in the header%s: give it with \"logical-size = is SIZE\"",
		    best->size_is_known ? ", and taken from what is on the disk or from the map"
		                        : "");
	else
		say(result, "size", best->size_is_sure ? 50 : 20, "the disk's size is told%s",
		    best->size_is_sure ? "" : ", by one of several numbers");
}

static void say_guest(struct gow_infer *result, const struct gow_candidate *best)
{
	const struct gow_guest *guest = &best->guest;

	say(result, "guest", (int)(guest->agreed * 100) - (int)(guest->missed * 40),
	    "partition table %s, %u partitions or file systems; %u structures were found where "
	    "others say, %u were not",
	    guest->table ? guest->table : "none", guest->part_count, guest->agreed, guest->missed);
	say_size(result, best);
}

/* ---- the verdict ------------------------------------------------------------------------- */

/* Another reading of the file that fits about as well and shows another guest. */
static bool has_rival(const struct gow_infer *result)
{
	const struct gow_candidate *best = &result->candidates[0];

	for (size_t i = 1; i < result->count; i++) {
		const struct gow_candidate *other = &result->candidates[i];

		if (!gow_infer_same_guest(&best->row, &other->row) &&
		    other->score > best->score - 300 && other->guest.agreed >= best->guest.agreed &&
		    other->wrong <= best->wrong)
			return true;
	}
	return false;
}

static bool is_dense(const struct gow_candidate *best)
{
	return best->wrong <= best->allocated / 33 && best->leaked <= best->allocated / 20 + 1;
}

static bool is_confirmed(const struct gow_candidate *best)
{
	return best->guest.agreed >= 2 && best->guest.missed * 4 <= best->guest.agreed;
}

static bool has_blocks_enough(const struct gow_candidate *best)
{
	return best->allocated >= 8;
}

static void say_what_is_missing_of_size(struct gow_infer *result, const struct gow_candidate *best)
{
	if (best->is_short)
		say(result, "missing", 0,
		    "how long the map is: the guest's disk ends at %" PRIu64
		    ", and this map at %" PRIu64,
		    gow_max(best->guest.end, best->guest.disk_size), best->row.logical_limit);
	else if (!gow_infer_length_is_usual(best))
		say(result, "missing", 0, "how long the map is");
	if (best->size_is_sure)
		return;
	say(result, "missing", 0,
	    best->size_is_told
	            ? "which of several numbers is the disk's size"
	            : "how large the disk is; what is on it ends at %" PRIu64
	              ": give the size in the layout, \"logical-size = is SIZE\" (--report has it)",
	    best->guest.end);
}

/* All that keeps the best from being certain; the last is what a caller shows who has room for one. */
static void say_what_is_missing(struct gow_infer *result, const struct gow_candidate *best)
{
	if (best->beside)
		say(result, "missing", 0,
		    "what the numbers beside the entries are: no version numbers");
	if (!is_dense(best))
		say(result, "missing", 0, "a map without so many wrong entries and unused blocks");
	if (!has_blocks_enough(best))
		say(result, "missing", 0, "blocks: let the guest write more");
	if (best->guest.part_count)
		say_what_is_missing_of_size(result, best);
	if (!best->guest.part_count)
		say(result, "missing", 0, "anything of the guest that confirms the map");
	else if (!is_confirmed(best))
		say(result, "missing", 0,
		    "structures of the guest that point to one another: too few were found");
}

/* Certain where nothing is missing. */
static bool is_certain(const struct gow_candidate *best)
{
	return is_confirmed(best) && is_dense(best) && has_blocks_enough(best) &&
	       best->size_is_sure && !best->is_short && !best->beside &&
	       gow_infer_length_is_usual(best);
}

static bool is_likely(const struct gow_candidate *best)
{
	return best->guest.part_count && is_dense(best) && best->size_is_known && !best->is_short;
}

void gow_infer_judge(struct gow_infer *result)
{
	const struct gow_candidate *best = &result->candidates[0];

	if (!result->count) {
		result->verdict = GOW_PROBE_NONE;
		say(result, "map", 0, "no map was found whose first block begins a disk");
		say(result, "missing", 0,
		    "a block that begins a disk: if the image is new, boot the guest once; otherwise "
		    "give a layout file");
		return;
	}
	say_map(result, best);
	say_guest(result, best);
	if (has_rival(result)) {
		result->verdict = GOW_PROBE_AMBIGUOUS;
		say(result, "rival", -100, "another layout fits as well and shows another guest");
		say_what_is_missing(result, best);
	} else if (is_certain(best)) {
		result->verdict = GOW_PROBE_PROVEN;
	} else {
		result->verdict = is_likely(best) ? GOW_PROBE_LIKELY : GOW_PROBE_AMBIGUOUS;
		say_what_is_missing(result, best);
	}
}

/* ---- the work ---------------------------------------------------------------------------- */

static int read_head(struct gow_infer_work *work, gow_error *error)
{
	size_t size = (size_t)gow_min(work->file_size, HEAD_MAX);

	work->head = malloc(size + 8);
	if (!work->head)
		return gow_fail_memory(error, size);
	return gow_file_read(work->file, 0, work->head, size, &work->head_size, error);
}

/* Whether a known layout fits; then nothing needs to be inferred. */
static bool find_known(struct gow_file *file, const struct gow_layouts *layouts,
                       struct gow_infer *result)
{
	struct gow_header header;
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(layouts, &count);

	if (gow_header_read(file, rows, count, &header, NULL))
		return false;
	result->verdict = GOW_PROBE_KNOWN;
	result->count = 1;
	result->candidates[0].row = *header.layout;
	say(result, "magic", 100, "magic and version are those of the layout %s",
	    header.layout->name);
	return true;
}

int gow_infer_layout(struct gow_file *file, const struct gow_layouts *layouts,
                     struct gow_infer *result, gow_error *error)
{
	struct gow_infer_work work = { .file = file, .result = result };
	int code;

	result->count = result->evidence_count = result->words_count = 0;
	if (find_known(file, layouts, result))
		return GOW_OK;
	code = gow_file_size(file, &work.file_size, error);
	work.rest = (uint32_t)(work.file_size % GOW_BLOCK_SIZE);
	if (!code)
		code = read_head(&work, error);
	if (!code)
		code = gow_infer_shapes(&work, error);
	if (!code)
		gow_infer_count_words(&work);
	if (!code)
		gow_infer_judge(result);
	free(work.head);
	return code;
}
