/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manifests.h - the manifests that an archive holds: whose they are by their names, and whether the
 * disk is what they say.
 */
#ifndef GOW_DISK_ARCHIVE_MANIFESTS_H
#define GOW_DISK_ARCHIVE_MANIFESTS_H

#include "disk/archive/entries.h"

/* One that was read and found whole. */
struct gow_kept_manifest {
	char *name;
	uint64_t size; /* of the disk, in bytes */
	gow_digest digest;
};

/* Manifests that may stand before the disk. */
enum { GOW_MANIFESTS_MAX = 64 };

struct gow_kept_manifests {
	struct gow_kept_manifest all[GOW_MANIFESTS_MAX];
	size_t count;
};

void gow_manifests_release(struct gow_kept_manifests *kept);

bool gow_is_manifest_name(const char *name);

/* Whether a manifest belongs to a disk: NAME.manifest to NAME.gow, or to NAME. */
bool gow_is_manifest_of(const char *manifest, const char *disk);

/* Reads and keeps the entry, a manifest that stands before the disk; archive is its archive's name, for
 * messages. */
int gow_manifests_keep(struct gow_kept_manifests *kept, struct gow_entries *entries,
                       const char *archive, const char *name, gow_error *error);

/* GOW_ERR_MISMATCH where the disk, of size bytes, is not what a kept manifest of it says. */
int gow_manifests_compare(const struct gow_kept_manifests *kept, const struct gow_entries *entries,
                          const char *disk, uint64_t size, const gow_digest *digest,
                          gow_error *error);

/* The same with the entry, a manifest that stands after the disk. */
int gow_manifests_compare_entry(struct gow_entries *entries, const char *archive, const char *name,
                                uint64_t size, const gow_digest *digest, gow_error *error);

#endif
