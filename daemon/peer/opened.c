/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/opened.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"

struct opened_blob {
	char etag[DIGEST_HEX_MAX + 1];
	struct pull *pull; /* a handle of ours */
	uint64_t maker;    /* member for whom it was opened first; 0: for none */
	unsigned users;
	int64_t used_ms;
	struct opened_blob *next; /* of those to be closed, or that make way */
};

struct opened {
	struct fetch *fetch;
	struct store *store;
	pthread_t sweeper;
	struct lock lock;
	/* Guarded by lock. */
	struct cond changed; /* the first one was opened, or stop */
	struct map by_etag;
	struct opened_blob *leaving; /* they make way, and their users have not all gone */
	bool stop;
};

struct sweep {
	struct opened *all;
	int64_t before_ms;
	struct opened_blob *idle;
};

static int take_idle(void *arg, void *value)
{
	struct sweep *s = arg;
	struct opened_blob *one = value;

	if (one->users || one->used_ms >= s->before_ms)
		return 0;
	map_del_str(&s->all->by_etag, one->etag);
	one->next = s->idle;
	s->idle = one;
	return 0;
}

static void close_one(struct opened *o, struct opened_blob *one)
{
	fetch_close(o->fetch, one->pull);
	free(one);
}

/* Closes those that nobody used since. */
static void sweep(struct opened *o, int64_t before_ms)
{
	struct sweep s = { o, before_ms, NULL };
	struct opened_blob *one;

	lock_take(&o->lock);
	map_each(&o->by_etag, take_idle, &s);
	lock_drop(&o->lock);
	while ((one = s.idle)) {
		s.idle = one->next;
		close_one(o, one);
	}
}

static void *sweeper_main(void *arg)
{
	struct opened *o = arg;

	lock_take(&o->lock);
	while (!o->stop) {
		cond_wait(&o->changed, &o->lock,
			  o->by_etag.count ? clock_ms() + OPENED_IDLE_MS / 2 : CLOCK_FOREVER);
		lock_drop(&o->lock);
		sweep(o, clock_ms() - OPENED_IDLE_MS);
		lock_take(&o->lock);
	}
	lock_drop(&o->lock);
	return NULL;
}

/* Nobody else may have it from now on, and the last of its users closes it. */
static void leave(struct opened *o, struct opened_blob *one)
{
	lock_take(&o->lock);
	if (map_find_str(&o->by_etag, one->etag) == one) {
		map_del_str(&o->by_etag, one->etag);
		one->next = o->leaving;
		o->leaving = one;
	}
	lock_drop(&o->lock);
}

/* Whoever wants it with another size may have it. While its users are turned out we are one. */
static bool make_way(void *arg, const char *etag, bool in_use)
{
	struct opened *o = arg;
	struct opened_blob *one;
	bool so;

	lock_take(&o->lock);
	one = map_find_str(&o->by_etag, etag);
	if (one && one->users && !in_use)
		one = NULL;
	if (one)
		one->users++;
	lock_drop(&o->lock);
	if (!one)
		return false;
	so = fetch_expel(o->fetch, one->pull, ERR_SIZE);
	if (so)
		leave(o, one);
	opened_give(o, one->pull);
	return so;
}

/* Nothing is open in it. */
static void opened_free(struct opened *o)
{
	map_fini(&o->by_etag);
	cond_fini(&o->changed);
	lock_fini(&o->lock);
	free(o);
}

int opened_start(struct fetch *f, struct store *s, struct opened **ret)
{
	struct opened *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->fetch = f;
	o->store = s;
	lock_init(&o->lock, LOCK_OPENED);
	cond_init(&o->changed);
	r = thread_start(&o->sweeper, "mfs-opened", sweeper_main, o);
	if (r < 0) {
		opened_free(o);
		return r;
	}
	fetch_set_make_way(f, make_way, o);
	*ret = o;
	return 0;
}

void opened_stop(struct opened *o)
{
	if (!o)
		return;
	fetch_set_make_way(o->fetch, NULL, NULL);
	lock_take(&o->lock);
	o->stop = true;
	cond_wake_all(&o->changed);
	lock_drop(&o->lock);
	pthread_join(o->sweeper, NULL);
	sweep(o, CLOCK_FOREVER);
	opened_free(o);
}

/* One more user of it, if it is open. */
static struct pull *find(struct opened *o, const char *etag)
{
	struct opened_blob *one;

	lock_take(&o->lock);
	one = map_find_str(&o->by_etag, etag);
	if (one)
		one->users++;
	lock_drop(&o->lock);
	return one ? one->pull : NULL;
}

/* Puts a handle into the table. 1: another one's was there already, and is used: of the same pull,
 * as all handles of a blob are. */
static int put(struct opened *o, const char *etag, uint64_t maker, struct pull *p,
	       struct pull **ret)
{
	struct opened_blob *one = calloc(1, sizeof(*one)), *there;
	int r = one ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	memcpy(one->etag, etag, sizeof(one->etag));
	one->pull = p;
	one->maker = maker;
	lock_take(&o->lock);
	there = map_find_str(&o->by_etag, etag);
	if (!there) {
		r = map_put_str(&o->by_etag, one->etag, one);
		there = r < 0 ? NULL : one;
	}
	if (there) {
		there->users++;
		*ret = there->pull;
	}
	cond_wake_one(&o->changed);
	lock_drop(&o->lock);
	if (there == one)
		return 0;
	free(one);
	return r < 0 ? r : 1;
}

/* One that is open already is of use if it is the same blob; what is to be brought of it may be had
 * from where the guest says, too. */
static int join(struct opened *o, const struct source_blob *what, bool make, struct pull *p)
{
	int r = blob_size(fetch_blob(p)) == what->file.size ? 0 : ERR_SIZE;

	if (r == 0 && make)
		r = fetch_also_for_guest(o->fetch, p, what);
	if (r < 0)
		opened_give(o, p);
	return r;
}

/* Which of two goes first: what is whole, as nothing is being brought for it; then the one used
 * longest ago. */
static bool goes_before(const struct opened_blob *a, const struct opened_blob *b)
{
	bool whole = blob_is_sealed(fetch_blob(a->pull));

	if (whole != blob_is_sealed(fetch_blob(b->pull)))
		return whole;
	return a->used_ms < b->used_ms;
}

static int find_idle(void *arg, void *value)
{
	struct opened_blob **first = arg, *one = value;

	if (!one->users && (!*first || goes_before(one, *first)))
		*first = one;
	return 0;
}

/* Closes an idle one if as many are open as may be; false if all are in use. */
static bool make_room(struct opened *o)
{
	struct opened_blob *first = NULL;
	bool full;

	lock_take(&o->lock);
	full = o->by_etag.count >= OPENED_MAX;
	if (full)
		map_each(&o->by_etag, find_idle, &first);
	if (first)
		map_del_str(&o->by_etag, first->etag);
	lock_drop(&o->lock);
	if (first)
		close_one(o, first);
	return !full || first;
}

/* What a member had this node open that is not whole: all of it takes room. */
struct debt {
	uint64_t maker;
	unsigned count;
	uint64_t bytes;
};

static int add_debt(void *arg, void *value)
{
	const struct opened_blob *one = value;
	const struct blob *b = fetch_blob(one->pull);
	struct debt *d = arg;

	if (one->maker != d->maker || blob_is_sealed(b))
		return 0;
	d->count++;
	d->bytes += blob_size(b);
	return 0;
}

/* Whether that is as much as one member may; who has nothing open may have one of any size. */
static bool owes_much(struct opened *o, uint64_t maker, uint64_t size)
{
	struct debt d = { .maker = maker };

	lock_take(&o->lock);
	if (maker)
		map_each(&o->by_etag, add_debt, &d);
	lock_drop(&o->lock);
	return d.count >= OPENED_OF_MEMBER ||
	       (d.count &&
		size > OPENED_BYTES_OF_MEMBER - min_u64(d.bytes, OPENED_BYTES_OF_MEMBER));
}

/* Whether it may be opened with the size a guest says: that is no reason to lose bytes. */
static int may_open(struct opened *o, const struct source_blob *what, bool make, bool owes)
{
	uint64_t size;
	bool here = store_blob_size(o->store, what->etag, &size) == 0;

	if (!make && !what->own && !here)
		return -ENOENT;
	if (!what->own && here && size != what->file.size &&
	    (!make || store_disk_bytes(o->store, what->etag)))
		return ERR_SIZE;
	return (owes && !what->own && !here) || !make_room(o) ? -EMFILE : 0;
}

/* Who owes much still gets what is whole, which shows when it is open. */
static int open_new(struct opened *o, const struct source_blob *what, uint64_t maker,
		    struct pull **ret)
{
	bool owes = owes_much(o, maker, what->file.size);
	int r = may_open(o, what, maker, owes);

	if (r == 0)
		r = fetch_open_for_guest(o->fetch, what, ret);
	if (r < 0 || !owes || blob_is_sealed(fetch_blob(*ret)))
		return r;
	fetch_close(o->fetch, *ret);
	return -EMFILE;
}

int opened_take(struct opened *o, const struct source_blob *what, uint64_t maker, struct pull **ret)
{
	struct pull *p = find(o, what->etag);
	int r;

	*ret = p;
	if (p)
		return join(o, what, maker, p);
	r = open_new(o, what, maker, &p);
	if (r < 0)
		return r;
	r = put(o, what->etag, maker, p, ret);
	if (r == 0)
		return 0;
	fetch_close(o->fetch, p);
	return r < 0 ? r : join(o, what, maker, *ret);
}

void opened_give(struct opened *o, struct pull *p)
{
	const char *etag = blob_etag(fetch_blob(p));
	struct opened_blob **at = &o->leaving, *one;

	lock_take(&o->lock);
	while (*at && (*at)->pull != p)
		at = &(*at)->next;
	one = *at ? *at : map_find_str(&o->by_etag, etag);
	one->used_ms = clock_ms();
	if (--one->users || !*at)
		one = NULL;
	else
		*at = one->next;
	lock_drop(&o->lock);
	if (one)
		close_one(o, one);
}
