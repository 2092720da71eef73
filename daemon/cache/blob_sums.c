/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of a sealed blob: its chunk map, kept under another name. */
#include <errno.h>
#include <fcntl.h>

#include "daemon/base/file.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/store_priv.h"

static int open_sums(const struct blob *b, int flags)
{
	char path[BLOB_PATH_MAX];
	int fd;

	blob_path(b->etag, ".sums", path);
	fd = openat(b->store->dirfd, path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

uint32_t blob_chunks(const struct blob *b)
{
	return b->chunks;
}

int blob_sums(const struct blob *b, uint64_t *ret)
{
	CLEANUP(closep) int fd = open_sums(b, O_RDONLY);

	return fd < 0 ? fd : chunkmap_load(fd, b->size, ret);
}

static int put_all(int fd, const struct blob *b, const uint64_t *sums)
{
	int r = chunkmap_make(fd, b->size);

	for (uint32_t i = 0; r == 0 && i < b->chunks; i++)
		r = chunkmap_put(fd, i, sums[i]);
	return r;
}

int blob_put_sums(const struct blob *b, const uint64_t *sums)
{
	CLEANUP(closep) int fd = open_sums(b, O_RDWR | O_CREAT);

	return fd < 0 ? fd : put_all(fd, b, sums);
}

int blob_unseal(struct blob *b, const uint64_t *sums)
{
	CLEANUP(closep) int fd = b->own ? -EROFS : open_sums(b, O_RDWR | O_CREAT);
	int r = fd < 0 ? fd : put_all(fd, b, sums);

	/* With this name it counts, whatever the index says. */
	if (r == 0)
		r = blob_rename_file(b, ".sums", ".map");
	/* What readers look at once the seal is off. */
	if (r == 0 && !b->state)
		r = blob_new_state(b);
	if (r < 0)
		return r;
	blob_take_sums(b, sums);
	for (uint32_t i = 0; i < b->chunks; i++) /* its blocks are there, and counted */
		atomic_store(&b->state[i].room, ROOM_TAKEN);
	if (b->mapfd >= 0)
		close(b->mapfd);
	b->mapfd = steal_fd(&fd);
	lock_take(&b->lock);
	atomic_store(&b->sealed, false);
	lock_drop(&b->lock);
	return 0;
}
