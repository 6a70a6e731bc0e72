/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - where everything stands in an image, as data: one row per layout, and the codecs
 * that turn the header's bytes into the canonical form and back.
 *
 * The canonical form is what the rest of the library knows: physical blocks are counted from 0,
 * GOW_UNALLOCATED means "not allocated", version numbers are an array of their own. What a
 * layout makes of that on disk is known to layout.c and header.c only.
 */
#ifndef GOW_IMAGE_LAYOUT_H
#define GOW_IMAGE_LAYOUT_H

#include "base/bytes.h"
#include "gow.h"

/* A map entry, in canonical form, of a block that is not allocated and reads as zeros. */
#define GOW_UNALLOCATED UINT32_MAX

/* A version number that cannot go up. */
#define GOW_VERSION_MAX UINT32_MAX

/* Where an unsigned integer stands. */
struct gow_field {
	uint32_t offset; /* bytes from the start of the file */
	uint8_t width;   /* bytes, 1 to 8; 0: there is no such field */
};

enum {
	GOW_MAGIC_SIZE = 4, /* of a magic that in-place changes can mark (gow_layout_has_mark) */
	GOW_MAGIC_MAX = 16,
	GOW_LAYOUT_NAME_SIZE = 64,
	GOW_LAYOUT_ENTRIES_MAX = 1 << 24, /* a map in memory is never larger */
	GOW_LAYOUT_ALIGN_MAX = 4096,
	GOW_PREAMBLE_MAX = 4096 /* the preamble is read in one piece of at most so many bytes */
};

struct gow_layout_variants;

struct gow_layout {
	char name[GOW_LAYOUT_NAME_SIZE];
	unsigned version;     /* what the version field holds; 0 where there is none */
	enum gow_order order; /* of every integer */
	uint8_t magic_size;   /* bytes of the magic; 0: there is none */
	bool has_pending;     /* there is a magic_pending, of the same size */
	uint8_t magic[GOW_MAGIC_MAX];
	uint8_t magic_pending[GOW_MAGIC_MAX]; /* in the middle of an in-place change */
	uint32_t magic_offset;
	struct gow_field version_field;
	struct gow_field logical_size;
	uint32_t size_unit;           /* what logical_size counts: bytes of one; 0 is 1 */
	uint64_t fixed_size;          /* the logical size where no field holds it; 0: the limit */
	struct gow_field block_count; /* absent: it is the number of present blocks */
	uint64_t map_offset;
	uint32_t map_stride;      /* bytes from one entry to the next; an entry has 4 */
	uint32_t map_entries;     /* where per_logical_block: at most so many */
	bool per_logical_block;   /* the map has one entry for each block of the disk, no more */
	uint32_t first_block;     /* what an entry calls the first physical block: 0 or 1 */
	uint32_t unallocated;     /* what an entry calls "not allocated" */
	uint64_t versions_offset; /* of the first version number */
	uint32_t versions_stride; /* bytes from one to the next; 0: there are none */
	uint32_t data_align;      /* block 0 begins at a multiple of this many bytes */
	uint64_t logical_limit;   /* bytes */
	/* Where per_logical_block: the rows for each size of disk met so far, owned by whoever owns
	 * this row (gow_layout_resolve). NULL in a row that was resolved. */
	struct gow_layout_variants *variants;
};

/* The reference layouts, one per version, ascending. */
extern const struct gow_layout gow_layouts[];
extern const size_t gow_layout_count;

/* The first of these rows that is of that version, or NULL. */
const struct gow_layout *gow_layout_among(const struct gow_layout *rows, size_t row_count,
                                          uint64_t version);

/* The reference layout of a version, or NULL. */
const struct gow_layout *gow_layout_of(unsigned version);

/*
 * Whether a row can work at all: fields inside the header and apart from the map, strides that
 * hold an entry, "not allocated" a value that no block's number can be. For rows that were
 * inferred or written by hand.
 */
bool gow_layout_is_usable(const struct gow_layout *layout);

static inline bool gow_layout_has_magic(const struct gow_layout *layout)
{
	return layout->magic_size != 0;
}

/* Whether an in-place change can leave its mark and its record can name the layout. */
static inline bool gow_layout_has_mark(const struct gow_layout *layout)
{
	return layout->magic_size == GOW_MAGIC_SIZE && layout->has_pending &&
	       layout->version_field.width;
}

/* The reason why it cannot; NULL where it can. */
const char *gow_layout_why_no_mark(const struct gow_layout *layout);

static inline uint32_t gow_layout_size_unit(const struct gow_layout *layout)
{
	return layout->size_unit ? layout->size_unit : 1;
}

/*
 * The row that a disk of that size has: the same one, but for a map with one entry per logical
 * block. The row found then lives as long as layout's variants (gow_layout_variants_new), which
 * several threads may ask. Sizes past the limit are taken as the limit.
 */
int gow_layout_resolve(const struct gow_layout *layout, uint64_t logical_size,
                       const struct gow_layout **resolved, gow_error *error);

/* For a row with per_logical_block; freed when no image that was opened by it is open. */
int gow_layout_variants_new(struct gow_layout_variants **variants, gow_error *error);
void gow_layout_variants_free(struct gow_layout_variants *variants); /* accepts NULL */

static inline bool gow_layout_has_versions(const struct gow_layout *layout)
{
	return layout->versions_stride != 0;
}

/* One past the last byte of the preamble. */
uint64_t gow_layout_preamble_end(const struct gow_layout *layout);

/* One past the last byte of the header: of the map or the version numbers. */
uint64_t gow_layout_header_end(const struct gow_layout *layout);

/* Where physical block 0 begins. */
uint64_t gow_layout_data_start(const struct gow_layout *layout);

/* Where physical block number `physical` begins. */
static inline uint64_t gow_layout_block_offset(const struct gow_layout *layout, uint64_t physical)
{
	return gow_layout_data_start(layout) + physical * GOW_BLOCK_SIZE;
}

/* Where the map entry, and the version number, of a logical block stand. */
static inline uint64_t gow_layout_entry_offset(const struct gow_layout *layout, uint64_t logical)
{
	return layout->map_offset + logical * layout->map_stride;
}

static inline uint64_t gow_layout_version_offset(const struct gow_layout *layout, uint64_t logical)
{
	return layout->versions_offset + logical * layout->versions_stride;
}

/* Whether the bytes of a run of entries are the canonical form already. */
bool gow_layout_entries_are_canonical(const struct gow_layout *layout);

/*
 * Entries between bytes (count entries, a stride apart) and canonical form. Every stored value
 * has a canonical form and the other way round, also those that no image should hold.
 */
void gow_layout_decode_entries(const struct gow_layout *layout, const void *bytes,
                               uint32_t *entries, size_t count);
void gow_layout_encode_entries(const struct gow_layout *layout, const uint32_t *entries,
                               void *bytes, size_t count);

/* The same for version numbers. */
void gow_layout_decode_versions(const struct gow_layout *layout, const void *bytes,
                                uint32_t *versions, size_t count);
void gow_layout_encode_versions(const struct gow_layout *layout, const uint32_t *versions,
                                void *bytes, size_t count);

#endif
