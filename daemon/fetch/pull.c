/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pull.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/retry.h"

void pulls_init(struct pulls *all)
{
	*all = (struct pulls){ .stop = false };
	lock_init(&all->lock, LOCK_FETCH);
	cond_init(&all->work);
	cond_init(&all->hash_work);
	schedule_init(&all->schedule);
	all->hash_end = &all->hash_first;
}

void pulls_fini(struct pulls *all)
{
	map_fini(&all->by_etag);
	map_fini(&all->own);
	cond_fini(&all->hash_work);
	cond_fini(&all->work);
	lock_fini(&all->lock);
}

/* ---- the end of runs ---- */

struct pull *pull_of(const struct run *run)
{
	return container_of(run->fill, struct pull, fill);
}

/* Answers those who wait for bytes of [from, to). */
static void settle_range(struct pull *p, uint64_t from, uint64_t to, int r,
			 struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = p->waiters.first; w; w = next) {
		next = w->next;
		if (p->verified_only || (w->off < to && w->off + w->len > from))
			waitlist_settle(w, r, settled);
	}
}

static void end_kept(struct pull *p, const struct run *run, int r, struct waitlist *settled)
{
	/* Bytes of this run may have been dropped after it was taken for their bringer. */
	if (r >= 0 && p->verified_only && p->waiters.first)
		r = fill_want(&p->fill, run->start, run->end, URGENCY_AHEAD, RUN_BYTES_MAX);
	if (r >= 0)
		return;
	p->all_wanted = false;
	fill_unwant_ahead(&p->fill);
	if (err_is_disk(r) && !p->verified_only) {
		p->unkept_until_ms = clock_ms() + UNKEPT_MS;
		p->unkept = r;
		r = 0; /* call again, and be served past the cache */
	} else if (retry_passes(r)) {
		p->failed = r;
		p->failed_until_ms = clock_ms() + FAILED_MS;
	} else if (err_is_misplaced(r) && origins_fresh(&p->origins, clock_ms())) {
		r = 0; /* that place was named too late for this run: call again */
	}
	settle_range(p, chunk_floor(run->pos), run->end, r, settled);
}

/* Hands the bytes to one of those who wait for exactly them. He may have been interrupted. */
static void end_direct(struct pull *p, struct run *run, int r, struct waitlist *settled)
{
	for (struct waiter *w = p->waiters.first; w; w = w->next) {
		if (w->off != run->start || w->off + w->len != run->end || w->held)
			continue;
		w->held = r < 0 ? NULL : steal(run->bytes);
		waitlist_settle(w, r, settled);
		return;
	}
}

void pull_end_run_locked(struct run *run, int r, struct waitlist *settled)
{
	struct pull *p = pull_of(run);

	if (run->direct)
		end_direct(p, run, r, settled);
	else
		end_kept(p, run, r, settled);
	run_free(run);
	cond_wake_one(&p->all->work); /* something may have had to wait for its turn */
}

/* ---- pulls ---- */

static struct map *table_of(struct pulls *all, const struct source_blob *what)
{
	return what->own ? &all->own : &all->by_etag;
}

static int pull_new(struct pulls *all, const struct source_blob *what, bool guest,
		    struct blob *blob, struct pull **ret)
{
	struct pull *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->all = all;
	p->waiters.readers = &all->readers_waiting;
	p->blob = blob_ref(blob);
	p->rotten = blob_rotten(blob);
	fill_init(&p->fill, &all->schedule, p->blob);
	if (!what->own)
		p->distrust = distrusts_get(&all->distrusts, what->etag);
	p->verified_only = all->strict || p->distrust.strikes > 0;
	r = pull_add_origin_locked(p, what, guest);
	if (r == 0) {
		p->what = p->origins.first->what;
		r = map_put_str(table_of(all, what), p->what.etag, p);
	}
	if (r < 0) {
		pull_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pull_distrust_locked(struct pull *p)
{
	if (p->distrust.strikes == 0)
		p->distrust.strikes = 1;
	p->verified_only = true;
}

int pull_add_origin_locked(struct pull *p, const struct source_blob *what, bool guest)
{
	return origins_add(&p->origins, what, guest, !p->fill.run_count, clock_ms());
}

int pull_join_locked(struct pulls *all, const struct source_blob *what, bool guest,
		     struct blob *blob, struct pull **ret)
{
	struct pull *p = map_find_str(table_of(all, what), what->etag);
	int r = 0;

	if (p && p->expelled) /* what comes with another size takes its place */
		return p->expelled;
	if (p) {
		r = pull_add_origin_locked(p, what, guest);
	} else {
		r = pull_new(all, what, guest, blob, &p);
	}
	if (r < 0)
		return r;
	p->readers++;
	*ret = p;
	return 0;
}

void pull_free(struct pull *p)
{
	if (!p)
		return;
	assert(!p->fill.run_count && !p->fill.want_count && !p->waiters.first);
	blob_unref(p->blob);
	chunk_listing_free(p->digest);
	chunk_list_free(p->list);
	origins_free(&p->origins);
	extents_fini(&p->extents);
	free(p);
}

bool pull_shows_locked(const struct pull *p, const struct waiter *w)
{
	return !p->verified_only || (w && w->only && !p->distrust.strikes && !p->doubted);
}

uint64_t pull_ready_locked(const struct pull *p, const struct waiter *w, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, at = off, until;

	if (blob_is_sealed(p->blob))
		return len;
	if (!pull_shows_locked(p, w))
		return 0;
	for (; at < end; at = until) {
		until = fill_until(&p->fill, at);
		if (until == at)
			break;
	}
	return min_u64(at, end) - off;
}

static bool has_all_locked(const struct pull *p, const struct waiter *w)
{
	return pull_ready_locked(p, w, w->off, w->len) == w->len;
}

int pull_demand_locked(struct pull *p, const struct waiter *w, int64_t now_ms)
{
	uint64_t to = w->off + w->len;

	if (w->only)
		return fill_demand_for_guest(&p->fill, w->off, to, RUN_BYTES_MIN, now_ms);
	return fill_demand(&p->fill, w->off, to, RUN_BYTES_MIN, now_ms);
}

int pull_want_all_locked(struct pull *p)
{
	int r = 0;

	if (!p->all_wanted)
		r = fill_want(&p->fill, 0, p->what.file.size, URGENCY_AHEAD, RUN_BYTES_MAX / 2);
	p->all_wanted = r == 0;
	return r;
}

void pull_settle_ready_locked(struct pull *p, struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = p->waiters.first; w; w = next) {
		next = w->next;
		if (w->verdict ? blob_is_sealed(p->blob) : has_all_locked(p, w))
			waitlist_settle(w, 0, settled);
	}
}

void pull_settle_some_locked(struct pull *p, struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = p->waiters.first; w; w = next) {
		next = w->next;
		if (w->some && !w->verdict && pull_ready_locked(p, w, w->off, 1))
			waitlist_settle(w, 0, settled);
	}
}

void pull_settle_verdict_locked(struct pull *p, int r, struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = p->waiters.first; w; w = next) {
		next = w->next;
		if (w->verdict)
			waitlist_settle(w, r, settled);
	}
}

bool pull_has_rotted(struct pull *p)
{
	unsigned now = blob_rotten(p->blob);

	return atomic_exchange(&p->rotten, now) != now;
}

static bool waits_for_verdict_locked(const struct pull *p)
{
	for (const struct waiter *w = p->waiters.first; w; w = w->next)
		if (w->verdict)
			return true;
	return false;
}

/* Readers who wait for bytes have the processor first. */
static bool may_digest_later_locked(const struct pull *p)
{
	const struct schedule *s = &p->all->schedule;
	uint64_t share = PULL_UNHASHED_MAX / max_u64(schedule_busy(s), 1);

	return !p->verified_only && !waits_for_verdict_locked(p) &&
	       blob_present_bytes(p->blob) < p->hashed + share &&
	       schedule_moving(s, URGENCY_AHEAD, clock_ms()) > 0;
}

void pull_hash_kick_locked(struct pull *p)
{
	uint64_t size = p->what.file.size;

	if (p->hash_queued || p->hash_busy || blob_is_sealed(p->blob))
		return;
	if (blob_present_bytes(p->blob) != size &&
	    (p->hashed >= size || !blob_may_have(p->blob, chunk_of(p->hashed)) ||
	     may_digest_later_locked(p)))
		return;
	p->hash_queued = true;
	p->hash_next = NULL;
	*p->all->hash_end = p;
	p->all->hash_end = &p->hash_next;
	cond_wake_one(&p->all->hash_work);
}

static bool is_at_work(const struct pull *p)
{
	return p->fill.run_count || p->hash_queued || p->hash_busy;
}

void pull_begin_anew_locked(struct pull *p)
{
	if (is_at_work(p) || !blob_present_bytes(p->blob))
		return;
	chunk_listing_free(steal(p->digest));
	p->hashed = 0;
	p->all_wanted = false;
	if (blob_drop(p->blob) < 0)
		log_debug("the map of what is not there any more is left etag=%s", p->what.etag);
}

void pull_leave_locked(struct pull *p)
{
	if (--p->readers > 0)
		return;
	p->all_wanted = false;
	fill_leave(&p->fill, clock_ms());
}

void pull_give_up_locked(struct pull *p)
{
	if (--p->readers > 0)
		return;
	p->all_wanted = false;
	fill_give_up(&p->fill);
}

struct pull *pull_if_idle_locked(struct pull *p)
{
	if (p->readers || is_at_work(p))
		return NULL;
	if (blob_was_trimmed(p->blob) && !blob_is_sealed(p->blob))
		p->distrust.trimmed = true;
	/* Distrust outlives the readers: it ends with the seal. */
	if (!p->what.own)
		distrusts_put(&p->all->distrusts, p->what.etag, &p->distrust);
	map_del_str(table_of(p->all, &p->what), p->what.etag);
	return p;
}
