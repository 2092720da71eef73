/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: who opens a file of the name GATE_NAME, in whichever directory, waits at a gate: as
 * long as the file GATE is there. A byte for each goes into the file GATE_SEEN. */
#undef _FILE_OFFSET_BITS /* both kinds of names are caught */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEP_US 10000
#define STEPS_MAX 12000 /* nobody waits for ever */

static int open_it(int dirfd, const char *path, int flags, unsigned mode)
{
	return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

static void wait_at_gate(void)
{
	const char *gate = getenv("GATE"), *seen = getenv("GATE_SEEN");
	int fd;

	if (!gate || !seen || access(gate, F_OK) != 0)
		return;
	fd = open_it(AT_FDCWD, seen, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, "x", 1) == 1)
		close(fd);
	for (unsigned i = 0; i < STEPS_MAX && access(gate, F_OK) == 0; i++)
		usleep(STEP_US);
}

static int open_gated(int dirfd, const char *path, int flags, va_list ap)
{
	const char *name = getenv("GATE_NAME"), *slash = strrchr(path, '/');
	unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;

	if (name && !strcmp(slash ? slash + 1 : path, name))
		wait_at_gate();
	return open_it(dirfd, path, flags, mode);
}

#define OPENAT(name) \
	int name(int dirfd, const char *path, int flags, ...) \
	{ \
		va_list ap; \
		int fd; \
\
		va_start(ap, flags); \
		fd = open_gated(dirfd, path, flags, ap); \
		va_end(ap); \
		return fd; \
	}
OPENAT(openat)
OPENAT(openat64)
