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
	struct nfs_kept_item *first, *last; /* used longest ago first */
	unsigned count;
	size_t bytes;
};

int nfs_kept_new(struct nfs_kept **ret)
{
	struct nfs_kept *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	lock_init(&k->lock, LOCK_NFS_OBJECTS); /* never held with theirs */
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
	i->prev = k->last;
	i->next = NULL;
	if (k->last)
		k->last->next = i;
	else
		k->first = i;
	k->last = i;
	k->count++;
	k->bytes += i->bytes;
}

static void unlink_locked(struct nfs_kept *k, struct nfs_kept_item *i)
{
	if (i->prev)
		i->prev->next = i->next;
	else
		k->first = i->next;
	if (i->next)
		i->next->prev = i->prev;
	else
		k->last = i->prev;
	k->count--;
	k->bytes -= i->bytes;
}

static bool is_for(const struct nfs_kept_item *i, const struct nfs_fh *fh, const void *whose)
{
	return i->whose == whose && i->fh.len == fh->len &&
	       memcmp(i->fh.bytes, fh->bytes, fh->len) == 0;
}

static struct nfs_kept_item *look_locked(const struct nfs_kept *k, const struct nfs_fh *fh,
					 const void *whose)
{
	struct nfs_kept_item *i = k->first;

	while (i && !is_for(i, fh, whose))
		i = i->next;
	return i;
}

struct nfs_kept_item *nfs_kept_find(struct nfs_kept *k, const struct nfs_fh *fh, const void *whose)
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

/* What has to go first, or NULL. */
static struct nfs_kept_item *take_surplus(struct nfs_kept *k, size_t more_bytes)
{
	struct nfs_kept_item *i = NULL;

	lock_take(&k->lock);
	if (k->first && (k->count == ITEMS_MAX || k->bytes + more_bytes > BYTES_MAX)) {
		i = k->first;
		unlink_locked(k, i);
	}
	lock_drop(&k->lock);
	return i;
}

static void make_room(struct nfs_kept *k, size_t more_bytes)
{
	struct nfs_kept_item *old;

	while ((old = take_surplus(k, more_bytes)))
		nfs_kept_unref(old);
}

void nfs_kept_put(struct nfs_kept *k, struct nfs_kept_item *i)
{
	struct nfs_kept_item *known;

	if (i->bytes > BYTES_MAX) {
		nfs_kept_drop(k, &i->fh, i->whose);
		return;
	}
	make_room(k, i->bytes);
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

void nfs_kept_drop(struct nfs_kept *k, const struct nfs_fh *fh, const void *whose)
{
	struct nfs_kept_item *i;

	lock_take(&k->lock);
	i = look_locked(k, fh, whose);
	if (i)
		unlink_locked(k, i);
	lock_drop(&k->lock);
	nfs_kept_unref(i);
}

static struct nfs_kept_item *take_idle(struct nfs_kept *k, int64_t before_ms)
{
	struct nfs_kept_item *i;

	lock_take(&k->lock);
	i = k->first && k->first->used_ms < before_ms ? k->first : NULL;
	if (i)
		unlink_locked(k, i);
	lock_drop(&k->lock);
	return i;
}

static void forget_before(struct nfs_kept *k, int64_t before_ms)
{
	struct nfs_kept_item *i;

	while ((i = take_idle(k, before_ms)))
		nfs_kept_unref(i);
}

void nfs_kept_tick(struct nfs_kept *k)
{
	forget_before(k, clock_ms() - IDLE_MS);
}

void nfs_kept_free(struct nfs_kept *k)
{
	if (!k)
		return;
	forget_before(k, INT64_MAX);
	lock_fini(&k->lock);
	free(k);
}
