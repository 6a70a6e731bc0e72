/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h - a GOW image that comes as the member of an archive: its header is judged by the one
 * validator, then each physical block has an owner, and comes when its turn is.
 */
#ifndef GOW_DISK_ARCHIVE_IMAGE_H
#define GOW_DISK_ARCHIVE_IMAGE_H

#include "disk/archive/member.h"
#include "image/layout_table.h"
#include "image/map.h"

struct gow_packed_image {
	struct gow_member *member;
	const struct gow_layouts *layouts; /* that it may have; not owned */
	struct gow_map map;
	struct gow_file *header; /* kept while the member's size is not known; else NULL */
	uint32_t *owners;        /* by physical block: the logical one, or GOW_UNALLOCATED */
	uint32_t present;        /* how many of these */
	uint32_t physical;       /* the next of them to come */
	bool in_order;           /* they come in the guest's order */
};

/*
 * Whether the member is an image, by its first bytes, which have been read, or because the layout was
 * given. If it is, its header is read and judged, and the map is there. Layouts must outlive it.
 * Release in any case.
 */
int gow_packed_image_open(struct gow_packed_image *image, struct gow_member *member,
                          const struct gow_layouts *layouts, bool *is_image, gow_error *error);
void gow_packed_image_release(struct gow_packed_image *image);

/* As gow_source_ops; read is for an image whose blocks come in the guest's order. */
void gow_packed_image_next_data(const struct gow_packed_image *image, uint64_t offset,
                                uint64_t *start, uint64_t *end);
int gow_packed_image_read(struct gow_packed_image *image, uint64_t offset, void *buf, size_t size,
                          gow_error *error);
int gow_packed_image_pull(struct gow_packed_image *image, uint64_t *offset, void *buf, size_t size,
                          size_t *got, gow_error *error);

/* The member was read to its end: an image whose size is known only now is judged by it. */
int gow_packed_image_end(struct gow_packed_image *image, gow_error *error);

#endif
