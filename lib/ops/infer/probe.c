/* SPDX-License-Identifier: BSD-2-Clause */
/* probe.c - the public face of inference. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/growing.h"
#include "image/layout_text.h"
#include "io/lock.h"
#include "ops/infer/infer.h"

struct gow_probe {
	struct gow_file *file;
	struct gow_layouts *layouts; /* those that are known */
	struct gow_lock lock;
	struct gow_infer infer;
	uint64_t file_size;
	uint8_t header[GOW_PREAMBLE_MAX];
	size_t header_size;
};

const char *gow_probe_verdict_name(gow_probe_verdict verdict)
{
	static const char *const names[] = { "none", "ambiguous", "likely", "proven", "known" };

	return (size_t)verdict < sizeof names / sizeof *names ? names[verdict] : "unknown";
}

static int look(const char *path, const gow_open_options *options, gow_probe *probe,
                gow_error *error)
{
	int code = gow_layouts_load(NULL, options->common.monitor, &probe->layouts, error);

	if (!code)
		code = gow_open_locked(path, 0, options, &probe->file, &probe->lock, error);

	if (!code)
		code = gow_file_size(probe->file, &probe->file_size, error);
	if (!code)
		code = gow_file_read(probe->file, 0, probe->header, sizeof probe->header,
		                     &probe->header_size, error);
	if (!code)
		code = gow_infer_layout(probe->file, probe->layouts, &probe->infer, error);
	if (!code)
		gow_lock_compare(&probe->lock);
	return code;
}

int gow_probe_open(const char *path, const gow_open_options *options, gow_probe **probe,
                   gow_error *error)
{
	gow_open_options use = { .struct_size = sizeof use };
	int code = gow_take_options(options, &use, sizeof use, GOW_OPEN_STEADY, error);
	gow_probe *made = code ? NULL : calloc(1, sizeof *made);

	if (code)
		return code;
	if (!made)
		return gow_fail_memory(error, sizeof *made);
	code = look(path, &use, made, error);
	if (code) {
		gow_probe_close(made);
		return code;
	}
	*probe = made;
	return GOW_OK;
}

void gow_probe_close(gow_probe *probe)
{
	if (!probe)
		return;
	(void)gow_file_close(probe->file, NULL);
	gow_layouts_free(probe->layouts);
	free(probe);
}

gow_probe_verdict gow_probe_get_verdict(const gow_probe *probe)
{
	return probe->infer.verdict;
}

bool gow_probe_is_in_use(const gow_probe *probe)
{
	return probe->lock.in_use;
}

size_t gow_probe_count(const gow_probe *probe)
{
	return probe->infer.count;
}

size_t gow_probe_get_evidence(const gow_probe *probe, const gow_probe_evidence **evidence)
{
	*evidence = probe->infer.evidence;
	return probe->infer.evidence_count;
}

size_t gow_probe_get_words(const gow_probe *probe, const gow_probe_words **words)
{
	*words = probe->infer.words;
	return probe->infer.words_count;
}

size_t gow_probe_header(const gow_probe *probe, const uint8_t **bytes, uint64_t *file_size)
{
	*bytes = probe->header;
	*file_size = probe->file_size;
	return probe->header_size;
}

static uint64_t size_of_disk(const gow_probe *probe, const struct gow_layout *row)
{
	uint64_t value;

	if (!row->logical_size.width)
		return row->fixed_size ? row->fixed_size : row->logical_limit;
	if ((size_t)row->logical_size.offset + row->logical_size.width > probe->header_size)
		return 0;
	value = gow_load(probe->header + row->logical_size.offset, row->logical_size.width,
	                 row->order);
	return value * gow_layout_size_unit(row);
}

int gow_probe_get(const gow_probe *probe, size_t index, gow_probe_layout *layout, gow_error *error)
{
	const struct gow_candidate *candidate = &probe->infer.candidates[index];
	const struct gow_layout *row = &candidate->row;
	bool numbers = gow_layout_has_versions(row);
	gow_probe_layout found = {
		.struct_size = sizeof found,
		.big_endian = row->order == GOW_BIG_ENDIAN,
		.first_block = row->first_block,
		.map_stride = row->map_stride,
		.map_offset = row->map_offset,
		.map_entries = row->map_entries,
		.unallocated = row->unallocated,
		.versions_offset = numbers ? row->versions_offset : GOW_NOWHERE,
		.versions_stride = numbers ? row->versions_stride : GOW_NOWHERE,
		.data_start = gow_layout_data_start(row),
		.allocated_blocks = candidate->allocated,
		.wrong_entries = candidate->wrong,
		.leaked_blocks = candidate->leaked,
		.range_entries = candidate->out_of_range,
	};

	if (index >= probe->infer.count)
		return gow_fail(error, GOW_ERR_ARGUMENT, "there is no layout %zu", index);
	for (size_t i = 0; i < GOW_PROBE_PARTS; i++)
		found.spread[i] = candidate->spread[i];
	found.logical_size = size_of_disk(probe, row);
	(void)gow_layout_print(row, found.text);
	memcpy(found.name, row->name, sizeof found.name);
	gow_give_result(layout, &found, sizeof found);
	return GOW_OK;
}
