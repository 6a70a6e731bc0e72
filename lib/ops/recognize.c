/* SPDX-License-Identifier: BSD-2-Clause */
/* recognize.c - what a disk that was copied holds, from what was kept of it on its way. */
#include "ops/recognize.h"

#include <stdio.h>

#include "guest/guest.h"

static bool read_sample(void *context, uint64_t offset, void *buf, size_t size)
{
	return gow_sample_read(context, offset, buf, size);
}

void gow_recognize(struct gow_sample *sample, const struct gow_copy *copy, char *found, size_t size)
{
	const struct gow_guest_disk disk = {
		.context = sample,
		.read = read_sample,
		.size = copy->source_size,
	};
	const char *name = copy->data_blocks ? gow_guest_recognize(&disk) : "zeros";

	(void)snprintf(found, size, "%s", name ? name : "");
}
