/* SPDX-License-Identifier: BSD-2-Clause */
/* poll.c - giving way: for whoever keeps an image open for long. */
#include "image/image.h"

int gow_image_poll(gow_image *image, gow_error *error)
{
	return gow_lock_poll(gow_image_lock(image), error);
}
