/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/manifests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "disk/manifest.h"

static const char suffix[] = ".manifest";

void gow_manifests_release(struct gow_kept_manifests *kept)
{
	for (size_t i = 0; i < kept->count; i++)
		free(kept->all[i].name);
	kept->count = 0;
}

bool gow_is_manifest_name(const char *name)
{
	size_t length = strlen(name), tail = sizeof suffix - 1;

	return length > tail && strcmp(name + length - tail, suffix) == 0;
}

bool gow_is_manifest_of(const char *manifest, const char *disk)
{
	const char *name = gow_entry_bare_name(disk);
	size_t stem;
	const char *dot = strrchr(name, '.');

	manifest = gow_entry_bare_name(manifest);
	stem = strlen(manifest) - (sizeof suffix - 1);
	if (dot && strchr(dot, '/'))
		dot = NULL;
	return strncmp(manifest, name, stem) == 0 && (!name[stem] || name + stem == dot);
}

/* Reads the entry as a manifest. */
static int read_entry(struct gow_entries *entries, const char *archive, const char *name,
                      struct gow_kept_manifest *found, gow_error *error)
{
	struct gow_manifest *manifest = NULL;
	char *printable = gow_entry_printable_name(name), *shown;
	int code = GOW_OK;

	if (!printable || asprintf(&shown, "%s(%s)", archive, printable) < 0)
		code = gow_fail_memory(error, strlen(name));
	free(printable);
	if (code)
		return code;
	code = gow_manifest_open(shown, gow_entries_read, entries, &manifest, error);
	if (!code)
		code = gow_manifest_read_all(manifest, &found->digest, error);
	if (!code)
		found->size = gow_manifest_size(manifest);
	gow_manifest_close(manifest);
	free(shown);
	return code;
}

int gow_manifests_keep(struct gow_kept_manifests *kept, struct gow_entries *entries,
                       const char *archive, const char *name, gow_error *error)
{
	struct gow_kept_manifest *found = &kept->all[kept->count];
	int code;

	if (kept->count == GOW_MANIFESTS_MAX)
		return gow_unpack_damaged(&entries->unpack,
		                          "too many manifests stand before the disk; say "
		                          "--member-name",
		                          error);
	code = read_entry(entries, archive, name, found, error);
	if (code)
		return code;
	found->name = strdup(name);
	if (!found->name)
		return gow_fail_memory(error, strlen(name));
	kept->count++;
	return GOW_OK;
}

static int compare(const struct gow_entries *entries, const struct gow_kept_manifest *found,
                   uint64_t size, const gow_digest *digest, gow_error *error)
{
	/* Manifests are of guests' disks, which a raw one is when it is rounded up. */
	uint64_t rounded = gow_round_up(size, 512);
	int code = GOW_OK;

	if (found->size != rounded)
		code = gow_fail(error, GOW_ERR_MISMATCH,
		                "has %" PRIu64 " bytes, and its manifest is of %" PRIu64, rounded,
		                found->size);
	else if (strcmp(found->digest.text, digest->text) != 0)
		code = gow_fail(error, GOW_ERR_MISMATCH,
		                "is not what its manifest says (digest %s, should be %s)",
		                digest->text, found->digest.text);
	return code ? gow_unpack_name(&entries->unpack, code, error) : GOW_OK;
}

int gow_manifests_compare(const struct gow_kept_manifests *kept, const struct gow_entries *entries,
                          const char *disk, uint64_t size, const gow_digest *digest,
                          gow_error *error)
{
	int code = GOW_OK;

	for (size_t i = 0; i < kept->count && !code; i++)
		if (gow_is_manifest_of(kept->all[i].name, disk))
			code = compare(entries, &kept->all[i], size, digest, error);
	return code;
}

int gow_manifests_compare_entry(struct gow_entries *entries, const char *archive, const char *name,
                                uint64_t size, const gow_digest *digest, gow_error *error)
{
	struct gow_kept_manifest found = { .name = NULL };
	int code = read_entry(entries, archive, name, &found, error);

	return code ? code : compare(entries, &found, size, digest, error);
}
