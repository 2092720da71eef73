/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/base/err.h"

/* FUSE has lookups and reads of one directory at once since 4.7, passthrough since 6.9. */
#define KERNEL_NEEDED 407
#define KERNEL_WANTED 609

static unsigned find_version(struct utsname *ret)
{
	unsigned major = 0, minor = 0;

	return uname(ret) == 0 && sscanf(ret->release, "%u.%u", &major, &minor) == 2
		       ? major * 100 + minor
		       : 0;
}

unsigned ctl_kernel_version(void)
{
	struct utsname name;

	return find_version(&name);
}

void ctl_check_kernel(struct ctl_checkup *u)
{
	struct utsname name;
	unsigned version = find_version(&name);

	if (!version)
		ctl_checkup_add(u, CTL_WARN, "kernel", "see uname -r", "its version is not known");
	else if (version < KERNEL_NEEDED)
		ctl_checkup_add(u, CTL_FAIL, "kernel", "boot Linux 4.7 or newer, best 6.9 or newer",
				"Linux %s is too old", name.release);
	else if (version < KERNEL_WANTED)
		ctl_checkup_add(u, CTL_WARN, "kernel",
				"with Linux 6.9 or newer it reads verified files by itself, and "
				"readers go on across an upgrade",
				"Linux %s has no FUSE passthrough", name.release);
	else
		ctl_checkup_add(u, CTL_OK, "kernel", NULL, "Linux %s", name.release);
}

static bool find_helper(void)
{
	static const char *const paths[] = { "/usr/bin/fusermount3", "/bin/fusermount3",
					     "/usr/local/bin/fusermount3" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return true;
	return false;
}

void ctl_check_device(struct ctl_checkup *u)
{
	CLEANUP(closep) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		ctl_checkup_add(u, CTL_FAIL, "/dev/fuse",
				errno == ENOENT || errno == ENODEV || errno == ENXIO
					? "modprobe fuse; a container gets it by --device /dev/fuse"
					: "its rights are to be rw-rw-rw-; a container gets it by "
					  "--device /dev/fuse",
				"it cannot be opened: %s", err_text(-errno));
	else if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
		ctl_checkup_add(u, CTL_FAIL, "/dev/fuse",
				"mknod /dev/fuse c 10 229; a container gets it by --device "
				"/dev/fuse",
				"it is no device");
	else
		ctl_checkup_add(u, CTL_OK, "/dev/fuse", NULL, "it can be opened");
	if (geteuid() == 0)
		ctl_checkup_add(u, CTL_OK, "rights", NULL, "root");
	else if (!find_helper())
		ctl_checkup_add(u, CTL_FAIL, "rights", "apt install fuse3, or run matrixfs as root",
				"user %u, and fusermount3 is missing", geteuid());
	else
		ctl_checkup_add(u, CTL_WARN, "rights",
				"passthrough and the kernel's readahead need root",
				"user %u mounts by fusermount3", geteuid());
}
