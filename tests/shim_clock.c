/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: the wall clock of a process runs ahead by the seconds (i64) that stand in the file
 * CLOCK_SHIM, and jumps when they are changed. The monotonic clock is left alone, as a jump leaves
 * it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *jump;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CLOCK_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*jump), PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		abort();
	close(fd);
	jump = at;
}

int clock_gettime(clockid_t which, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, which, ret);

	if (r == 0 && which == CLOCK_REALTIME && jump)
		ret->tv_sec += *jump;
	return r;
}
