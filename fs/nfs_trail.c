/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_trail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"

#define TRACES_MAX 4096
#define LINES_MAX 1000     /* between two ticks; the last half of them is for large files */
#define LARGE (1ULL << 20) /* bytes */
#define IDLE_MS 10000      /* then it is read no more */
#define LONG_MS 60000      /* then it is told although it is */

struct key {
	const struct nfs_client *client;
	struct nfs_fh fh;
};

/* What one client reads of one file. */
struct trace {
	TAILQ_ENTRY(trace) age;
	struct key key;
	struct nfs_client *client; /* a reference */
	int64_t began_ms, read_ms;
	uint64_t bytes, reads;
	char what[];
};

TAILQ_HEAD(traces, trace);

struct nfs_trail {
	struct lock lock;
	/* Guarded by lock. */
	struct map by_key;
	struct traces by_age;      /* begun longest ago first */
	struct nfs_client *untold; /* each with a reference: something of it is to be summed up */
	unsigned lines_left;
};

int nfs_trail_new(struct nfs_trail **ret)
{
	struct nfs_trail *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	TAILQ_INIT(&t->by_age);
	t->lines_left = LINES_MAX;
	lock_init(&t->lock, LOCK_NFS_TRAIL);
	*ret = t;
	return 0;
}

static struct key key_of(const struct nfs_client *c, const struct nfs_fh *fh)
{
	struct key key;

	memset(&key, 0, sizeof(key)); /* its padding as well: it is compared as bytes */
	key.client = c;
	key.fh.len = fh->len;
	memcpy(key.fh.bytes, fh->bytes, fh->len);
	return key;
}

/* ---- lines ---- */

static void unlist_locked(struct nfs_trail *t, struct trace *e)
{
	TAILQ_REMOVE(&t->by_age, e, age);
	map_del(&t->by_key, &e->key, sizeof(e->key));
}

static bool take_line_locked(struct nfs_trail *t, const struct trace *e)
{
	if (t->lines_left == 0 || (e->bytes < LARGE && t->lines_left <= LINES_MAX / 2))
		return false;
	t->lines_left--;
	return true;
}

static void sum_up_locked(struct nfs_trail *t, struct nfs_client *c, uint64_t bytes)
{
	if (c->untold_files == 0) {
		c->next_untold = t->untold;
		t->untold = nfs_client_ref(c);
	}
	c->untold_files++;
	c->untold_bytes += bytes;
}

/* Of one that is not listed any more. */
static void tell(struct nfs_trail *t, struct trace *e)
{
	bool told;

	if (!e)
		return;
	lock_take(&t->lock);
	told = take_line_locked(t, e);
	if (!told)
		sum_up_locked(t, e->client, e->bytes);
	lock_drop(&t->lock);
	if (told)
		log_info("read by NFS client=%s bytes=%llu reads=%llu seconds=%.1f%s",
			 e->client->address, (unsigned long long)e->bytes,
			 (unsigned long long)e->reads, (double)(e->read_ms - e->began_ms) / 1000,
			 e->what);
	nfs_client_unref(e->client);
	free(e);
}

/* One client's sum; false if there is none left. */
static bool tell_sum(struct nfs_trail *t)
{
	unsigned long long files = 0, bytes = 0;
	struct nfs_client *c;

	lock_take(&t->lock);
	c = t->untold;
	if (c) {
		t->untold = c->next_untold;
		files = c->untold_files;
		bytes = c->untold_bytes;
		c->untold_files = c->untold_bytes = 0;
	}
	lock_drop(&t->lock);
	if (!c)
		return false;
	log_info("read by NFS, too many files to name client=%s files=%llu bytes=%llu", c->address,
		 files, bytes);
	nfs_client_unref(c);
	return true;
}

/* ---- reads ---- */

bool nfs_trail_add(struct nfs_trail *t, const struct nfs_client *c, const struct nfs_fh *fh,
		   uint64_t bytes)
{
	const struct key key = key_of(c, fh);
	struct trace *e;

	lock_take(&t->lock);
	e = map_find(&t->by_key, &key, sizeof(key));
	if (e) {
		e->bytes += bytes;
		e->reads++;
		e->read_ms = clock_ms();
	}
	lock_drop(&t->lock);
	return e != NULL;
}

/* Lists a new one; false if somebody else just has. *ret_old: what has to go for it. */
static bool list_locked(struct nfs_trail *t, struct trace *e, struct trace **ret_old)
{
	if (map_find(&t->by_key, &e->key, sizeof(e->key)) ||
	    map_put(&t->by_key, &e->key, sizeof(e->key), e) < 0)
		return false;
	TAILQ_INSERT_TAIL(&t->by_age, e, age);
	if (t->by_key.count > TRACES_MAX) {
		*ret_old = TAILQ_FIRST(&t->by_age);
		unlist_locked(t, *ret_old);
	}
	return true;
}

void nfs_trail_begin(struct nfs_trail *t, struct nfs_client *c, const struct nfs_fh *fh,
		     const char *what, uint64_t bytes)
{
	size_t len = strlen(what) + 1;
	struct trace *e = calloc(1, sizeof(*e) + len), *old = NULL;
	bool listed;

	if (!e) {
		lock_take(&t->lock);
		sum_up_locked(t, c, bytes);
		lock_drop(&t->lock);
		return;
	}
	memcpy(e->what, what, len);
	e->key = key_of(c, fh);
	e->client = nfs_client_ref(c);
	e->began_ms = e->read_ms = clock_ms();
	e->bytes = bytes;
	e->reads = 1;
	lock_take(&t->lock);
	listed = list_locked(t, e, &old);
	lock_drop(&t->lock);
	tell(t, listed ? old : e);
}

/* ---- what is due ---- */

static bool is_due(const struct trace *e, int64_t now_ms)
{
	return now_ms - e->read_ms >= IDLE_MS || now_ms - e->began_ms >= LONG_MS;
}

static int by_bytes(const void *a, const void *b)
{
	const struct trace *const *x = a, *const *y = b;

	return (*x)->bytes > (*y)->bytes ? -1 : (*x)->bytes < (*y)->bytes;
}

/* Takes out what is due, or all. How many that are; as many as there is room for. */
static size_t take_locked(struct nfs_trail *t, bool all, struct trace **ret, size_t room)
{
	int64_t now_ms = clock_ms();
	struct trace *e, *next;
	size_t count = 0;

	for (e = TAILQ_FIRST(&t->by_age); e && count < room; e = next) {
		next = TAILQ_NEXT(e, age);
		if (!all && !is_due(e, now_ms))
			continue;
		unlist_locked(t, e);
		ret[count++] = e;
	}
	return count;
}

/* The largest first: if some are not named, the least are not. */
static void tell_due(struct nfs_trail *t, bool all)
{
	CLEANUP(freep) struct trace **due = calloc(TRACES_MAX, sizeof(struct trace *));
	size_t count = 0;

	if (!due)
		return;
	lock_take(&t->lock);
	t->lines_left = LINES_MAX;
	count = take_locked(t, all, due, TRACES_MAX);
	lock_drop(&t->lock);
	qsort(due, count, sizeof(struct trace *), by_bytes);
	for (size_t i = 0; i < count; i++)
		tell(t, due[i]);
	while (tell_sum(t)) {
	}
}

void nfs_trail_tick(struct nfs_trail *t)
{
	tell_due(t, false);
}

void nfs_trail_free(struct nfs_trail *t)
{
	if (!t)
		return;
	tell_due(t, true);
	map_fini(&t->by_key);
	lock_fini(&t->lock);
	free(t);
}
