/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/location.h"

#include <stdlib.h>

#include "base/error.h"
#include "io/remote.h"

int gow_location_check(const struct gow_location *location, const char *path, gow_error *error)
{
	int code;

	if (!gow_file_can(location->file, GOW_FILE_CAN_IDENTIFY) ||
	    gow_file_is_at(location->file, path))
		return GOW_OK;
	code = gow_fail(error, GOW_ERR_CHANGED,
	                "was renamed or replaced meanwhile: what was done was not done to what has "
	                "that name now");
	return gow_fail_in_file(error, code, path);
}

int gow_location_close(struct gow_location *location, gow_error *error)
{
	int code = gow_file_close(location->file, error);

	gow_directory_close(location->directory);
	free(location->name);
	*location = (struct gow_location){ .file = NULL };
	return code;
}

int gow_location_open(const char *path, unsigned file_flags, const gow_open_options *options,
                      struct gow_location *location, gow_error *error)
{
	int code;

	*location = (struct gow_location){ .file = NULL };
	code = gow_open_locked(path, file_flags, options, &location->file, &location->lock, error);
	if (!code && !gow_name_is_uri(path))
		code = gow_directory_of(path, &location->directory, &location->name, error);
	if (!code && file_flags & GOW_FILE_WRITE)
		code = gow_file_settle(location->file, error);
	if (code)
		(void)gow_location_close(location, NULL);
	return code;
}

/* Opens, works, and closes. */
static int work_once(const char *path, unsigned file_flags, const gow_open_options *options,
                     gow_location_work work, void *context, bool *needed, gow_error *error)
{
	const bool look = !(file_flags & GOW_FILE_WRITE);
	struct gow_location location;
	int closed, code = gow_location_open(path, file_flags, options, &location, error);

	*needed = false;
	if (code)
		return code;
	code = work(context, &location, look, needed, error);
	if (!code && file_flags & GOW_FILE_WRITE)
		code = gow_location_check(&location, path, error);
	closed = gow_location_close(&location, code ? NULL : error);
	return code ? code : closed;
}

int gow_location_change(const char *path, const gow_open_options *options, gow_location_work work,
                        void *context, gow_error *error)
{
	const bool dry_run = options->common.flags & GOW_COMMON_DRY_RUN;
	gow_open_options use = *options;
	bool needed;
	int code;

	/* Somebody who writes to it would make the look worthless; who reads it is in the way only
	 * once there is something to write. */
	if (!dry_run) {
		use.flags |= GOW_OPEN_STEADY;
		use.common.flags &= ~(unsigned)GOW_COMMON_FORCE_SHARE;
	}
	/* What is on a server is refused before it is read. */
	if (!dry_run && gow_name_is_uri(path))
		return work_once(path, GOW_FILE_WRITE, &use, work, context, &needed, error);
	code = work_once(path, 0, &use, work, context, &needed, error);
	if (code || dry_run || !needed)
		return code;
	return work_once(path, GOW_FILE_WRITE, &use, work, context, &needed, error);
}
