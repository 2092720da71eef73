/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/fetch_priv.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/pull_late.h"
#include "daemon/fetch/seal.h"
#include "daemon/fetch/stream.h"

#define STREAM_BYTES (UINT64_C(512) << 10) /* buffers of one stream: ours, libcurl's, TLS's */
#define THREADS_CAP 256
#define BESIDES_SHARE 8 /* of all places */
#define SEALERS 2
#define IDLE_MS 10000
#define TICK_MS 250

struct late {
	struct waitlist *settled;
	int64_t now_ms, timeout_ms;
	unsigned left;
};

static int settle_late(void *arg, void *value)
{
	struct late *l = arg;
	struct pull *p = value;

	pull_settle_some_locked(p, l->settled);
	pull_settle_late_locked(p, l->now_ms, l->timeout_ms, l->settled);
	l->left += p->waiters.first != NULL;
	pull_demand_again_locked(p, l->now_ms);
	return 0;
}

static void *clockwork(void *arg)
{
	struct fetch *f = arg;
	struct pulls *all = &f->pulls;

	lock_take(&all->lock);
	while (!all->stop) {
		struct waitlist settled = { 0 };
		struct late late = { &settled, clock_ms(), f->conf.timeout_ms, 0 };

		map_each(&all->by_etag, settle_late, &late);
		if (late.left && streams_kick_locked(f->streams) < 0)
			log_debug("no further stream thread can be started");
		f->anybody = late.left > 0;
		lock_drop(&all->lock);
		waitlist_wake(&settled);
		lock_take(&all->lock);
		if (!all->stop)
			cond_wait(&f->parked, &all->lock,
				  f->anybody ? clock_ms() + TICK_MS : CLOCK_FOREVER);
	}
	lock_drop(&all->lock);
	return NULL;
}

/* A stream keeps no bytes but those it is just receiving, and of hearsay that goes past the cache
 * the piece that is compared as a whole; so does a request that its source has besides. The number
 * of both is the budget. */
static unsigned places_within(uint64_t memory_bytes, bool hearsay)
{
	uint64_t n = memory_bytes / (STREAM_BYTES + (hearsay ? SOURCE_PIECE_MAX : 0));

	return n < 1 ? 1 : n > THREADS_CAP ? THREADS_CAP : (unsigned)n;
}

/* How many of those places are kept for requests that a source of hearsay has besides. */
static unsigned besides_within(unsigned places, bool hearsay)
{
	return hearsay ? places / BESIDES_SHARE : 0;
}

/* How many of those threads may come to wait at other nodes: see schedule.h. */
static unsigned waits_within(unsigned threads)
{
	unsigned kept = threads / 4 > 1 ? threads / 4 : 1;

	return threads > kept ? threads - kept : 1;
}

/* Bit i: source i has what it gives from others. */
static uint64_t find_hearsay(const struct fetch_conf *conf)
{
	uint64_t hearsay = 0;

	for (unsigned i = 0; i < conf->source_count; i++)
		hearsay |= (uint64_t)conf->sources[i]->hearsay << i;
	return hearsay;
}

static int start_threads(struct fetch *f)
{
	const struct fetch_conf *conf = &f->conf;
	uint64_t hearsay = find_hearsay(conf);
	unsigned places = places_within(conf->memory_bytes, hearsay);
	unsigned besides = besides_within(places, hearsay);
	struct streams_conf streams = {
		.throttle = &f->throttle,
		.pulls = &f->pulls,
		.http = conf->http,
		.sources = conf->sources,
		.source_count = conf->source_count,
		.threads_max = places - besides,
		.idle_ms = IDLE_MS,
		.failures = conf->outcry.failures,
		/* Before the readers' own deadline, so that they learn the reason. */
		.give_up_ms = conf->timeout_ms * 4 / 5,
		.make_room = conf->make_room,
		.arg = conf->make_room_arg,
	};
	struct sealer_conf sealer = {
		.pulls = &f->pulls,
		.catalog = conf->catalog,
		.threads = SEALERS,
		.source_count = conf->source_count,
		.hearsay = hearsay,
		.lists = conf->lists,
		.outcry = conf->outcry,
		.http = conf->http,
		.verifier = conf->verifier,
	};
	int r = streams_new(&streams, &f->streams);

	for (unsigned i = 0; i < conf->source_count; i++)
		if (conf->sources[i]->hearsay)
			conf->sources[i]->besides_max = besides;
	if (hearsay)
		f->pulls.schedule.waits_max = waits_within(streams.threads_max);

	sealer.streams = f->streams;
	if (r == 0)
		r = sealer_start(&sealer, &f->sealer);
	if (r == 0)
		r = thread_start(&f->clock, "mfs-clock", clockwork, f);
	f->clock_runs = r == 0;
	return r;
}

int fetch_new(const struct fetch_conf *conf, struct fetch **ret)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->conf = *conf;
	pulls_init(&f->pulls);
	f->pulls.strict = conf->strict;
	f->pulls.schedule.border = conf->border;
	throttle_init(&f->throttle);
	cond_init(&f->parked);
	make_way_init(&f->make_way);
	r = start_threads(f);
	if (r < 0) {
		fetch_stop(f);
		fetch_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

static int settle_stopped(void *arg, void *value)
{
	struct pull *p = value;

	waitlist_settle_all(&p->waiters, ERR_STOPPING, arg);
	return 0;
}

void fetch_stop(struct fetch *f)
{
	struct waitlist settled = { 0 };

	lock_take(&f->pulls.lock);
	f->pulls.stop = true;
	map_each(&f->pulls.by_etag, settle_stopped, &settled);
	cond_wake_all(&f->parked);
	lock_drop(&f->pulls.lock);
	waitlist_wake(&settled);
	if (f->clock_runs)
		pthread_join(f->clock, NULL);
	f->clock_runs = false;
	if (f->streams)
		streams_stop(f->streams);
	sealer_stop(steal(f->sealer));
}

/* What the sealer had still to do when it was stopped; the next start does it. */
static int free_left(void *arg, void *value)
{
	struct pull *p = value;

	map_del_str(arg, p->what.etag);
	p->readers = 1; /* whoever has it open still: his runs end here */
	pull_leave_locked(p);
	pull_free(p);
	return 0;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	lock_take(&f->pulls.lock);
	map_each(&f->pulls.by_etag, free_left, &f->pulls.by_etag);
	map_each(&f->pulls.own, free_left, &f->pulls.own);
	lock_drop(&f->pulls.lock);
	streams_free(f->streams);
	make_way_fini(&f->make_way);
	cond_fini(&f->parked);
	pulls_fini(&f->pulls);
	throttle_fini(&f->throttle);
	free(f);
}

void fetch_set_limits(struct fetch *f, const struct throttle_limits *limits)
{
	throttle_set(&f->throttle, limits);
}

struct throttle_limits fetch_limits(struct fetch *f)
{
	return throttle_get(&f->throttle);
}

int64_t fetch_pause_ms(struct fetch *f, uint64_t bytes)
{
	return throttle_pause_ms(&f->throttle, URGENCY_BACKGROUND, bytes);
}

void fetch_source_of(struct fetch *f, const char *etag, char ret[static FETCH_SOURCE_MAX + 1])
{
	const struct pull *p;

	lock_take(&f->pulls.lock);
	p = map_find_str(&f->pulls.by_etag, etag);
	snprintf(ret, FETCH_SOURCE_MAX + 1, "%s", p && p->source ? p->source : "");
	lock_drop(&f->pulls.lock);
}

struct pulls *fetch_pulls(struct fetch *f)
{
	return &f->pulls;
}

static int park_locked(struct fetch *f, struct pull *p, struct waiter *w, uint64_t off,
		       uint64_t len)
{
	if (atomic_load(&w->canceled))
		return ERR_CANCELED;
	w->off = off;
	w->len = len;
	w->verdict = false;
	waitlist_add(&p->waiters, w);
	if (!f->anybody)
		cond_wake_one(&f->parked);
	f->anybody = true;
	return PARKED;
}

static int want_range(struct pull *p, const struct plan_range *range, uint64_t run_max)
{
	return fill_want(&p->fill, range->from, range->to, URGENCY_AHEAD, run_max);
}

/* Wants what a new read needs, in runs that bring what comes after it along, and what is worth
 * having besides. */
static int want_new_locked(struct pull *p, uint64_t off, uint64_t len, bool there)
{
	struct plan_want want;
	uint64_t to;
	int r = 0;

	p->plan.came = rate_bytes(&p->rate, clock_ms());
	want = plan_read(&p->plan, off, len, p->what.file.size, &p->extents);
	to = max_u64(min_u64(want.need.from + want.run_max, want.ahead.to), want.need.to);
	if (!there)
		r = fill_demand(&p->fill, want.need.from, to, want.run_max, clock_ms());
	if (r == 0)
		r = want_range(p, &want.ahead, want.run_max);
	return r < 0 ? r : want_range(p, &want.sweep, RUN_BYTES_MAX / 2);
}

/* True if this read has parked before: it has told the plan all it had to tell. */
static bool is_known(const struct waiter *w, uint64_t off, uint64_t len)
{
	return w && w->off == off && w->len == len;
}

/* Who asks for others knows what they want: it says nothing of how the file is read here. */
static int want_only_locked(struct pull *p, uint64_t off, uint64_t len, bool there)
{
	return there ? 0 : fill_demand_for_guest(&p->fill, off, off + len, len, clock_ms());
}

static int want_locked(struct pull *p, uint64_t off, uint64_t len, bool there,
		       const struct waiter *w)
{
	if (!pull_shows_locked(p, w))
		return pull_want_all_locked(p);
	if (w && w->only && !is_known(w, off, len))
		return want_only_locked(p, off, max_u64(len, w->only), there);
	if (!is_known(w, off, len))
		return want_new_locked(p, off, len, there);
	return there ? 0 : pull_demand_locked(p, w, clock_ms());
}

/* Has the bytes brought past the cache, for this waiter alone. */
static int read_past(struct fetch *f, struct pull *p, uint64_t off, uint64_t len, struct waiter *w)
{
	int r = fill_direct(&p->fill, off, len);

	p->distrust.unverified = true;
	if (r == 0)
		r = streams_kick_locked(f->streams);
	return r < 0 ? r : park_locked(f, p, w, off, len);
}

/* What is to be said of bytes that are not there before anything is asked for; 0: ask. */
static int refuse_locked(struct fetch *f, struct pull *p, uint64_t off, uint64_t len,
			 const struct waiter *w)
{
	int64_t now = clock_ms();

	if (f->pulls.stop)
		return ERR_STOPPING;
	if (blob_present_bytes(p->blob) == p->what.file.size)
		pull_hash_kick_locked(p); /* all is there but a verdict */
	if (p->expelled)
		return p->expelled;
	if (p->distrust.barred_until_ms > now)
		return ERR_DIGEST;
	if (p->failed_until_ms > now)
		return p->failed;
	if (pull_was_late_locked(p, off, len, now))
		return ERR_TIMEOUT;
	if (f->conf.source_count == 0)
		return ERR_OFFLINE;
	return w ? 0 : PARKED;
}

/* *ret_len: how many of the bytes are there, if that is enough. */
static int read_locked(struct fetch *f, struct pull *p, uint64_t off, uint64_t len,
		       struct waiter *w, uint64_t *ret_len)
{
	uint64_t ready = pull_ready_locked(p, w, off, len);
	bool there = ready == len || (ready && w && w->some);
	int r = there ? 0 : refuse_locked(f, p, off, len, w);

	*ret_len = ready;
	if (r != 0 || (there && (f->pulls.stop || f->conf.source_count == 0)))
		return r;
	if (p->unkept_until_ms > clock_ms() && !p->verified_only)
		return there ? 0 : read_past(f, p, off, len, w);
	r = want_locked(p, off, len, there, w);
	if (r == 0)
		r = streams_kick_locked(f->streams);
	if (there)
		return 0; /* what lies ahead is a bonus */
	return r < 0 ? r : park_locked(f, p, w, off, len);
}

/* Bytes that were brought for this waiter alone, or NULL. */
static void *held_bytes(struct waiter *w, uint64_t off, uint64_t len)
{
	if (w && w->held && is_known(w, off, len))
		return steal(w->held);
	return NULL;
}

/* A chunk is absent now that had been right, and perhaps was given away after it was not. */
static void tell_rot(struct fetch *f, struct pull *p)
{
	lock_take(&f->pulls.lock);
	p->all_wanted = false;
	lock_drop(&f->pulls.lock);
	outcry_rot(&f->conf.outcry, &p->what);
}

void fetch_lose(struct fetch *f, struct pull *p, uint64_t off, uint64_t len)
{
	int r = blob_lose(p->blob, off, off + len);

	if (r < 0)
		log_warn(r, "what cannot be read is not had anew etag=%s", p->what.etag);
	if (r < 0)
		return;
	if (r == 1 && catalog_unseal_blob(f->conf.catalog, p->what.etag) < 0)
		log_debug("a stale row is left etag=%s", p->what.etag);
	tell_rot(f, p);
}

int fetch_read(struct fetch *f, struct pull *p, uint64_t off, uint64_t len, struct waiter *w,
	       const void **ret, uint64_t *ret_len)
{
	int r;

	*ret_len = len;
	*ret = held_bytes(w, off, len);
	if (*ret)
		return 0;
	*ret = blob_data(p->blob, off);
	blob_hold(p->blob); /* before it is asked whether the bytes are there */
	if (blob_is_sealed(p->blob))
		return 0;
	/* Compares what a crash may have torn or the disk changed, outside the lock. */
	for (uint32_t i = chunk_of(off); i <= chunk_of(off + len - 1); i++)
		(void)blob_still_has(p->blob, i);
	if (pull_has_rotted(p))
		tell_rot(f, p);
	lock_take(&f->pulls.lock);
	r = read_locked(f, p, off, len, w, ret_len);
	if (r == 0)
		blob_note_read(p->blob, off,
			       *ret_len); /* not before: what is waited for must stay */
	else
		blob_let_go(p->blob); /* under the lock: who has parked may be gone after it */
	lock_drop(&f->pulls.lock);
	return r;
}

int fetch_verdict(struct fetch *f, struct pull *p, struct waiter *w)
{
	uint64_t size = p->what.file.size;
	int r = 0;

	lock_take(&f->pulls.lock);
	if (f->pulls.stop) {
		r = ERR_STOPPING;
	} else if (!blob_is_sealed(p->blob)) {
		w->deadline_ms += (int64_t)(size * 1000 / PULL_VERIFY_BYTES_S);
		r = park_locked(f, p, w, 0, size);
		w->verdict = r == PARKED;
		pull_hash_kick_locked(p); /* now that it is seen that somebody waits */
	}
	lock_drop(&f->pulls.lock);
	return r;
}

int fetch_want(struct fetch *f, struct pull *p, uint64_t from, uint64_t to, enum urgency urgency)
{
	int64_t now = clock_ms();
	int r = 0;

	if (f->conf.source_count == 0)
		return 0;
	lock_take(&f->pulls.lock);
	if (p->unkept_until_ms > now && !p->verified_only)
		r = p->unkept;
	else if (!f->pulls.stop && p->distrust.barred_until_ms <= now)
		r = fill_want(&p->fill, from, to, urgency, RUN_BYTES_MAX);
	if (r == 0)
		r = streams_kick_locked(f->streams);
	lock_drop(&f->pulls.lock);
	return r;
}

void fetch_tell_extents(struct fetch *f, struct pull *p, struct extents *e)
{
	lock_take(&f->pulls.lock);
	if (!p->extents.count) {
		p->extents = *e;
		*e = (struct extents){ 0 };
	}
	lock_drop(&f->pulls.lock);
	extents_fini(e);
}

void fetch_use(struct fetch *f, struct pull *p, struct fetch_use *ret)
{
	lock_take(&f->pulls.lock);
	*ret = (struct fetch_use){
		.present = blob_present_bytes(p->blob),
		.came = rate_bytes(&p->rate, clock_ms()),
		.gaps = plan_has_gaps(&p->plan),
	};
	lock_drop(&f->pulls.lock);
}

bool fetch_has_waiting(struct fetch *f)
{
	return atomic_load(&f->pulls.readers_waiting) > 0;
}

int fetch_leave(struct fetch *f, struct waiter *w)
{
	int found;

	lock_take(&f->pulls.lock);
	found = w->list != NULL;
	if (found)
		waitlist_del(w);
	lock_drop(&f->pulls.lock);
	return found;
}
