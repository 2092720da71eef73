/* SPDX-License-Identifier: Apache-2.0 */
/* A receiver pauses until what came is paid for. */
#include "daemon/fetch/throttle.h"

#include <string.h>

#include "daemon/base/clock.h"

#define BURST_US 100000
#define PAUSE_MAX_MS 1000 /* then the limits are looked at again */

void throttle_init(struct throttle *t)
{
	*t = (struct throttle){ .total = { 0 } };
	lock_init(&t->lock, LOCK_THROTTLE);
}

void throttle_fini(struct throttle *t)
{
	lock_fini(&t->lock);
}

void throttle_set(struct throttle *t, const struct throttle_limits *limits)
{
	lock_take(&t->lock);
	t->limits = *limits;
	t->total = (struct bucket){ 0 }; /* old debts are forgiven */
	memset(t->of, 0, sizeof(t->of));
	lock_drop(&t->lock);
}

struct throttle_limits throttle_get(struct throttle *t)
{
	struct throttle_limits limits;

	lock_take(&t->lock);
	limits = t->limits;
	lock_drop(&t->lock);
	return limits;
}

/* Books bytes on one bucket; returns for how many us they are owed. */
static int64_t book(struct bucket *b, uint64_t limit, uint64_t bytes, int64_t now_us)
{
	if (limit == 0)
		return 0;
	bucket_book(b, bytes, limit, BURST_US, now_us);
	return bucket_owed_us(b, now_us);
}

int64_t throttle_pause_ms(struct throttle *t, enum urgency u, uint64_t bytes)
{
	int64_t now_us = clock_ms() * 1000, own, all, pause;

	lock_take(&t->lock);
	own = book(&t->of[u], t->limits.of[u], bytes, now_us);
	all = book(&t->total, t->limits.total, bytes, now_us);
	lock_drop(&t->lock);
	pause = (own > all ? own : all) / 1000;
	if (pause <= 0)
		return 0;
	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}
