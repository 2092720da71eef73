/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_kept.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"

#define ITEMS_MAX 16
#define BYTES_MAX (32 << 20)
#define IDLE_MS 10000

struct nfs_kept {
	struct lock lock;
	/* Guarded by lock. */
	TAILQ_HEAD(, nfs_kept_item) by_age; /* used longest ago first */
	unsigned count;
	size_t bytes;
};

int nfs_kept_new(struct nfs_kept **ret)
{
	struct nfs_kept *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	TAILQ_INIT(&k->by_age);
	lock_init(&k->lock, LOCK_NFS_KEPT);
	*ret = k;
	return 0;
}

void nfs_kept_init(struct nfs_kept_item *i)
{
	atomic_init(&i->refs, 1);
}

void nfs_kept_unref(struct nfs_kept_item *i)
{
	if (i && atomic_fetch_sub(&i->refs, 1) == 1)
		i->free(i);
}

static void link_last_locked(struct nfs_kept *k, struct nfs_kept_item *i)
{
	i->used_ms = clock_ms();
	TAILQ_INSERT_TAIL(&k->by_age, i, age);
	k->count++;
	k->bytes += i->bytes;
}

static void unlink_locked(struct nfs_kept *k, struct nfs_kept_item *i)
{
	TAILQ_REMOVE(&k->by_age, i, age);
	k->count--;
	k->bytes -= i->bytes;
}

static bool is_for(const struct nfs_kept_item *i, const struct nfs_fh *fh, uint64_t whose)
{
	return i->whose == whose && i->fh.len == fh->len &&
	       memcmp(i->fh.bytes, fh->bytes, fh->len) == 0;
}

static struct nfs_kept_item *look_locked(const struct nfs_kept *k, const struct nfs_fh *fh,
					 uint64_t whose)
{
	struct nfs_kept_item *i = TAILQ_FIRST(&k->by_age);

	while (i && !is_for(i, fh, whose))
		i = TAILQ_NEXT(i, age);
	return i;
}

struct nfs_kept_item *nfs_kept_find(struct nfs_kept *k, const struct nfs_fh *fh, uint64_t whose)
{
	struct nfs_kept_item *i;

	lock_take(&k->lock);
	i = look_locked(k, fh, whose);
	if (i) {
		unlink_locked(k, i);
		link_last_locked(k, i);
		atomic_fetch_add(&i->refs, 1);
	}
	lock_drop(&k->lock);
	return i;
}

/* Takes out what was used longest ago, if it is so old, or in the way of so many bytes; or NULL. */
static struct nfs_kept_item *take_oldest(struct nfs_kept *k, int64_t before_ms, size_t more_bytes)
{
	struct nfs_kept_item *i;
	bool surplus;

	lock_take(&k->lock);
	i = TAILQ_FIRST(&k->by_age);
	surplus = more_bytes && (k->count == ITEMS_MAX || k->bytes + more_bytes > BYTES_MAX);
	if (i && !surplus && i->used_ms >= before_ms)
		i = NULL;
	if (i)
		unlink_locked(k, i);
	lock_drop(&k->lock);
	return i;
}

static void forget(struct nfs_kept *k, int64_t before_ms, size_t more_bytes)
{
	struct nfs_kept_item *i;

	while ((i = take_oldest(k, before_ms, more_bytes)))
		nfs_kept_unref(i);
}

void nfs_kept_put(struct nfs_kept *k, struct nfs_kept_item *i)
{
	struct nfs_kept_item *known;

	if (i->bytes > BYTES_MAX) {
		nfs_kept_drop(k, &i->fh, i->whose);
		return;
	}
	forget(k, 0, i->bytes);
	lock_take(&k->lock);
	known = look_locked(k, &i->fh, i->whose);
	if (known && known->begun_us > i->begun_us) {
		known = NULL; /* somebody else was faster, and has a newer one */
	} else {
		if (known)
			unlink_locked(k, known);
		link_last_locked(k, i);
		atomic_fetch_add(&i->refs, 1);
	}
	lock_drop(&k->lock);
	nfs_kept_unref(known);
}

void nfs_kept_drop(struct nfs_kept *k, const struct nfs_fh *fh, uint64_t whose)
{
	struct nfs_kept_item *i;

	lock_take(&k->lock);
	i = look_locked(k, fh, whose);
	if (i)
		unlink_locked(k, i);
	lock_drop(&k->lock);
	nfs_kept_unref(i);
}

void nfs_kept_tick(struct nfs_kept *k)
{
	forget(k, clock_ms() - IDLE_MS, 0);
}

void nfs_kept_free(struct nfs_kept *k)
{
	if (!k)
		return;
	forget(k, INT64_MAX, 0);
	lock_fini(&k->lock);
	free(k);
}
