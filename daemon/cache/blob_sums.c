/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of a sealed blob: its chunk map, kept under another name; and how a seal is broken. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
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

/* Who comes first takes it off; false if it is off. */
static bool begin_unseal(struct blob *b)
{
	bool mine;

	lock_take(&b->lock);
	while (b->unsealing)
		cond_wait(&b->quiet, &b->lock, CLOCK_FOREVER);
	mine = b->unsealing = atomic_load(&b->sealed);
	lock_drop(&b->lock);
	return mine;
}

static void end_unseal(struct blob *b, bool sealed)
{
	lock_take(&b->lock);
	atomic_store(&b->sealed, sealed);
	b->unsealing = false;
	cond_wake_all(&b->quiet);
	lock_drop(&b->lock);
}

static int unseal(struct blob *b, const uint64_t *sums)
{
	CLEANUP(closep) int fd = open_sums(b, O_RDWR | O_CREAT);
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
	return 0;
}

int blob_unseal(struct blob *b, const uint64_t *sums)
{
	int r;

	if (b->own)
		return -EROFS;
	if (!begin_unseal(b))
		return 0;
	r = unseal(b, sums);
	end_unseal(b, r < 0);
	return r;
}

/* ---- bytes that cannot be read ---- */

static uint64_t file_size(const struct blob *b)
{
	struct stat st;

	return fstat(b->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

bool blob_reaches(const struct blob *b, uint64_t end)
{
	return file_size(b) >= end;
}

struct loss {
	uint64_t from, to, end; /* end: of the file */
};

static bool has_chunk(const struct loss *l, const struct blob *b, uint32_t i)
{
	uint64_t end = chunk_end(i, b->size);

	return end > l->end || (end > l->from && chunk_start(i) < l->to);
}

/* Without sums of its chunks all of it is lost. */
static int lose_sealed(struct blob *b, const struct loss *l)
{
	CLEANUP(freep) uint64_t *sums = calloc(b->chunks + 1, sizeof(*sums));
	bool known;
	int r;

	if (!sums)
		return -ENOMEM;
	known = blob_sums(b, sums) == 0;
	for (uint32_t i = 0; i < b->chunks; i++)
		if (!known || has_chunk(l, b, i))
			sums[i] = 0;
	r = blob_unseal(b, sums);
	return r < 0 ? r : 1;
}

int blob_lose(struct blob *b, uint64_t from, uint64_t to)
{
	struct loss l = { from, to, file_size(b) };
	int r = 0;

	if (atomic_load(&b->sealed))
		return lose_sealed(b, &l);
	for (uint32_t i = 0; r == 0 && i < b->chunks; i++)
		if (has_chunk(&l, b, i))
			r = blob_drop_chunk(b, i);
	return r;
}
