/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/unmount.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "daemon/base/child.h"
#include "daemon/base/err.h"

#define HELPER_MS 5000

/* Runs `fusermount3 -u -z`, which may unmount for users without the right to. */
static int helper_unmount(const char *mountpoint)
{
	char program[] = "fusermount3", u[] = "-u", z[] = "-z", q[] = "-q", end[] = "--";
	CLEANUP(freep) char *where = strdup(mountpoint);
	char *const argv[] = { program, u, z, q, end, where, NULL };
	CLEANUP(buf_free) struct buf said = { 0 };
	int r = where ? child_say(program, argv, HELPER_MS, &said) : -ENOMEM;

	return r == 0 || r == ERR_TIMEOUT || r == -ENOMEM ? r : -EPERM;
}

int unmount_detach(const char *mountpoint)
{
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	return errno == EPERM ? helper_unmount(mountpoint) : -errno;
}
