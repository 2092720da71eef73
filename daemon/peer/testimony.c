/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/testimony.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/base/workers.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"

#define THREADS 2
#define WAITING_MAX 64
#define WATCH_MS 60000 /* a hub may take so long for a segment */
#define STOP_MS 2000
#define PAUSE_MS 100 /* of a pause at a time, so that a stop is noticed */
#define PIECE_BYTES (256 << 10)
#define KNOWN_MS 600000 /* what was found out is said again for so long; */
#define PARTIAL_MS 1000 /* what is not all there is to be known, or a failure, */

struct account {
	struct testimony *all;
	struct account *newer, **older; /* in a list, made longest ago first */
	char key[DIGEST_HEX_MAX + sizeof(":4294967295:w")];
	struct wire_ask ask; /* its path is owned */
	char *path;
	bool made;
	int64_t until_ms; /* of what is made */
	int result;
	struct wire_digests digests;
};

struct testimony {
	struct testimony_conf conf;
	struct workers *workers;
	struct httpc_cancel cancel;
	struct lock lock;
	/* Guarded by lock. */
	struct map by_key;
	struct account *oldest, **newest;
};

/* ---- digests ---- */

int testimony_digest(const struct blob *b, uint32_t i, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	uint64_t end = chunk_end(i, blob_size(b)), len;
	int r = piece ? digest_new(DIGEST_SHA256, 0, &d) : -ENOMEM;

	for (uint64_t at = chunk_start(i); r == 0 && at < end; at += len) {
		len = min_u64(PIECE_BYTES, end - at);
		r = blob_read(b, piece, len, at);
		if (r == 0)
			r = digest_update(d, piece, len);
	}
	return r < 0 ? r : digest_final(d, ret);
}

static uint32_t first_chunk(const struct wire_ask *ask)
{
	return chunk_of(ask->off);
}

static uint32_t chunks_of(const struct wire_ask *ask)
{
	return chunk_of(ask->off + ask->len - 1) - chunk_of(ask->off) + 1;
}

/* What stands beside a sealed blob. */
static int read_list(const struct account *a, struct wire_digests *ret)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int r = store_chunk_list(a->all->conf.store, a->ask.etag, a->ask.size, &l);

	if (r < 0)
		return r;
	memcpy(ret->of, l->digests[first_chunk(&a->ask)], chunks_of(&a->ask) * sizeof(ret->of[0]));
	return 0;
}

/* What this node can vouch for; or what it holds. */
static bool may_tell(const struct account *a, const struct blob *b, uint32_t i)
{
	struct evidence *e = a->all->conf.evidence;
	char who[MEMBER_ADDRESS_MAX + 1];

	if (a->ask.held)
		return true;
	return blob_is_sealed(b) || evidence_giver(e, a->ask.etag, i, who) == EVIDENCE_HUB;
}

static int digest_own(const struct account *a, struct blob *b, uint32_t i, uint8_t *ret)
{
	int r = 0;

	if (!may_tell(a, b, i))
		return 0;
	blob_hold(b);
	if (blob_still_has(b, i))
		r = testimony_digest(b, i, ret);
	blob_let_go(b);
	/* It may have given away what it held before: that is no lie. */
	if (r == 0 && a->ask.held && evidence_was_other(a->all->conf.evidence, a->ask.etag, i, ret))
		memset(ret, 0, CHUNK_LIST_DIGEST);
	return r;
}

static int vouch_of(const struct account *a, struct blob *b, struct wire_digests *ret)
{
	uint32_t first = first_chunk(&a->ask), count = chunks_of(&a->ask);
	int r = 0;

	if (!a->ask.held && blob_is_sealed(b) && read_list(a, ret) == 0)
		return 0;
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = digest_own(a, b, first + i, ret->of[i]);
	return r;
}

static int vouch(const struct account *a, struct wire_digests *ret)
{
	struct source_blob what;
	struct pull *p = NULL;
	int r = wire_blob(&a->ask, &what);

	if (r == 0)
		r = opened_take(a->all->conf.opened, &what, 0, &p);
	if (r < 0)
		return r;
	r = vouch_of(a, fetch_blob(p), ret);
	opened_give(a->all->conf.opened, p);
	return r;
}

/* ---- as a witness ---- */

/* Bytes of a segment on their way through the digests. */
struct watching {
	struct testimony *all;
	int64_t until_ms;      /* moved on by what is paid for */
	struct digest *digest; /* of the chunk that pos is in */
	uint64_t pos, size;
	uint32_t first;
	struct wire_digests *ret;
};

/* Takes nothing more for as long as the limits say. */
static int pay(struct watching *w, size_t len)
{
	struct testimony *t = w->all;
	int64_t began_ms = clock_ms(), ms = fetch_pause_ms(t->conf.fetch, len);

	for (; ms > 0 && !atomic_load(&t->cancel.canceled); ms = fetch_pause_ms(t->conf.fetch, 0))
		clock_sleep_ms(min_i64(ms, PAUSE_MS));
	w->until_ms += clock_ms() - began_ms;
	return clock_ms() < w->until_ms ? 0 : ERR_TIMEOUT;
}

static int watch(void *arg, const void *data, size_t len)
{
	struct watching *w = arg;
	int r = pay(w, len);

	for (const char *from = data; r == 0 && len;) {
		uint32_t i = chunk_of(w->pos);
		uint64_t end = chunk_end(i, w->size);
		size_t n = min_u64(len, end - w->pos);

		if (w->pos == chunk_start(i)) {
			digest_free(steal(w->digest));
			r = digest_new(DIGEST_SHA256, 0, &w->digest);
		}
		if (r == 0)
			r = digest_update(w->digest, from, n);
		from += n;
		len -= n;
		w->pos += n;
		if (r == 0 && w->pos == end)
			r = digest_final(w->digest, w->ret->of[i - w->first]);
	}
	return r;
}

static int watch_hub(struct testimony *t, struct source *hub, const struct source_blob *what,
		     const struct wire_ask *ask, struct wire_digests *ret)
{
	struct watching w = {
		.all = t,
		.until_ms = clock_ms() + WATCH_MS,
		.pos = ask->off,
		.size = ask->size,
		.first = first_chunk(ask),
		.ret = ret,
	};
	struct source_ask bytes = {
		.blob = what,
		.off = ask->off,
		.len = ask->len,
		.deadline_ms = CLOCK_FOREVER, /* silence ends it, or it is too slow: see pay() */
		.cancel = &t->cancel,
		.sink = watch,
		.arg = &w,
	};
	int64_t wait_ms;
	int r = hub->get(hub, &bytes, &wait_ms);

	digest_free(w.digest);
	return r > 0 ? -ENOENT : r;
}

/* 0 if this node has, or had, something of it: for others no hub is asked. */
static int know(const struct testimony_conf *conf, const struct source_blob *what)
{
	struct pull *p;
	int r;

	if (evidence_has(conf->evidence, what->etag, what->file.size))
		return 0;
	r = opened_take(conf->opened, what, 0, &p);
	if (r == 0)
		opened_give(conf->opened, p);
	return r;
}

static int witness(const struct account *a, struct wire_digests *ret)
{
	const struct testimony_conf *conf = &a->all->conf;
	struct source_blob what;
	int r = wire_blob(&a->ask, &what), result = ERR_OFFLINE;

	if (r == 0)
		r = know(conf, &what);
	for (unsigned i = 0; r == 0 && result < 0 && i < conf->hub_count; i++)
		result = watch_hub(a->all, conf->hubs[i], &what, &a->ask, ret);
	return r < 0 ? r : result;
}

/* ---- what is remembered ---- */

/* How many of the segment's digests are known. */
static uint32_t known_of(const struct account *a, const struct wire_digests *d)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < chunks_of(&a->ask); i++)
		known += chunk_digest_known(d->of[i]);
	return known;
}

/* A witness is asked because what members have is in question: it says nothing of what it has. */
static int find_out(const struct account *a, struct wire_digests *ret)
{
	int r = a->ask.witness ? witness(a, ret) : vouch(a, ret);

	return r == 0 && !known_of(a, ret) ? -ENOENT : r;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct account *a = arg;
	struct wire_digests digests = { 0 };
	int r = find_out(a, &digests);
	bool all = r == 0 && known_of(a, &digests) == chunks_of(&a->ask);

	log_debug("digests etag=%s segment=%u witness=%d: %s", a->ask.etag, segment_of(a->ask.off),
		  a->ask.witness, r < 0 ? err_text(r) : "found");
	lock_take(&a->all->lock);
	a->digests = digests;
	a->result = r;
	a->until_ms = clock_ms() + (all && !a->ask.held ? KNOWN_MS : PARTIAL_MS);
	a->made = true;
	lock_drop(&a->all->lock);
}

static void forget_locked(struct testimony *t, struct account *a)
{
	*a->older = a->newer;
	if (a->newer)
		a->newer->older = a->older;
	else
		t->newest = a->older;
	map_del_str(&t->by_key, a->key);
	free(a->path);
	free(a);
}

static int begin_locked(struct testimony *t, const char *key, const struct wire_ask *ask)
{
	struct account *a = calloc(1, sizeof(*a));
	struct work job = { .fn = work, .arg = a };
	int r = a ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	a->all = t;
	snprintf(a->key, sizeof(a->key), "%s", key);
	a->ask = *ask;
	a->path = strdup(ask->path ? ask->path : "");
	a->ask.path = a->path;
	r = a->path ? map_put_str(&t->by_key, a->key, a) : -ENOMEM;
	if (r < 0) {
		free(a->path);
		free(a);
		return r;
	}
	a->older = t->newest;
	*t->newest = a;
	t->newest = &a->newer;
	r = workers_add(t->workers, &job);
	if (r < 0)
		forget_locked(t, a); /* too many: who asks comes again */
	else if (t->by_key.count > TESTIMONY_MAX && t->oldest->made)
		forget_locked(t, t->oldest);
	return r;
}

int testimony_ask(struct testimony *t, const struct wire_ask *ask, struct wire_digests *ret)
{
	char key[sizeof(((struct account *)0)->key)];
	struct account *a;
	int r = -EAGAIN;

	snprintf(key, sizeof(key), "%s:%u:%c", ask->etag, segment_of(ask->off),
		 ask->witness ? 'w'
		 : ask->held  ? 'h'
			      : 'v');
	lock_take(&t->lock);
	a = map_find_str(&t->by_key, key);
	if (a && a->made && (a->until_ms <= clock_ms() || a->ask.size != ask->size)) {
		forget_locked(t, a);
		a = NULL;
	}
	if (a && a->made) {
		r = a->result;
		*ret = a->digests;
	} else if (!a) {
		r = begin_locked(t, key, ask);
	}
	lock_drop(&t->lock);
	return !a && r == 0 ? -EAGAIN : r;
}

/* ---- start and stop ---- */

int testimony_start(const struct testimony_conf *conf, struct testimony **ret)
{
	const struct workers_conf workers = {
		.name = "mfs-witness",
		.threads = THREADS,
		.waiting_max = WAITING_MAX,
		.drops = true,
	};
	struct testimony *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->conf = *conf;
	t->newest = &t->oldest;
	lock_init(&t->lock, LOCK_TESTIMONY);
	r = workers_start(&workers, &t->workers);
	if (r < 0) {
		lock_fini(&t->lock);
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

bool testimony_stop(struct testimony *t)
{
	if (!t)
		return true;
	httpc_cancel(t->conf.http, &t->cancel);
	if (!workers_stop(t->workers, clock_ms() + STOP_MS))
		return false;
	lock_take(&t->lock);
	while (t->oldest)
		forget_locked(t, t->oldest);
	lock_drop(&t->lock);
	map_fini(&t->by_key);
	lock_fini(&t->lock);
	free(t);
	return true;
}
