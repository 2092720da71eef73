/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pace.h"

#define GAIN 0.2 /* more requests are kept if they bring a fifth of what they could */

void pace_init(struct pace *p)
{
	*p = (struct pace){ .limit = PACE_START };
}

void pace_wanted(struct pace *p)
{
	p->wanted = true;
}

/* After a refusal one by one, without a trial: there was room for more before, and the next refusal
 * tells where it ends. */
static void grow(struct pace *p, double rate, int64_t now_ms)
{
	bool careful = pace_is_careful(p, now_ms);
	unsigned step = p->limit > 3 && !careful ? p->limit / 2 : 1;

	if (now_ms < p->hold_until_ms || p->limit >= PACE_MAX)
		return;
	p->rate = rate;
	p->before = careful ? 0 : p->limit;
	p->limit = p->limit + step < PACE_MAX ? p->limit + step : PACE_MAX;
}

/* A trial has run for a window: keep what it tried, or go back. */
static void judge(struct pace *p, double rate, int64_t now_ms)
{
	double share = (double)(p->limit - p->before) / (double)p->before;

	if (rate < p->rate * (1 + GAIN * share)) {
		p->limit = p->before;
		p->hold_until_ms = now_ms + PACE_HOLD_MS;
	}
	p->before = 0;
}

bool pace_bytes(struct pace *p, uint64_t bytes, int64_t now_ms)
{
	int64_t took = now_ms - p->since_ms;
	unsigned old = p->limit;
	bool wanted = p->wanted;
	double rate;

	p->bytes += bytes;
	p->piece = bytes > p->piece ? bytes : p->piece;
	if (p->since_ms && (took < PACE_WINDOW_MS || p->bytes < PACE_WINDOW_PIECES * p->piece))
		return false;
	rate = took > 0 ? (double)p->bytes / (double)took : 0;
	p->bytes = p->piece = 0;
	p->wanted = false;
	/* The first window begins now; one with too little to do says nothing. */
	if (p->since_ms && wanted) {
		if (p->before)
			judge(p, rate, now_ms);
		grow(p, rate, now_ms);
	}
	p->since_ms = now_ms;
	return p->limit > old;
}

void pace_refused(struct pace *p, unsigned running, int64_t wait_ms, int64_t now_ms)
{
	unsigned most = running < p->limit ? running : p->limit;
	bool volley = now_ms < p->volley_until_ms;

	if (wait_ms < PACE_REFUSED_MS)
		wait_ms = PACE_REFUSED_MS;
	if (wait_ms > PACE_REFUSED_MAX)
		wait_ms = PACE_REFUSED_MAX;
	/* Requests that were on their way together are refused together: that is one refusal. But
	 * if as few as the limit are too many, it is too high still. */
	p->limit = volley ? (running > p->limit ? p->limit : most - 1) : most / 2;
	if (p->limit == 0 || most == 0)
		p->limit = 1;
	p->before = 0;
	p->volley_until_ms = p->hold_until_ms = now_ms + wait_ms;
	p->careful_until_ms = now_ms + (wait_ms > PACE_CAREFUL_MS ? wait_ms : PACE_CAREFUL_MS);
}

void pace_failed(struct pace *p, int64_t now_ms)
{
	if (now_ms >= p->volley_until_ms && p->limit > PACE_START / 2)
		p->limit = p->limit / 2 > PACE_START / 2 ? p->limit / 2 : PACE_START / 2;
	p->before = 0;
	p->volley_until_ms = p->hold_until_ms = now_ms + PACE_REFUSED_MS;
}

bool pace_is_careful(const struct pace *p, int64_t now_ms)
{
	return now_ms < p->careful_until_ms;
}
