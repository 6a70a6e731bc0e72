/* SPDX-License-Identifier: BSD-2-Clause */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"
#include "image/pending.h"

enum { WORD_BITS = 64 };

/*
 * What a session (one opening for writing) keeps. The order of writes is the format's:
 *
 * - a new block's data and the raised block_count are durable before the entry that names it;
 * - a raised version number is durable before the block is first overwritten.
 *
 * So new blocks wait, as bits in `fresh`, for a flush to write their entries, and overwriting
 * begins with the version numbers. A crash leaves a leaked block, or a number raised for nothing.
 */
struct session {
	uint64_t *raised; /* bit per logical block: its version number went up this session */
	uint64_t *fresh;  /* bit per logical block: allocated, and not yet named on disk */
	uint8_t *block;   /* one block, to make new ones whole in */
	bool any_fresh;
	bool unsynced;    /* bytes were written over blocks that were there, by us or, before they
	                   * were killed, others: we see them, and a flush is to keep them */
	bool failed;      /* header or sync: what is on disk is no longer known for sure */
};

struct gow_image {
	struct gow_file *file;
	struct gow_lock lock;
	struct gow_map map;
	struct session *session; /* NULL: opened for reading */
	bool damaged;
};

/* ---- life -------------------------------------------------------------------------------- */

static void session_free(struct session *session)
{
	if (!session)
		return;
	free(session->raised);
	free(session->fresh);
	free(session->block);
	free(session);
}

static int session_begin(gow_image *image, gow_error *error)
{
	size_t words = image->map.layout->map_entries / WORD_BITS + 1;
	struct session *session = calloc(1, sizeof *session);

	image->session = session;
	if (session) {
		session->raised = calloc(words, sizeof *session->raised);
		session->fresh = calloc(words, sizeof *session->fresh);
		session->block = malloc(GOW_BLOCK_SIZE);
	}
	if (!session || !session->raised || !session->fresh || !session->block)
		return gow_fail_memory(error, words * 2 * sizeof(uint64_t));
	session->unsynced = true;
	return GOW_OK;
}

/* Has a pending image read as it was before the change that was interrupted, where its record
 * tells that. */
static int look_back(gow_image *image, const struct gow_layout *rows, size_t row_count,
                     gow_error *error)
{
	struct gow_file *view = NULL;
	struct gow_header header;
	int code = gow_header_read(image->file, rows, row_count, &header, error);

	if (code) /* judged by whoever reads it next */
		return code == GOW_ERR_NOT_GOW ? GOW_OK : code;
	if (header.pending)
		code = gow_pending_view(image->file, &header, &view, error);
	if (view) {
		image->file = view;
		image->damaged = true;
	}
	return code;
}

static int load(gow_image *image, const struct gow_layout *rows, size_t row_count,
                const struct gow_image_policy *policy, gow_error *error)
{
	struct gow_raw raw = { 0 };
	struct gow_verdict verdict;
	int code = policy->salvage ? look_back(image, rows, row_count, error) : GOW_OK;

	if (!code)
		code = policy->assume ? gow_raw_load_as(image->file, policy->assume, &raw, error)
		                      : gow_raw_load(image->file, rows, row_count, &raw, error);
	if (!code)
		code = gow_judge(&raw, &verdict, error);
	if (!code && policy->salvage) {
		image->damaged |= policy->assume || gow_verdict_first(&verdict, GOW_CORRUPT);
		code = gow_map_salvage(&raw, &verdict, policy->lost, policy->lost_context,
		                       &image->map, error);
	} else if (!code) {
		code = gow_map_make(&raw, &verdict, &image->map, error);
	}
	gow_raw_release(&raw);
	return code;
}

int gow_image_from_file(struct gow_file *file, const struct gow_layout *rows, size_t row_count,
                        const struct gow_image_policy *policy, gow_image **image,
                        gow_error *error)
{
	gow_image *made = calloc(1, sizeof *made);
	int code;

	if (!made) {
		(void)gow_file_close(file, NULL);
		return gow_fail_memory(error, sizeof *made);
	}
	made->file = file;
	code = load(made, rows, row_count, policy, error);
	if (!code && policy->write)
		code = session_begin(made, error);
	if (code) {
		gow_image_close(made);
		return code;
	}
	*image = made;
	return GOW_OK;
}

int gow_image_open_policy(const char *path, const gow_open_options *options,
                          const struct gow_image_policy *policy, gow_image **image,
                          gow_error *error)
{
	struct gow_file *file;
	struct gow_lock lock;
	int code = gow_open_locked(path, policy->write ? GOW_FILE_WRITE : 0, options, &file,
	                           &lock, error);

	if (!code)
		code = gow_image_from_file(file, gow_layouts, gow_layout_count, policy, image,
		                           error);
	if (!code)
		(*image)->lock = lock;
	return code;
}

int gow_image_open(const char *path, const gow_open_options *options, gow_image **image,
                   gow_error *error)
{
	const struct gow_image_policy policy = {
		.write = options && options->flags & GOW_OPEN_WRITE,
		.salvage = options && options->flags & GOW_OPEN_SALVAGE,
	};

	if (policy.write && policy.salvage)
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "a damaged image can be opened for reading only");
	return gow_image_open_policy(path, options, &policy, image, error);
}

void gow_image_close(gow_image *image)
{
	if (!image)
		return;
	gow_map_release(&image->map);
	session_free(image->session);
	/* Whatever is to be kept was flushed, and checked there. */
	(void)gow_file_close(image->file, NULL);
	free(image);
}

/* ---- what it is -------------------------------------------------------------------------- */

uint64_t gow_image_size(const gow_image *image)
{
	return image->map.logical_size;
}

unsigned gow_image_version(const gow_image *image)
{
	return image->map.layout->version;
}

const struct gow_map *gow_image_map(const gow_image *image)
{
	return &image->map;
}

struct gow_file *gow_image_file(const gow_image *image)
{
	return image->file;
}

struct gow_lock *gow_image_lock(gow_image *image)
{
	return &image->lock;
}

bool gow_image_is_damaged(const gow_image *image)
{
	return image->damaged;
}

/* ---- reading ----------------------------------------------------------------------------- */

static int check_guest_range(const gow_image *image, uint64_t offset, size_t size,
                             gow_error *error)
{
	if (offset <= image->map.logical_size && size <= image->map.logical_size - offset)
		return GOW_OK;
	return gow_fail_at_offset(error,
	                          gow_fail(error, GOW_ERR_ARGUMENT,
	                                   "%zu guest bytes reach past the end of the disk",
	                                   size),
	                          offset);
}

int gow_image_read(gow_image *image, uint64_t offset, void *buf, size_t size, gow_error *error)
{
	uint8_t *byte = buf;
	int code = check_guest_range(image, offset, size, error);

	while (!code && size) {
		uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		uint32_t most = (uint32_t)gow_divide_up((uint64_t)inside + size, GOW_BLOCK_SIZE);
		uint32_t physical;
		uint32_t run = gow_map_run(&image->map, logical, most, &physical);
		size_t part = (size_t)gow_min(size, (uint64_t)run * GOW_BLOCK_SIZE - inside);

		if (physical == GOW_UNALLOCATED)
			memset(byte, 0, part);
		else
			code = gow_file_read_padded(
				image->file,
				gow_layout_block_offset(image->map.layout, physical) + inside, byte,
				part, error);
		if (code)
			code = gow_fail_at_block(error, code, logical);
		byte += part;
		offset += part;
		size -= part;
	}
	return code;
}

/* So many blocks of a run are looked at in one go: whoever reads it piece by piece asks anew for
 * each, and a run may be as long as the disk. */
enum { RUN_MOST = 4096 };

int gow_image_next_data(gow_image *image, uint64_t offset, uint64_t *start, uint64_t *end,
                        gow_error *error)
{
	const struct gow_map *map = &image->map;

	while (offset < map->logical_size) {
		uint32_t logical = (uint32_t)(offset / GOW_BLOCK_SIZE);
		uint64_t inside = offset % GOW_BLOCK_SIZE;
		uint32_t physical;
		uint32_t most = (uint32_t)gow_min(map->logical_blocks - logical, RUN_MOST);
		uint32_t run = gow_map_run(map, logical, most, &physical);
		uint64_t run_end = ((uint64_t)logical + run) * GOW_BLOCK_SIZE;
		uint64_t in_file, data_start, data_end;
		int code;

		if (physical == GOW_UNALLOCATED) {
			offset = run_end;
			continue;
		}
		in_file = gow_layout_block_offset(map->layout, physical) + inside;
		code = gow_file_next_data(image->file, in_file, &data_start, &data_end, error);
		if (code)
			return code;
		data_end = gow_min(data_end, in_file + (run_end - offset));
		if (data_start < data_end) {
			*start = offset + (data_start - in_file);
			*end = gow_min(offset + (data_end - in_file), map->logical_size);
			if (*start < *end)
				return GOW_OK;
		}
		offset = run_end;
	}
	*start = *end = map->logical_size;
	return GOW_OK;
}

/* ---- writing ----------------------------------------------------------------------------- */

static bool get_bit(const uint64_t *bits, uint32_t index)
{
	return bits[index / WORD_BITS] >> (index % WORD_BITS) & 1;
}

static void set_bit(uint64_t *bits, uint32_t index)
{
	bits[index / WORD_BITS] |= UINT64_C(1) << (index % WORD_BITS);
}

/* Raises a block's number in memory, once per session; true if it is another one now. */
static bool raise_version(gow_image *image, uint32_t logical)
{
	uint32_t *version = image->map.versions ? &image->map.versions[logical] : NULL;

	if (!version || get_bit(image->session->raised, logical))
		return false;
	set_bit(image->session->raised, logical);
	if (*version == GOW_VERSION_MAX) /* version.exhausted: nothing can be done about it here */
		return false;
	(*version)++;
	return true;
}

/* Makes the raised numbers of the blocks in [first, end) that are about to be overwritten
 * durable. */
static int raise_overwritten(gow_image *image, uint32_t first, uint32_t end, gow_error *error)
{
	const struct gow_map *map = &image->map;
	bool any = false;
	int code = GOW_OK;

	for (uint32_t i = first; i < end && !code; i++) {
		if (map->entries[i] == GOW_UNALLOCATED || get_bit(image->session->fresh, i) ||
		    !raise_version(image, i))
			continue;
		any = true;
		code = gow_header_write_versions(image->file, map->layout, i, 1,
		                                 &map->versions[i], error);
	}
	if (!code && any)
		code = gow_file_sync(image->file, error);
	image->session->failed = code != GOW_OK;
	return code;
}

/* Gives a block that had none a physical block, written whole. */
static int allocate(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                    size_t size, gow_error *error)
{
	struct session *session = image->session;
	struct gow_map *map = &image->map;
	uint32_t physical = map->block_count;
	int code;

	/* The count must still fit its field, or the flush would fail with all that waits for it. */
	if (physical == GOW_UNALLOCATED ||
	    !gow_fits((uint64_t)physical + 1, map->layout->block_count.width))
		return gow_fail_at_block(error,
		                         gow_fail(error, GOW_ERR_NO_SPACE,
		                                  "every physical block number is handed out"),
		                         logical);
	memset(session->block, 0, GOW_BLOCK_SIZE);
	memcpy(session->block + inside, bytes, size);
	code = gow_file_write(image->file, gow_layout_block_offset(map->layout, physical),
	                      session->block, GOW_BLOCK_SIZE, error);
	if (code)
		return gow_fail_at_block(error, code, logical);
	map->block_count++;
	map->entries[logical] = physical;
	(void)raise_version(image, logical);
	set_bit(session->fresh, logical);
	session->any_fresh = true;
	return GOW_OK;
}

static int write_block(gow_image *image, uint32_t logical, uint32_t inside, const uint8_t *bytes,
                       size_t size, gow_error *error)
{
	uint32_t physical = image->map.entries[logical];
	int code;

	if (physical == GOW_UNALLOCATED)
		return gow_is_zero(bytes, size)
		               ? GOW_OK
		               : allocate(image, logical, inside, bytes, size, error);
	code = gow_file_write(image->file,
	                      gow_layout_block_offset(image->map.layout, physical) + inside, bytes,
	                      size, error);
	image->session->unsynced = true;
	return code ? gow_fail_at_block(error, code, logical) : GOW_OK;
}

static int check_session(const gow_image *image, gow_error *error)
{
	if (!image->session)
		return gow_fail(error, GOW_ERR_ARGUMENT, "the image is open for reading only");
	if (image->session->failed)
		return gow_fail(error, GOW_ERR_IO, "an earlier write failed; open the image anew");
	return GOW_OK;
}

static int write_blocks(gow_image *image, uint64_t offset, const uint8_t *bytes, size_t size,
                        gow_error *error)
{
	uint32_t first = (uint32_t)(offset / GOW_BLOCK_SIZE);
	uint32_t end = (uint32_t)gow_divide_up(offset + size, GOW_BLOCK_SIZE);
	int code = image->map.versions ? raise_overwritten(image, first, end, error) : GOW_OK;

	while (!code && size) {
		uint32_t inside = (uint32_t)(offset % GOW_BLOCK_SIZE);
		size_t part = (size_t)gow_min(size, GOW_BLOCK_SIZE - inside);

		code = write_block(image, (uint32_t)(offset / GOW_BLOCK_SIZE), inside, bytes, part,
		                   error);
		bytes += part;
		offset += part;
		size -= part;
	}
	return code;
}

int gow_image_write(gow_image *image, uint64_t offset, const void *buf, size_t size,
                    gow_error *error)
{
	int code = check_session(image, error);

	if (!code)
		code = check_guest_range(image, offset, size, error);
	if (!code)
		code = gow_lock_poll(&image->lock, error);
	return code || !size ? code : write_blocks(image, offset, buf, size, error);
}

typedef int (*run_writer)(gow_image *image, uint32_t first, uint32_t count, gow_error *error);

static int write_run_versions(gow_image *image, uint32_t first, uint32_t count, gow_error *error)
{
	return gow_header_write_versions(image->file, image->map.layout, first, count,
	                                 image->map.versions + first, error);
}

static int write_run_entries(gow_image *image, uint32_t first, uint32_t count, gow_error *error)
{
	return gow_header_write_entries(image->file, image->map.layout, first, count,
	                                image->map.entries + first, error);
}

/* Calls write for every run of fresh blocks. */
static int each_fresh_run(gow_image *image, run_writer write, gow_error *error)
{
	const uint32_t end = image->map.logical_blocks;
	const uint64_t *fresh = image->session->fresh;
	int code = GOW_OK;

	for (uint32_t i = 0; i < end && !code; i++) {
		uint32_t first = i;

		if (!fresh[i / WORD_BITS]) { /* none in the whole word */
			i |= WORD_BITS - 1;
			continue;
		}
		while (i < end && get_bit(fresh, i))
			i++;
		if (i > first)
			code = write(image, first, i - first, error);
	}
	return code;
}

/*
 * The version numbers go with the data, ahead of the entries: an entry that a crash let through
 * without its number would be a change that no consumer sees.
 */
static int flush_fresh(gow_image *image, gow_error *error)
{
	struct session *session = image->session;
	const struct gow_map *map = &image->map;
	const struct gow_header count = { .layout = map->layout,
		                          .block_count = map->block_count };
	int code = gow_header_write_block_count(image->file, &count, error);

	if (!code && map->versions)
		code = each_fresh_run(image, write_run_versions, error);
	if (!code)
		code = gow_file_sync(image->file, error);
	if (!code)
		code = each_fresh_run(image, write_run_entries, error);
	if (!code)
		code = gow_file_sync(image->file, error);
	if (!code) {
		memset(session->fresh, 0,
		       (map->layout->map_entries / WORD_BITS + 1) * sizeof *session->fresh);
		session->any_fresh = session->unsynced = false;
	}
	return code;
}

int gow_image_flush(gow_image *image, gow_error *error)
{
	int code = check_session(image, error);

	if (code)
		return code;
	if (image->session->any_fresh)
		code = flush_fresh(image, error);
	else if (image->session->unsynced)
		code = gow_file_sync(image->file, error);
	image->session->unsynced = image->session->unsynced && code;
	image->session->failed = code != GOW_OK;
	return code;
}
