/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/growing.h"

#include <string.h>

#include "base/error.h"

/* What options with common ones begin with. */
struct head {
	size_t struct_size;
	gow_common common;
	unsigned flags;
};

enum {
	COMMON_FLAGS = GOW_COMMON_NO_LOCK | GOW_COMMON_FORCE_SHARE | GOW_COMMON_DRY_RUN |
	               GOW_COMMON_DIGEST,
	SIZE_MOST = 1 << 20 /* no struct is as long; a size that was not set may be any number */
};

static int read_size(const void *given, size_t *size, gow_error *error)
{
	memcpy(size, given, sizeof *size);
	if (*size < sizeof *size || *size > SIZE_MOST)
		return gow_fail(error, GOW_ERR_ARGUMENT,
		                "a struct was handed over whose struct_size is not set");
	return GOW_OK;
}

int gow_take_struct(const void *given, void *full, size_t full_size, gow_error *error)
{
	const unsigned char *bytes = given;
	size_t size;
	int code;

	if (!given)
		return GOW_OK;
	code = read_size(given, &size, error);
	if (code)
		return code;
	for (size_t i = full_size; i < size; i++)
		if (bytes[i])
			return gow_fail(error, GOW_ERR_UNSUPPORTED,
			                "an option is set that this version of the library (%s) "
			                "does not know",
			                gow_version());
	memcpy(full, given, size < full_size ? size : full_size);
	memcpy(full, &full_size, sizeof full_size);
	return GOW_OK;
}

int gow_take_options(const void *given, void *full, size_t full_size, unsigned known_flags,
                     gow_error *error)
{
	struct head head = { .flags = 0 };
	size_t size = 0;
	int code = given ? read_size(given, &size, error) : GOW_OK;

	if (code || !given)
		return code;
	memcpy(&head, given, size < sizeof head ? size : sizeof head);
	if (head.flags & ~known_flags || head.common.flags & ~(unsigned)COMMON_FLAGS)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "a flag is set that this version of the library (%s) does not know",
		                gow_version());
	return gow_take_struct(given, full, full_size, error);
}

int gow_check_result(const void *given, gow_error *error)
{
	size_t size;

	return given ? read_size(given, &size, error) : GOW_OK;
}

void gow_give_result(void *given, const void *full, size_t full_size)
{
	size_t size, used;

	if (!given)
		return;
	memcpy(&size, given, sizeof size);
	used = size < full_size ? size : full_size;
	memcpy(given, full, used);
	memset((unsigned char *)given + used, 0, size - used);
	memcpy(given, &size, sizeof size);
}
