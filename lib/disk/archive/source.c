/* SPDX-License-Identifier: BSD-2-Clause */
/* source.c - the guest's disk in an archive as a source: an image or a raw disk. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "disk/archive/archive.h"
#include "disk/archive/image.h"
#include "disk/archive/search.h"
#include "disk/names.h"
#include "disk/probe.h"

struct archive_source {
	struct gow_source base;
	struct gow_lock lock; /* of the archive */
	const gow_monitor *monitor;
	struct gow_entries entries;
	struct gow_member member;
	struct gow_search search;
	struct gow_layouts *layouts; /* that an image may have; owned once it is open */
	struct gow_packed_image image;
	uint32_t *fitted;     /* its version numbers, as many as base.versions is to have */
	struct gow_last last; /* of a raw disk: how it ends, as far as it was read */
};

static struct archive_source *archive_of(struct gow_source *source)
{
	return (struct archive_source *)source;
}

/* ---- a raw disk inside ------------------------------------------------------------------- */

static int raw_next_data(struct gow_source *base, uint64_t offset, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	struct archive_source *source = archive_of(base);
	uint64_t from, to;
	int code = gow_member_next_data(&source->member, &from, &to, error);

	*start = *end = offset;
	if (code || from == to)
		return code;
	*start = gow_max(offset, from);
	/* How far data extends after that is not known: as far as a read may want it. */
	*end = gow_max(to, gow_min(base->size, *start + GOW_MEMBER_BYTES));
	return GOW_OK;
}

static int raw_read(struct gow_source *base, uint64_t offset, void *buf, size_t size, size_t *got,
                    gow_error *error)
{
	struct archive_source *source = archive_of(base);
	uint64_t read;
	int code = gow_member_pass_to(&source->member, offset, NULL, error);

	if (!code)
		code = gow_member_read(&source->member, buf, size, &read, error);
	if (code)
		return code;
	*got = (size_t)read;
	gow_last_note(&source->last, buf, *got);
	return read < size && base->size != GOW_NOWHERE
	               ? gow_member_too_short(&source->member, error)
	               : GOW_OK;
}

/* The largest disk of any version, in bytes. */
static uint64_t disk_limit(void)
{
	uint64_t limit = 0;

	for (size_t i = 0; i < gow_layout_count; i++)
		limit = gow_max(limit, gow_layouts[i].logical_limit);
	return limit;
}

static int begin_raw(struct archive_source *source, gow_error *error)
{
	struct gow_member *member = &source->member;
	int code;

	gow_member_take_back(member);
	source->base.member_format = GOW_FORMAT_RAW;
	source->base.size = member->size;
	member->limit = disk_limit();
	if (member->size == GOW_NOWHERE || member->size <= member->limit)
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_LIMIT,
	                "says that it has %" PRIu64 " bytes, more than any image holds (%" PRIu64
	                ")",
	                member->size, member->limit);
	return gow_unpack_name(&source->entries.unpack, code, error);
}

/* Its size may be known only now, and so may what it ends with. */
static int end_raw(struct archive_source *source, gow_error *error)
{
	int code = source->search.ours
	                   ? GOW_OK
	                   : gow_probe_end(&source->last, source->member.position, error);

	return code ? gow_unpack_name(&source->entries.unpack, code, error) : GOW_OK;
}

/* ---- an image inside --------------------------------------------------------------------- */

static int image_next_data(struct gow_source *base, uint64_t offset, uint64_t *start, uint64_t *end,
                           gow_error *error)
{
	(void)error;
	gow_packed_image_next_data(&archive_of(base)->image, offset, start, end);
	return GOW_OK;
}

static int image_read(struct gow_source *base, uint64_t offset, void *buf, size_t size, size_t *got,
                      gow_error *error)
{
	*got = size;
	return gow_packed_image_read(&archive_of(base)->image, offset, buf, size, error);
}

static int image_pull(struct gow_source *base, uint64_t *offset, void *buf, size_t size,
                      size_t *got, gow_error *error)
{
	return gow_packed_image_pull(&archive_of(base)->image, offset, buf, size, got, error);
}

static int describe_image(struct archive_source *source, gow_error *error)
{
	const struct gow_map *map = &source->image.map;

	source->base.member_format = gow_format_of_layout(map->layout);
	source->base.size = map->logical_size;
	source->base.versions = map->versions;
	source->base.entries = map->entries;
	return gow_source_fit_versions(&source->base, map, &source->fitted, error);
}

/* ---- both -------------------------------------------------------------------------------- */

static int archive_finish(struct gow_source *base, uint64_t size, const gow_digest *digest,
                          gow_error *error)
{
	struct archive_source *source = archive_of(base);
	int code = gow_member_end(&source->member, source->monitor, error);

	if (!code)
		code = base->member_format == GOW_FORMAT_RAW
		               ? end_raw(source, error)
		               : gow_packed_image_end(&source->image, error);
	if (!code)
		code = gow_search_finish(&source->search, size, digest, error);
	return code ? code : gow_unpack_finish(&source->entries.unpack, source->entries.end, error);
}

static int archive_poll(struct gow_source *source, gow_error *error)
{
	return gow_lock_poll(&archive_of(source)->lock, error);
}

static void archive_close(struct gow_source *base)
{
	struct archive_source *source = archive_of(base);

	gow_packed_image_release(&source->image);
	gow_search_release(&source->search);
	gow_entries_release(&source->entries);
	gow_layouts_free(source->layouts);
	free(source->fitted);
	free(source);
}

static const struct gow_source_ops raw_ops = {
	.next_data = raw_next_data,
	.read = raw_read,
	.finish = archive_finish,
	.poll = archive_poll,
	.close = archive_close,
};

static const struct gow_source_ops image_ops = {
	.next_data = image_next_data,
	.read = image_read,
	.finish = archive_finish,
	.poll = archive_poll,
	.close = archive_close,
};

static const struct gow_source_ops shuffled_ops = {
	.next_data = image_next_data,
	.pull = image_pull,
	.finish = archive_finish,
	.poll = archive_poll,
	.close = archive_close,
};

/* ---- opening ----------------------------------------------------------------------------- */

/* Inference looks here and there in an image; what is packed comes from the start to the end. */
static int refuse_to_infer(struct archive_source *source, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_NOT_GOW,
	                    "its layout is not known, and cannot be inferred inside of an archive: "
	                    "unpack it and name the image, or give a layout file (gow-probe makes "
	                    "one of the unpacked image)");

	return gow_unpack_name(&source->entries.unpack, code, error);
}

/* An image shows itself by its magic and its version, or the caller says that it is one. */
static int begin_disk(struct archive_source *source, const struct gow_source_options *options,
                      gow_error *error)
{
	bool is_image = false;
	int code = gow_packed_image_open(&source->image, &source->member, source->search.layouts,
	                                 &is_image, error);

	if (code)
		return code;
	if (!is_image)
		return options->common.layout ? refuse_to_infer(source, error)
		                              : begin_raw(source, error);
	source->base.ops = source->image.in_order ? &image_ops : &shuffled_ops;
	return describe_image(source, error);
}

static int open_archive(struct archive_source *source, const struct gow_archive_input *input,
                        const struct gow_source_options *options, gow_error *error)
{
	struct gow_search *search = &source->search;
	int code = gow_entries_open(&source->entries, input, options->format == GOW_FORMAT_TAR,
	                            options->common.monitor, error);

	if (code)
		return code;
	gow_member_reset(&source->member, &source->entries, &source->base.stop);
	search->entries = &source->entries;
	search->member = &source->member;
	search->occurrence = options->occurrence;
	search->ours = options->ours;
	search->archive_name = strdup(source->entries.unpack.name);
	search->wanted = options->member_name ? strdup(options->member_name) : NULL;
	if (!search->archive_name || (options->member_name && !search->wanted))
		return gow_fail_memory(error, sizeof *source);
	code = source->entries.unpack.container ? gow_search_find(search, error)
	                                        : gow_search_confirm_alone(search, error);
	return code ? code : begin_disk(source, options, error);
}

int gow_source_archive(const struct gow_archive_input *input,
                       const struct gow_source_options *options, struct gow_layouts **layouts,
                       struct gow_source **source, gow_error *error)
{
	struct archive_source *made = calloc(1, sizeof *made);
	int code;

	if (!made) {
		(void)gow_file_close(input->file, NULL);
		if (input->owned_fd > 0)
			(void)close(input->owned_fd);
		return gow_fail_memory(error, sizeof *made);
	}
	made->base.ops = &raw_ops; /* until it is known what it is */
	made->base.format = GOW_FORMAT_TAR;
	made->base.once = true;
	made->base.waits = !input->file; /* for the other end of the pipe */
	made->base.file = input->file;
	made->lock = input->lock;
	made->base.lock = input->file ? &made->lock : NULL;
	made->monitor = options->common.monitor;
	made->search.layouts = *layouts;
	code = open_archive(made, input, options, error);
	if (!code && input->bare)
		made->base.format = made->base.member_format;
	if (code) {
		archive_close(&made->base);
		return code;
	}
	made->layouts = *layouts;
	*layouts = NULL;
	*source = &made->base;
	return GOW_OK;
}
