/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/transfers.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/pull.h"

struct collecting {
	struct buf list; /* of struct transfer */
	int64_t now_ms;
};

static void add_run(const struct pull *p, const struct run *run, int64_t now_ms,
		    struct transfer *ret)
{
	int64_t moved_ms = p->moved_ms > run->began_ms ? p->moved_ms : run->began_ms;

	ret->requests++;
	ret->asked += run->end - run->pos;
	if (!run->direct)
		ret->present += run->pos - chunk_floor(run->pos);
	if (now_ms - moved_ms > ret->silent_ms)
		ret->silent_ms = now_ms - moved_ms;
	if (run->urgency < ret->urgency)
		ret->urgency = run->urgency;
}

/* What is wanted and not there, chunk by chunk: wants may overlap what has come meanwhile. */
static uint64_t absent_bytes(const struct pull *p, const struct want *w)
{
	uint64_t absent = 0, end;

	for (uint64_t off = w->from; off < w->to; off = end) {
		end = chunk_end(chunk_of(off), w->to);
		if (!blob_may_have(p->blob, chunk_of(off)))
			absent += end - off;
	}
	return absent;
}

static void add_wants(const struct pull *p, struct transfer *ret)
{
	unsigned left = p->fill.want_count;

	for (int u = 0; left && u < URGENCY_COUNT; u++)
		for (const struct want *w = p->all->schedule.wants[u].first; w; w = w->next) {
			if (w->fill != &p->fill)
				continue;
			left--;
			ret->queued += absent_bytes(p, w);
			if (w->urgency < ret->urgency)
				ret->urgency = w->urgency;
		}
}

static void add_waiters(const struct pull *p, int64_t now_ms, struct transfer *ret)
{
	for (const struct waiter *w = p->waiters.first; w; w = w->next) {
		ret->waiting++;
		ret->urgency = URGENCY_DEMAND;
		if (now_ms - w->started_ms > ret->waiting_ms)
			ret->waiting_ms = now_ms - w->started_ms;
	}
}

static void describe_locked(const struct pull *p, int64_t now_ms, struct transfer *ret)
{
	*ret = (struct transfer){
		.repo = p->what.repo,
		.size = p->what.file.size,
		.present = blob_present_bytes(p->blob),
		.bytes_s = rate_get(&p->rate, now_ms),
		.readers = p->readers,
		.silent_ms = -1,
		.urgency = URGENCY_BACKGROUND,
		.verified_only = p->verified_only,
	};
	snprintf(ret->commit, sizeof(ret->commit), "%s", p->what.commit);
	snprintf(ret->path, sizeof(ret->path), "%s", p->what.path);
	snprintf(ret->etag, sizeof(ret->etag), "%s", p->what.etag);
	snprintf(ret->source, sizeof(ret->source), "%s", p->source ? p->source : "");
	for (const struct run *run = p->fill.runs; run; run = run->next)
		add_run(p, run, now_ms, ret);
	add_wants(p, ret);
	add_waiters(p, now_ms, ret);
	if (ret->present > ret->size)
		ret->present = ret->size;
}

static int collect(void *arg, void *value)
{
	const struct pull *p = value;
	struct collecting *c = arg;
	struct transfer t;

	if (!p->fill.runs && !p->fill.want_count && !p->waiters.first)
		return 0;
	describe_locked(p, c->now_ms, &t);
	return buf_add(&c->list, &t, sizeof(t));
}

int transfers_each(struct pulls *all, int (*fn)(void *arg, const struct transfer *t), void *arg)
{
	struct collecting c = { .now_ms = clock_ms() };
	int r;

	lock_take(&all->lock);
	r = map_each(&all->by_etag, collect, &c);
	lock_drop(&all->lock);
	for (size_t at = 0; r == 0 && at < c.list.len; at += sizeof(struct transfer))
		r = fn(arg, (const struct transfer *)(const void *)(c.list.data + at));
	buf_free(&c.list);
	return r;
}

bool transfers_get(struct pulls *all, const char *etag, struct transfer *ret)
{
	const struct pull *p;

	lock_take(&all->lock);
	p = map_find_str(&all->by_etag, etag);
	if (p)
		describe_locked(p, clock_ms(), ret);
	lock_drop(&all->lock);
	return p != NULL;
}
