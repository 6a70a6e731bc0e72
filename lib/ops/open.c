/* SPDX-License-Identifier: BSD-2-Clause */
/* open.c - opening an image, with whatever finds its layout. */
#include <unistd.h>

#include "base/error.h"
#include "base/growing.h"
#include "journal/open.h"
#include "ops/infer/infer.h"

/* Takes the caller's options to pieces. */
static int take(const gow_open_options *options, gow_open_options *use,
                struct gow_image_policy *policy, gow_error *error)
{
	int code = gow_take_options(options, use, sizeof *use,
	                            GOW_OPEN_WRITE | GOW_OPEN_STEADY | GOW_OPEN_SALVAGE, error);
	const bool write = use->flags & GOW_OPEN_WRITE;

	*policy = (struct gow_image_policy){
		.write = write,
		.salvage = use->flags & GOW_OPEN_SALVAGE,
		.numbers = write ? GOW_NUMBERS_OF_DISK : GOW_NUMBERS_NONE,
		.find_layout = write ? NULL : gow_infer_find_layout,
	};
	if (!code && write && policy->salvage)
		code = gow_fail(error, GOW_ERR_ARGUMENT,
		                "a damaged image can be opened for reading only");
	return code;
}

int gow_image_open(const char *path, const gow_open_options *options, gow_image **image,
                   gow_error *error)
{
	gow_open_options use = { .struct_size = sizeof use };
	struct gow_image_policy policy;
	int code = take(options, &use, &policy, error);

	return code ? code : gow_image_open_policy(path, &use, &policy, image, error);
}

int gow_image_open_fd(int fd, const char *name, const gow_open_options *options, gow_image **image,
                      gow_error *error)
{
	gow_open_options use = { .struct_size = sizeof use };
	struct gow_image_policy policy;
	int code = take(options, &use, &policy, error);

	if (code) {
		(void)close(fd);
		return code;
	}
	return gow_image_adopt_policy(fd, name, &use, &policy, image, error);
}
