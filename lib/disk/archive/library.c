/* SPDX-License-Identifier: BSD-2-Clause */
#include "disk/archive/library.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"

/* What is no damage: libarchive's words, and what to do. */
static const struct {
	const char *said, *what;
} limits[] = {
	/* libzstd reads no window of more than 128 MiB unless it is told to, which libarchive cannot. */
	{ "Frame requires too much memory",
	  "was packed with a window of more than 128 MiB (zstd --long); unpack it first, with zstd -d "
	  "--long=31" },
	{ "does not support seeking",
	  "is an archive that is not read from its start to its end (7z), and "
	  "cannot come from a pipe or be packed once more: save it to a file "
	  "of its own, and name that" },
	{ "encrypted", "is encrypted, which is not read; unpack it first" },
	{ "Encrypted", "is encrypted, which is not read; unpack it first" },
	{ "Passphrase", "is encrypted, which is not read; unpack it first" },
};

int gow_library_failed(struct archive *archive, gow_code code, const char *what, gow_error *error)
{
	const char *why = archive_error_string(archive);
	size_t length;

	/* liblzma's LZMA_MEM_ERROR, from a thread of its own, is passed on as a number. */
	if (errno == ENOMEM || archive_errno(archive) == ENOMEM ||
	    (why && strstr(why, "lzma") && strstr(why, "returned status 5")))
		return gow_fail_errno(error, ENOMEM, "%s", what);
	for (size_t i = 0; why && i < sizeof limits / sizeof *limits; i++)
		if (strstr(why, limits[i].said))
			return gow_fail(error, GOW_ERR_UNSUPPORTED, "%s", limits[i].what);
	why = why ? why : "libarchive gives no reason";
	length = strlen(why);
	while (length && why[length - 1] == '\n')
		length--;
	return gow_fail(
		error, code, "%s: %.*s%s", what, (int)length, why,
		strcmp(why, "Truncated tar archive") == 0
			? "; if it is the first of several volumes, unpack them with tar -xM"
			: "");
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
	struct rlimit addresses;
	pthread_t thread;

	/* Each of a compressor's threads takes as much memory as all of it would without them. */
	if (getrlimit(RLIMIT_AS, &addresses) < 0 || addresses.rlim_cur != RLIM_INFINITY)
		return false;
	return pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
	       pthread_join(thread, NULL) == 0;
}
