/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a blob: a sparse data file, and beside an incomplete one its chunk map. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/store_priv.h"

void blob_path(const char *etag, const char *suffix, char ret[static BLOB_PATH_MAX])
{
	snprintf(ret, BLOB_PATH_MAX, "blobs/%.2s/%s%s", etag, etag, suffix);
}

void blob_take_sums(struct blob *b, const uint64_t *sums)
{
	uint64_t present = 0;

	for (uint32_t i = 0; i < b->chunks; i++) {
		atomic_store(&b->state[i].sum, sums[i]);
		atomic_store(&b->state[i].checked_s, 0);
		atomic_store(&b->state[i].room, sums[i] ? ROOM_TAKEN : ROOM_NONE);
		present += sums[i] ? chunk_end(i, b->size) - chunk_start(i) : 0;
	}
	atomic_store(&b->present_bytes, present);
}

/* Takes over the chunks a former process left. */
static int map_load(struct blob *b)
{
	CLEANUP(freep) uint64_t *sums = calloc(b->chunks + 1, sizeof(*sums));
	int r = sums ? chunkmap_load(b->mapfd, b->size, sums) : -ENOMEM;

	if (r == 0)
		blob_take_sums(b, sums);
	return r;
}

void blob_forget_chunks(struct blob *b)
{
	for (uint32_t i = 0; i < b->chunks; i++) {
		atomic_store(&b->state[i].sum, 0);
		atomic_store(&b->state[i].used_s, 0);
	}
	atomic_store(&b->present_bytes, 0);
}

int blob_new_state(struct blob *b)
{
	b->state = calloc(b->chunks ? b->chunks : 1, sizeof(*b->state));
	return b->state ? 0 : -ENOMEM;
}

/* Opens or makes the map; *keep says whether the data is its blob's, and whether it is kept. */
static int map_open(struct blob *b, bool *keep)
{
	char path[BLOB_PATH_MAX];

	if (blob_new_state(b) < 0)
		return -ENOMEM;
	blob_path(b->etag, ".map", path);
	b->mapfd = openat(b->store->dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->mapfd < 0)
		return -errno;
	*keep = *keep && map_load(b) == 0;
	if (*keep)
		return 0;
	blob_forget_chunks(b);
	return chunkmap_make(b->mapfd, b->size);
}

void blob_note_use(const struct blob *b)
{
	static const struct timespec now_atime[2] = { { .tv_nsec = UTIME_NOW },
						      { .tv_nsec = UTIME_OMIT } };

	if (!b->own)
		futimens(b->fd, now_atime);
}

/* Opens or makes the data file. */
static int data_open(struct blob *b, struct stat *ret_st)
{
	char path[BLOB_PATH_MAX];
	char dir[sizeof("blobs/aa")];

	blob_path(b->etag, "", path);
	b->fd = openat(b->store->dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->fd < 0 && errno == ENOENT) {
		snprintf(dir, sizeof(dir), "blobs/%.2s", b->etag);
		if (mkdirat(b->store->dirfd, dir, 0700) < 0 && errno != EEXIST)
			return -errno;
		b->fd = openat(b->store->dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	if (b->fd < 0)
		return -errno;
	if (fstat(b->fd, ret_st) < 0)
		return -errno;
	return 0;
}

/* Empties a data file of another size and gives it the right one. */
static int data_resize(struct blob *b, const struct stat *st)
{
	if (ftruncate(b->fd, 0) < 0 || ftruncate(b->fd, (off_t)b->size) < 0)
		return -errno;
	usage_sub(&b->store->usage, (uint64_t)st->st_blocks * 512);
	b->taken_bytes = 0;
	return 0;
}

int blob_open_own(struct blob *b)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	if (b->store->ownfd < 0)
		return -ENOENT;
	blob_path(b->etag, "", path);
	b->fd = openat(b->store->ownfd, path, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0 || fstat(b->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != b->size)
		return -EBUSY;
	b->own = true;
	b->sealed = true;
	b->present_bytes = b->size;
	return 0;
}

static bool has_file(const struct blob *b, const char *suffix)
{
	char path[BLOB_PATH_MAX];

	blob_path(b->etag, suffix, path);
	return faccessat(b->store->dirfd, path, F_OK, 0) == 0;
}

void blob_remove_file(const struct blob *b, const char *suffix)
{
	char path[BLOB_PATH_MAX];

	blob_path(b->etag, suffix, path);
	unlinkat(b->store->dirfd, path, 0);
}

int blob_rename_file(const struct blob *b, const char *from, const char *to)
{
	char old[BLOB_PATH_MAX], new[BLOB_PATH_MAX];

	blob_path(b->etag, from, old);
	blob_path(b->etag, to, new);
	return renameat(b->store->dirfd, old, b->store->dirfd, new) < 0 ? -errno : 0;
}

/* A whole file with its sums, but nothing that says it is sealed: the index was lost. Its chunks
 * are compared like all others, and the digest decides anew. */
static int adopt_sums(const struct blob *b, bool keep)
{
	int r = 0;

	if (!keep)
		blob_remove_file(b, ".sums"); /* of an evicted one */
	else if (!has_file(b, ".map"))
		r = blob_rename_file(b, ".sums", ".map");
	return r == -ENOENT ? 0 : r;
}

int blob_open_files(struct blob *b, bool sealed)
{
	struct stat st = { 0 };
	int r = data_open(b, &st);
	bool keep;

	if (r < 0)
		return r;
	keep = (uint64_t)st.st_size == b->size;
	b->taken_bytes = (uint64_t)st.st_blocks * 512;
	if (sealed && keep && !has_file(b, ".map")) {
		b->sealed = true;
		b->present_bytes = b->size;
		return 0;
	}
	r = adopt_sums(b, keep);
	if (r == 0)
		r = map_open(b, &keep);
	/* After the map is there: a whole file without one may pass for sealed. */
	if (r == 0 && (!keep || (b->size && !b->present_bytes && st.st_blocks)))
		r = data_resize(b, &st);
	return r;
}
