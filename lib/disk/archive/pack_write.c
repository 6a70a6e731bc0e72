/* SPDX-License-Identifier: BSD-2-Clause */
/* pack_write.c - files into a new tar file. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/monitor.h"
#include "disk/archive/pack.h"
#include "disk/archive/tar.h"

struct gow_pack {
	const gow_monitor *monitor;
	struct gow_tar *tar;
};

static const uint8_t zeros[GOW_BLOCK_SIZE];

int gow_pack_begin(const struct gow_pack_options *options, struct gow_pack **pack, gow_error *error)
{
	const struct gow_tar_options tar = {
		.file = options->file,
		.compression = options->compression,
		.level = options->level,
		.mtime = options->mtime,
		.monitor = options->monitor,
	};
	struct gow_pack *made = calloc(1, sizeof *made);
	int code;

	if (!made)
		return gow_fail_memory(error, sizeof *made);
	made->monitor = options->monitor;
	code = gow_tar_begin(&tar, &made->tar, error);
	if (code) {
		gow_pack_free(made);
		return code;
	}
	*pack = made;
	return GOW_OK;
}

int gow_pack_text(struct gow_pack *pack, const char *name, const char *text, size_t size,
                  gow_error *error)
{
	int code = gow_tar_begin_member(pack->tar, name, size, NULL, error);

	if (!code)
		code = gow_tar_write(pack->tar, text, size, error);
	return code ? code : gow_tar_end_member(pack->tar, error);
}

/* The runs that are left of an array. */
struct rest {
	const struct gow_tar_run *runs;
	size_t count;
};

static bool next_run(void *context, struct gow_tar_run *run)
{
	struct rest *rest = context;

	if (!rest->count)
		return false;
	*run = *rest->runs++;
	rest->count--;
	return true;
}

/* Holes have to be handed over as well. libarchive drops them. */
static int write_hole(struct gow_pack *pack, uint64_t size, gow_error *error)
{
	int code = GOW_OK;

	for (uint64_t done = 0; done < size && !code; done += sizeof zeros) {
		code = gow_tar_write(pack->tar, zeros, (size_t)gow_min(size - done, sizeof zeros),
		                     error);
		if (!code && done % (1024 * sizeof zeros) == 0)
			code = gow_tick(pack->monitor, "pack", 0, 0, error);
	}
	return code;
}

int gow_pack_file(struct gow_pack *pack, const char *name, struct gow_file *file, uint64_t size,
                  const struct gow_tar_run *runs, size_t count, gow_error *error)
{
	struct rest rest = { runs, count };
	const struct gow_tar_runs all = { .next = next_run, .context = &rest };
	uint64_t at = 0;
	int code = gow_tar_begin_member(pack->tar, name, size, &all, error);

	for (size_t i = 0; i < count && !code; i++) {
		code = write_hole(pack, runs[i].start - at, error);
		if (!code)
			code = gow_tar_copy(pack->tar, file, runs[i], error);
		at = runs[i].end;
	}
	if (!code)
		code = write_hole(pack, size - at, error);
	return code ? code : gow_tar_end_member(pack->tar, error);
}

int gow_pack_end(struct gow_pack *pack, uint64_t *written, gow_error *error)
{
	int code = gow_tar_end(pack->tar, error);

	*written = gow_tar_size(pack->tar);
	return code;
}

void gow_pack_free(struct gow_pack *pack)
{
	if (pack)
		gow_tar_free(pack->tar);
	free(pack);
}
