/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket is kept as the time at which it will be empty again: bytes move it on by what they cost
 * at the limit, and a receiver pauses until then. It never lies in the past by more than BURST_US,
 * so that an idle hour does not buy a flood. Source: ITU-T I.371, the virtual scheduling
 * algorithm. */
#include "daemon/fetch/throttle.h"

#include <string.h>

#include "daemon/base/clock.h"

#define BURST_US 100000
#define PAUSE_MAX_MS 1000 /* then the limits are looked at again */

void throttle_init(struct throttle *t)
{
	*t = (struct throttle){ .paid_total_us = 0 };
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
	t->paid_total_us = 0; /* old debts are forgiven */
	memset(t->paid_us, 0, sizeof(t->paid_us));
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

/* Books bytes on one bucket; returns how many us are left until it is empty. */
static int64_t book(int64_t *paid_us, uint64_t limit, uint64_t bytes, int64_t now_us)
{
	if (limit == 0)
		return 0;
	if (*paid_us < now_us - BURST_US)
		*paid_us = now_us - BURST_US;
	*paid_us += (int64_t)((double)bytes * 1e6 / (double)limit);
	return *paid_us - now_us;
}

int64_t throttle_pause_ms(struct throttle *t, enum urgency u, uint64_t bytes)
{
	int64_t now_us = clock_ms() * 1000, own, all, pause;

	lock_take(&t->lock);
	own = book(&t->paid_us[u], t->limits.of[u], bytes, now_us);
	all = book(&t->paid_total_us, t->limits.total, bytes, now_us);
	lock_drop(&t->lock);
	pause = (own > all ? own : all) / 1000;
	if (pause <= 0)
		return 0;
	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}
