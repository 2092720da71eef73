/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/evict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"

/* It begins as soon as less than this is left, and ends when twice as much is. */
#define MARGIN_PERCENT 5
#define ROOM_MS 5000 /* nobody waits longer for room that another makes */
#define LEAVE_MS 50  /* who was asked to let a blob go has so long for it */
#define LEAVE_LOOK_MS 2

struct evict {
	struct evict_conf conf;
	pthread_t thread;
	struct lock lock;
	struct cond wake, room;
	/* Guarded by lock. */
	bool stop;
	bool kicked;           /* more is used than should be */
	bool making;           /* somebody makes room */
	uint64_t wanted, made; /* bytes that the last one who did wanted, and made */
	bool (*let_go)(void *arg, const char *etag);
	void *let_go_arg;
};

struct candidate {
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t bytes;
	int64_t used_s;
};

static int add_candidate(void *arg, const char *etag, uint64_t bytes, int64_t used_s)
{
	struct candidate c = { .bytes = bytes, .used_s = used_s };

	snprintf(c.etag, sizeof(c.etag), "%s", etag);
	return buf_add(arg, &c, sizeof(c));
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
	struct cache_limits limits = store_limits(e->conf.store);
	uint64_t max = limits.max_bytes, min = limits.min_free_bytes;
	uint64_t used = store_used_bytes(e->conf.store), total, left, over = 0, lack = 0;

	if (max && used > max - margin(max))
		over = used - (max - 2 * margin(max));
	if (store_space(e->conf.store, &total, &left) == 0 && left < min + margin(min))
		lack = min + 2 * margin(min) - left;
	return over > lack ? over : lack;
}

void evict_ask(struct evict *e, bool (*let_go)(void *arg, const char *etag), void *arg)
{
	lock_take(&e->lock);
	e->let_go = let_go;
	e->let_go_arg = arg;
	lock_drop(&e->lock);
}

static bool ask_to_let_go(struct evict *e, const char *etag)
{
	bool (*let_go)(void *arg, const char *etag);
	void *arg;

	lock_take(&e->lock);
	let_go = e->let_go;
	arg = e->let_go_arg;
	lock_drop(&e->lock);
	return let_go && let_go(arg, etag);
}

/* Who read ahead for it leaves it a moment later. */
static int64_t evict_let_go(struct evict *e, const char *etag)
{
	int64_t until_ms = clock_ms() + LEAVE_MS, freed;

	while ((freed = store_evict(e->conf.store, etag)) == -EBUSY && clock_ms() < until_ms)
		clock_sleep_ms(LEAVE_LOOK_MS);
	return freed;
}

/* Deletes one blob. Its row stays: without a file it means nothing, and taking it away could hit
 * the one of a blob that is fetched again this moment. The next start sweeps it. */
uint64_t evict_blob(struct evict *e, const char *etag)
{
	int64_t freed = pins_have(e->conf.pins, etag) ? 0 : store_evict(e->conf.store, etag);

	if (freed == -EBUSY && ask_to_let_go(e, etag))
		freed = evict_let_go(e, etag);
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

static uint64_t evict_list(struct evict *e, const struct candidate *all, size_t count,
			   uint64_t need)
{
	uint64_t freed = 0, trimmed = 0;
	size_t dropped = 0;

	for (size_t i = 0; i < count && freed < need; i++) {
		uint64_t bytes = evict_blob(e, all[i].etag);

		freed += bytes;
		dropped += bytes > 0;
	}
	for (size_t i = 0; i < count && freed + trimmed < need; i++)
		trimmed += trim_blob(e, all[i].etag, need - freed - trimmed);
	if (freed || trimmed)
		log_info("evicted blobs=%zu bytes=%llu trimmed=%llu", dropped,
			 (unsigned long long)freed, (unsigned long long)trimmed);
	return freed + trimmed;
}

/* Frees what must go, and `want` at least; *ret_short: less could be freed. */
static uint64_t make_room(struct evict *e, uint64_t want, bool *ret_short)
{
	CLEANUP(buf_free) struct buf list = { 0 };
	uint64_t need = excess(e), freed = 0;
	struct candidate *all;
	size_t count;

	need = need > want ? need : want;
	if (need) {
		store_each(e->conf.store, add_candidate, &list);
		all = (struct candidate *)(void *)list.data;
		count = list.len / sizeof(*all);
		if (count)
			qsort(all, count, sizeof(*all), by_last_use);
		freed = evict_list(e, all, count, need);
	}
	*ret_short = freed < need;
	return freed;
}

/* Waits for who makes room now; true if that is an answer to who wants so much, too. */
static bool await_room_locked(struct evict *e, uint64_t want)
{
	int64_t until_ms = clock_ms() + ROOM_MS;
	bool waited = e->making;

	while (e->making && clock_ms() < until_ms)
		cond_wait(&e->room, &e->lock, until_ms);
	if (e->making)
		e->made = 0; /* too long for who waits here */
	return e->making || (waited && (e->made || e->wanted >= want));
}

/* One at a time; who comes meanwhile has part of what that one makes: bytes. */
static uint64_t make_room_once(struct evict *e, uint64_t want, bool *ret_short)
{
	uint64_t made;

	*ret_short = false;
	lock_take(&e->lock);
	if (!await_room_locked(e, want)) {
		e->making = true;
		e->wanted = want;
		lock_drop(&e->lock);
		made = make_room(e, want, ret_short);
		lock_take(&e->lock);
		e->made = made;
		e->making = false;
		cond_wake_all(&e->room);
	}
	made = e->made;
	lock_drop(&e->lock);
	return made;
}

uint64_t evict_now(struct evict *e, uint64_t want)
{
	bool lacking;

	return make_room_once(e, want, &lacking);
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
		make_room_once(e, 0, &in_vain);
		lock_take(&e->lock);
		rest_locked(e, in_vain);
	}
	lock_drop(&e->lock);
	return NULL;
}

/* Bytes used above which it has to look. */
static uint64_t watched(const struct evict *e)
{
	uint64_t max = store_limits(e->conf.store).max_bytes;

	return max ? max - margin(max) : UINT64_MAX;
}

void evict_limits_changed(struct evict *e)
{
	store_watch_above(e->conf.store, watched(e));
	kick(e);
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
	cond_init(&e->room);
	r = thread_start(&e->thread, "mfs-evict", evict_main, e);
	if (r < 0) {
		cond_fini(&e->room);
		cond_fini(&e->wake);
		lock_fini(&e->lock);
		free(e);
		return r;
	}
	store_watch(conf->store, watched(e), kick, e);
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
	cond_fini(&e->room);
	cond_fini(&e->wake);
	lock_fini(&e->lock);
	free(e);
}
