/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "admin/ctl/ctl_print.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define TRIAL_BYTES (1u << 20)
#define HOLE_AT (256u << 10)
#define ROOM_WANTED (UINT64_C(1) << 30)

static const struct {
	unsigned long magic;
	const char *name;
	const char *advice; /* NULL: it is a good one */
} kinds[] = {
	{ 0xef53, "ext4", NULL },
	{ 0x58465342, "xfs", NULL },
	{ 0x9123683e, "btrfs", NULL },
	{ 0x2fc12fc1, "zfs", NULL },
	{ 0xf2f52010, "f2fs", NULL },
	{ 0x01021994, "tmpfs", "what is fetched is gone after a restart: put it on a disk" },
	{ 0x858458f6, "ramfs", "what is fetched is gone after a restart: put it on a disk" },
	{ 0x794c7630, "overlay",
	  "the kernel does not read by itself from stacked file systems: put it on a volume" },
	{ 0x6969, "nfs", "a cache is for a local disk: each node has its own" },
	{ 0x65735546, "fuse", "a cache is for a local disk: each node has its own" },
	{ 0x0bd00bd0, "lustre", "a cache is for a local disk: each node has its own" },
	{ 0x01021997, "9p", "a cache is for a local disk: each node has its own" },
};

static void check_kind(struct ctl_checkup *u, const char *dir, int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].magic == (unsigned long)fs.f_type) {
			ctl_checkup_add(u, kinds[i].advice ? CTL_WARN : CTL_OK, "cache",
					kinds[i].advice, "%s, on %s", dir, kinds[i].name);
			return;
		}
	ctl_checkup_add(u, CTL_WARN, "cache", "ext4 and xfs are known to be good",
			"%s, on a file system that is not known (0x%lx)", dir,
			(unsigned long)fs.f_type);
}

/* Writes a file without a name, and takes a part of it back. */
static int try_hole(int dirfd)
{
	CLEANUP(closep) int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CLEANUP(freep) char *bytes = calloc(1, TRIAL_BYTES);
	struct stat before = { 0 }, after = { 0 };
	int r;

	if (fd < 0 || !bytes)
		return fd < 0 ? -errno : -ENOMEM;
	r = file_pwrite(fd, bytes, TRIAL_BYTES, 0);
	if (r == 0 && (fsync(fd) < 0 || fstat(fd, &before) < 0))
		r = -errno;
	if (r == 0)
		r = file_punch(fd, HOLE_AT, TRIAL_BYTES / 2);
	if (r == 0 && (fsync(fd) < 0 || fstat(fd, &after) < 0))
		r = -errno;
	return r == 0 && after.st_blocks >= before.st_blocks ? -EOPNOTSUPP : r;
}

static void check_holes(struct ctl_checkup *u, int fd)
{
	int r = try_hole(fd);

	if (r == 0)
		ctl_checkup_add(u, CTL_OK, "holes", NULL, "files may have some");
	else if (r == -EACCES || r == -EPERM || r == -EROFS)
		ctl_checkup_add(u, CTL_FAIL, "holes", "run it as the user who runs matrixfs",
				"nothing can be written there: %s", err_text(r));
	else if (r == -ENOSPC || r == -EDQUOT)
		ctl_checkup_add(u, CTL_FAIL, "holes", "make room on the disk",
				"nothing can be written there: %s", err_text(r));
	else
		ctl_checkup_add(u, CTL_FAIL, "holes",
				"put the cache on ext4 or xfs: bytes that are evicted or cut short "
				"stay on the disk here",
				"files of this file system cannot have some: %s", err_text(r));
}

static void check_room(struct ctl_checkup *u, int fd, const struct jval *status)
{
	const struct jval *used = jval_get(status, "used");
	uint64_t keep = jval_get_size_or_0(jval_get(status, "limits"), "cache_min_free"), left,
		 total;
	CLEANUP(buf_free) struct buf found = { 0 };
	bool more;

	if (file_space(fd, &left, &total) < 0)
		return;
	/* Without a daemon nobody knows what the cache has taken, or is to leave. */
	more = !used || jval_get_size_or_0(used, "capacity_bytes") >= ROOM_WANTED;
	ctl_print_part(left, total, &found);
	buf_add_str(&found, " are free");
	if (left <= keep)
		ctl_checkup_add(u, CTL_FAIL, "room",
				"make room on the disk, or lower cache-min-free: until then "
				"nothing that is read is kept",
				"%s, and cache-min-free wants more", buf_str(&found));
	else if (!more || left - keep < ROOM_WANTED)
		ctl_checkup_add(u, CTL_WARN, "room",
				"a model has some GiB: give the cache a larger disk, or raise "
				"cache-size",
				"%s, and the cache may have less than 1 GiB", buf_str(&found));
	else
		ctl_checkup_add(u, CTL_OK, "room", NULL, "%s", buf_str(&found));
}

static void check_secrecy(struct ctl_checkup *u, int dirfd)
{
	struct stat st;

	if (fstatat(dirfd, "blobs", &st, 0) < 0)
		return;
	if (st.st_mode & 077)
		ctl_checkup_add(u, CTL_WARN, "secrecy", "chmod 700 of blobs and index in the cache",
				"others may look at the cached bytes of private models (mode %03o)",
				(unsigned)st.st_mode & 0777);
	else
		ctl_checkup_add(u, CTL_OK, "secrecy", NULL, "the cache is this user's alone");
}

void ctl_check_cache(struct ctl_checkup *u, const char *dir, const struct jval *status)
{
	CLEANUP(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		ctl_checkup_add(u, CTL_FAIL, "cache",
				"--node=CACHE names another; matrixfs makes it at its first start",
				"%s cannot be opened: %s", dir, err_text(-errno));
		return;
	}
	check_kind(u, dir, fd);
	check_holes(u, fd);
	check_room(u, fd, status);
	check_secrecy(u, fd);
}
