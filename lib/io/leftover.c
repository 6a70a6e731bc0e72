/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/leftover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/error.h"

enum {
	LONGEST = 1 << 30, /* no file of ours that was not finished is longer */
	GARBLED = 2 /* bytes of a magic that may be wrong; our magics differ in more of them */
};

/* Also where it ends in the magic, or a few of its bytes are garbled. */
static bool begins_with(const uint8_t *bytes, size_t size, const uint8_t *magic)
{
	size_t wrong = 0;

	for (size_t i = 0; magic && i < size; i++)
		wrong += bytes[i] != magic[i];
	return magic && wrong <= (size == GOW_OWN_MAGIC ? GARBLED : 0);
}

/* Whether a file has no byte that is not zero. */
static int is_blank(struct gow_file *file, uint8_t *buffer, bool *blank, gow_error *error)
{
	uint64_t at = 0, size = 0;
	size_t got = 0;
	int code = gow_file_size(file, &size, error);

	*blank = !code && size <= LONGEST;
	if (!*blank)
		return code;
	do {
		code = gow_file_read(file, at, buffer, GOW_BLOCK_SIZE, &got, error);
		*blank = *blank && (code || gow_is_zero(buffer, got));
		at += got;
	} while (!code && got && *blank);
	return code;
}

static int is_ours(struct gow_file *file, const struct gow_own_kind *kind, bool *ours,
                   gow_error *error)
{
	uint8_t *buffer = malloc(GOW_BLOCK_SIZE);
	size_t got = 0;
	int code = buffer ? gow_file_read(file, 0, buffer, GOW_OWN_MAGIC, &got, error)
	                  : gow_fail_memory(error, GOW_BLOCK_SIZE);

	*ours = false;
	if (!code)
		*ours = begins_with(buffer, got, kind->magic) ||
		        begins_with(buffer, got, kind->other);
	if (!code && !*ours)
		code = is_blank(file, buffer, ours, error);
	free(buffer);
	return code;
}

static int refuse(const struct gow_file *file, const struct gow_own_kind *kind, gow_error *error)
{
	int code = gow_fail(error, GOW_ERR_EXISTS,
	                    "stands in the way of %s, and is none, so it is left alone: rename it, "
	                    "or remove it if nobody needs it",
	                    kind->word);

	return gow_fail_in_file(error, code, file->name);
}

int gow_remove_leftover(struct gow_directory *directory, const char *name,
                        const struct gow_own_kind *kind, gow_error *error)
{
	struct gow_file *file = NULL;
	gow_error why = { .file = "" };
	bool ours = true;
	int code = gow_directory_open_file(directory, name, 0, &file, &why);

	/* A link, a FIFO, a socket: what is at its other end stays. */
	if (code == GOW_ERR_UNSUPPORTED || why.sys_errno == ENXIO)
		return gow_directory_remove(directory, name, error);
	if (code && error)
		*error = why;
	if (code || !file)
		return code;
	code = is_ours(file, kind, &ours, error);
	if (!code && !ours)
		code = refuse(file, kind, error);
	if (!code)
		code = gow_remove_if_same(directory, name, file, error);
	(void)gow_file_close(file, NULL);
	return code;
}

int gow_remove_if_same(struct gow_directory *directory, const char *name,
                       const struct gow_file *file, gow_error *error)
{
	if (gow_directory_check_entry(directory, name, file, NULL, NULL) == GOW_ERR_CHANGED)
		return GOW_OK;
	return gow_directory_remove(directory, name, error);
}
