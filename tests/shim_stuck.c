/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: nobody learns how much room a disk has while the file STUCK is there: what a daemon
 * looks like that is alive and no longer does what it is for. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

int fstatvfs(int fd, struct statvfs *ret)
{
	static int (*next)(int, struct statvfs *);
	const char *path = getenv("STUCK");

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fstatvfs64");
	while (path && access(path, F_OK) == 0)
		usleep(10000);
	return next(fd, ret);
}
