/* SPDX-License-Identifier: BSD-2-Clause */
/* archive_read.c - the guest's disk in an archive, streamed: which member it is, what is in it,
 * and whether it is what it has to be. */
#include <archive_entry.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/monitor.h"
#include "ops/manifest.h"
#include "ops/unpack.h"

enum {
	READ_BYTES = 1 << 18,
	MANIFESTS_MAX = 64 /* manifests that may stand before the disk */
};

/* The largest disk of any version, in bytes. */
static uint64_t disk_limit(void)
{
	uint64_t limit = 0;

	for (size_t i = 0; i < gow_layout_count; i++)
		limit = gow_max(limit, gow_layouts[i].logical_limit);
	return limit;
}

/* A manifest that stands in the archive, read and found whole. */
struct found_manifest {
	char *name;
	uint64_t size; /* of the disk */
	gow_digest digest;
};

/* Bytes of the member, as they come. */
struct piece {
	const uint8_t *bytes;
	size_t size;
	uint64_t offset; /* in the member */
};

struct archive_source {
	struct gow_source base;
	const gow_monitor *monitor;
	struct gow_lock lock;    /* of the archive */
	struct gow_unpack unpack;
	locale_t locale;         /* in which names are UTF-8 */
	uint64_t entry_end;      /* of the entry that was read last, in the container */

	/* The member that is the disk. */
	char *wanted;              /* its name; NULL: the only one */
	char *name;
	bool found;                /* it has been met */
	uint64_t member_size;      /* GOW_NOWHERE: not told */
	uint64_t member_limit;
	bool sparse;
	uint64_t claimed;          /* bytes of data that a sparse member's map tells of */
	uint64_t given;            /* bytes of data that came */
	uint64_t position;         /* in the member */
	struct piece piece;        /* what is left of the piece that came last */
	struct piece behind;       /* the piece after that, where it was taken back */
	bool ended;                /* nothing comes behind these */
	uint8_t first[GOW_PREAMBLE_MAX]; /* how the member begins */
	struct found_manifest manifests[MANIFESTS_MAX];
	size_t manifest_count;

	/* An image inside. */
	struct gow_map map;
	struct gow_file *header;   /* kept while the member's size is not known; else NULL */
	uint32_t *owners;          /* by physical block: the logical one, or GOW_UNALLOCATED */
	uint32_t present;          /* how many of these */
	uint32_t physical;         /* the next of them to come */
};

static struct archive_source *archive_of(struct gow_source *source)
{
	return (struct archive_source *)source;
}

/* ---- errors ------------------------------------------------------------------------------ */

/* Names are what others wrote: no control characters in messages. */
static char *printable(const char *name)
{
	char *copy = strdup(name);

	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return copy;
}

/* ---- entries ----------------------------------------------------------------------------- */

/* A warning about a name in another character set is none of ours; any other is about something
 * that was left out. */
static bool is_harmless(struct archive *archive)
{
	const char *why = archive_error_string(archive);

	return why && strstr(why, "can't be converted");
}

/* The next entry; NULL at the end. */
static int next_entry(struct archive_source *source, struct archive_entry **entry,
                      gow_error *error)
{
	locale_t before = uselocale(source->locale);
	int result = archive_read_next_header(source->unpack.container, entry);
	int code = GOW_OK;

	if (result == ARCHIVE_EOF)
		*entry = NULL;
	else if (result != ARCHIVE_OK &&
	         !(result == ARCHIVE_WARN && is_harmless(source->unpack.container)))
		code = gow_unpack_failed(&source->unpack, source->unpack.container, error);
	(void)uselocale(before);
	return code;
}

static char *name_of(const struct archive_source *source, struct archive_entry *entry)
{
	locale_t before = uselocale(source->locale);
	const char *name = archive_entry_pathname(entry);
	char *copy = strdup(name ? name : "");

	(void)uselocale(before);
	return copy;
}

/* Reads past what is left of an entry. */
static int pass_entry(struct archive_source *source, gow_error *error)
{
	struct archive *archive = source->unpack.container;
	uint64_t count = 0;
	int result;

	for (;;) {
		const void *block;
		la_int64_t offset;
		size_t size;

		/* Where the file can be sought in, that is quicker. */
		if (gow_unpack_can_seek(&source->unpack)) {
			result = archive_read_data_skip(archive);
			break;
		}
		result = archive_read_data_block(archive, &block, &size, &offset);
		if (result != ARCHIVE_OK)
			break;
		if (count++ % 64 == 0) {
			int code = gow_tick(source->monitor, "skip", source->unpack.input.position,
			                    source->unpack.file_size, error);
			if (code)
				return code;
		}
	}
	if (result != ARCHIVE_OK && result != ARCHIVE_EOF)
		return gow_unpack_failed(&source->unpack, archive, error);
	source->entry_end = (uint64_t)archive_filter_bytes(archive, 0);
	return GOW_OK;
}

/* A leading "./" is how some tools write every name. */
static const char *bare(const char *name)
{
	return strncmp(name, "./", 2) == 0 ? name + 2 : name;
}

/* ---- manifests --------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *tail)
{
	size_t length = strlen(name), tail_length = strlen(tail);

	return length > tail_length && strcmp(name + length - tail_length, tail) == 0;
}

/* Whether a manifest's name belongs to the disk's: NAME.manifest to NAME.gow, or to NAME. */
static bool is_manifest_of(const char *manifest, const char *name)
{
	size_t stem = strlen(manifest) - strlen(".manifest");
	const char *dot = strrchr(name, '.');

	if (dot && strchr(dot, '/'))
		dot = NULL;
	return strncmp(manifest, name, stem) == 0 && (!name[stem] || name + stem == dot);
}

static int fill_from_entry(void *context, void *buf, size_t size, size_t *got, gow_error *error)
{
	struct archive_source *source = context;

	*got = 0;
	while (*got < size) {
		la_ssize_t part = archive_read_data(source->unpack.container, (uint8_t *)buf + *got,
		                                    size - *got);

		if (part < 0)
			return gow_unpack_failed(&source->unpack, source->unpack.container, error);
		if (part == 0)
			break;
		*got += (size_t)part;
	}
	return GOW_OK;
}

static int read_manifest(struct archive_source *source, const char *name,
                         struct found_manifest *found, gow_error *error)
{
	struct gow_manifest *manifest = NULL;
	char *shown = printable(name);
	int code;

	if (!shown)
		return gow_fail_memory(error, strlen(name));
	code = gow_manifest_open(shown, fill_from_entry, source, &manifest, error);
	if (!code)
		code = gow_manifest_read_all(manifest, &found->digest, error);
	if (!code)
		found->size = gow_manifest_size(manifest);
	gow_manifest_close(manifest);
	free(shown);
	return code;
}

/* One that stands before the disk: kept, since whose it is shows itself later. */
static int keep_manifest(struct archive_source *source, const char *name, gow_error *error)
{
	struct found_manifest *found = &source->manifests[source->manifest_count];
	int code;

	if (source->wanted && !is_manifest_of(bare(name), bare(source->wanted)))
		return GOW_OK;
	if (source->manifest_count == MANIFESTS_MAX)
		return gow_unpack_damaged(&source->unpack, "too many manifests stand before the disk; say --member-name",
		               error);
	code = read_manifest(source, name, found, error);
	if (code)
		return code;
	found->name = strdup(name);
	if (!found->name)
		return gow_fail_memory(error, strlen(name));
	source->manifest_count++;
	return GOW_OK;
}

static int compare(const struct archive_source *source, const struct found_manifest *found,
                   uint64_t size, const gow_digest *digest, gow_error *error)
{
	/* Manifests are of guests' disks, which a raw one is when it is rounded up. */
	uint64_t rounded = gow_round_up(size, 512);

	if (found->size != rounded)
		return gow_unpack_name(&source->unpack,
		                  gow_fail(error, GOW_ERR_MISMATCH,
		                           "has %" PRIu64 " bytes, and its manifest is of %" PRIu64,
		                           rounded, found->size),
		                  error);
	if (strcmp(found->digest.text, digest->text) != 0)
		return gow_unpack_name(&source->unpack,
		                  gow_fail(error, GOW_ERR_MISMATCH,
		                           "is not what its manifest says (digest %s, should be %s)",
		                           digest->text, found->digest.text),
		                  error);
	return GOW_OK;
}

/* ---- finding the disk -------------------------------------------------------------------- */

static bool is_file(struct archive_entry *entry)
{
	return archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
}

/* Whether an entry is the disk that is wanted. */
static int judge_entry(struct archive_source *source, struct archive_entry *entry,
                       const char *name, bool *is_disk, gow_error *error)
{
	*is_disk = source->wanted ? strcmp(bare(name), bare(source->wanted)) == 0
	                          : is_file(entry) && !ends_in(name, ".manifest");
	if (!*is_disk)
		return GOW_OK;
	if (!is_file(entry))
		return gow_unpack_damaged(&source->unpack, "the member of that name is no file", error);
	if (source->found)
		return gow_unpack_damaged(&source->unpack,
		               source->wanted ? "there are two members of that name"
		                              : "there is more than one disk in it; say which with "
		                                "--member-name",
		               error);
	return GOW_OK;
}

/* What the map of a sparse member says. libarchive lets data be missing, and runs overlap; those
 * that it drops here it reads all the same, so that the sums differ then as well. */
static void note_map(struct archive_source *source, struct archive_entry *entry)
{
	la_int64_t offset, length;

	source->sparse = archive_entry_sparse_reset(entry) > 0;
	while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK)
		source->claimed += (uint64_t)length;
}

/* Takes the entry for the disk. */
static int take_member(struct archive_source *source, struct archive_entry *entry, char *name,
                       gow_error *error)
{
	char *shown = printable(name), *display = NULL;

	source->found = true;
	source->name = name;
	if (!shown || asprintf(&display, "%s(%s)", source->unpack.name, shown) < 0) {
		free(shown);
		return gow_fail_memory(error, strlen(name));
	}
	free(shown);
	free(source->unpack.name);
	source->unpack.name = display;
	note_map(source, entry);
	if (archive_entry_size_is_set(entry)) {
		if (archive_entry_size(entry) < 0)
			return gow_unpack_damaged(&source->unpack, "its size is negative", error);
		source->member_size = (uint64_t)archive_entry_size(entry);
	}
	return GOW_OK;
}

/* One entry before the disk, or the disk. */
static int look_at(struct archive_source *source, struct archive_entry *entry, gow_error *error)
{
	char *name = name_of(source, entry);
	bool is_disk;
	int code;

	if (!name)
		return gow_fail_memory(error, sizeof *source);
	code = judge_entry(source, entry, name, &is_disk, error);
	if (!code && is_disk)
		return take_member(source, entry, name, error);
	if (!code && is_file(entry) && ends_in(name, ".manifest"))
		code = keep_manifest(source, name, error);
	free(name);
	return code ? code : pass_entry(source, error);
}

static int find_disk(struct archive_source *source, gow_error *error)
{
	while (!source->found) {
		struct archive_entry *entry;
		int code = next_entry(source, &entry, error);

		if (!code && !entry)
			code = gow_unpack_name(&source->unpack,
			                  source->wanted
			                          ? gow_fail(error, GOW_ERR_DAMAGED,
			                                     "there is no member of that name")
			                          : gow_fail(error, GOW_ERR_DAMAGED,
			                                     "there is no disk in it"),
			                  error);
		if (!code)
			code = look_at(source, entry, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

/* ---- the member's bytes ------------------------------------------------------------------ */

/* The next piece out of the container; size 0 at the end. */
static int take_piece(struct archive_source *source, struct piece *piece, gow_error *error)
{
	const void *bytes = NULL;
	la_int64_t offset = 0;
	size_t size = 0;
	int result;

	do
		result = archive_read_data_block(source->unpack.container, &bytes, &size, &offset);
	while (result == ARCHIVE_OK && !size);
	if (result == ARCHIVE_EOF)
		return GOW_OK;
	if (result != ARCHIVE_OK)
		return gow_unpack_failed(&source->unpack, source->unpack.container, error);
	if (offset < 0 || (uint64_t)offset < source->position ||
	    (uint64_t)offset > INT64_MAX - size || (uint64_t)offset + size > source->member_size)
		return gow_unpack_damaged(&source->unpack, "its data contradicts its size", error);
	*piece = (struct piece){ bytes, size, (uint64_t)offset };
	source->given += size;
	return GOW_OK;
}

/* The same where what was compressed is the disk itself. */
static int take_plain(struct archive_source *source, struct piece *piece, gow_error *error)
{
	uint64_t offset = source->unpack.plain.position;
	size_t size;
	int code = gow_unpack_read(&source->unpack, source->unpack.plain.buffer, READ_BYTES,
	                           &size, error);

	*piece = (struct piece){ source->unpack.plain.buffer, size, offset };
	return code;
}

/* Sees to it that there is a piece, unless the member has ended. */
static int next_piece(struct archive_source *source, gow_error *error)
{
	struct piece piece = { .size = 0 };
	int code;

	if (source->piece.size)
		return GOW_OK;
	source->piece = source->behind;
	source->behind.size = 0;
	if (source->piece.size || source->ended)
		return GOW_OK;
	code = source->unpack.container ? take_piece(source, &piece, error)
	                         : take_plain(source, &piece, error);
	if (code)
		return code;
	if (piece.offset + piece.size > source->member_limit)
		return gow_unpack_name(&source->unpack,
		                  gow_fail(error, GOW_ERR_LIMIT,
		                           "is larger than any image can be (%" PRIu64 " bytes)",
		                           source->member_limit),
		                  error);
	source->piece = piece;
	source->ended = !piece.size;
	return GOW_OK;
}

/* Up to where the member is known to hold zeros, now that next_piece was called. */
static uint64_t hole_end(const struct archive_source *source)
{
	if (source->piece.size)
		return source->piece.offset;
	/* Only a sparse member may end before its size is reached. */
	return source->sparse && source->member_size != GOW_NOWHERE ? source->member_size
	                                                            : source->position;
}

/*
 * The next bytes of the member, at source->position; NULL buf: they are passed over. *got falls
 * short of size only at the member's end.
 */
static int read_member(struct archive_source *source, uint8_t *buf, uint64_t size, uint64_t *got,
                       gow_error *error)
{
	struct piece *piece = &source->piece;

	*got = 0;
	while (*got < size) {
		uint64_t part, hole;
		int code = next_piece(source, error);

		if (code)
			return code;
		hole = hole_end(source);
		if (source->position < hole) {
			part = gow_min(size - *got, hole - source->position);
			if (buf)
				memset(buf + *got, 0, (size_t)part);
		} else if (!piece->size) {
			break;
		} else {
			part = gow_min(size - *got, piece->size);
			if (buf)
				memcpy(buf + *got, piece->bytes, (size_t)part);
			*piece = (struct piece){ piece->bytes + part, piece->size - (size_t)part,
				                 piece->offset + part };
		}
		*got += part;
		source->position += part;
	}
	return GOW_OK;
}

/* Passes over what stands before offset in the member. It may be another thread that does (the
 * reader's): then there is no monitor to ask. */
static int pass_to(struct archive_source *source, uint64_t offset, const gow_monitor *monitor,
                   gow_error *error)
{
	while (source->position < offset) {
		uint64_t got, part = gow_min(offset - source->position, 16 << 20);
		int code = read_member(source, NULL, part, &got, error);

		if (!code)
			code = gow_tick(monitor, "skip", source->position, 0, error);
		if (code || got < part)
			return code;
		if (atomic_load(&source->base.stop))
			return gow_fail(error, GOW_ERR_STOPPED, "stopped on request");
	}
	return GOW_OK;
}

/* ---- a raw disk inside ------------------------------------------------------------------- */

static int raw_next_data(struct gow_source *base, uint64_t offset, uint64_t *start, uint64_t *end,
                         gow_error *error)
{
	struct archive_source *source = archive_of(base);
	const struct piece *piece = &source->piece;
	int code = next_piece(source, error);

	*start = *end = offset;
	if (code || !piece->size)
		return code;
	*start = gow_max(offset, piece->offset);
	/* How far data goes behind the piece is not known: as far as a read may want it. */
	*end = gow_max(piece->offset + piece->size, gow_min(base->size, *start + READ_BYTES));
	return GOW_OK;
}

static int raw_read(struct gow_source *base, uint64_t offset, void *buf, size_t size, size_t *got,
                    gow_error *error)
{
	struct archive_source *source = archive_of(base);
	uint64_t read;
	int code = pass_to(source, offset, NULL, error);

	if (!code)
		code = read_member(source, buf, size, &read, error);
	if (code)
		return code;
	*got = (size_t)read;
	return read < size && base->size != GOW_NOWHERE
	               ? gow_unpack_damaged(&source->unpack, "it ends before its size is reached", error)
	               : GOW_OK;
}

/* ---- an image inside --------------------------------------------------------------------- */

static int image_next_data(struct gow_source *base, uint64_t offset, uint64_t *start,
                           uint64_t *end, gow_error *error)
{
	/* Whoever reads piece by piece asks anew for each, and a run may be as long as the disk. */
	enum { RUN_MOST = 64 };
	const struct gow_map *map = &archive_of(base)->map;
	uint32_t at = (uint32_t)gow_divide_up(offset, GOW_BLOCK_SIZE), first;

	(void)error;
	if (offset % GOW_BLOCK_SIZE && map->entries[at - 1] != GOW_UNALLOCATED)
		at--;
	while (at < map->logical_blocks && map->entries[at] == GOW_UNALLOCATED)
		at++;
	*start = gow_min(gow_max(offset, (uint64_t)at * GOW_BLOCK_SIZE), map->logical_size);
	for (first = at; at < map->logical_blocks && at - first < RUN_MOST; at++)
		if (map->entries[at] == GOW_UNALLOCATED)
			break;
	*end = gow_max(*start, gow_min((uint64_t)at * GOW_BLOCK_SIZE, map->logical_size));
	return GOW_OK;
}

/* Reads from a physical block on; what the file ends before reads as zeros. */
static int read_blocks(struct archive_source *source, uint32_t physical, uint8_t *buf, size_t size,
                       gow_error *error)
{
	uint64_t got;
	int code = pass_to(source, gow_layout_block_offset(source->map.layout, physical),
	                   NULL, error);

	if (!code)
		code = read_member(source, buf, size, &got, error);
	if (!code)
		memset(buf + got, 0, size - (size_t)got);
	return code;
}

/* For an image whose blocks stand in the guest's order. */
static int image_read(struct gow_source *base, uint64_t offset, void *buf, size_t size,
                      size_t *got, gow_error *error)
{
	struct archive_source *source = archive_of(base);
	uint8_t *byte = buf;
	int code = GOW_OK;

	*got = size;
	for (size_t at = 0; at < size && !code; at += GOW_BLOCK_SIZE)
		code = read_blocks(source,
		                   source->map.entries[(offset + at) / GOW_BLOCK_SIZE], byte + at,
		                   (size_t)gow_min(size - at, GOW_BLOCK_SIZE), error);
	return code;
}

/* For any other: the next run of blocks that are neighbours in the file and for the guest. */
static int image_pull(struct gow_source *base, uint64_t *offset, void *buf, size_t size,
                      size_t *got, gow_error *error)
{
	struct archive_source *source = archive_of(base);
	const uint32_t *owners = source->owners;
	uint32_t first, blocks = 1;

	while (source->physical < source->present &&
	       owners[source->physical] == GOW_UNALLOCATED)
		source->physical++;
	*got = 0;
	if (source->physical == source->present)
		return GOW_OK;
	first = source->physical;
	while (blocks < size / GOW_BLOCK_SIZE && first + blocks < source->present &&
	       owners[first + blocks] == owners[first] + blocks)
		blocks++;
	source->physical += blocks;
	*offset = (uint64_t)owners[first] * GOW_BLOCK_SIZE;
	*got = (size_t)gow_min((uint64_t)blocks * GOW_BLOCK_SIZE, base->size - *offset);
	return read_blocks(source, first, buf, *got, error);
}

/* Copies the member's bytes up to end to the file that stands for it while it is judged. */
static int keep_header(struct archive_source *source, uint64_t end, gow_error *error)
{
	uint8_t *buffer = malloc(READ_BYTES);
	uint64_t got = READ_BYTES;
	int code = buffer ? GOW_OK : gow_fail_memory(error, READ_BYTES);

	while (!code && source->position < end && got) {
		uint64_t at = source->position;

		code = read_member(source, buffer, gow_min(end - at, READ_BYTES), &got, error);
		if (!code && !gow_is_zero(buffer, (size_t)got))
			code = gow_file_write(source->header, at, buffer, (size_t)got, error);
	}
	free(buffer);
	return code;
}

/* How many blocks an image whose size is not told must have at least, for all that its header
 * says to be so. */
static uint32_t implied_blocks(const struct gow_raw *raw)
{
	uint32_t blocks = raw->header.block_count;

	for (uint32_t i = 0; i < raw->header.layout->map_entries; i++)
		if (raw->entries[i] != GOW_UNALLOCATED && raw->entries[i] >= blocks)
			blocks = raw->entries[i] + 1;
	return blocks;
}

/* Judges the header as that of a file of that many bytes; gives its map if it is sound. */
static int judge_header(struct archive_source *source, uint64_t size, struct gow_map *map,
                        gow_error *error)
{
	struct gow_raw raw = { .entries = NULL };
	struct gow_verdict verdict;
	int code = gow_file_truncate(source->header, size, error);

	if (!code)
		code = gow_raw_load(source->header, gow_layouts, gow_layout_count, &raw, error);
	if (!code)
		code = gow_judge(&raw, &verdict, error);
	if (!code)
		code = gow_map_make(&raw, &verdict, map, error);
	gow_raw_release(&raw);
	return code;
}

/* The size that is taken for that of a member which does not tell it. */
static int guess_size(struct archive_source *source, const struct gow_layout *layout,
                      uint64_t limit, uint64_t *size, gow_error *error)
{
	struct gow_raw raw = { .entries = NULL };
	int code = gow_file_truncate(source->header, limit, error);

	if (!code)
		code = gow_raw_load(source->header, gow_layouts, gow_layout_count, &raw, error);
	if (code)
		return code;
	*size = gow_min(limit, gow_layout_block_offset(layout, implied_blocks(&raw)));
	gow_raw_release(&raw);
	return GOW_OK;
}

/* Which logical block each physical one is; whether they come in the guest's order. */
static int find_owners(struct archive_source *source, bool *in_order, gow_error *error)
{
	const struct gow_map *map = &source->map;
	uint32_t next = 0;
	int code;

	source->present = gow_present_blocks(map->layout, map->file_size);
	code = gow_alloc_table((size_t)source->present + 1, &source->owners, error);
	if (code)
		return code;
	memset(source->owners, 0xff, source->present * sizeof *source->owners);
	*in_order = true;
	for (uint32_t i = 0; i < map->logical_blocks; i++) {
		uint32_t physical = map->entries[i];

		if (physical == GOW_UNALLOCATED)
			continue;
		*in_order = *in_order && physical >= next;
		next = physical + 1;
		source->owners[physical] = i;
	}
	return GOW_OK;
}

static const struct gow_source_ops image_ops, shuffled_ops;

/* Reads and judges the header of an image of that layout; its first bytes have been kept. */
static int begin_image(struct archive_source *source, const struct gow_layout *layout,
                       gow_error *error)
{
	/* As many blocks may have leaked as there can be at all. */
	uint64_t limit = gow_layout_block_offset(layout, 2 * (uint64_t)layout->map_entries);
	uint64_t size = source->member_size;
	bool in_order;
	int code;

	source->member_limit = limit;
	if (size != GOW_NOWHERE && size > limit)
		return gow_unpack_name(&source->unpack,
		                  gow_fail(error, GOW_ERR_LIMIT,
		                           "says that it has %" PRIu64 " bytes, more than an image "
		                           "of version %u can (%" PRIu64 ")",
		                           size, layout->version, limit),
		                  error);
	code = keep_header(source, gow_layout_data_start(layout), error);
	if (!code && source->position < gow_layout_header_end(layout))
		size = source->position; /* cut short: the validator says so */
	else if (!code && size == GOW_NOWHERE)
		code = guess_size(source, layout, limit, &size, error);
	if (!code)
		code = judge_header(source, size, &source->map, error);
	if (!code)
		code = find_owners(source, &in_order, error);
	if (code)
		return code;
	if (source->member_size != GOW_NOWHERE) {
		(void)gow_file_close(source->header, NULL);
		source->header = NULL;
	}
	source->base.ops = in_order ? &image_ops : &shuffled_ops;
	source->base.member_format = (gow_format)(GOW_FORMAT_GOW1 + (layout->version - 1));
	source->base.size = source->map.logical_size;
	source->base.versions = source->map.versions;
	source->base.entries = source->map.entries;
	return GOW_OK;
}

/* ---- what is inside ---------------------------------------------------------------------- */

static const struct gow_source_ops raw_ops;

static int begin_raw(struct archive_source *source, gow_error *error)
{
	source->base.ops = &raw_ops;
	source->base.member_format = GOW_FORMAT_RAW;
	source->base.size = source->member_size;
	source->member_limit = disk_limit();
	if (source->member_size == GOW_NOWHERE || source->member_size <= source->member_limit)
		return GOW_OK;
	return gow_unpack_name(&source->unpack,
	                  gow_fail(error, GOW_ERR_LIMIT,
	                           "says that it has %" PRIu64 " bytes, more than any image holds "
	                           "(%" PRIu64 ")",
	                           source->member_size, source->member_limit),
	                  error);
}

/* Takes the first bytes of the member back, so that they come again. */
static void take_back(struct archive_source *source, uint64_t size)
{
	source->behind = source->piece;
	source->piece = (struct piece){ source->first, (size_t)size, 0 };
	source->position = 0;
}

/* An image shows itself by its magic and its version. */
static int begin_disk(struct archive_source *source, gow_error *error)
{
	struct gow_header header;
	bool magic = false;
	uint64_t got;
	int code = gow_file_in_memory(source->unpack.name, &source->header, error);

	source->member_limit = UINT64_MAX;
	if (!code)
		code = read_member(source, source->first, sizeof source->first, &got, error);
	if (!code)
		code = gow_file_write(source->header, 0, source->first, (size_t)got, error);
	if (!code)
		code = gow_header_has_magic(source->header, gow_layouts, gow_layout_count, &magic,
		                            error);
	if (code)
		return code;
	if (!magic) {
		take_back(source, got);
		return begin_raw(source, error);
	}
	code = gow_header_read(source->header, gow_layouts, gow_layout_count, &header, error);
	/* What finishes or rolls back such a change lies elsewhere, and is not looked for. */
	if (!code && header.pending)
		code = gow_unpack_name(&source->unpack,
		                  gow_fail(error, GOW_ERR_CORRUPT,
		                           "is in the middle of an in-place change; unpack it, and "
		                           "see gow-repair"),
		                  error);
	return code ? code : begin_image(source, header.layout, error);
}

/* ---- the end ----------------------------------------------------------------------------- */

/* Whatever is left of the member is read, so that its sums are. */
static int end_member(struct archive_source *source, gow_error *error)
{
	struct gow_map map = { .entries = NULL };
	int code = pass_to(source, UINT64_MAX, source->monitor, error);

	if (code)
		return code;
	if (source->member_size != GOW_NOWHERE && source->position != source->member_size)
		return gow_unpack_damaged(&source->unpack, "it ends before its size is reached", error);
	if (source->sparse && source->given != source->claimed)
		return gow_unpack_damaged(&source->unpack, "its data contradicts its map of holes",
		                          error);
	if (source->unpack.container)
		source->entry_end = (uint64_t)archive_filter_bytes(source->unpack.container, 0);
	if (!source->header || source->base.ops == &raw_ops)
		return GOW_OK;
	/* Now that its size is known it is judged by that. */
	code = judge_header(source, source->position, &map, error);
	gow_map_release(&map);
	return code;
}

/* One entry behind the disk. */
static int look_behind(struct archive_source *source, struct archive_entry *entry, uint64_t size,
                       const gow_digest *digest, gow_error *error)
{
	char *name = name_of(source, entry);
	struct found_manifest found = { .name = NULL };
	bool is_disk = false;
	int code;

	if (!name)
		return gow_fail_memory(error, sizeof *source);
	code = judge_entry(source, entry, name, &is_disk, error);
	if (!code && is_file(entry) && ends_in(name, ".manifest") &&
	    is_manifest_of(bare(name), bare(source->name))) {
		code = read_manifest(source, name, &found, error);
		if (!code)
			code = compare(source, &found, size, digest, error);
	}
	free(name);
	return code ? code : pass_entry(source, error);
}

static int archive_finish(struct gow_source *base, uint64_t size, const gow_digest *digest,
                          gow_error *error)
{
	struct archive_source *source = archive_of(base);
	struct archive_entry *entry = NULL;
	int code = end_member(source, error);

	for (size_t i = 0; i < source->manifest_count && !code; i++)
		if (is_manifest_of(bare(source->manifests[i].name), bare(source->name)))
			code = compare(source, &source->manifests[i], size, digest, error);
	while (!code && source->unpack.container) {
		code = next_entry(source, &entry, error);
		if (code || !entry)
			break;
		code = look_behind(source, entry, size, digest, error);
	}
	return code ? code : gow_unpack_finish(&source->unpack, source->entry_end, error);
}

/* ---- life -------------------------------------------------------------------------------- */

static int archive_poll(struct gow_source *source, gow_error *error)
{
	return gow_lock_poll(&archive_of(source)->lock, error);
}

static void archive_close(struct gow_source *base)
{
	struct archive_source *source = archive_of(base);

	for (size_t i = 0; i < source->manifest_count; i++)
		free(source->manifests[i].name);
	gow_map_release(&source->map);
	(void)gow_file_close(source->header, NULL);
	gow_unpack_release(&source->unpack);
	free(source->owners);
	free(source->wanted);
	free(source->name);
	if (source->locale)
		freelocale(source->locale);
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

int gow_source_archive(const struct gow_archive_input *input,
                       const struct gow_source_options *options, struct gow_source **source,
                       gow_error *error)
{
	struct archive_source *made = calloc(1, sizeof *made);
	int code;

	if (!made) {
		(void)gow_file_close(input->file, NULL);
		return gow_fail_memory(error, sizeof *made);
	}
	made->base.ops = &raw_ops; /* for closing; what it is shows itself below */
	made->base.format = GOW_FORMAT_TAR;
	made->base.once = true;
	made->base.waits = !input->file; /* for the other end of the pipe */
	made->base.file = input->file;
	made->lock = input->lock;
	made->monitor = options->monitor;
	made->member_size = GOW_NOWHERE;
	/* Without it (locale 0 leaves things as they are) names may come out garbled. */
	made->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	made->wanted = options->member_name ? strdup(options->member_name) : NULL;
	code = gow_unpack_open(&made->unpack, input, options->format == GOW_FORMAT_TAR,
	                       options->monitor, error);
	if (!code && options->member_name && !made->wanted)
		code = gow_fail_memory(error, strlen(options->member_name));
	if (!code && made->unpack.container)
		code = find_disk(made, error);
	else if (!code && made->wanted)
		code = gow_unpack_damaged(&made->unpack,
		                          "is one compressed file without members", error);
	if (!code)
		code = begin_disk(made, error);
	if (code) {
		archive_close(&made->base);
		return code;
	}
	*source = &made->base;
	return GOW_OK;
}
