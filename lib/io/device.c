/* SPDX-License-Identifier: BSD-2-Clause */
#include "io/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A line of /proc/self/mountinfo (proc_pid_mountinfo(5)): ID PARENT MAJOR:MINOR ROOT PLACE ... */
static bool is_mounted(dev_t device, char *use, size_t size)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[1024], place[512];
	bool found = false;

	while (mounts && !found && fgets(line, sizeof line, mounts)) {
		unsigned major_number, minor_number;

		/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
		found = sscanf(line, "%*s %*s %u:%u %*s %511s", &major_number, &minor_number,
		               place) == 3 &&
		        makedev(major_number, minor_number) == device;
	}
	if (mounts)
		(void)fclose(mounts);
	if (found)
		(void)snprintf(use, size, "mounted at %.100s", place);
	return found;
}

/* A line of /proc/swaps begins with the file's name. */
static bool is_swap(dev_t device, char *use, size_t size)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char line[1024];
	bool found = false;

	while (swaps && !found && fgets(line, sizeof line, swaps)) {
		struct stat st;

		line[strcspn(line, " \t\n")] = '\0';
		found = line[0] == '/' && stat(line, &st) == 0 && S_ISBLK(st.st_mode) &&
		        st.st_rdev == device;
	}
	if (swaps)
		(void)fclose(swaps);
	if (found)
		(void)snprintf(use, size, "used as swap");
	return found;
}

bool gow_device_use(const char *path, char *use, size_t size)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
	       (is_mounted(st.st_rdev, use, size) || is_swap(st.st_rdev, use, size));
}
