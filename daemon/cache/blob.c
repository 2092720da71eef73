/* SPDX-License-Identifier: Apache-2.0 */
/* One blob: its bytes, mapped and read, and which of its chunks are there. Order of writes: data,
 * then the map's entry; at sealing: data synced, catalog, map renamed. What is only looked at here
 * is read, not taken from the mapping: there a bad disk is an error, not the end of the process. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/store_priv.h"

#define COMPARE_BYTES (256 << 10) /* read at a time to compare a chunk */
#define COMPARE_S 3               /* seconds for which a chunk is believed to stay as it was */
#define FOLIO_MAX (2 << 20)       /* bytes, aligned, that the kernel may map at one touch */

typedef int (*take_fn)(struct usage *u, uint64_t bytes);

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

static void blob_closep(struct blob **b)
{
	if (*b)
		blob_close(*b);
}

int blob_open(struct store *s, const char *etag, uint64_t size, enum blob_kind kind,
	      struct blob **ret)
{
	CLEANUP(blob_closep) struct blob *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->store = s;
	b->refs = 1;
	snprintf(b->etag, sizeof(b->etag), "%s", etag);
	b->size = size;
	b->chunks = chunk_count(size);
	b->fd = b->mapfd = -1;
	lock_init(&b->lock, LOCK_BLOB);
	cond_init(&b->quiet);
	r = kind == BLOB_HOMELESS ? blob_open_homeless(b)
	    : kind == BLOB_OWN    ? blob_open_own(b)
				  : blob_open_files(b, kind == BLOB_SEALED);
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

/* What it counts for becomes what it takes: torn chunks of former processes were counted twice if
 * they were fetched again. */
static void count_blocks(struct blob *b)
{
	uint64_t taken = atomic_load(&b->taken_bytes), takes;
	struct stat st;

	if (b->fd < 0 || b->own || atomic_load(&b->homeless) || fstat(b->fd, &st) < 0)
		return;
	takes = (uint64_t)st.st_blocks * 512;
	if (takes > taken)
		usage_add(&b->store->usage, takes - taken);
	else
		usage_sub(&b->store->usage, taken - takes);
}

void blob_close(struct blob *b)
{
	free_dropped(b);
	count_blocks(b);
	usage_took(&b->store->usage, atomic_load(&b->coming_bytes));
	if (b->fd >= 0 && !b->unused)
		blob_note_use(b); /* the kernel may have read it by itself until now */
	if (b->data)
		munmap(b->data, b->size);
	closep(&b->fd);
	closep(&b->mapfd);
	cond_fini(&b->quiet);
	lock_fini(&b->lock);
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
	uint64_t start = off - off % FOLIO_MAX;
	uint64_t end = min_u64((off + len + FOLIO_MAX - 1) / FOLIO_MAX * FOLIO_MAX, b->size);

	if (b->data)
		madvise((char *)b->data + start, end - start, MADV_DONTNEED);
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

unsigned blob_now_s(void)
{
	return (unsigned)(clock_ms() / 1000) + 1;
}

/* Compares a chunk with its checksum. */
static bool chunk_intact(struct blob *b, uint32_t i, unsigned long long sum)
{
	uint64_t len = chunk_end(i, b->size) - chunk_start(i);
	bool was_right = atomic_load(&b->state[i].checked_s);

	if (sum_of(b, i) == sum) {
		atomic_store(&b->state[i].checked_s, blob_now_s());
		return true;
	}
	blob_note_lost(b, i);
	/* Two threads may come here for one chunk: only one takes it off the count. */
	if (atomic_compare_exchange_strong(&b->state[i].sum, &sum, 0)) {
		atomic_fetch_sub(&b->present_bytes, len);
		atomic_fetch_add(&b->rotten, was_right);
		if (chunkmap_put(b->mapfd, i, 0) < 0)
			return false; /* the map still has it; the next start will compare again */
	}
	return false;
}

bool blob_may_have(const struct blob *b, uint32_t i)
{
	return atomic_load(&b->sealed) || atomic_load(&b->state[i].sum);
}

bool blob_check(struct blob *b, uint32_t i)
{
	unsigned long long sum = atomic_load(&b->sealed) ? 0 : atomic_load(&b->state[i].sum);

	return sum ? chunk_intact(b, i, sum) : blob_has(b, i);
}

bool blob_has(struct blob *b, uint32_t i)
{
	if (!blob_may_have(b, i))
		return false;
	if (atomic_load(&b->sealed) || atomic_load(&b->state[i].checked_s))
		return true;
	return chunk_intact(b, i, atomic_load(&b->state[i].sum));
}

bool blob_still_has(struct blob *b, uint32_t i)
{
	unsigned checked_s;

	if (!blob_may_have(b, i) || atomic_load(&b->sealed))
		return blob_has(b, i);
	checked_s = atomic_load(&b->state[i].checked_s);
	return (checked_s && blob_now_s() - checked_s < COMPARE_S) || blob_check(b, i);
}

unsigned blob_rotten(const struct blob *b)
{
	return atomic_load(&b->rotten);
}

void blob_note_digested(struct blob *b, uint32_t chunks)
{
	atomic_store(&b->digested, chunks);
	if (chunks == 0)
		atomic_store(&b->outdated, false);
}

bool blob_digest_stands(const struct blob *b)
{
	return !atomic_load(&b->outdated);
}

void blob_note_lost(struct blob *b, uint32_t i)
{
	if (i < atomic_load(&b->digested))
		atomic_store(&b->outdated, true);
}

bool blob_was_trimmed(const struct blob *b)
{
	return atomic_load(&b->trimmed);
}

/* Counts the blocks of chunk i before its first byte is written. */
static int take_chunk(struct blob *b, uint32_t i, take_fn take)
{
	uint64_t bytes = usage_blocks(chunk_end(i, b->size) - chunk_start(i));
	int r;

	if (atomic_load(&b->state[i].room) != ROOM_NONE)
		return 0;
	r = take(&b->store->usage, bytes);
	if (r < 0)
		return r;
	atomic_store(&b->state[i].room, ROOM_COMING);
	atomic_fetch_add(&b->taken_bytes, bytes);
	atomic_fetch_add(&b->coming_bytes, bytes);
	return 0;
}

void blob_end_coming(struct blob *b, uint64_t bytes)
{
	atomic_fetch_sub(&b->coming_bytes, bytes);
	usage_took(&b->store->usage, bytes);
}

/* The chunk is absent, but the blocks it had may be about to be given back: that comes first. */
static int write_into(struct blob *b, const void *data, size_t len, uint64_t off, take_fn take)
{
	int r = atomic_load(&b->homeless) ? blob_find_home(b) : 0;

	lock_take(&b->lock);
	lock_drop(&b->lock);
	for (uint64_t at = off; r == 0 && at < off + len; at = chunk_end(chunk_of(at), b->size))
		r = take_chunk(b, chunk_of(at), take);
	if (r < 0)
		return r;
	return file_pwrite(b->fd, data, len, off);
}

int blob_write(struct blob *b, const void *data, size_t len, uint64_t off)
{
	return write_into(b, data, len, off, usage_take);
}

int blob_write_beyond(struct blob *b, const void *data, size_t len, uint64_t off)
{
	return write_into(b, data, len, off, usage_take_beyond);
}

int blob_put_chunk(struct blob *b, uint32_t i, uint64_t sum)
{
	uint64_t len = chunk_end(i, b->size) - chunk_start(i);
	int r = chunkmap_put(b->mapfd, i, sum);

	if (r < 0)
		return r;
	/* Counted before it can be seen: whoever finds all chunks there may drop them at once. */
	if (!atomic_load(&b->state[i].sum))
		atomic_fetch_add(&b->present_bytes, len);
	if (atomic_exchange(&b->state[i].room, ROOM_TAKEN) == ROOM_COMING)
		blob_end_coming(b, usage_blocks(len));
	atomic_store(&b->state[i].checked_s, blob_now_s());
	atomic_store(&b->state[i].sum, sum);
	return 0;
}

int blob_sync(struct blob *b)
{
	return fsync(b->fd) < 0 ? -errno : 0;
}

int blob_seal(struct blob *b)
{
	bool whole;

	lock_take(&b->lock);
	whole = atomic_load(&b->present_bytes) == b->size && blob_digest_stands(b);
	if (whole)
		atomic_store(&b->sealed, true);
	lock_drop(&b->lock);
	if (!whole)
		return -EAGAIN;
	if (blob_rename_file(b, ".map", ".sums") < 0)
		blob_remove_file(b, ".map");
	return 0;
}

/* The file keeps its blocks, and counts for them, until they are written again or the blob is
 * closed: a reader that is answered this moment must not find zeros in their place. */
int blob_drop(struct blob *b)
{
	if (b->own)
		return -EROFS;
	atomic_store(&b->dropped, true);
	blob_forget_chunks(b);
	return chunkmap_make(b->mapfd, b->size);
}

int blob_drop_chunk(struct blob *b, uint32_t i)
{
	unsigned long long sum;
	bool gone;
	int r;

	if (b->own)
		return -EROFS;
	lock_take(&b->lock); /* it may be about to be sealed: then its digest was right */
	sum = blob_is_sealed(b) ? 0 : atomic_load(&b->state[i].sum);
	gone = sum && atomic_compare_exchange_strong(&b->state[i].sum, &sum, 0);
	if (gone) {
		atomic_store(&b->dropped, true);
		blob_note_lost(b, i);
		atomic_fetch_sub(&b->present_bytes, chunk_end(i, b->size) - chunk_start(i));
	}
	/* Before it can come again and be sealed: the map is not to lose it then. */
	r = gone ? chunkmap_put(b->mapfd, i, 0) : 0;
	lock_drop(&b->lock);
	return r;
}
