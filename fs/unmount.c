/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/unmount.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `fusermount3 -u -z`, which may unmount for users without the right to. */
static int helper_unmount(const char *mountpoint)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint,
		       (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int unmount_detach(const char *mountpoint)
{
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	return errno == EPERM ? helper_unmount(mountpoint) : -errno;
}
