/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define TEMPORARY ".new-"

static int check_dir(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path)
{
	CLEANUP(freep) char *part = strdup(path);
	char *slash = part;

	if (!part)
		return -ENOMEM;
	while (slash) {
		slash = strchr(slash + strspn(slash, "/"), '/');
		if (slash)
			*slash = '\0';
		if (*part && mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (slash)
			*slash = '/';
	}
	return check_dir(path);
}

/* Reads up to len bytes; fewer only at the end of the file. */
static ssize_t read_some(int fd, void *ret, size_t len)
{
	ssize_t n;

	do
		n = read(fd, ret, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int file_read_all(int dirfd, const char *path, size_t max, struct buf *ret)
{
	CLEANUP(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_free) struct buf all = { 0 };
	char piece[16384];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read_some(fd, piece, sizeof(piece))) > 0) {
		if ((size_t)n > max - all.len)
			return -EFBIG;
		if (buf_add(&all, piece, (size_t)n) < 0)
			return all.failed;
	}
	return n < 0 ? (int)n : buf_add(ret, buf_str(&all), all.len);
}

/* Opens the directory that holds path and points *ret_name to path's last component. */
static int open_parent(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(freep) char *parent = NULL;
	int fd;

	*ret_name = slash ? slash + 1 : path;
	/* "/name" lies in "/", all else in what is before the slash. */
	parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!parent)
		return -ENOMEM;
	fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Makes a durable file, or none. */
static int write_new(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
	CLEANUP(closep) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = file_pwrite(fd, data, len, 0);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, name, 0);
	return r;
}

void file_each_name(int dirfd, void (*fn)(void *arg, const char *name), void *arg)
{
	CLEANUP(closedirp) DIR *d = NULL;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		closep(&fd);
		return;
	}
	while ((e = readdir(d)))
		fn(arg, e->d_name);
}

static void remove_temporary(void *arg, const char *name)
{
	const int *dirfd = arg;

	if (strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0)
		unlinkat(*dirfd, name, 0);
}

void file_sweep(int dirfd)
{
	file_each_name(dirfd, remove_temporary, &dirfd);
}

int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	const char *name;
	CLEANUP(closep) int parent = open_parent(dirfd, path, &name);
	int home = dirfd == AT_FDCWD ? parent : dirfd;
	char temporary[32];
	uint64_t random;
	int r;

	if (parent < 0)
		return parent;
	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	snprintf(temporary, sizeof(temporary), TEMPORARY "%016llx", (unsigned long long)random);
	r = write_new(home, temporary, data, len, mode);
	if (r < 0)
		return r;
	if (renameat(home, temporary, parent, name) < 0) {
		r = -errno;
		unlinkat(home, temporary, 0);
		return r;
	}
	return file_sync_dir(parent);
}

int file_pwrite(int fd, const void *data, size_t len, uint64_t off)
{
	const char *at = data;

	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int file_pread(int fd, void *ret, size_t len, uint64_t off)
{
	char *at = ret;

	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

void file_flush(int fd, uint64_t off, uint64_t len)
{
	(void)!sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

int file_allocate(int fd, uint64_t off, uint64_t len)
{
	int r;

	do
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

int file_punch(int fd, uint64_t off, uint64_t len)
{
	int r;

	if (!len)
		return 0;
	do
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			      (off_t)len);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int file_sync_dir(int dirfd)
{
	return fsync(dirfd) < 0 ? -errno : 0;
}

int file_space(int fd, uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs st;

	if (fstatvfs(fd, &st) < 0)
		return -errno;
	*ret_free = st.f_flag & ST_RDONLY ? 0 : (uint64_t)st.f_bavail * st.f_frsize;
	*ret_total = (uint64_t)st.f_blocks * st.f_frsize;
	return 0;
}

int file_lock(int fd)
{
	int r;

	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int file_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}
