/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in bytes per second, in all and per urgency, that may be changed while bytes flow. Whoever
 * has received bytes asks how long to pause before taking more: a paused receiver fills its
 * socket's window, and the sender slows down. Threads: any. */
#ifndef MATRIXFS_THROTTLE_H
#define MATRIXFS_THROTTLE_H

#include "daemon/base/bucket.h"
#include "daemon/base/lock.h"
#include "daemon/fetch/urgency.h"

/* Bytes per second; 0 is no limit. */
struct throttle_limits {
	uint64_t total;
	uint64_t of[URGENCY_COUNT];
};

struct throttle {
	struct lock lock;
	/* Guarded by lock. */
	struct throttle_limits limits;
	struct bucket total, of[URGENCY_COUNT];
};

/* Without limits. */
void throttle_init(struct throttle *t);
void throttle_fini(struct throttle *t);
/* Changes them from now on; what was to be waited for under the old ones is forgiven. */
void throttle_set(struct throttle *t, const struct throttle_limits *limits);
struct throttle_limits throttle_get(struct throttle *t);
/* Books bytes that have come; returns for how many ms their receiver should take no more. */
int64_t throttle_pause_ms(struct throttle *t, enum urgency u, uint64_t bytes);

#endif
