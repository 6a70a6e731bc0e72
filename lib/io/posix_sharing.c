/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_sharing.c - what files share on file systems that let them (reflink). */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "io/posix.h"

enum { EXTENTS = 64 };

/* What of an extent lies in the range, if it is shared. */
static uint64_t shared_part(const struct fiemap_extent *extent, uint64_t start, uint64_t end)
{
	uint64_t from = gow_max(extent->fe_logical, start);
	uint64_t to = gow_min(extent->fe_logical + extent->fe_length, end);

	return extent->fe_flags & FIEMAP_EXTENT_SHARED && from < to ? to - from : 0;
}

uint64_t gow_posix_shared_bytes(int fd, uint64_t offset, uint64_t size)
{
	union {
		struct fiemap map;
		uint8_t room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} ask;
	const uint64_t end = offset + size;
	uint64_t bytes = 0, at = offset;
	bool last = false;

	while (at < end && !last) {
		const struct fiemap_extent *extents = ask.map.fm_extents;

		memset(&ask, 0, sizeof ask);
		ask.map.fm_start = at;
		ask.map.fm_length = end - at;
		ask.map.fm_extent_count = EXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, &ask.map) < 0 || !ask.map.fm_mapped_extents)
			break;
		for (uint32_t i = 0; i < ask.map.fm_mapped_extents; i++) {
			bytes += shared_part(&extents[i], offset, end);
			at = extents[i].fe_logical + extents[i].fe_length;
			last = extents[i].fe_flags & FIEMAP_EXTENT_LAST;
		}
	}
	return bytes;
}

bool gow_posix_try_sharing(int fd, int from_fd, uint64_t from_offset)
{
	const struct file_clone_range range = {
		.src_fd = from_fd,
		.src_offset = from_offset,
		.src_length = GOW_FILE_GRAIN,
	};
	bool shares = ioctl(fd, FICLONERANGE, &range) == 0;

	if (shares && ftruncate(fd, 0) < 0)
		shares = false;
	return shares;
}
