/* SPDX-License-Identifier: Apache-2.0 */
/* Ends a process as a power cut would, at one chosen change of a directory: preloaded, it counts
 * the calls that change files below $CRASH_DIR and kills the process instead of the one that
 * $CRASH_AT numbers (from 1; 0: counts alone; with $CRASH_TORN a write is made by half first). The
 * count lies in the file $CRASH_COUNT. */
#undef _FILE_OFFSET_BITS /* both kinds of names are caught */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *dir;
static size_t dir_len;
static unsigned long crash_at;
static int torn;
static atomic_ulong *count;
static pid_t victim; /* a child's changes are its parent's, too */

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CRASH_COUNT"), *at = getenv("CRASH_AT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED
			   : mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return;
	close(fd);
	dir = getenv("CRASH_DIR");
	dir_len = dir ? strlen(dir) : 0;
	crash_at = at ? strtoul(at, NULL, 10) : 0;
	torn = getenv("CRASH_TORN") != NULL;
	victim = getpid();
	count = map;
}

static void die(void)
{
	kill(victim, SIGKILL);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static int is_ours(const char *path)
{
	return count && dir && strncmp(path, dir, dir_len) == 0;
}

static int fd_is_ours(int fd)
{
	char link[64], path[PATH_MAX];
	int saved = errno;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	errno = saved;
	if (len < 0)
		return 0;
	path[len] = '\0';
	return is_ours(path);
}

static int at_is_ours(int at, const char *path)
{
	return path[0] == '/' ? is_ours(path) : at != AT_FDCWD && fd_is_ours(at);
}

/* Counts one change; true if it is the one. */
static int is_the_one(void)
{
	return atomic_fetch_add(count, 1) + 1 == crash_at;
}

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define CHANGE(ours) \
	do { \
		if ((ours) && is_the_one()) \
			die(); \
	} while (0)

#define PWRITE(name, off_type) \
	ssize_t name(int fd, const void *data, size_t len, off_type off) \
	{ \
		REAL(name); \
		if (fd_is_ours(fd) && is_the_one()) { \
			if (torn && len > 1) \
				real(fd, data, len / 2, off); \
			die(); \
		} \
		return real(fd, data, len, off); \
	}
PWRITE(pwrite, __off_t)
PWRITE(pwrite64, __off64_t)

#define PWRITEV(name, off_type) \
	ssize_t name(int fd, const struct iovec *parts, int n, off_type off) \
	{ \
		REAL(name); \
		CHANGE(fd_is_ours(fd)); \
		return real(fd, parts, n, off); \
	}
PWRITEV(pwritev, __off_t)
PWRITEV(pwritev64, __off64_t)

ssize_t write(int fd, const void *data, size_t len)
{
	REAL(write);
	CHANGE(fd_is_ours(fd));
	return real(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	REAL(writev);
	CHANGE(fd_is_ours(fd));
	return real(fd, parts, n);
}

#define ON_FD(name, params, args) \
	int name params \
	{ \
		REAL(name); \
		CHANGE(fd_is_ours(fd)); \
		return real args; \
	}
ON_FD(fsync, (int fd), (fd))
ON_FD(fdatasync, (int fd), (fd))
ON_FD(syncfs, (int fd), (fd))
ON_FD(ftruncate, (int fd, __off_t len), (fd, len))
ON_FD(ftruncate64, (int fd, __off64_t len), (fd, len))
ON_FD(fallocate, (int fd, int mode, __off_t off, __off_t len), (fd, mode, off, len))
ON_FD(fallocate64, (int fd, int mode, __off64_t off, __off64_t len), (fd, mode, off, len))

#define ON_PATH(name, ours, params, args) \
	int name params \
	{ \
		REAL(name); \
		CHANGE(ours); \
		return real args; \
	}
ON_PATH(rename, is_ours(to), (const char *from, const char *to), (from, to))
ON_PATH(renameat, at_is_ours(to_at, to), (int from_at, const char *from, int to_at, const char *to),
	(from_at, from, to_at, to))
ON_PATH(unlink, is_ours(path), (const char *path), (path))
ON_PATH(unlinkat, at_is_ours(at, path), (int at, const char *path, int flags), (at, path, flags))
ON_PATH(mkdir, is_ours(path), (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdirat, at_is_ours(at, path), (int at, const char *path, mode_t mode), (at, path, mode))
ON_PATH(linkat, at_is_ours(to_at, to),
	(int from_at, const char *from, int to_at, const char *to, int flags),
	(from_at, from, to_at, to, flags))

/* Only a file that is made is a change. */
#define OPENAT(name) \
	int name(int at, const char *path, int flags, ...) \
	{ \
		mode_t mode = 0; \
		va_list args; \
		REAL(name); \
		if (flags & (O_CREAT | __O_TMPFILE)) { \
			va_start(args, flags); \
			mode = va_arg(args, mode_t); \
			va_end(args); \
			CHANGE(at_is_ours(at, path) && faccessat(at, path, F_OK, 0) < 0); \
		} \
		return real(at, path, flags, mode); \
	}
OPENAT(openat)
OPENAT(openat64)
