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

#define MARGIN_PERCENT 5 /* evict this much below the limit, so as not to come back at once */

struct evict {
	struct evict_conf conf;
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	bool stop; /* guarded by lock */
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

/* Bytes that must go to be within both limits again, with the margin; 0 if within. */
static uint64_t excess(struct evict *e)
{
	const struct evict_conf *conf = &e->conf;
	uint64_t used = store_used_bytes(conf->store), total, free_bytes, over = 0, lack = 0;

	if (conf->max_bytes && used > conf->max_bytes)
		over = used - conf->max_bytes + conf->max_bytes / 100 * MARGIN_PERCENT;
	if (store_space(conf->store, &total, &free_bytes) == 0 && free_bytes < conf->min_free_bytes)
		lack = conf->min_free_bytes - free_bytes +
		       conf->min_free_bytes / 100 * MARGIN_PERCENT;
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

uint64_t evict_now(struct evict *e, uint64_t want)
{
	struct candidates all = { 0 };
	uint64_t need = excess(e), freed = 0;
	size_t dropped = 0;

	need = need > want ? need : want;
	if (need == 0)
		return 0;
	store_each(e->conf.store, add_candidate, &all);
	if (all.count)
		qsort(all.list, all.count, sizeof(*all.list), by_last_use);
	for (size_t i = 0; i < all.count && freed < need; i++) {
		uint64_t bytes = evict_blob(e, all.list[i].etag);

		freed += bytes;
		dropped += bytes > 0;
	}
	free(all.list);
	if (dropped)
		log_info("evicted blobs=%zu bytes=%llu", dropped, (unsigned long long)freed);
	return freed;
}

static void *evict_main(void *arg)
{
	struct evict *e = arg;

	lock_take(&e->lock);
	while (!e->stop) {
		lock_drop(&e->lock);
		evict_now(e, 0);
		lock_take(&e->lock);
		if (!e->stop)
			cond_wait(&e->wake, &e->lock, clock_ms() + e->conf.period_ms);
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
		free(e);
		return r;
	}
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
	cond_fini(&e->wake);
	lock_fini(&e->lock);
	free(e);
}
