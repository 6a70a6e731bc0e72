/* SPDX-License-Identifier: BSD-2-Clause */
/* device_parts.c - what a block device is made of, as /sys/dev/block tells. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "io/device.h"
#include "io/posix.h"

enum { DEEPEST = 8 }; /* devices upon devices */

/* What is looked for: an open file, or device, that path may be a part of, or be made of. */
struct search {
	const struct gow_file *file; /* NULL: only a device is looked for, */
	dev_t device;                /* this one */
};

static bool is_in(const struct search *search, dev_t device, unsigned depth);

/* The first line of a file in a device's directory. */
static bool read_line(dev_t device, const char *name, char *line, size_t size)
{
	char path[PATH_MAX];
	FILE *file;
	bool there;

	(void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(device), minor(device),
	               name);
	file = fopen(path, "re");
	there = file && fgets(line, (int)size, file);
	if (file)
		(void)fclose(file);
	if (there)
		line[strcspn(line, "\n")] = '\0';
	return there;
}

static bool read_number(dev_t device, const char *name, dev_t *number)
{
	unsigned major_number, minor_number;
	char line[64];

	if (!read_line(device, name, line, sizeof line))
		return false;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
	if (sscanf(line, "%u:%u", &major_number, &minor_number) != 2)
		return false;
	*number = makedev(major_number, minor_number);
	return true;
}

/* Whether one of the devices that a mapped device, or an array, is made of is the one. */
static bool is_in_slaves(const struct search *search, dev_t device, unsigned depth)
{
	char path[64], name[NAME_MAX + sizeof "slaves//dev"];
	struct dirent *entry;
	bool found = false;
	dev_t slave;
	DIR *slaves;

	(void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/slaves", major(device),
	               minor(device));
	slaves = opendir(path);
	while (slaves && !found && (entry = readdir(slaves))) {
		(void)snprintf(name, sizeof name, "slaves/%s/dev", entry->d_name);
		found = entry->d_name[0] != '.' && read_number(device, name, &slave) &&
		        is_in(search, slave, depth + 1);
	}
	if (slaves)
		(void)closedir(slaves);
	return found;
}

/* Whether a device is the one, or is made of it. */
static bool is_in(const struct search *search, dev_t device, unsigned depth)
{
	char file[PATH_MAX];
	struct stat st;
	dev_t whole;

	if (device == search->device)
		return true;
	if (depth == DEEPEST)
		return false;
	if (read_line(device, "partition", file, sizeof file))
		return read_number(device, "../dev", &whole) && is_in(search, whole, depth + 1);
	if (!read_line(device, "loop/backing_file", file, sizeof file))
		return is_in_slaves(search, device, depth);
	if (search->file && gow_file_is_at(search->file, file))
		return true;
	/* A loop over a device. */
	return stat(file, &st) == 0 && S_ISBLK(st.st_mode) && is_in(search, st.st_rdev, depth + 1);
}

bool gow_device_overlaps(const struct gow_file *file, const char *path)
{
	const int fd = gow_posix_fd(file);
	struct search search = { .file = file };
	struct stat own, there;

	if (fd < 0 || fstat(fd, &own) < 0 || stat(path, &there) < 0 || !S_ISBLK(there.st_mode))
		return false;
	if (!S_ISBLK(own.st_mode))
		return is_in(&search, there.st_rdev, 0);
	search.device = own.st_rdev;
	if (is_in(&search, there.st_rdev, 0))
		return true;
	search = (struct search){ .device = there.st_rdev };
	return is_in(&search, own.st_rdev, 0);
}
