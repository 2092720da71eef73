/* SPDX-License-Identifier: Apache-2.0 */
/* Ends a process as a power cut would, at one chosen change of a directory: preloaded, it counts
 * the calls that change files below $CRASH_DIR and kills the process instead of the one that
 * $CRASH_AT numbers (from 1; 0: counts alone; with $CRASH_TORN a write is made by half first). The
 * count lies in the file $CRASH_COUNT. With $CRASH_FULL nobody is killed: from that one on no file
 * gets longer and none is made, as on a full disk, until the count is set back. */
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
static int torn, full;
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
	full = getenv("CRASH_FULL") != NULL;
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

/* Counts one change; true if it is the one to be killed at. */
static int is_the_one(void)
{
	return atomic_fetch_add(count, 1) + 1 == crash_at && !full;
}

/* Whether a file is to get longer than it is. */
static int grows(int fd, unsigned long long end)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (unsigned long long)st.st_size < end;
}

/* Of what was counted just now. */
static int has_no_room(void)
{
	if (!full || atomic_load(count) < crash_at)
		return 0;
	errno = ENOSPC;
	return 1;
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

#define GROWTH(ours) \
	do { \
		if (!(ours)) \
			break; \
		if (is_the_one()) \
			die(); \
		if (has_no_room()) \
			return -1; \
	} while (0)

#define PWRITE(name, off_type) \
	ssize_t name(int fd, const void *data, size_t len, off_type off) \
	{ \
		REAL(name); \
		if (fd_is_ours(fd)) { \
			if (is_the_one()) { \
				if (torn && len > 1) \
					real(fd, data, len / 2, off); \
				die(); \
			} \
			if (grows(fd, (unsigned long long)off + len) && has_no_room()) \
				return -1; \
		} \
		return real(fd, data, len, off); \
	}
PWRITE(pwrite, __off_t)
PWRITE(pwrite64, __off64_t)

static unsigned long long end_of(const struct iovec *parts, int n, long long off)
{
	unsigned long long end = (unsigned long long)off;

	while (n-- > 0)
		end += parts++->iov_len;
	return end;
}

#define PWRITEV(name, off_type) \
	ssize_t name(int fd, const struct iovec *parts, int n, off_type off) \
	{ \
		REAL(name); \
		CHANGE(fd_is_ours(fd)); \
		if (fd_is_ours(fd) && grows(fd, end_of(parts, n, off)) && has_no_room()) \
			return -1; \
		return real(fd, parts, n, off); \
	}
PWRITEV(pwritev, __off_t)
PWRITEV(pwritev64, __off64_t)

ssize_t write(int fd, const void *data, size_t len)
{
	REAL(write);
	GROWTH(fd_is_ours(fd));
	return real(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	REAL(writev);
	GROWTH(fd_is_ours(fd));
	return real(fd, parts, n);
}

#define ON_FD(kind, name, params, args) \
	int name params \
	{ \
		REAL(name); \
		kind(fd_is_ours(fd)); \
		return real args; \
	}
ON_FD(CHANGE, fsync, (int fd), (fd))
ON_FD(CHANGE, fdatasync, (int fd), (fd))
ON_FD(CHANGE, syncfs, (int fd), (fd))
ON_FD(CHANGE, ftruncate, (int fd, __off_t len), (fd, len))
ON_FD(CHANGE, ftruncate64, (int fd, __off64_t len), (fd, len))
ON_FD(GROWTH, fallocate, (int fd, int mode, __off_t off, __off_t len), (fd, mode, off, len))
ON_FD(GROWTH, fallocate64, (int fd, int mode, __off64_t off, __off64_t len), (fd, mode, off, len))

#define ON_PATH(kind, name, ours, params, args) \
	int name params \
	{ \
		REAL(name); \
		kind(ours); \
		return real args; \
	}
ON_PATH(CHANGE, rename, is_ours(to), (const char *from, const char *to), (from, to))
ON_PATH(CHANGE, renameat, at_is_ours(to_at, to),
	(int from_at, const char *from, int to_at, const char *to), (from_at, from, to_at, to))
ON_PATH(CHANGE, unlink, is_ours(path), (const char *path), (path))
ON_PATH(CHANGE, unlinkat, at_is_ours(at, path), (int at, const char *path, int flags),
	(at, path, flags))
ON_PATH(GROWTH, mkdir, is_ours(path), (const char *path, mode_t mode), (path, mode))
ON_PATH(GROWTH, mkdirat, at_is_ours(at, path), (int at, const char *path, mode_t mode),
	(at, path, mode))
ON_PATH(GROWTH, linkat, at_is_ours(to_at, to),
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
			GROWTH(at_is_ours(at, path) && faccessat(at, path, F_OK, 0) < 0); \
		} \
		return real(at, path, flags, mode); \
	}
OPENAT(openat)
OPENAT(openat64)
