/* SPDX-License-Identifier: Apache-2.0 */
/* One blob: a sparse data file, its mapping, and the chunk map of an incomplete one. Order of
 * writes: data, then the map's entry; at sealing: data synced, catalog, map removed. What is
 * only looked at here is read, not taken from the mapping: there a bad disk is an error, not
 * the end of the process. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/chunk.h"
#include "daemon/chunkmap.h"
#include "daemon/store_priv.h"

#define COMPARE_BYTES (256 << 10) /* read at a time to compare a chunk */

void blob_path(const char *etag, const char *suffix, char ret[static BLOB_PATH_MAX])
{
	snprintf(ret, BLOB_PATH_MAX, "blobs/%.2s/%s%s", etag, etag, suffix);
}

/* Takes over the chunks a former process left. */
static int map_load(struct blob *b)
{
	CLEANUP(freep) uint64_t *sums = calloc(b->chunks + 1, sizeof(*sums));
	int r = sums ? chunkmap_load(b->mapfd, b->size, sums) : -ENOMEM;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < b->chunks; i++) {
		atomic_store(&b->state[i].sum, sums[i]);
		if (sums[i])
			b->present_bytes += chunk_end(i, b->size) - chunk_start(i);
	}
	return 0;
}

static void forget_chunks(struct blob *b)
{
	for (uint32_t i = 0; i < b->chunks; i++)
		atomic_store(&b->state[i].sum, 0);
	atomic_store(&b->present_bytes, 0);
}

/* Opens or makes the map; *keep says whether the data is its blob's, and whether it is kept. */
static int map_open(struct blob *b, bool *keep)
{
	char path[BLOB_PATH_MAX];

	b->state = calloc(b->chunks ? b->chunks : 1, sizeof(*b->state));
	if (!b->state)
		return -ENOMEM;
	blob_path(b->etag, ".map", path);
	b->mapfd = openat(b->store->dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->mapfd < 0)
		return -errno;
	*keep = *keep && map_load(b) == 0;
	if (*keep)
		return 0;
	forget_chunks(b);
	return chunkmap_make(b->mapfd, b->size);
}

/* Opens or makes the data file. */
static int data_open(struct blob *b, struct stat *ret_st)
{
	static const struct timespec now_atime[2] = { { .tv_nsec = UTIME_NOW },
						      { .tv_nsec = UTIME_OMIT } };
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
	futimens(b->fd, now_atime); /* last use, for eviction */
	return 0;
}

/* Empties a data file of another size and gives it the right one. */
static int data_resize(struct blob *b, const struct stat *st)
{
	if (ftruncate(b->fd, 0) < 0 || ftruncate(b->fd, (off_t)b->size) < 0)
		return -errno;
	usage_sub(&b->store->usage, (uint64_t)st->st_blocks * 512);
	return 0;
}

static int data_map(struct blob *b)
{
	if (b->size == 0)
		return 0;
	b->data = mmap(NULL, b->size, PROT_READ, MAP_SHARED, b->fd, 0);
	if (b->data == MAP_FAILED) {
		b->data = NULL;
		return -errno;
	}
	return 0;
}

static bool has_map(const struct blob *b)
{
	char path[BLOB_PATH_MAX];

	blob_path(b->etag, ".map", path);
	return faccessat(b->store->dirfd, path, F_OK, 0) == 0;
}

static void remove_map(const struct blob *b)
{
	char path[BLOB_PATH_MAX];

	blob_path(b->etag, ".map", path);
	unlinkat(b->store->dirfd, path, 0);
}

static void blob_closep(struct blob **b)
{
	if (*b)
		blob_close(*b);
}

int blob_open(struct store *s, const char *etag, uint64_t size, bool sealed, struct blob **ret)
{
	CLEANUP(blob_closep) struct blob *b = calloc(1, sizeof(*b));
	struct stat st = { 0 };
	bool keep;
	int r;

	if (!b)
		return -ENOMEM;
	b->store = s;
	b->refs = 1;
	snprintf(b->etag, sizeof(b->etag), "%s", etag);
	b->size = size;
	b->chunks = chunk_count(size);
	b->fd = b->mapfd = -1;
	b->doubtful = s->unclean;
	r = data_open(b, &st);
	if (r < 0)
		return r;
	keep = (uint64_t)st.st_size == size;
	if (sealed && keep && !has_map(b)) {
		b->sealed = true;
		b->present_bytes = size;
	} else {
		r = map_open(b, &keep);
	}
	/* After the map is there: a whole file without one may pass for sealed. */
	if (r == 0 && !keep)
		r = data_resize(b, &st);
	if (r == 0)
		r = data_map(b);
	if (r == 0)
		*ret = steal(b);
	return r;
}

/* Gives back the blocks of bytes that turned out wrong and were not fetched again. */
static void free_dropped(const struct blob *b)
{
	if (b->dropped && b->present_bytes == 0 && ftruncate(b->fd, 0) == 0 &&
	    ftruncate(b->fd, (off_t)b->size) < 0)
		return; /* an empty file: of the wrong size, so nothing in it counts */
}

void blob_close(struct blob *b)
{
	free_dropped(b);
	if (b->data)
		munmap(b->data, b->size);
	closep(&b->fd);
	closep(&b->mapfd);
	free(b->state);
	free(b);
}

const char *blob_etag(const struct blob *b)
{
	return b->etag;
}

uint64_t blob_size(const struct blob *b)
{
	return b->size;
}

bool blob_is_sealed(const struct blob *b)
{
	return atomic_load(&b->sealed);
}

uint64_t blob_present_bytes(const struct blob *b)
{
	return atomic_load(&b->present_bytes);
}

int blob_fd(const struct blob *b)
{
	return b->fd;
}

const void *blob_data(const struct blob *b, uint64_t off)
{
	return (const char *)b->data + off;
}

void blob_release_pages(const struct blob *b, uint64_t off, uint64_t len)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = off - off % page;

	if (b->data)
		madvise((char *)b->data + start, off + len - start, MADV_DONTNEED);
}

int blob_read(const struct blob *b, void *ret, size_t len, uint64_t off)
{
	return file_pread(b->fd, ret, len, off);
}

/* XXH3 of a chunk's bytes; 0, which is none, if they cannot be read. */
static uint64_t sum_of(const struct blob *b, uint32_t i)
{
	CLEANUP(freep) char *piece = malloc(COMPARE_BYTES);
	uint64_t end = chunk_end(i, b->size), sum;
	struct xxh3 *x;
	int r = piece ? xxh3_new(&x) : -ENOMEM;

	if (r < 0)
		return 0;
	for (uint64_t off = chunk_start(i); r == 0 && off < end; off += COMPARE_BYTES) {
		size_t len = end - off < COMPARE_BYTES ? (size_t)(end - off) : COMPARE_BYTES;

		r = blob_read(b, piece, len, off);
		xxh3_update(x, piece, r == 0 ? len : 0);
	}
	sum = r == 0 ? xxh3_value(x) : 0;
	xxh3_free(x);
	return sum;
}

/* Compares a chunk that a crashed process left with its checksum. */
static bool chunk_intact(struct blob *b, uint32_t i, unsigned long long sum)
{
	uint64_t len = chunk_end(i, b->size) - chunk_start(i);

	if (sum_of(b, i) == sum) {
		atomic_store(&b->state[i].checked, true);
		return true;
	}
	/* Two threads may come here for one chunk: only one takes it off the count. */
	if (atomic_compare_exchange_strong(&b->state[i].sum, &sum, 0)) {
		atomic_fetch_sub(&b->present_bytes, len);
		if (chunkmap_put(b->mapfd, i, 0) < 0)
			return false; /* the map still has it; the next start will compare again */
	}
	return false;
}

bool blob_may_have(const struct blob *b, uint32_t i)
{
	return atomic_load(&b->sealed) || atomic_load(&b->state[i].sum);
}

bool blob_has(struct blob *b, uint32_t i)
{
	if (!blob_may_have(b, i))
		return false;
	if (atomic_load(&b->sealed) || !b->doubtful || atomic_load(&b->state[i].checked))
		return true;
	return chunk_intact(b, i, atomic_load(&b->state[i].sum));
}

int blob_write(struct blob *b, const void *data, size_t len, uint64_t off)
{
	return file_pwrite(b->fd, data, len, off);
}

int blob_put_chunk(struct blob *b, uint32_t i, uint64_t sum)
{
	uint64_t len = chunk_end(i, b->size) - chunk_start(i);
	int r = chunkmap_put(b->mapfd, i, sum);

	if (r < 0)
		return r;
	/* Counted before it can be seen: whoever finds all chunks there may drop them at once. */
	if (!atomic_load(&b->state[i].sum)) {
		atomic_fetch_add(&b->present_bytes, len);
		usage_add(&b->store->usage, usage_blocks(len));
	}
	atomic_store(&b->state[i].checked, true);
	atomic_store(&b->state[i].sum, sum);
	return 0;
}

int blob_sync(struct blob *b)
{
	return fsync(b->fd) < 0 ? -errno : 0;
}

void blob_seal(struct blob *b)
{
	atomic_store(&b->present_bytes, b->size);
	atomic_store(&b->sealed, true);
	remove_map(b);
}

/* The file keeps its blocks until they are written again or the blob is closed: a reader that is
 * answered this moment must not find zeros in their place. */
int blob_drop(struct blob *b)
{
	atomic_store(&b->dropped, true);
	usage_sub(&b->store->usage, usage_blocks(atomic_load(&b->present_bytes)));
	forget_chunks(b);
	return chunkmap_make(b->mapfd, b->size);
}
