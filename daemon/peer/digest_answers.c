/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/digest_answers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/lru.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/base/workers.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"

#define THREADS 2      /* of each kind */
#define WAITING_MAX 64 /* likewise */
#define WATCH_MS 60000 /* a hub may take so long for a segment */
#define STOP_MS 2000
#define PAUSE_MS 100    /* of a pause at a time, so that a stop is noticed */
#define KNOWN_MS 600000 /* what was found out is said again for so long; */
#define PARTIAL_MS 1000 /* what is not all there is to be known, or a failure, */
#define UNTOLD_MS 5000  /* and till it was said once, as who was told to ask again comes then */

#define KEY_MAX (DIGEST_HEX_MAX + sizeof(":4294967295:w:4294967295"))

struct answer {
	struct digest_answers *all;
	struct lru_link link;
	char key[KEY_MAX];
	uint64_t size;        /* of the blob */
	struct wire_ask *ask; /* owned, with its path; NULL once it is made */
	bool made;
	bool brief;       /* there may be more to say soon */
	int64_t until_ms; /* of what is made */
	int result;
	struct wire_digests digests;
};

struct digest_answers {
	struct digest_answers_conf conf;
	struct workers *vouchers, *witnesses; /* hubs may be slow: nobody else waits for them */
	struct httpc_cancel cancel;
	struct lock lock;
	/* Guarded by lock. */
	struct map by_key;
	struct lru by_age; /* of answers, begun longest ago first */
};

/* ---- what is asked ---- */

static uint32_t first_chunk(const struct wire_ask *ask)
{
	return chunk_of(ask->off);
}

static void write_key(const struct wire_ask *ask, char as, uint32_t chunks,
		      char ret[static KEY_MAX])
{
	snprintf(ret, KEY_MAX, "%s:%u:%c:%u", ask->etag, segment_of(ask->off), as, chunks);
}

/* What is said of chunk i is wanted. */
static bool is_asked(const struct answer *a, uint32_t i)
{
	return !a->ask->chunks || a->ask->chunks & 1U << i;
}

/* What stands beside a sealed blob. */
static int read_list(const struct answer *a, struct wire_digests *ret)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int r = store_chunk_list(a->all->conf.store, a->ask->etag, a->ask->size, &l);

	if (r < 0)
		return r;
	memcpy(ret->of, l->digests[first_chunk(a->ask)], wire_chunks(a->ask) * sizeof(ret->of[0]));
	return 0;
}

/* Of a chunk that is here; nothing if it is not. */
static int digest_here(struct blob *b, uint32_t i, uint8_t *ret)
{
	int r = blob_chunk_digest(b, i, ret);

	return r == -ENOENT ? 0 : r;
}

/* As what it is held, or was before all of the blob was dropped. It may have given away what it
 * held before, if that was otherwise: to say what it holds now would be taken for a lie. */
static int tell_held(const struct answer *a, struct blob *b, uint32_t i, uint8_t *ret)
{
	struct provenance *p = a->all->conf.provenance;
	int r = b ? digest_here(b, i, ret) : 0;

	if (r == 0 && !chunk_digest_known(ret))
		(void)provenance_former(p, a->ask->etag, i, ret);
	if (r == 0 && provenance_was_other(p, a->ask->etag, i, ret))
		memset(ret, 0, CHUNK_LIST_DIGEST);
	return r;
}

/* True if this node has said lately, of what a hub gave it, that the chunk is otherwise. */
static bool has_vouched(const struct answer *a, uint32_t at, const uint8_t *held)
{
	struct digest_answers *all = a->all;
	char key[sizeof(a->key)];
	const struct answer *v;
	bool so;

	write_key(a->ask, 'v', 0, key);
	lock_take(&all->lock);
	v = map_find_str(&all->by_key, key);
	so = v && v->made && v->result == 0 && chunk_digest_known(v->digests.of[at]) &&
	     !chunk_digest_same(v->digests.of[at], held);
	lock_drop(&all->lock);
	return so;
}

/* What is not verified yet, and known to be otherwise than it is here, goes soon: to say that it is
 * held, and to vouch for what it must be, would be taken for a broken disk. */
static void leave_out_wrong(const struct answer *a, uint32_t at, uint8_t *held)
{
	uint8_t known[CHUNK_LIST_DIGEST];
	bool wrong = provenance_knows(a->all->conf.provenance, a->ask->etag,
				      first_chunk(a->ask) + at, known) &&
		     !chunk_digest_same(known, held);

	if (wrong || has_vouched(a, at, held))
		memset(held, 0, CHUNK_LIST_DIGEST);
}

/* What a hub gave, to be kept or to bear witness, or what was verified. */
static int tell_own(const struct answer *a, struct blob *b, uint32_t i, uint8_t *ret)
{
	struct provenance *p = a->all->conf.provenance;
	char who[MEMBER_ADDRESS_MAX + 1];
	uint8_t known[CHUNK_LIST_DIGEST];

	if (provenance_knows(p, a->ask->etag, i, known) == PROVENANCE_WITNESSED) {
		memcpy(ret, known, sizeof(known));
		return 0;
	}
	return b && (blob_is_sealed(b) ||
		     provenance_giver(p, a->ask->etag, i, who) == PROVENANCE_HUB)
		       ? digest_here(b, i, ret)
		       : 0;
}

/* Nothing of it need be here any more: b may be NULL. */
static int vouch_of(const struct answer *a, struct blob *b, struct wire_digests *ret)
{
	uint32_t first = first_chunk(a->ask), count = wire_chunks(a->ask);
	int r = 0;

	if (!a->ask->held && b && blob_is_sealed(b) && read_list(a, ret) == 0)
		return 0;
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = (a->ask->held ? tell_held : tell_own)(a, b, first + i, ret->of[i]);
	for (uint32_t i = 0; r == 0 && a->ask->held && !(b && blob_is_sealed(b)) && i < count; i++)
		leave_out_wrong(a, i, ret->of[i]);
	return r;
}

static int vouch(const struct answer *a, struct wire_digests *ret)
{
	struct source_blob what;
	struct pull *p = NULL;
	int r = wire_blob(a->ask, &what);

	if (r == 0)
		r = opened_take(a->all->conf.opened, &what, 0, &p);
	if (r < 0 && r != -ENOENT)
		return r;
	r = vouch_of(a, p ? fetch_blob(p) : NULL, ret);
	if (p)
		opened_give(a->all->conf.opened, p);
	return r;
}

/* ---- as a witness ---- */

/* Bytes of a segment on their way through the digests. */
struct watching {
	struct digest_answers *all;
	int64_t until_ms;      /* moved on by what is paid for */
	struct digest *digest; /* of the chunk that pos is in */
	uint64_t pos, size;
	uint32_t first;
	struct wire_digests *ret;
};

/* Takes nothing more for as long as the limits say. */
static int pay(struct watching *w, size_t len)
{
	struct digest_answers *all = w->all;
	int64_t began_ms = clock_ms(), ms = fetch_pause_ms(all->conf.fetch, len);

	for (; ms > 0 && !atomic_load(&all->cancel.canceled);
	     ms = fetch_pause_ms(all->conf.fetch, 0))
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

/* Chunks of a segment, by their numbers in it. */
struct span {
	uint32_t from, to;
};

static int watch_hub(const struct answer *a, struct source *hub, const struct source_blob *what,
		     struct span s, struct wire_digests *ret)
{
	uint32_t first = first_chunk(a->ask);
	struct watching w = {
		.all = a->all,
		.until_ms = clock_ms() + WATCH_MS,
		.pos = chunk_start(first + s.from),
		.size = a->ask->size,
		.first = first,
		.ret = ret,
	};
	struct source_ask bytes = {
		.blob = what,
		.off = w.pos,
		.len = chunk_end(first + s.to - 1, a->ask->size) - w.pos,
		.deadline_ms = CLOCK_FOREVER, /* silence ends it, or it is too slow: see pay() */
		.cancel = &a->all->cancel,
		.sink = watch,
		.arg = &w,
	};
	int64_t wait_ms;
	int r = hub->get(hub, &bytes, &wait_ms);

	digest_free(w.digest);
	return r > 0 ? -ENOENT : r;
}

static int watch_hubs(const struct answer *a, const struct source_blob *what, struct span s,
		      struct wire_digests *ret)
{
	const struct digest_answers_conf *conf = &a->all->conf;
	int r = ERR_OFFLINE;

	for (unsigned i = 0; r < 0 && i < conf->hub_count; i++)
		r = watch_hub(a, conf->hubs[i], what, s, ret);
	return r;
}

/* The next chunks that are asked for and not known, from s->to on. */
static bool next_span(const struct answer *a, const struct wire_digests *d, struct span *s)
{
	uint32_t count = wire_chunks(a->ask);

	s->from = s->to;
	while (s->from < count && (!is_asked(a, s->from) || chunk_digest_known(d->of[s->from])))
		s->from++;
	s->to = s->from;
	while (s->to < count && is_asked(a, s->to) && !chunk_digest_known(d->of[s->to]))
		s->to++;
	return s->from < s->to;
}

/* What this node has seen a hub give it sees no second time. */
static void recall(const struct answer *a, struct wire_digests *ret)
{
	struct provenance *p = a->all->conf.provenance;
	uint8_t known[CHUNK_LIST_DIGEST];

	for (uint32_t i = 0; i < wire_chunks(a->ask); i++)
		if (provenance_knows(p, a->ask->etag, first_chunk(a->ask) + i, known) ==
		    PROVENANCE_WITNESSED)
			memcpy(ret->of[i], known, sizeof(known));
}

static void keep(const struct answer *a, const struct wire_digests *d)
{
	provenance_learn_part(a->all->conf.provenance, a->ask->etag, a->ask->size,
			      first_chunk(a->ask), wire_chunks(a->ask), d->of,
			      PROVENANCE_WITNESSED);
}

/* 0 if this node has, or had, something of it: for others no hub is asked. 1: it is sealed here,
 * and its list tells. */
static int know(const struct answer *a, const struct source_blob *what, struct wire_digests *ret)
{
	const struct digest_answers_conf *conf = &a->all->conf;
	struct pull *p;
	int r = opened_take(conf->opened, what, 0, &p);

	if (r < 0)
		return provenance_has(conf->provenance, what->etag, what->file.size) ? 0 : r;
	r = blob_is_sealed(fetch_blob(p)) && read_list(a, ret) == 0;
	opened_give(conf->opened, p);
	return r;
}

static int witness(const struct answer *a, struct wire_digests *ret)
{
	struct source_blob what;
	struct span s = { 0 };
	int r = wire_blob(a->ask, &what);

	if (r == 0)
		r = know(a, &what, ret);
	if (r != 0)
		return r < 0 ? r : 0;
	recall(a, ret);
	while (r == 0 && next_span(a, ret, &s))
		r = watch_hubs(a, &what, s, ret);
	keep(a, ret);
	return r;
}

/* ---- what is remembered ---- */

/* How many of the digests that are asked for are known. */
static uint32_t known_of(const struct answer *a, const struct wire_digests *d)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < wire_chunks(a->ask); i++)
		known += is_asked(a, i) && chunk_digest_known(d->of[i]);
	return known;
}

static uint32_t asked_of(const struct answer *a)
{
	uint32_t asked = 0;

	for (uint32_t i = 0; i < wire_chunks(a->ask); i++)
		asked += is_asked(a, i);
	return asked;
}

/* A witness is asked because what members have is in question: it says nothing of what it has,
 * unless all of that is verified. */
static int find_out(const struct answer *a, struct wire_digests *ret)
{
	int r = a->ask->witness ? witness(a, ret) : vouch(a, ret);

	return r == 0 && !known_of(a, ret) ? -ENOENT : r;
}

static void free_ask(struct wire_ask *ask)
{
	if (ask)
		free((void *)(uintptr_t)ask->path);
	free(ask);
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct answer *a = arg;
	struct wire_digests digests = { 0 };
	int r = find_out(a, &digests);
	bool all = r == 0 && known_of(a, &digests) == asked_of(a);

	log_debug("digests etag=%s segment=%u witness=%d: %s", a->ask->etag,
		  segment_of(a->ask->off), a->ask->witness, r < 0 ? err_text(r) : "found");
	lock_take(&a->all->lock);
	a->digests = digests;
	a->result = r;
	a->brief = !all || a->ask->held;
	a->until_ms = clock_ms() + (a->brief ? UNTOLD_MS : KNOWN_MS);
	free_ask(steal(a->ask));
	a->made = true;
	lock_drop(&a->all->lock);
}

static struct answer *oldest_locked(const struct digest_answers *all)
{
	return lru_item(all->by_age.oldest, struct answer, link);
}

static void forget_locked(struct digest_answers *all, struct answer *a)
{
	lru_remove(&all->by_age, &a->link);
	map_del_str(&all->by_key, a->key);
	free_ask(a->ask);
	free(a);
}

/* Those that are too many, but for those that are being made: these are few. */
static void forget_oldest_locked(struct digest_answers *all)
{
	struct answer *a = oldest_locked(all), *newer;

	for (; a && all->by_key.count > DIGEST_ANSWERS_MAX; a = newer) {
		newer = lru_item(a->link.newer, struct answer, link);
		if (a->made)
			forget_locked(all, a);
	}
}

static struct wire_ask *copy_ask(const struct wire_ask *ask)
{
	struct wire_ask *ret = malloc(sizeof(*ret));

	if (!ret)
		return NULL;
	*ret = *ask;
	ret->path = strdup(ask->path ? ask->path : "");
	if (!ret->path)
		free(steal(ret));
	return ret;
}

/* One that nobody finds yet; NULL: no memory. */
static struct answer *answer_new(struct digest_answers *all, const char *key,
				 const struct wire_ask *ask)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->all = all;
	snprintf(a->key, sizeof(a->key), "%s", key);
	a->size = ask->size;
	a->ask = copy_ask(ask);
	if (!a->ask)
		free(steal(a));
	return a;
}

static int begin_locked(struct digest_answers *all, const char *key, const struct wire_ask *ask)
{
	struct answer *a = answer_new(all, key, ask);
	/* Of one segment one after another: no hub gives the same chunk twice. */
	const struct segment segment = wire_segment(ask);
	const struct work job = { .fn = work, .arg = a, .lane = segment.blob + segment.index };
	int r = a ? map_put_str(&all->by_key, a->key, a) : -ENOMEM;

	if (r < 0) {
		free_ask(a ? a->ask : NULL);
		free(a);
		return r;
	}
	lru_add(&all->by_age, &a->link);
	r = workers_add(ask->witness ? all->witnesses : all->vouchers, &job);
	if (r < 0)
		forget_locked(all, a); /* too many: who asks comes again */
	else
		forget_oldest_locked(all);
	return r;
}

int digest_answers_get(struct digest_answers *all, const struct wire_ask *ask,
		       struct wire_digests *ret)
{
	char key[sizeof(((struct answer *)0)->key)];
	struct answer *a;
	int r = -EAGAIN;

	write_key(ask, ask->witness ? 'w' : ask->held ? 'h' : 'v', ask->chunks, key);
	lock_take(&all->lock);
	a = map_find_str(&all->by_key, key);
	if (a && a->made && (a->until_ms <= clock_ms() || a->size != ask->size)) {
		forget_locked(all, a);
		a = NULL;
	}
	if (a && a->made) {
		r = a->result;
		*ret = a->digests;
		if (a->brief)
			a->until_ms = min_i64(a->until_ms, clock_ms() + PARTIAL_MS);
	} else if (!a) {
		r = begin_locked(all, key, ask);
	}
	lock_drop(&all->lock);
	return !a && r == 0 ? -EAGAIN : r;
}

/* ---- start and stop ---- */

static int start_threads(const char *name, struct workers **ret)
{
	const struct workers_conf conf = { name, THREADS, WAITING_MAX, true };

	return workers_start(&conf, ret);
}

int digest_answers_start(const struct digest_answers_conf *conf, struct digest_answers **ret)
{
	struct digest_answers *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	all->conf = *conf;
	lock_init(&all->lock, LOCK_DIGEST_ANSWERS);
	r = start_threads("mfs-voucher", &all->vouchers);
	if (r == 0)
		r = start_threads("mfs-witness", &all->witnesses);
	if (r == 0)
		*ret = all;
	else
		(void)!digest_answers_stop(all);
	return r;
}

bool digest_answers_stop(struct digest_answers *all)
{
	struct answer *a, *newer;
	int64_t deadline_ms;
	bool over;

	if (!all)
		return true;
	deadline_ms = clock_ms() + STOP_MS;
	httpc_cancel(all->conf.http, &all->cancel);
	over = workers_stop(all->vouchers, deadline_ms);
	over &= workers_stop(all->witnesses, deadline_ms);
	if (!over)
		return false;
	lock_take(&all->lock);
	for (a = oldest_locked(all); a; a = newer) {
		newer = lru_item(a->link.newer, struct answer, link);
		forget_locked(all, a);
	}
	lock_drop(&all->lock);
	map_fini(&all->by_key);
	lock_fini(&all->lock);
	free(all);
	return true;
}
