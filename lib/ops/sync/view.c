/* SPDX-License-Identifier: BSD-2-Clause */
#include "ops/sync/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "io/remote.h"

enum {
	PREAMBLE = 0, /* of the parts; then map and numbers, one where they stand between each
	                    * other */
	ENTRIES = 1,
	NUMBERS = 2,
	PARTS = GOW_SYNC_PARTS,
	REQUEST = 1 << 20, /* bytes of a part that are asked for at once */
	RECORD_READ = 512  /* bytes; a longer read behind the header is not served */
};

/* Bytes of the header that are there. */
struct part {
	uint64_t offset;
	size_t size;
	uint8_t *bytes; /* owned */
};

struct view {
	struct gow_file file;
	struct gow_file *base;
	uint64_t size;
	struct part parts[PARTS];
	const struct gow_layout *layout; /* NULL: the preamble alone is there */
	uint32_t entries;                /* that are there */
};

static struct view *view_of(struct gow_file *file)
{
	return (struct view *)file;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Lays a part over what is read. */
static void lay_part(const struct part *part, uint64_t offset, uint8_t *buf, size_t size)
{
	const uint64_t start = gow_max(offset, part->offset);
	const uint64_t end = gow_min(offset + size, part->offset + part->size);

	if (start < end)
		memcpy(buf + (start - offset), part->bytes + (start - part->offset),
		       (size_t)(end - start));
}

/* Entries that are not there are not allocated. */
static void lay_unallocated(const struct view *view, uint64_t offset, uint8_t *buf, size_t size)
{
	const struct gow_layout *layout = view->layout;
	const uint64_t first = gow_layout_entry_offset(layout, view->entries);
	const uint64_t past = gow_layout_entry_offset(layout, layout->map_entries);
	const uint64_t start = gow_max(offset, first), end = gow_min(offset + size, past);
	uint8_t entry[sizeof(uint32_t)];

	if (start >= end)
		return;
	gow_store32(entry, layout->order, layout->unallocated);
	if (layout->map_stride == sizeof entry && layout->unallocated == UINT32_MAX) {
		memset(buf + (start - offset), 0xff, (size_t)(end - start));
		return;
	}
	for (uint64_t at = start; at < end; at++) {
		const uint64_t inside = (at - layout->map_offset) % layout->map_stride;

		if (inside < sizeof entry)
			buf[at - offset] = entry[inside];
	}
}

static void read_header(const struct view *view, uint64_t offset, uint8_t *buf, size_t size)
{
	memset(buf, 0, size);
	lay_part(&view->parts[PREAMBLE], offset, buf, size);
	if (!view->layout)
		return;
	lay_unallocated(view, offset, buf, size);
	for (size_t i = ENTRIES; i < PARTS; i++)
		lay_part(&view->parts[i], offset, buf, size);
}

/* What stands behind the header is the guest's, or a record of an interrupted change. */
static int read_behind(const struct view *view, uint64_t offset,
                       uint8_t *buf, /* NOLINT(readability-non-const-parameter): the range's */
                       size_t size, gow_error *error)
{
	const struct gow_remote_range range = { .offset = offset, .size = size, .buf = buf };

	if (!size)
		return GOW_OK;
	if (size > RECORD_READ)
		return gow_fail(error, GOW_ERR_UNSUPPORTED, "the data is not read here");
	return gow_file_read_ranges(view->base, &range, 1, error);
}

static int view_read(struct gow_file *file, uint64_t offset, void *buf, size_t size, size_t *got,
                     gow_error *error)
{
	const struct view *view = view_of(file);
	const uint64_t end = gow_max(view->parts[PREAMBLE].size,
	                             view->layout ? gow_layout_data_start(view->layout) : 0);
	size_t head = 0;

	*got = offset < view->size ? (size_t)gow_min(size, view->size - offset) : 0;
	if (offset < end)
		head = (size_t)gow_min(*got, end - offset);
	read_header(view, offset, buf, head);
	return read_behind(view, offset + head, (uint8_t *)buf + head, *got - head, error);
}

static int view_size(struct gow_file *file, uint64_t *size, gow_error *error)
{
	(void)error;
	*size = view_of(file)->size;
	return GOW_OK;
}

static void release_parts(struct part parts[PARTS])
{
	for (size_t i = 0; i < PARTS; i++)
		free(parts[i].bytes);
}

static int view_close(struct gow_file *file, gow_error *error)
{
	struct view *view = view_of(file);

	(void)error;
	release_parts(view->parts);
	free(view->file.name);
	free(view);
	return GOW_OK;
}

static const struct gow_file_ops view_ops = {
	.read = view_read,
	.size = view_size,
	.close = view_close,
};

/* ---- fetching ---------------------------------------------------------------------------- */

/* Cuts a part into requests; how many. */
static size_t cut_part(const struct part *part, struct gow_remote_range *ranges)
{
	const size_t count = (size_t)gow_divide_up(part->size, REQUEST);

	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct gow_remote_range){
			.offset = part->offset + (uint64_t)i * REQUEST,
			.size = (size_t)gow_min(part->size - i * REQUEST, REQUEST),
			.buf = part->bytes + i * REQUEST,
		};
	return count;
}

/* Fetches some parts, all at the same time. */
static int fetch_parts(struct gow_file *base, struct part *parts, size_t count,
                       struct gow_sync_cost *cost, gow_error *error)
{
	struct gow_remote_range *ranges;
	size_t bytes = 0, requests = 0;
	int code = GOW_OK;

	for (size_t i = 0; i < count && !code; i++) {
		bytes += parts[i].size;
		requests += (size_t)gow_divide_up(parts[i].size, REQUEST);
		parts[i].bytes = malloc(parts[i].size + 1);
		if (!parts[i].bytes)
			code = gow_fail_memory(error, parts[i].size);
	}
	ranges = code ? NULL : calloc(requests + 1, sizeof *ranges);
	if (!ranges)
		return code ? code : gow_fail_memory(error, requests * sizeof *ranges);
	requests = 0;
	for (size_t i = 0; i < count; i++)
		requests += cut_part(&parts[i], ranges + requests);
	cost->bytes += bytes;
	cost->requests += requests;
	code = gow_file_read_ranges(base, ranges, requests, error);
	free(ranges);
	return code;
}

/* The bytes of the first numbers of an array. */
static struct part part_of(uint64_t offset, uint32_t stride, uint32_t count)
{
	return (struct part){ .offset = offset,
		              .size = count ? (count - (size_t)1) * stride + sizeof(uint32_t) : 0 };
}

/* Which parts of the header there are to be fetched. */
static void choose_entries(const struct gow_layout *layout, uint32_t count, struct part *parts)
{
	parts[0] = part_of(layout->map_offset, layout->map_stride, count);
	parts[1] = gow_layout_has_versions(layout)
	                   ? part_of(layout->versions_offset, layout->versions_stride, count)
	                   : (struct part){ .size = 0 };
	/* Numbers beside the entries come with them. */
	if (parts[1].size && parts[1].offset < parts[0].offset + parts[0].size &&
	    parts[0].offset < parts[1].offset + parts[1].size) {
		const uint64_t start = gow_min(parts[0].offset, parts[1].offset);
		const uint64_t end = gow_max(parts[0].offset + parts[0].size,
		                             parts[1].offset + parts[1].size);

		parts[0] = (struct part){ .offset = start, .size = (size_t)(end - start) };
		parts[1].size = 0;
	}
}

/* Only a header that is whole, of a disk that there can be, has entries to be fetched. */
static int fetch_entries(struct view *view, const struct gow_header *header,
                         struct gow_sync_cost *cost, gow_error *error)
{
	if (header->truncated)
		return GOW_OK;
	view->layout = header->layout;
	if (header->pending || !gow_size_is_valid(header->layout, header->logical_size))
		return GOW_OK;
	view->entries = (uint32_t)header->logical_blocks;
	choose_entries(view->layout, view->entries, view->parts + ENTRIES);
	return fetch_parts(view->base, view->parts + ENTRIES, PARTS - ENTRIES, cost, error);
}

static struct gow_hash hash_part(const struct part *part)
{
	struct gow_hash hash;

	gow_hash_bytes(part->bytes, part->size, &hash);
	return hash;
}

static int fill_view(struct view *view, const struct gow_layout *rows, size_t row_count,
                     struct gow_sync_cost *cost, gow_error *error)
{
	struct gow_header header;
	int code;

	view->parts[PREAMBLE].size = (size_t)gow_min(GOW_PREAMBLE_MAX, view->size);
	code = fetch_parts(view->base, view->parts, 1, cost, error);
	if (!code)
		code = gow_header_read(&view->file, rows, row_count, &header, error);
	return code ? code : fetch_entries(view, &header, cost, error);
}

int gow_sync_view_new(struct gow_file *base, const struct gow_layout *rows, size_t row_count,
                      struct gow_file **view, struct gow_sync_sum *sum, struct gow_sync_cost *cost,
                      gow_error *error)
{
	struct view *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->file = (struct gow_file){ .ops = &view_ops,
		                        .name = strdup(base->name),
		                        .read_only = true };
	made->base = base;
	code = made->file.name ? gow_file_size(base, &made->size, error)
	                       : gow_fail_memory(error, strlen(base->name));
	if (!code)
		code = fill_view(made, rows, row_count, cost, error);
	if (code) {
		(void)view_close(&made->file, NULL);
		return code;
	}
	for (size_t i = 0; i < PARTS; i++)
		sum->parts[i] = hash_part(&made->parts[i]);
	*view = &made->file;
	return GOW_OK;
}

/* ---- looking again ----------------------------------------------------------------------- */

/* Which parts such a look reads; the others have no bytes. */
static void choose_parts(const struct gow_layout *layout, uint64_t file_size, uint32_t entries,
                         enum gow_sync_depth depth, struct part parts[PARTS])
{
	memset(parts, 0, PARTS * sizeof *parts);
	parts[PREAMBLE].size = (size_t)gow_min(GOW_PREAMBLE_MAX, file_size);
	if (depth == GOW_SYNC_PREAMBLE)
		return;
	choose_entries(layout, entries, parts + ENTRIES);
	if (depth == GOW_SYNC_NUMBERS && parts[NUMBERS].size)
		parts[ENTRIES].size = 0;
}

struct gow_sync_cost gow_sync_view_cost(const struct gow_layout *layout, uint64_t file_size,
                                        uint32_t entries, enum gow_sync_depth depth)
{
	struct gow_sync_cost cost = { 0 };
	struct part parts[PARTS];

	choose_parts(layout, file_size, entries, depth, parts);
	for (size_t i = 0; i < PARTS; i++) {
		cost.bytes += parts[i].size;
		cost.requests += gow_divide_up(parts[i].size, REQUEST);
	}
	return cost;
}

int gow_sync_view_look(struct gow_file *base, const struct gow_layout *layout, uint32_t entries,
                       enum gow_sync_depth depth, const struct gow_sync_sum *before, bool *changed,
                       struct gow_sync_cost *cost, gow_error *error)
{
	struct part parts[PARTS];
	uint64_t size = 0;
	int code = gow_file_size(base, &size, error);

	/* One without blocks may end anywhere behind its header. */
	*changed = !code && size < gow_layout_header_end(layout);
	if (code || *changed)
		return code;
	choose_parts(layout, size, entries, depth, parts);
	code = fetch_parts(base, parts, PARTS, cost, error);
	for (size_t i = 0; i < PARTS && !code; i++) {
		const struct gow_hash now = hash_part(&parts[i]);

		*changed |= parts[i].size && memcmp(&now, &before->parts[i], sizeof now) != 0;
	}
	release_parts(parts);
	return code;
}
