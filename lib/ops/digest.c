/* SPDX-License-Identifier: BSD-2-Clause */
/* digest.c - the guest digest of whatever holds a guest's disk. */
#include "base/error.h"
#include "base/growing.h"
#include "disk/disk.h"
#include "journal/open.h"
#include "ops/infer/infer.h"

static int digest_source(struct gow_source *source, const gow_monitor *monitor,
                         gow_digest *digest, gow_error *error)
{
	struct gow_copy copy = {
		.source = source,
		.wants_digest = true,
		.monitor = monitor,
		.phase = "digest",
		.size_unit = 1,
	};
	int code = gow_copy_disk(&copy, error);

	if (!code)
		*digest = copy.digest;
	return code;
}

int gow_image_digest(gow_image *image, const gow_monitor *monitor, gow_digest *digest,
                     gow_error *error)
{
	struct gow_source *source;
	int code = gow_source_of_image(image, &source, error);

	if (code)
		return code;
	code = digest_source(source, monitor, digest, error);
	gow_source_close(source);
	return code;
}

int gow_digest_path(const char *path, const gow_open_options *options, gow_digest *digest,
                    gow_error *error)
{
	gow_open_options use = { .struct_size = sizeof use };
	int code = gow_take_options(options, &use, sizeof use,
	                            GOW_OPEN_WRITE | GOW_OPEN_STEADY | GOW_OPEN_SALVAGE, error);
	const struct gow_source_options source_options = {
		.open_image = gow_image_from_file,
		.common = use.common,
		.find_layout = gow_infer_find_layout,
	};
	struct gow_source *source;

	if (code)
		return code;
	if (use.flags & (GOW_OPEN_WRITE | GOW_OPEN_SALVAGE))
		return gow_fail(error, GOW_ERR_ARGUMENT, "a digest is of what can be read as it is");
	code = gow_source_open(path, &source_options, &source, error);
	if (code)
		return code;
	code = digest_source(source, source_options.common.monitor, digest, error);
	gow_source_close(source);
	return code;
}
