/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a guest's disk, and as an image of which nothing is known: what the disk holds is
 * looked for, and the layout is inferred. It must come to an end, and what it tells must be inside
 * of what it has room for. A layout that it is sure of has a map inside of the file.
 */
#include "kit/fuzz.h"

#include <string.h>

#include "kit/packing.h"
#include "ops/infer/infer.h"
#include "support/check.h"
#include "support/memfile.h"

enum { FILE_MAX = 2 << 20 };

static gow_error error;

static void put(void *context, uint64_t offset, const uint8_t *bytes, uint64_t size, uint8_t fill)
{
	static uint8_t run[65536];

	if (bytes) {
		memfile_put(context, offset, bytes, (size_t)size);
		return;
	}
	memset(run, fill, sizeof run);
	for (uint64_t at = 0; at < size; at += sizeof run)
		memfile_put(context, offset + at, run,
		            (size_t)(size - at < sizeof run ? size - at : sizeof run));
}

static void resize(void *context, uint64_t size)
{
	memfile_resize(context, size);
}

static bool read_disk(void *context, uint64_t offset, void *buf, size_t size)
{
	return gow_file_read_padded(context, offset, buf, size, NULL) == GOW_OK;
}

static void look_for_contents(struct gow_file *file, uint64_t size)
{
	const struct gow_guest_disk disk = { file, read_disk, size };
	static struct gow_guest guest;

	gow_guest_probe(&disk, &guest);
	if (fuzz_lies())
		guest.part_count = GOW_GUEST_PARTS + 1;
	CHECK(guest.part_count <= GOW_GUEST_PARTS);
	for (unsigned i = 0; i < guest.part_count; i++)
		CHECK(!guest.table || guest.parts[i].number == i + 1);
}

static void infer(struct gow_file *file, uint64_t size)
{
	static struct gow_infer result;
	const struct gow_layout *row = &result.candidates[0].row;

	CHECK_OK(gow_infer_layout(file, NULL, &result, &error), &error);
	CHECK(result.count <= GOW_CANDIDATES && result.evidence_count <= GOW_EVIDENCE);
	CHECK(result.verdict == GOW_PROBE_NONE || result.count);
	for (size_t i = 0; i < result.count; i++)
		CHECK(gow_layout_is_usable(&result.candidates[i].row));
	if (result.verdict == GOW_PROBE_PROVEN)
		CHECK(row->map_offset + (uint64_t)row->map_entries * 4 <= size);
}

void fuzz_one(struct input *input)
{
	struct memdisk *disk = memdisk_new();
	struct memfile *in = memdisk_file(disk, "in");
	struct gow_file *file = memfile_open(in);
	const bool all = take_chance(input, 16);
	const struct unpacker to = {
		.put = put,
		.resize = resize,
		.context = in,
		.limit = FILE_MAX,
	};
	uint64_t size = unpack(&to, input->at, input->left);

	look_for_contents(file, size);
	if (all)
		infer(file, size);
	CHECK_OK(gow_file_close(file, NULL), NULL);
	memdisk_free(disk);
}
