/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pull.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/chunk.h"

#define ORIGINS_MAX 16 /* of one blob; so many are not all closed to us */

void pulls_init(struct pulls *all)
{
	*all = (struct pulls){ .stop = false };
	lock_init(&all->lock, LOCK_FETCH);
	cond_init(&all->work);
	cond_init(&all->hash_work);
	all->demand.end = &all->demand.first;
	all->ahead.end = &all->ahead.first;
	all->hash_end = &all->hash_first;
}

void pulls_fini(struct pulls *all)
{
	map_fini(&all->by_etag);
	cond_fini(&all->hash_work);
	cond_fini(&all->work);
	lock_fini(&all->lock);
}

/* ---- runs and their queues ---- */

static void queue_add(struct run_queue *q, struct run *run)
{
	run->qnext = NULL;
	*q->end = run;
	q->end = &run->qnext;
}

static void queue_del(struct run_queue *q, struct run *run)
{
	struct run **at = &q->first;

	while (*at != run)
		at = &(*at)->qnext;
	*at = run->qnext;
	if (!*at)
		q->end = at;
}

static struct run_queue *queue_of(struct run *run)
{
	return run->demand ? &run->pull->all->demand : &run->pull->all->ahead;
}

static void run_link(struct run *run)
{
	struct pull *p = run->pull;

	run->next = p->runs;
	if (p->runs)
		p->runs->prev = run;
	p->runs = run;
}

static void run_unlink(struct run *run)
{
	if (run->prev)
		run->prev->next = run->next;
	else
		run->pull->runs = run->next;
	if (run->next)
		run->next->prev = run->prev;
}

static int run_new(struct pull *p, uint64_t start, uint64_t end, bool demand)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->pull = p;
	run->demand = demand;
	run->start = run->pos = start;
	run->end = end;
	run_link(run);
	queue_add(queue_of(run), run);
	cond_wake_one(&p->all->work);
	return 0;
}

static void run_promote(struct run *run)
{
	queue_del(queue_of(run), run);
	run->demand = true;
	queue_add(queue_of(run), run);
	cond_wake_one(&run->pull->all->work);
}

/* Makes the run that covers `from` bring it soon. One that is on its way to it already, or
 * waits to be, is left alone if it is near: cutting it would only make many requests out of
 * one. One that nobody waited for is cut there and its tail comes at once. */
static int run_hurry(struct run *run, uint64_t from)
{
	bool under_way = run->state == RUN_ACTIVE || run->demand;
	int r;

	if (under_way && from < run->pos + RUN_JUMP)
		return 0;
	if (from == run->start) {
		run_promote(run);
		return 0;
	}
	r = run_new(run->pull, from, run->end, true);
	if (r == 0)
		run->end = from;
	return r;
}

static struct run *run_at(const struct pull *p, uint64_t off)
{
	for (struct run *run = p->runs; run; run = run->next)
		if (off >= run->start && off < run->end && run->pos < run->end)
			return run;
	return NULL;
}

static unsigned active_ahead(const struct pull *p)
{
	unsigned n = 0;

	for (const struct run *run = p->runs; run; run = run->next)
		n += run->state == RUN_ACTIVE && !run->demand;
	return n;
}

static struct run *take(struct run_queue *q, struct run *run)
{
	queue_del(q, run);
	run->state = RUN_ACTIVE;
	run->moved_ms = clock_ms();
	run->pull->busy++;
	return run;
}

struct run *run_next_locked(struct pulls *all)
{
	if (all->demand.first)
		return take(&all->demand, all->demand.first);
	for (struct run *run = all->ahead.first; run; run = run->qnext)
		if (active_ahead(run->pull) < PULL_AHEAD_MAX)
			return take(&all->ahead, run);
	return NULL;
}

struct stalled {
	int64_t since_ms;
	unsigned count;
};

static int count_stalled(void *arg, void *value)
{
	const struct pull *p = value;
	struct stalled *s = arg;

	for (const struct run *run = p->runs; run; run = run->next)
		s->count += run->state == RUN_ACTIVE && run->moved_ms < s->since_ms;
	return 0;
}

unsigned pulls_stalled_locked(struct pulls *all, int64_t since_ms)
{
	struct stalled s = { since_ms, 0 };

	map_each(&all->by_etag, count_stalled, &s);
	return s.count;
}

static void settle_failed(struct run *run, int r, struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = run->pull->waiters.first; w; w = next) {
		next = w->next;
		if (run->pull->verified_only ||
		    (w->off < run->end && w->off + w->len > chunk_floor(run->pos)))
			waitlist_settle(w, r, settled);
	}
}

void run_end_locked(struct run *run, int r, struct waitlist *settled)
{
	struct pull *p = run->pull;

	assert(run->state == RUN_ACTIVE);
	run_unlink(run);
	/* Bytes of this run may have been dropped after it was taken for their bringer. */
	if (r >= 0 && p->verified_only && p->waiters.first)
		r = pull_want_locked(p, run->start, run->end, run->end);
	if (r < 0) {
		p->all_wanted = false;
		settle_failed(run, r, settled);
	}
	p->busy--;
	if (p->all->ahead.first)
		cond_wake_one(&p->all->work); /* one that had to wait for its pull's turn */
	free(run);
}

/* ---- pulls ---- */

static int pull_new(struct pulls *all, const struct source_blob *what, struct blob *blob,
		    struct pull **ret)
{
	struct pull *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->all = all;
	p->blob = blob_ref(blob);
	p->distrust = distrusts_get(&all->distrusts, what->etag);
	p->verified_only = p->distrust.strikes > 0;
	p->what = *what;
	p->what.path = strdup(what->path);
	if (!p->what.path || map_put_str(&all->by_etag, p->what.etag, p) < 0) {
		pull_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

static bool same_origin(const struct source_blob *a, const struct source_blob *b)
{
	return a->repo.type == b->repo.type && strcmp(a->repo.name, b->repo.name) == 0 &&
	       strcmp(a->commit, b->commit) == 0 && strcmp(a->path, b->path) == 0;
}

static int origin_new(const struct source_blob *what, struct pull_origin **ret)
{
	size_t size = strlen(what->path) + 1;
	struct pull_origin *origin = calloc(1, sizeof(*origin) + size);

	if (!origin)
		return -ENOMEM;
	origin->what = *what;
	origin->what.path = memcpy(origin->path, what->path, size);
	*ret = origin;
	return 0;
}

int pull_add_origin_locked(struct pull *p, const struct source_blob *what)
{
	struct pull_origin **end = &p->origins;
	unsigned count = 1;

	if (same_origin(&p->what, what))
		return 0;
	for (; *end; end = &(*end)->next, count++)
		if (same_origin(&(*end)->what, what))
			return 0;
	return count < ORIGINS_MAX ? origin_new(what, end) : 0;
}

const struct source_blob *pull_origin_after_locked(const struct pull *p,
						   const struct source_blob *at)
{
	const struct pull_origin *next = p->origins;

	if (at != &p->what) {
		while (&next->what != at)
			next = next->next;
		next = next->next;
	}
	return next ? &next->what : NULL;
}

static void free_origins(struct pull *p)
{
	struct pull_origin *origin;

	while ((origin = p->origins)) {
		p->origins = origin->next;
		free(origin);
	}
}

int pull_join_locked(struct pulls *all, const struct source_blob *what, struct blob *blob,
		     struct pull **ret)
{
	struct pull *p = map_find_str(&all->by_etag, what->etag);
	int r = 0;

	if (p) {
		r = pull_add_origin_locked(p, what);
	} else {
		r = pull_new(all, what, blob, &p);
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
	assert(!p->runs && !p->waiters.first);
	blob_unref(p->blob);
	digest_free(p->digest);
	free_origins(p);
	extents_fini(&p->extents);
	free((void *)(uintptr_t)p->what.path);
	free(p);
}

/* One past the last byte from off on that is in the file; off if that byte is not. */
static uint64_t present_until(const struct pull *p, uint64_t off)
{
	const struct run *run;

	if (blob_has(p->blob, chunk_of(off)))
		return chunk_end(chunk_of(off), p->what.file.size);
	run = run_at(p, off);
	return run && run->pos > off ? run->pos : off;
}

bool pull_has_locked(const struct pull *p, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;

	if (blob_is_sealed(p->blob))
		return true;
	if (p->verified_only)
		return false;
	while (off < end) {
		uint64_t until = present_until(p, off);

		if (until == off)
			return false;
		off = until;
	}
	return true;
}

/* The end of the gap that begins at off: the next chunk that is there, the next run, or `to`. */
static uint64_t gap_end(const struct pull *p, uint64_t off, uint64_t to)
{
	uint64_t end = off;

	while (end < to && end - off < RUN_BYTES_MAX && !run_at(p, end) &&
	       !blob_may_have(p->blob, chunk_of(end)))
		end = chunk_end(chunk_of(end), p->what.file.size);
	return end < to ? end : to;
}

int pull_want_locked(struct pull *p, uint64_t from, uint64_t need_end, uint64_t to)
{
	uint64_t off = from, end;
	int r = 0;

	while (r == 0 && off < to) {
		struct run *run = run_at(p, off);
		bool demand = off < need_end;

		if (run) {
			if (demand && run->pos <= off)
				r = run_hurry(run, off);
			run = run_at(p, off); /* it may be a new one */
			assert(run);
			end = run->end;
		} else if (blob_may_have(p->blob, chunk_of(off))) {
			end = chunk_end(chunk_of(off), p->what.file.size);
		} else {
			end = gap_end(p, off, to);
			r = run_new(p, off, end, demand);
		}
		off = end;
	}
	return r;
}

int pull_want_all_locked(struct pull *p)
{
	int r = 0;

	if (!p->all_wanted)
		r = pull_want_locked(p, 0, p->what.file.size, p->what.file.size);
	p->all_wanted = r == 0;
	return r;
}

void pull_settle_ready_locked(struct pull *p, struct waitlist *settled)
{
	struct waiter *next;

	for (struct waiter *w = p->waiters.first; w; w = next) {
		next = w->next;
		if (pull_has_locked(p, w->off, w->len))
			waitlist_settle(w, 0, settled);
	}
}

void pull_hash_kick_locked(struct pull *p)
{
	uint64_t size = p->what.file.size;

	if (p->hash_queued || p->hash_busy || blob_is_sealed(p->blob))
		return;
	if (blob_present_bytes(p->blob) != size &&
	    (p->hashed >= size || !blob_may_have(p->blob, chunk_of(p->hashed))))
		return;
	p->hash_queued = true;
	p->hash_next = NULL;
	*p->all->hash_end = p;
	p->all->hash_end = &p->hash_next;
	cond_wake_one(&p->all->hash_work);
}

/* Takes back what is queued; what is on its way stops a chunk further, which its carrier cannot
 * have passed yet without telling. */
void pull_leave_locked(struct pull *p)
{
	struct run *next;

	if (--p->readers > 0)
		return;
	p->all_wanted = false;
	for (struct run *run = p->runs; run; run = next) {
		next = run->next;
		if (run->state == RUN_ACTIVE) {
			uint64_t near = chunk_ceil(run->pos + CHUNK_BYTES, p->what.file.size);

			run->end = near < run->end ? near : run->end;
			continue;
		}
		queue_del(queue_of(run), run);
		run_unlink(run);
		free(run);
	}
}

struct pull *pull_if_idle_locked(struct pull *p)
{
	if (p->readers || p->busy || p->hash_queued || p->hash_busy)
		return NULL;
	/* Distrust outlives the readers: it ends with the seal. */
	distrusts_put(&p->all->distrusts, p->what.etag, &p->distrust);
	map_del_str(&p->all->by_etag, p->what.etag);
	return p;
}
