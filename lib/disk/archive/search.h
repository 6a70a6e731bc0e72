/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * search.h - which entry of an archive is the disk: the one that was asked for, or the only one
 * that can be one; and what stands before and after it.
 */
#ifndef GOW_DISK_ARCHIVE_SEARCH_H
#define GOW_DISK_ARCHIVE_SEARCH_H

#include "disk/archive/manifests.h"
#include "disk/archive/member.h"
#include "image/layout_table.h"

struct gow_search {
	struct gow_entries *entries;
	struct gow_member *member;
	char *archive_name;
	char *wanted;        /* the disk's name; NULL: the only one */
	unsigned occurrence; /* which of those of that name, from 1 on; 0: there is one */
	unsigned seen;       /* how many of them were met */
	const struct gow_layouts *layouts; /* that an image in it may have; not owned */
	bool ours;                         /* what is in it is a disk, whatever it looks like */
	char *name;                        /* of the disk, once it is found; else NULL */
	bool passed;                       /* another of that name follows it */
	bool begun;                        /* there was an entry */
	gow_error no_disk; /* why the first that was skipped is not a disk; code 0: none was */
	struct gow_kept_manifests manifests; /* that stand before the disk */
};

void gow_search_release(struct gow_search *search);

/* Finds the disk among the entries; the member has begun, and its first bytes are read. */
int gow_search_find(struct gow_search *search, gow_error *error);

/* There are no entries: what was compressed by itself has to be a disk. */
int gow_search_confirm_alone(struct gow_search *search, gow_error *error);

/*
 * The disk was read, of size bytes: whether a manifest says something else, and whether what
 * follows it is another disk.
 */
int gow_search_finish(struct gow_search *search, uint64_t size, const gow_digest *digest,
                      gow_error *error);

#endif
