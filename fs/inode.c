/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"

struct inodes {
	struct lock lock;
	struct map by_number; /* guarded by lock */
};

static void inode_free(struct inode *i)
{
	place_fini(&i->place);
	snapshot_unref(i->recent);
	free(i);
}

int inodes_new(struct place root, struct inodes **ret)
{
	struct inodes *t = calloc(1, sizeof(*t));
	struct inode *i;
	int r;

	if (!t)
		return -ENOMEM;
	lock_init(&t->lock, LOCK_INODE);
	r = inodes_look(t, root, &i);
	if (r < 0) {
		inodes_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

static int free_inode(void *arg UNUSED, void *value)
{
	inode_free(value);
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (!t)
		return;
	map_each(&t->by_number, free_inode, NULL);
	map_fini(&t->by_number);
	lock_fini(&t->lock);
	free(t);
}

struct inode *inodes_get(struct inodes *t, uint64_t number)
{
	struct inode *i;

	lock_take(&t->lock);
	i = map_find_u64(&t->by_number, number);
	lock_drop(&t->lock);
	return i;
}

/* The inode of a place, or a free number for it: the wanted one or, where another place has that,
 * the next. */
static struct inode *find_locked(struct inodes *t, const struct place *place, uint64_t *ret_number)
{
	uint64_t number = place_number(place);
	struct inode *i;

	while ((i = map_find_u64(&t->by_number, number)) && !place_same(&i->place, place))
		number++;
	*ret_number = number;
	return i;
}

static int add_locked(struct inodes *t, struct place *place, uint64_t number, struct inode **ret)
{
	struct inode *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	i->number = number;
	r = map_put_u64(&t->by_number, number, i);
	if (r < 0) {
		free(i);
		return r;
	}
	i->place = *place;
	*place = (struct place){ 0 };
	*ret = i;
	return 0;
}

/* Keeps the place of one more lookup; what it replaces is left in *place. There is an inode for
 * each file that was ever listed, so it is the two members in which places of a blob differ. */
static void note_recent_locked(struct inode *i, struct place *place)
{
	struct snapshot *old = i->recent;

	if (i->place.kind != PLACE_BLOB || !place->snapshot)
		return;
	i->recent = place->snapshot;
	i->recent_node = place->node;
	place->snapshot = old;
}

int inodes_recent(struct inodes *t, const struct inode *i, struct place *ret)
{
	struct place now = i->place;
	int r;

	lock_take(&t->lock);
	if (i->recent) {
		now.snapshot = i->recent;
		now.node = i->recent_node;
	}
	r = place_copy(&now, ret);
	lock_drop(&t->lock);
	return r;
}

int inodes_look(struct inodes *t, struct place place, struct inode **ret)
{
	uint64_t number;
	struct inode *i;
	int r = 0;

	lock_take(&t->lock);
	i = find_locked(t, &place, &number);
	if (!i)
		r = add_locked(t, &place, number, &i);
	else
		note_recent_locked(i, &place);
	if (r == 0)
		i->lookups++;
	lock_drop(&t->lock);
	place_fini(&place);
	*ret = i;
	return r;
}

void inodes_forget(struct inodes *t, uint64_t number, uint64_t lookups)
{
	struct inode *gone = NULL, *i;

	lock_take(&t->lock);
	i = map_find_u64(&t->by_number, number);
	if (i) {
		i->lookups -= lookups < i->lookups ? lookups : i->lookups;
		if (i->lookups == 0)
			gone = map_del_u64(&t->by_number, number);
	}
	lock_drop(&t->lock);
	if (gone)
		inode_free(gone);
}

struct blob_search {
	const char *etag;
	uint64_t number;
	struct inode_use use;
};

static int match_blob(void *arg, void *value)
{
	struct blob_search *s = arg;
	struct inode *i = value;
	char etag[DIGEST_HEX_MAX + 1];

	if (i->place.kind != PLACE_BLOB)
		return 0;
	place_etag(&i->place, etag);
	if (strcmp(etag, s->etag) != 0)
		return 0;
	s->number = i->number;
	s->use = (struct inode_use){
		.cached_opens = i->cached_opens,
		.passthrough_opens = i->passthrough_opens,
		.reads_hit = atomic_load(&i->reads_hit),
		.reads_waited = atomic_load(&i->reads_waited),
	};
	return 1;
}

/* A walk over all: it is only asked after a wrong digest, and by people. */
static void search_blob(struct inodes *t, struct blob_search *s)
{
	lock_take(&t->lock);
	map_each(&t->by_number, match_blob, s);
	lock_drop(&t->lock);
}

uint64_t inodes_find_blob(struct inodes *t, const char *etag)
{
	struct blob_search s = { .etag = etag };

	search_blob(t, &s);
	return s.number;
}

void inodes_blob_use(struct inodes *t, const char *etag, struct inode_use *ret)
{
	struct blob_search s = { .etag = etag };

	search_blob(t, &s);
	*ret = s.use;
}

size_t inodes_count(struct inodes *t)
{
	size_t count;

	lock_take(&t->lock);
	count = t->by_number.count;
	lock_drop(&t->lock);
	return count;
}

static enum open_mode open_locked(struct inode *i, bool sealed, int *ret_backing_id)
{
	*ret_backing_id = i->backing_id;
	if (i->backing_id && !sealed)
		return OPEN_REFUSED;
	if (i->backing_id) {
		i->passthrough_opens++;
		return OPEN_PASSTHROUGH;
	}
	if (sealed && i->cached_opens == 0)
		return OPEN_NEEDS_ID;
	i->cached_opens++;
	return OPEN_CACHED;
}

enum open_mode inode_open(struct inodes *t, struct inode *i, bool sealed, int *ret_backing_id)
{
	enum open_mode mode;

	lock_take(&t->lock);
	mode = open_locked(i, sealed, ret_backing_id);
	lock_drop(&t->lock);
	return mode;
}

enum open_mode inode_opened(struct inodes *t, struct inode *i, int fresh_id, int *ret_backing_id,
			    int *ret_spare)
{
	enum open_mode mode;

	lock_take(&t->lock);
	*ret_spare = fresh_id;
	if (fresh_id && !i->backing_id && i->cached_opens == 0) {
		i->backing_id = fresh_id;
		*ret_spare = 0;
	}
	mode = open_locked(i, i->backing_id, ret_backing_id);
	lock_drop(&t->lock);
	return mode;
}

int inode_release(struct inodes *t, struct inode *i, bool passthrough)
{
	int id = 0;

	lock_take(&t->lock);
	if (!passthrough) {
		assert(i->cached_opens > 0);
		i->cached_opens--;
	} else {
		assert(i->passthrough_opens > 0);
		if (--i->passthrough_opens == 0) {
			id = i->backing_id;
			i->backing_id = 0;
		}
	}
	lock_drop(&t->lock);
	return id;
}
