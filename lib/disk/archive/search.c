/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "disk/probe.h"
#include "image/header.h"

void gow_search_release(struct gow_search *search)
{
	gow_manifests_release(&search->manifests);
	free(search->archive_name);
	free(search->wanted);
	free(search->name);
}

static int damaged(const struct gow_search *search, const char *why, gow_error *error)
{
	return gow_unpack_damaged(&search->entries->unpack, why, error);
}

static bool is_same_name(const char *name, const char *other)
{
	return strcmp(gow_entry_bare_name(name), gow_entry_bare_name(other)) == 0;
}

/* ---- whether an entry is the disk -------------------------------------------------------- */

/* Whether an entry may be the disk that is wanted. */
static int judge_entry(struct gow_search *search, struct archive_entry *entry, const char *name,
                       bool *may_be, gow_error *error)
{
	*may_be = search->wanted ? is_same_name(name, search->wanted)
	                         : gow_entry_is_file(entry) && !gow_is_manifest_name(name);
	if (*may_be && !gow_entry_is_file(entry))
		return damaged(search, "the member of that name is not a file", error);
	if (*may_be && search->wanted && search->occurrence)
		*may_be = ++search->seen == search->occurrence;
	return GOW_OK;
}

/*
 * Whether a member can be a disk: one that begins like an image can; where the caller says that it is
 * one, no other can, unless the layout has no magic. Otherwise by the rule for raw disks, as far as
 * its start, its name and its size show. If it cannot, error says why.
 */
static int judge_member(const struct gow_layouts *layouts, const char *name, uint64_t size,
                        const uint8_t *head, size_t head_size, gow_error *error)
{
	size_t count;
	const struct gow_layout *rows = gow_layouts_rows(layouts, &count);
	char *shown;
	int code;

	if (gow_rows_have_magic(rows, count, head, head_size))
		return GOW_OK;
	code = gow_probe_head(head, (size_t)gow_min(head_size, GOW_FORMAT_HEAD), name, error);
	if (!code && layouts->given && gow_layout_has_magic(rows))
		code = gow_fail(error, GOW_ERR_NOT_GOW,
		                "does not begin with the magic of the layout %s", rows->name);
	else if (!code && !layouts->given && (size != GOW_NOWHERE || !head_size))
		code = gow_format_check_size(head_size ? size : 0, error);
	shown = code ? gow_entry_printable_name(name) : NULL;
	code = shown ? gow_fail_in_file(error, code, shown) : code;
	free(shown);
	return code;
}

/* ---- up to the disk ---------------------------------------------------------------------- */

/* Takes the entry for the disk; name is owned from then on. */
static int take_entry(struct gow_search *search, struct archive_entry *entry, char *name,
                      gow_error *error)
{
	struct gow_unpack *unpack = &search->entries->unpack;
	char *shown = gow_entry_printable_name(name), *display = NULL;

	search->name = name;
	if (!shown || asprintf(&display, "%s(%s)", search->archive_name, shown) < 0) {
		free(shown);
		return gow_fail_memory(error, strlen(name));
	}
	free(shown);
	free(unpack->name);
	unpack->name = display;
	return gow_member_begin(search->member, entry, error);
}

/* What was taken for the disk is not one: the search continues after it. */
static int drop_entry(struct gow_search *search, gow_error *error)
{
	char *name = strdup(search->archive_name);

	free(search->name);
	search->name = NULL;
	gow_member_reset(search->member, search->entries, search->member->stop);
	if (!name)
		return gow_fail_memory(error, strlen(search->archive_name));
	free(search->entries->unpack.name);
	search->entries->unpack.name = name;
	return GOW_OK;
}

/* The member that was taken for the disk: if it cannot be one, and was not asked for, it is
 * skipped. */
static int confirm_member(struct gow_search *search, gow_error *error)
{
	struct gow_member *member = search->member;
	gow_error why;
	int code = gow_member_read_first(member, error);

	if (code || search->ours ||
	    !judge_member(search->layouts, search->name, member->size, member->first,
	                  member->first_size, &why))
		return code;
	if (search->wanted || why.code == GOW_ERR_MEMORY) {
		if (error)
			*error = why;
		return search->wanted
		               ? gow_unpack_name(&search->entries->unpack, (int)why.code, error)
		               : (int)why.code;
	}
	if (!search->no_disk.code)
		search->no_disk = why;
	code = drop_entry(search, error);
	return code ? code : gow_entries_pass(search->entries, error);
}

/* The first entry of a later volume is the rest of a member, and has another size than that. */
static int refuse_rest(struct gow_search *search, bool is_disk, gow_error *error)
{
	const bool first = !search->begun;

	search->begun = true;
	if (!first || !gow_unpack_is_later_volume(&search->entries->unpack) ||
	    (search->wanted && !is_disk))
		return GOW_OK;
	return damaged(search,
	               "is a later volume of a tar archive of several, and begins with the rest of "
	               "a file: unpack all volumes with tar -xM -f FIRST -f SECOND...",
	               error);
}

/* One entry before the disk, or the disk. */
static int look_at(struct gow_search *search, struct archive_entry *entry, gow_error *error)
{
	char *name = gow_entries_name(search->entries, entry);
	bool is_disk;
	int code;

	if (!name)
		return gow_fail_memory(error, sizeof *search);
	code = judge_entry(search, entry, name, &is_disk, error);
	if (!code)
		code = refuse_rest(search, is_disk, error);
	if (!code && is_disk) {
		code = take_entry(search, entry, name, error);
		return code ? code : confirm_member(search, error);
	}
	if (!code && gow_entry_is_file(entry) && gow_is_manifest_name(name) &&
	    (!search->wanted || gow_is_manifest_of(name, search->wanted)))
		code = gow_manifests_keep(&search->manifests, search->entries, search->archive_name,
		                          name, error);
	free(name);
	return code ? code : gow_entries_pass(search->entries, error);
}

/* The end, and there was no disk. */
static int refuse_all(struct gow_search *search, gow_error *error)
{
	const gow_error *why = &search->no_disk;
	int code;

	if (search->wanted)
		code = gow_fail(error, GOW_ERR_DAMAGED,
		                search->seen ? "there are not so many members of that name"
		                             : "there is no member of that name");
	else if (why->code)
		code = gow_fail(error, why->code, "there is no disk in it: %.120s %.300s",
		                why->file, why->what);
	else
		code = gow_fail(error, GOW_ERR_DAMAGED, "there is no disk in it");
	return gow_unpack_name(&search->entries->unpack, code, error);
}

int gow_search_find(struct gow_search *search, gow_error *error)
{
	while (!search->name) {
		struct archive_entry *entry;
		int code = gow_entries_next(search->entries, &entry, error);

		if (!code && !entry)
			code = refuse_all(search, error);
		if (!code)
			code = look_at(search, entry, error);
		if (code)
			return code;
	}
	return GOW_OK;
}

int gow_search_confirm_alone(struct gow_search *search, gow_error *error)
{
	struct gow_member *member = search->member;
	size_t length = gow_name_without_compression(search->archive_name);
	char *name;
	int code;

	if (search->wanted)
		return damaged(search, "is one compressed file without members", error);
	name = strndup(search->archive_name, length);
	code = name ? gow_member_read_first(member, error) : gow_fail_memory(error, length);
	if (!code)
		code = judge_member(search->layouts, name, GOW_NOWHERE, member->first,
		                    member->first_size, error);
	free(name);
	return code ? gow_unpack_name(&search->entries->unpack, code, error) : GOW_OK;
}

/* ---- after the disk ---------------------------------------------------------------------- */

/* Another disk than the one that was found. */
static int refuse_second(struct gow_search *search, const char *name, gow_error *error)
{
	if (!is_same_name(name, search->name))
		return damaged(search,
		               "there is more than one disk in it; say which with --member-name",
		               error);
	return damaged(search,
	               "there are two members of that name, of which the last is newer (tar -r "
	               "does that); say which with --member-name and --occurrence 1 or 2",
	               error);
}

/* Whether an entry after the disk is another one. */
static int refuse_other(struct gow_search *search, struct archive_entry *entry, const char *name,
                        gow_error *error)
{
	uint8_t *head = search->member->first; /* which is not needed any more */
	uint64_t size = archive_entry_size_is_set(entry) && archive_entry_size(entry) >= 0
	                        ? (uint64_t)archive_entry_size(entry)
	                        : GOW_NOWHERE;
	gow_error why;
	size_t got;
	int code;

	if (search->wanted)
		return refuse_second(search, name, error);
	code = gow_entries_read(search->entries, head, GOW_PREAMBLE_MAX, &got, error);
	if (code)
		return code;
	code = judge_member(search->layouts, name, size, head, got, &why);
	if (code == GOW_ERR_MEMORY)
		return gow_fail_memory(error, strlen(name));
	return code ? GOW_OK : refuse_second(search, name, error);
}

/* One entry after the disk. */
static int look_after(struct gow_search *search, struct archive_entry *entry, uint64_t size,
                      const gow_digest *digest, gow_error *error)
{
	char *name = gow_entries_name(search->entries, entry);
	bool may_be = false;
	int code;

	if (!name)
		return gow_fail_memory(error, sizeof *search);
	/* What follows the next of its name is that one's. */
	search->passed = search->passed || (search->occurrence && is_same_name(name, search->name));
	code = judge_entry(search, entry, name, &may_be, error);
	if (!code && may_be)
		code = refuse_other(search, entry, name, error);
	if (!code && gow_entry_is_file(entry) && gow_is_manifest_name(name) && !search->passed &&
	    gow_is_manifest_of(name, search->name))
		code = gow_manifests_compare_entry(search->entries, search->archive_name, name,
		                                   size, digest, error);
	free(name);
	return code ? code : gow_entries_pass(search->entries, error);
}

int gow_search_finish(struct gow_search *search, uint64_t size, const gow_digest *digest,
                      gow_error *error)
{
	struct archive_entry *entry = NULL;
	int code = GOW_OK;

	if (search->name && !search->occurrence)
		code = gow_manifests_compare(&search->manifests, search->entries, search->name,
		                             size, digest, error);
	while (!code && search->entries->unpack.container) {
		code = gow_entries_next(search->entries, &entry, error);
		if (code || !entry)
			break;
		code = look_after(search, entry, size, digest, error);
	}
	return code;
}
