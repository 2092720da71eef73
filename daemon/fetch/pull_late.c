/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pull_late.h"

#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"

#define QUIET_MS 1000 /* after that what came before says nothing of what comes next */

/* The time by which waiters' deadlines are judged. */
static int64_t late_time(const struct pull *p, int64_t now_ms, int64_t timeout_ms)
{
	if (!p->verified_only || !p->moved_ms || now_ms - p->moved_ms >= timeout_ms)
		return now_ms;
	return now_ms - (int64_t)(p->what.file.size * 1000 / PULL_VERIFY_BYTES_S);
}

static bool is_trickle(uint64_t bytes, int64_t began_ms, int64_t moved_ms, int64_t now_ms)
{
	int64_t took = now_ms - began_ms;

	return now_ms - moved_ms > QUIET_MS ||
	       (took > 0 && bytes * 1000 / (uint64_t)took < SOURCE_TRICKLE_RATE);
}

/* From where on what he waited for was in vain: from the start if as good as nothing comes of it,
 * else from what is not going to come in as much time again. */
static uint64_t vain_from(const struct pull *p, const struct waiter *w, int64_t now_ms,
			  int64_t timeout_ms)
{
	uint64_t at = fill_until(&p->fill, w->off);

	for (const struct run *run = p->fill.runs; run; run = run->next) {
		uint64_t bytes = run->pos - run->start;
		int64_t took = now_ms - run->began_ms;

		if (at < run->start || at >= run->end)
			continue;
		if (is_trickle(bytes, run->began_ms, run->moved_ms, now_ms))
			return w->off;
		if (took <= 0)
			return UINT64_MAX;
		return max_u64(run->pos + bytes * (uint64_t)timeout_ms / (uint64_t)took, w->off);
	}
	return is_trickle(rate_get(&p->rate, now_ms), now_ms - 1000, p->moved_ms, now_ms)
		       ? w->off
		       : UINT64_MAX;
}

/* What adjoins is one read of the kernel's. */
static void note_late(struct pull *p, uint64_t from, uint64_t to, int64_t now_ms)
{
	struct late_range *l = p->late, *oldest = l;

	for (; l < p->late + LATE_RANGES; l++) {
		if (now_ms < l->until_ms && from <= l->to && to >= l->from)
			break;
		if (l->until_ms < oldest->until_ms)
			oldest = l;
	}
	if (l == p->late + LATE_RANGES) {
		l = oldest;
		*l = (struct late_range){ .from = from, .to = to };
	}
	l->from = min_u64(l->from, from);
	l->to = max_u64(l->to, to);
	l->until_ms = now_ms + LATE_MS;
}

void pull_settle_late_locked(struct pull *p, int64_t now_ms, int64_t timeout_ms,
			     struct waitlist *settled)
{
	int64_t late_ms = late_time(p, now_ms, timeout_ms);

	for (const struct waiter *w = p->waiters.first; w; w = w->next) {
		uint64_t from, to = w->off + w->len;

		if (w->deadline_ms > late_ms || w->verdict)
			continue;
		from = vain_from(p, w, now_ms, timeout_ms);
		if (from < to)
			note_late(p, from, to, now_ms);
	}
	waitlist_settle_late(&p->waiters, late_ms, ERR_TIMEOUT, settled);
}

bool pull_was_late_locked(const struct pull *p, uint64_t off, uint64_t len, int64_t now_ms)
{
	for (const struct late_range *l = p->late; l < p->late + LATE_RANGES; l++)
		if (now_ms < l->until_ms && off >= l->from && off + len <= l->to)
			return true;
	return false;
}

/* Who waits for the verdict needs all of the file: also what was there, was not digested yet, and
 * has gone since. */
static int want_gone(struct pull *p)
{
	if (!p->waiters.first || p->fill.run_count || p->fill.want_count ||
	    blob_present_bytes(p->blob) == p->what.file.size)
		return 0;
	p->all_wanted = false;
	return pull_want_all_locked(p);
}

void pull_demand_again_locked(struct pull *p, int64_t now_ms)
{
	bool kept = p->unkept_until_ms <= now_ms, gone = false;
	int r = 0;

	for (const struct waiter *w = p->waiters.first; w && r == 0; w = w->next) {
		if (!pull_shows_locked(p, w))
			gone = true;
		else if (kept)
			r = pull_demand_locked(p, w, now_ms);
	}
	if (r == 0 && gone)
		r = want_gone(p);
	if (r < 0)
		log_debug("what is waited for is not asked for again: %s", err_text(r));
}
