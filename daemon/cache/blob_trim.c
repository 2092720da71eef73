/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks given back while their blob is open. A chunk's entry goes before its blocks do, both while
 * nobody looks at the mapping: whoever comes later finds it absent and fetches it again. */
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/store_priv.h"

#define REST_S 2          /* what was used this lately may be used again at once */
#define DRAIN_MS 100      /* readers' replies take far less */
#define CHUNKS_AT_ONCE 64 /* readers wait so long */

struct used_chunk {
	uint32_t chunk;
	unsigned used_s;
};

void blob_hold(struct blob *b)
{
	lock_take(&b->lock);
	while (b->trimming)
		cond_wait(&b->quiet, &b->lock, clock_ms() + DRAIN_MS);
	b->users++;
	lock_drop(&b->lock);
}

void blob_let_go(struct blob *b)
{
	lock_take(&b->lock);
	if (--b->users == 0 && b->trimming)
		cond_wake_all(&b->quiet);
	lock_drop(&b->lock);
}

void blob_note_read(struct blob *b, uint64_t off, uint64_t len)
{
	if (atomic_load(&b->sealed) || !b->state)
		return;
	for (uint32_t i = chunk_of(off); i <= chunk_of(off + len - 1); i++)
		atomic_store(&b->state[i].used_s, blob_now_s());
}

static int by_use(const void *a, const void *b)
{
	const struct used_chunk *x = a, *y = b;

	return (x->used_s > y->used_s) - (x->used_s < y->used_s);
}

/* The chunks that may go, longest unused first; owned. */
static struct used_chunk *list_used(const struct blob *b, size_t *ret_count)
{
	struct used_chunk *list = calloc(b->chunks + 1, sizeof(*list));
	unsigned before_s = blob_now_s() - REST_S;

	*ret_count = 0;
	for (uint32_t i = 0; list && i < b->chunks; i++) {
		unsigned used_s = atomic_load(&b->state[i].used_s);

		if (used_s && used_s <= before_s && atomic_load(&b->state[i].sum))
			list[(*ret_count)++] = (struct used_chunk){ i, used_s };
	}
	if (*ret_count)
		qsort(list, *ret_count, sizeof(*list), by_use);
	return list;
}

/* Of an absent chunk. If the disk does not take them they stay counted, and are written again. */
static uint64_t free_blocks_locked(struct blob *b, uint32_t i)
{
	uint64_t start = chunk_start(i), len = chunk_end(i, b->size) - start;

	if (file_punch(b->fd, start, len) < 0)
		return 0;
	atomic_store(&b->state[i].room, ROOM_NONE);
	atomic_fetch_sub(&b->taken_bytes, usage_blocks(len));
	usage_sub(&b->store->usage, usage_blocks(len));
	return usage_blocks(len);
}

static uint64_t give_back_locked(struct blob *b, uint32_t i)
{
	uint64_t len = chunk_end(i, b->size) - chunk_start(i);

	if (!atomic_load(&b->state[i].sum) || chunkmap_put(b->mapfd, i, 0) < 0)
		return 0;
	blob_note_lost(b, i);
	atomic_store(&b->state[i].sum, 0);
	atomic_store(&b->state[i].used_s, 0);
	atomic_store(&b->trimmed, true);
	atomic_fetch_sub(&b->present_bytes, len);
	return free_blocks_locked(b, i);
}

/* Begins a time in which nobody looks at the mapping; false if somebody does all the time. */
static bool begin_trim_locked(struct blob *b)
{
	int64_t until_ms = clock_ms() + DRAIN_MS;

	b->trimming = true;
	while (b->users && clock_ms() < until_ms)
		cond_wait(&b->quiet, &b->lock, until_ms);
	return b->users == 0 && !atomic_load(&b->sealed);
}

static void end_trim_locked(struct blob *b)
{
	b->trimming = false;
	cond_wake_all(&b->quiet);
}

/* Gives back a few; 0 as well if somebody looks all the time. */
static uint64_t give_back(struct blob *b, const struct used_chunk *list, size_t count,
			  uint64_t want)
{
	uint64_t freed = 0;

	lock_take(&b->lock);
	if (begin_trim_locked(b))
		for (size_t i = 0; i < count && freed < want; i++)
			freed += give_back_locked(b, list[i].chunk);
	end_trim_locked(b);
	lock_drop(&b->lock);
	return freed;
}

void blob_abandon_chunk(struct blob *b, uint32_t i)
{
	unsigned coming = ROOM_COMING;

	lock_take(&b->lock);
	if (atomic_compare_exchange_strong(&b->state[i].room, &coming, ROOM_TAKEN)) {
		blob_end_coming(b, usage_blocks(chunk_end(i, b->size) - chunk_start(i)));
		if (begin_trim_locked(b))
			free_blocks_locked(b, i);
		end_trim_locked(b);
	}
	lock_drop(&b->lock);
}

uint64_t blob_trim(struct blob *b, uint64_t want)
{
	CLEANUP(freep) struct used_chunk *list = NULL;
	uint64_t freed = 0, last = 1;
	size_t count;

	if (atomic_load(&b->sealed) || !b->state)
		return 0;
	list = list_used(b, &count);
	for (size_t at = 0; at < count && freed < want && last > 0; at += CHUNKS_AT_ONCE) {
		size_t n = count - at < CHUNKS_AT_ONCE ? count - at : CHUNKS_AT_ONCE;

		last = give_back(b, list + at, n, want - freed);
		freed += last;
	}
	return freed;
}
