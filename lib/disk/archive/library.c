/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/library.h"

#include <errno.h>
#include <pthread.h>

#include "base/error.h"

int gow_library_failed(struct archive *archive, gow_code code, const char *what, gow_error *error)
{
	const char *why;

	if (errno == ENOMEM || archive_errno(archive) == ENOMEM)
		return gow_fail_errno(error, ENOMEM, "%s", what);
	why = archive_error_string(archive);
	return gow_fail(error, code, "%s: %s", what, why ? why : "libarchive gives no reason");
}

int gow_library_bytes(struct archive *archive, int filter, uint64_t *bytes, gow_error *error)
{
	la_int64_t count = archive_filter_bytes(archive, filter);

	if (count < 0)
		return gow_fail(error, GOW_ERR_UNSUPPORTED,
		                "libarchive cannot tell how much of it was read");
	*bytes = (uint64_t)count;
	return GOW_OK;
}

static void *do_nothing(void *nothing)
{
	return nothing;
}

bool gow_library_may_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
	       pthread_join(thread, NULL) == 0;
}
