/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handmade.h - images written by the tests' own arithmetic, straight from gow(5), and made-up
 * layouts to write them in. Nothing here calls the library, which is what is tested with it.
 */
#ifndef GOW_TESTS_HANDMADE_H
#define GOW_TESTS_HANDMADE_H

#include "image/layout.h"
#include "support/memfile.h"

#define HM_NONE UINT32_MAX /* not allocated */

/* Made-up layouts: no two agree in more than they must. */
enum hm_row {
	HM_SMALL1, /* like version 1 */
	HM_SMALL2, /* like version 2 */
	HM_SMALL3, /* like version 3 */
	HM_BIG,    /* big endian, interleaved numbers, blocks counted from 1, 0 is none */
	HM_NARROW, /* 2- and 4-byte fields, entries 12 bytes apart, numbers 8 bytes apart */
	HM_WIDE,   /* 8-byte fields, big endian, entries 8 bytes apart, no numbers */
	HM_ROWS
};

/* That layout with so many entries, and the limit that goes with it. */
struct gow_layout hm_layout(enum hm_row row, uint32_t entries);
const char *hm_name(enum hm_row row);

/* Bytes from the start of the file; told by the definition, not by the library. */
uint64_t hm_header_end(const struct gow_layout *layout);
uint64_t hm_data_start(const struct gow_layout *layout);

/* An image as the tests think of it. */
struct hm_image {
	struct gow_layout layout;
	bool pending;
	uint64_t logical_size;
	uint64_t block_count;
	uint64_t file_size;
	uint32_t *map;      /* layout.map_entries: physical blocks from 0, or HM_NONE */
	uint32_t *versions; /* the same number; all there is where the layout has none */
};

/* An image with an empty map, the largest disk, and a file that ends with its header. */
void hm_make(struct hm_image *image, enum hm_row row, uint32_t entries);
void hm_release(struct hm_image *image);

/* Writes the header; the file gets file_size, whatever that cuts off. */
void hm_write(const struct hm_image *image, struct memfile *file);

/* Reads what hm_write writes, of a file that has a whole header, by the image's layout. The map
 * and the versions must have room (hm_make). */
void hm_read(struct hm_image *image, const struct memfile *file);

/* What an entry looks like in the file. */
uint32_t hm_stored(const struct gow_layout *layout, uint32_t physical);

#endif
