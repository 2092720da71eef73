/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/file.h"
#include "daemon/cache/chunk_list.h"

#define PREFIX "aside-"
#define DAMAGED "damaged"
#define DAMAGED_NAME_MAX (sizeof(DAMAGED "/") + DIGEST_HEX_MAX)
#define BLOB_NAME_MAX (sizeof("blobs/aa/") + DIGEST_HEX_MAX)
#define ASIDE_NAME_MAX (sizeof(PREFIX) + DIGEST_HEX_MAX)

static void blob_name(const char *etag, char ret[static BLOB_NAME_MAX])
{
	snprintf(ret, BLOB_NAME_MAX, "blobs/%.2s/%.*s", etag, DIGEST_HEX_MAX, etag);
}

static void aside_name(const char *etag, char ret[static ASIDE_NAME_MAX])
{
	snprintf(ret, ASIDE_NAME_MAX, PREFIX "%.*s", DIGEST_HEX_MAX, etag);
}

static void damaged_name(const char *etag, char ret[static DAMAGED_NAME_MAX])
{
	snprintf(ret, DAMAGED_NAME_MAX, DAMAGED "/%.*s", DIGEST_HEX_MAX, etag);
}

static bool is_etag(const char *name)
{
	size_t len = strlen(name);

	return (len == 40 || len == DIGEST_HEX_MAX) && hex_is(name, len);
}

int aside_each(struct intake *in, unsigned first_byte, aside_fn fn, void *arg)
{
	CLEANUP(closedirp) DIR *d = NULL;
	char dir[sizeof("blobs/aa")];
	struct stat st;
	int fd, r = 0;

	snprintf(dir, sizeof(dir), "blobs/%02x", first_byte & 0xff);
	fd = openat(intake_root(in), dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	for (const struct dirent *e; r == 0 && (e = readdir(d));)
		if (is_etag(e->d_name) && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = fn(arg, e->d_name, (uint64_t)st.st_size, st.st_mtim.tv_sec);
	return r;
}

int64_t aside_spoken_s(struct intake *in, const char *etag)
{
	char blob[BLOB_NAME_MAX];
	struct stat st;

	blob_name(etag, blob);
	return fstatat(intake_root(in), blob, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1
									    : st.st_mtim.tv_sec;
}

/* What was spoken of, or came anew, between the look and the rename shows by the second look. */
int aside_take(struct intake *in, const char *etag, int64_t before_s)
{
	char blob[BLOB_NAME_MAX], name[ASIDE_NAME_MAX];
	int64_t spoken_s = aside_spoken_s(in, etag);
	struct stat st;

	if (spoken_s < 0 || spoken_s >= before_s)
		return 0;
	blob_name(etag, blob);
	aside_name(etag, name);
	if (renameat(intake_root(in), blob, intake_staging(in), name) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstatat(intake_staging(in), name, &st, 0) == 0 && st.st_mtim.tv_sec < before_s)
		return 1;
	aside_put_back(in, etag);
	return 0;
}

void aside_put_back(struct intake *in, const char *etag)
{
	char blob[BLOB_NAME_MAX], name[ASIDE_NAME_MAX];

	blob_name(etag, blob);
	aside_name(etag, name);
	if (linkat(intake_staging(in), name, intake_root(in), blob, 0) == 0 || errno == EEXIST)
		unlinkat(intake_staging(in), name, 0);
}

void aside_remove(struct intake *in, const char *etag)
{
	char name[ASIDE_NAME_MAX];

	/* First: no list without its blob. */
	chunk_list_remove(intake_root(in), etag);
	aside_name(etag, name);
	unlinkat(intake_staging(in), name, 0);
}

/* ---- damaged ones ---- */

int aside_damaged(struct intake *in, const char *etag, int fd)
{
	char blob[BLOB_NAME_MAX], name[DAMAGED_NAME_MAX];
	struct stat is, named;
	int root = intake_root(in);

	if (mkdirat(root, DAMAGED, 0700) < 0 && errno != EEXIST)
		return -errno;
	blob_name(etag, blob);
	damaged_name(etag, name);
	if (fstat(fd, &is) < 0 || fstatat(root, blob, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is.st_ino != named.st_ino || is.st_dev != named.st_dev)
		return 0;
	if (renameat(root, blob, root, name) < 0)
		return -errno;
	/* What came between the look and the rename is another. */
	if (fstatat(root, name, &named, 0) == 0 && is.st_ino == named.st_ino) {
		chunk_list_remove(root, etag);
		return 1;
	}
	if (linkat(root, name, root, blob, 0) == 0 || errno == EEXIST)
		unlinkat(root, name, 0);
	return 0;
}

bool aside_was_damaged(struct intake *in, const char *etag)
{
	char name[DAMAGED_NAME_MAX];

	damaged_name(etag, name);
	return faccessat(intake_root(in), name, F_OK, 0) == 0;
}

static int each_damaged(struct intake *in, bool healed, int (*fn)(void *arg, const char *etag),
			void *arg)
{
	CLEANUP(closedirp) DIR *d = NULL;
	int r = 0, fd = openat(intake_root(in), DAMAGED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	for (const struct dirent *e; r == 0 && (e = readdir(d));)
		if (is_etag(e->d_name) && intake_is_there(in, e->d_name) == healed)
			r = fn(arg, e->d_name);
	return r;
}

int aside_each_damaged(struct intake *in, int (*fn)(void *arg, const char *etag), void *arg)
{
	return each_damaged(in, false, fn, arg);
}

int aside_each_healed(struct intake *in, int (*fn)(void *arg, const char *etag), void *arg)
{
	return each_damaged(in, true, fn, arg);
}

void aside_forget_damaged(struct intake *in, const char *etag)
{
	char name[DAMAGED_NAME_MAX];

	damaged_name(etag, name);
	unlinkat(intake_root(in), name, 0);
}

/* ---- at the start ---- */

static void restore(void *arg, const char *name)
{
	struct intake *in = arg;

	if (strncmp(name, PREFIX, strlen(PREFIX)) == 0 && is_etag(name + strlen(PREFIX)))
		aside_put_back(in, name + strlen(PREFIX));
}

void aside_restore(struct intake *in)
{
	file_each_name(intake_staging(in), restore, in);
}
