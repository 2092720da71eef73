/* SPDX-License-Identifier: Apache-2.0 */
/* Door to the file system: whole reads and writes, atomic replacement, holes, space, locks.
 * All functions return 0 (or what they say) or -errno. Descriptors are O_CLOEXEC. Threads: any. */
#ifndef MATRIXFS_FILE_H
#define MATRIXFS_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/buf.h"

/* Lets this process have as many files open as it ever may. */
MUST_USE int file_raise_limit(void);
/* mkdir -p with mode 0700 for what is missing. */
MUST_USE int file_mkdirs(const char *path);
/* Reads a whole file of at most max bytes, appending to ret; -EFBIG if it is larger. */
MUST_USE int file_read_all(int dirfd, const char *path, size_t max, struct buf *ret);
/* Replaces path by these bytes: temporary file, fsync, rename, fsync of the directory. The
 * temporary file lies in dirfd itself, where file_sweep() finds what a kill leaves; with AT_FDCWD
 * beside path, which may then be absolute. */
MUST_USE int file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
/* Calls fn for each name in a directory, which it may remove; none if it cannot be read. */
void file_each_name(int dirfd, void (*fn)(void *arg, const char *name), void *arg);
/* Removes what a process that was killed left of its file_replace() in this directory. */
void file_sweep(int dirfd);
/* Writes all, or fails. */
MUST_USE int file_pwrite(int fd, const void *data, size_t len, uint64_t off);
/* Reads exactly len bytes; -ENODATA at a premature end. */
MUST_USE int file_pread(int fd, void *ret, size_t len, uint64_t off);
/* What was written of a range goes on its way to the disk now; nobody waits for that. */
void file_flush(int fd, uint64_t off, uint64_t len);
/* Has blocks for a range that is going to be written, at one go where the file system can. */
MUST_USE int file_allocate(int fd, uint64_t off, uint64_t len);
/* Frees the blocks of a range; the size stays, the bytes read as zero. */
MUST_USE int file_punch(int fd, uint64_t off, uint64_t len);
/* fsync of a directory. */
MUST_USE int file_sync_dir(int dirfd);
/* Bytes a non-root user may still write where fd lives, and the size of that file system. */
MUST_USE int file_space(int fd, uint64_t *ret_free, uint64_t *ret_total);
/* Takes an exclusive flock or -EWOULDBLOCK. */
MUST_USE int file_lock(int fd);

#endif
