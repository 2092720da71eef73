/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/evict.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"

/* It begins as soon as less than this is left, and ends when twice as much is. */
#define MARGIN_PERCENT 5

struct evict {
	struct evict_conf conf;
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	bool stop;
	bool kicked; /* more is used than should be */
};

struct candidate {
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t bytes;
	int64_t used_s;
};

struct candidates {
	struct candidate *list;
	size_t count, cap;
};

static int add_candidate(void *arg, const char *etag, uint64_t bytes, int64_t used_s)
{
	struct candidates *c = arg;
	struct candidate *grown;

	if (c->count == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		grown = realloc(c->list, c->cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		c->list = grown;
	}
	grown = &c->list[c->count++];
	snprintf(grown->etag, sizeof(grown->etag), "%s", etag);
	grown->bytes = bytes;
	grown->used_s = used_s;
	return 0;
}

static int by_last_use(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->used_s > y->used_s) - (x->used_s < y->used_s);
}

static uint64_t margin(uint64_t limit)
{
	return limit / 100 * MARGIN_PERCENT;
}

/* Bytes that must go to be away from both limits again; 0 if they are. */
static uint64_t excess(struct evict *e)
{
	uint64_t max = e->conf.max_bytes, min = e->conf.min_free_bytes;
	uint64_t used = store_used_bytes(e->conf.store), total, left, over = 0, lack = 0;

	if (max && used > max - margin(max))
		over = used - (max - 2 * margin(max));
	if (store_space(e->conf.store, &total, &left) == 0 && left < min + margin(min))
		lack = min + 2 * margin(min) - left;
	return over > lack ? over : lack;
}

/* Deletes one blob. Its row stays: without a file it means nothing, and taking it away could hit
 * the one of a blob that is fetched again this moment. The next start sweeps it. */
uint64_t evict_blob(struct evict *e, const char *etag)
{
	int64_t freed = pins_have(e->conf.pins, etag) ? 0 : store_evict(e->conf.store, etag);

	if (freed <= 0)
		return 0; /* pinned, open, or gone already */
	metrics_count(e->conf.metrics, evicted_blobs, 1);
	metrics_count(e->conf.metrics, evicted_bytes, (uint64_t)freed);
	if (e->conf.on_gone)
		e->conf.on_gone(e->conf.arg, etag);
	return (uint64_t)freed;
}

/* Makes room in a blob that is open. */
static uint64_t trim_blob(struct evict *e, const char *etag, uint64_t want)
{
	struct blob *b = pins_have(e->conf.pins, etag) ? NULL : store_find(e->conf.store, etag);
	uint64_t freed = b ? blob_trim(b, want) : 0;

	if (b)
		blob_unref(b);
	return freed;
}

static uint64_t evict_list(struct evict *e, const struct candidates *all, uint64_t need)
{
	uint64_t freed = 0, trimmed = 0;
	size_t dropped = 0;

	for (size_t i = 0; i < all->count && freed < need; i++) {
		uint64_t bytes = evict_blob(e, all->list[i].etag);

		freed += bytes;
		dropped += bytes > 0;
	}
	for (size_t i = 0; i < all->count && freed + trimmed < need; i++)
		trimmed += trim_blob(e, all->list[i].etag, need - freed - trimmed);
	if (freed || trimmed)
		log_info("evicted blobs=%zu bytes=%llu trimmed=%llu", dropped,
			 (unsigned long long)freed, (unsigned long long)trimmed);
	return freed + trimmed;
}

/* Frees what must go, and `want` at least; *ret_short: less could be freed. */
static uint64_t make_room(struct evict *e, uint64_t want, bool *ret_short)
{
	struct candidates all = { 0 };
	uint64_t need = excess(e), freed = 0;

	need = need > want ? need : want;
	if (need) {
		store_each(e->conf.store, add_candidate, &all);
		if (all.count)
			qsort(all.list, all.count, sizeof(*all.list), by_last_use);
		freed = evict_list(e, &all, need);
		free(all.list);
	}
	*ret_short = freed < need;
	return freed;
}

uint64_t evict_now(struct evict *e, uint64_t want)
{
	bool lacking;

	return make_room(e, want, &lacking);
}

static void kick(void *arg)
{
	struct evict *e = arg;

	lock_take(&e->lock);
	if (!e->kicked)
		cond_wake_all(&e->wake);
	e->kicked = true;
	lock_drop(&e->lock);
}

/* Sleeps until something is to be done: a while in any case if the last look was in vain. */
static void rest_locked(struct evict *e, bool in_vain)
{
	int64_t until_ms = clock_ms() + e->conf.period_ms;

	while (!e->stop && (in_vain || !e->kicked) && clock_ms() < until_ms)
		cond_wait(&e->wake, &e->lock, until_ms);
	e->kicked = false;
}

static void *evict_main(void *arg)
{
	struct evict *e = arg;
	bool in_vain;

	lock_take(&e->lock);
	while (!e->stop) {
		lock_drop(&e->lock);
		make_room(e, 0, &in_vain);
		lock_take(&e->lock);
		rest_locked(e, in_vain);
	}
	lock_drop(&e->lock);
	return NULL;
}

int evict_start(const struct evict_conf *conf, struct evict **ret)
{
	struct evict *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->conf = *conf;
	lock_init(&e->lock, LOCK_EVICT);
	cond_init(&e->wake);
	r = thread_start(&e->thread, "mfs-evict", evict_main, e);
	if (r < 0) {
		cond_fini(&e->wake);
		lock_fini(&e->lock);
		free(e);
		return r;
	}
	if (conf->max_bytes)
		store_watch(conf->store, conf->max_bytes - margin(conf->max_bytes), kick, e);
	*ret = e;
	return 0;
}

void evict_stop(struct evict *e)
{
	if (!e)
		return;
	lock_take(&e->lock);
	e->stop = true;
	cond_wake_all(&e->wake);
	lock_drop(&e->lock);
	pthread_join(e->thread, NULL);
	store_watch(e->conf.store, UINT64_MAX, NULL, NULL);
}

void evict_free(struct evict *e)
{
	if (!e)
		return;
	cond_fini(&e->wake);
	lock_fini(&e->lock);
	free(e);
}
