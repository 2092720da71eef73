/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "fs/heritage.h"

/* An inode of the process before this one, until it is used. */
struct left {
	struct heir heir;
	uint32_t record;
	bool gone; /* there is no such place any more */
	unsigned cached_opens, passthrough_opens;
};

struct inodes {
	struct lock lock;
	/* Guarded by lock. A number is in one of the two. */
	struct map by_number;
	struct map left;
	struct heritage heritage;
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

static int free_left(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (!t)
		return;
	map_each(&t->by_number, free_inode, NULL);
	map_fini(&t->by_number);
	map_each(&t->left, free_left, NULL);
	map_fini(&t->left);
	heritage_fini(&t->heritage);
	lock_fini(&t->lock);
	free(t);
}

/* ---- what the process before left ---- */

static int add_left(void *arg, uint32_t record, void *data, size_t len)
{
	struct inodes *t = arg;
	struct left *left;
	struct heir heir;
	int r;

	if (len < sizeof(heir)) {
		estate_del(t->heritage.estate, record);
		return 0;
	}
	memcpy(&heir, data, sizeof(heir));
	if (map_find_u64(&t->left, heir.number)) {
		heritage_del(&t->heritage, record); /* a second one */
		return 0;
	}
	left = calloc(1, sizeof(*left));
	if (!left)
		return -ENOMEM;
	*left = (struct left){ .heir = heir, .record = record };
	r = map_put_u64(&t->left, heir.number, left);
	if (r < 0)
		free(left);
	return r;
}

int inodes_inherit(struct inodes *t, struct estate *e, const struct view *v)
{
	int r;

	lock_take(&t->lock);
	r = heritage_init(&t->heritage, e, v);
	if (r == 0)
		r = estate_each(e, ESTATE_INODE, add_left, t);
	lock_drop(&t->lock);
	return r;
}

void inodes_count_left(struct inodes *t, uint64_t number, bool passthrough)
{
	struct left *left;

	lock_take(&t->lock);
	left = map_find_u64(&t->left, number);
	if (left && passthrough)
		left->passthrough_opens++;
	else if (left)
		left->cached_opens++;
	lock_drop(&t->lock);
}

static int find_stray(void *arg, void *value)
{
	struct left *left = value;

	if (!left->heir.backing_id || left->passthrough_opens)
		return 0;
	*(struct left **)arg = left;
	return 1;
}

int inodes_take_stray_id(struct inodes *t)
{
	struct left *left = NULL;
	struct heir *heir;
	int id = 0;

	lock_take(&t->lock);
	if (map_each(&t->left, find_stray, &left)) {
		heir = estate_at(t->heritage.estate, left->record);
		id = left->heir.backing_id;
		heir->backing_id = left->heir.backing_id = 0;
	}
	lock_drop(&t->lock);
	return id;
}

struct blob_numbers {
	uint64_t *list;
	size_t count;
};

static int add_number(void *arg, void *value)
{
	const struct left *left = value;
	struct blob_numbers *n = arg;

	if (left->heir.kind == PLACE_BLOB)
		n->list[n->count++] = left->heir.number;
	return 0;
}

int inodes_left_blobs(struct inodes *t, uint64_t **ret, size_t *ret_count)
{
	struct blob_numbers n = { 0 };

	lock_take(&t->lock);
	n.list = calloc(t->left.count + 1, sizeof(*n.list));
	if (n.list)
		map_each(&t->left, add_number, &n);
	lock_drop(&t->lock);
	*ret = n.list;
	*ret_count = n.count;
	return n.list ? 0 : -ENOMEM;
}

/* Its record says of an inode what changes. */
static void note_locked(struct inodes *t, const struct inode *i)
{
	struct heir *heir = estate_at(t->heritage.estate, i->record);

	if (!heir)
		return;
	heir->lookups = i->lookups;
	heir->backing_id = i->backing_id;
}

/* Makes an inode of what was left (taken), at this place (taken). */
static int revive_locked(struct inodes *t, struct left *left, struct place *place,
			 struct place *recent, struct inode **ret)
{
	struct inode *i = calloc(1, sizeof(*i));
	int r = i ? map_put_u64(&t->by_number, left->heir.number, i) : -ENOMEM;

	if (r < 0) {
		free(i);
		return r;
	}
	map_del_u64(&t->left, left->heir.number);
	i->number = left->heir.number;
	i->place = *place;
	*place = (struct place){ 0 };
	i->recent = steal(recent->snapshot);
	i->recent_node = recent->node;
	i->record = left->record;
	i->lookups = left->heir.lookups;
	i->cached_opens = left->cached_opens;
	i->passthrough_opens = left->passthrough_opens;
	i->backing_id = left->heir.backing_id;
	free(left);
	*ret = i;
	return 0;
}

/* The inode of a number that the process before this one gave. What is known of its place is looked
 * for with no lock held: so somebody else may be faster. */
static struct inode *revive(struct inodes *t, uint64_t number)
{
	CLEANUP(place_fini) struct place place = { 0 }, recent = { 0 };
	struct inode *i = NULL;
	struct left *left;
	struct heir heir;
	int r;

	lock_take(&t->lock);
	left = map_find_u64(&t->left, number);
	if (left)
		heir = left->heir;
	lock_drop(&t->lock);
	r = left ? heritage_place(&t->heritage, &heir, &place, &recent) : 0;
	lock_take(&t->lock);
	left = map_find_u64(&t->left, number);
	if (left && r == 0)
		r = revive_locked(t, left, &place, &recent, &i);
	if (left && r < 0)
		left->gone = true;
	else if (!left)
		i = map_find_u64(&t->by_number, number);
	lock_drop(&t->lock);
	return i;
}

struct inode *inodes_get(struct inodes *t, uint64_t number)
{
	struct inode *i;
	bool left;

	lock_take(&t->lock);
	i = map_find_u64(&t->by_number, number);
	left = !i && t->left.count;
	lock_drop(&t->lock);
	return left ? revive(t, number) : i;
}

/* ---- numbers ---- */

/* The inode of a place, or what was left of it, or a free number for it: the wanted one or, where
 * another place has that, the next. */
static struct inode *find_locked(struct inodes *t, const struct place *place,
				 struct left **ret_left, uint64_t *ret_number)
{
	uint64_t number = place_number(place);

	for (*ret_left = NULL;; number++) {
		struct inode *i = map_find_u64(&t->by_number, number);
		struct left *left = i ? NULL : map_find_u64(&t->left, number);

		*ret_number = number;
		if (i && place_same(&i->place, place))
			return i;
		if (left && heritage_is(&t->heritage, &left->heir, place))
			*ret_left = left;
		if (*ret_left || (!i && !left))
			return NULL;
	}
}

static int add_locked(struct inodes *t, struct place *place, uint64_t number, struct inode **ret)
{
	struct inode *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	i->number = number;
	r = heritage_add(&t->heritage, number, place, &i->record);
	if (r == 0)
		r = map_put_u64(&t->by_number, number, i);
	if (r < 0) {
		heritage_del(&t->heritage, i->record);
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
static void note_recent_locked(struct inodes *t, struct inode *i, struct place *place)
{
	struct snapshot *old = i->recent;

	if (i->place.kind != PLACE_BLOB || !place->snapshot)
		return;
	if (place->snapshot != (old ? old : i->place.snapshot))
		heritage_recent(&t->heritage, i->record, place);
	i->recent = place->snapshot;
	i->recent_node = place->node;
	place->snapshot = old;
}

int inodes_place(struct inodes *t, uint64_t number, struct place *ret)
{
	const struct inode *i;
	int r;

	(void)inodes_get(t, number); /* one that was left becomes an inode */
	lock_take(&t->lock);
	i = map_find_u64(&t->by_number, number);
	r = i ? place_copy(&i->place, ret) : -ESTALE;
	lock_drop(&t->lock);
	return r;
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
	struct place nowhere = { 0 };
	struct left *left;
	uint64_t number;
	struct inode *i;
	int r = 0;

	lock_take(&t->lock);
	i = find_locked(t, &place, &left, &number);
	if (i)
		note_recent_locked(t, i, &place);
	else if (left)
		r = revive_locked(t, left, &place, &nowhere, &i);
	else
		r = add_locked(t, &place, number, &i);
	if (r == 0) {
		i->lookups++;
		note_locked(t, i);
	}
	lock_drop(&t->lock);
	place_fini(&place);
	*ret = i;
	return r;
}

static void forget_left_locked(struct inodes *t, uint64_t number, uint64_t lookups)
{
	struct left *left = map_find_u64(&t->left, number);
	struct heir *heir = left ? estate_at(t->heritage.estate, left->record) : NULL;

	if (!heir)
		return;
	left->heir.lookups -= lookups < left->heir.lookups ? lookups : left->heir.lookups;
	heir->lookups = left->heir.lookups;
	if (heir->lookups)
		return;
	heritage_del(&t->heritage, left->record);
	free(map_del_u64(&t->left, number));
}

void inodes_forget(struct inodes *t, uint64_t number, uint64_t lookups)
{
	struct inode *gone = NULL, *i;

	lock_take(&t->lock);
	i = map_find_u64(&t->by_number, number);
	if (i) {
		i->lookups -= lookups < i->lookups ? lookups : i->lookups;
		note_locked(t, i);
		if (i->lookups == 0)
			gone = map_del_u64(&t->by_number, number);
	} else {
		forget_left_locked(t, number, lookups);
	}
	if (gone)
		heritage_del(&t->heritage, gone->record);
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

static int note_blob(void *arg, void *value)
{
	const struct left *left = value;
	uint64_t *number = arg;

	*number = left->heir.number;
	return left->heir.kind == PLACE_BLOB && !left->gone;
}

/* All blobs that were left become inodes, as only those know their digest. */
static void revive_blobs(struct inodes *t)
{
	uint64_t number;
	bool found;

	do {
		lock_take(&t->lock);
		found = map_each(&t->left, note_blob, &number);
		lock_drop(&t->lock);
		if (found)
			revive(t, number);
	} while (found);
}

/* A walk over all: it is only asked after a wrong digest, and by people. */
static void search_blob(struct inodes *t, struct blob_search *s)
{
	revive_blobs(t);
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
	count = t->by_number.count + t->left.count;
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
	note_locked(t, i);
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
	note_locked(t, i);
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
	note_locked(t, i);
	lock_drop(&t->lock);
	return id;
}
