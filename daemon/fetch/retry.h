/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again. One `retry` follows one piece of work through its failures: it says whether
 * the failure is of the kind that passes, and waits with growing, jittered pauses or as long as
 * the server asked, never past the deadline. Only fetch and node's jobs use it. Threads: one per
 * retry. */
#ifndef MATRIXFS_RETRY_H
#define MATRIXFS_RETRY_H

#include <stdatomic.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct retry {
	unsigned failures; /* in a row */
	unsigned failures_max;
	int64_t deadline_ms;    /* clock_ms() value */
	int64_t asked_ms;       /* pause the server asked for, or -1 */
	uint64_t random;        /* state of the jitter */
	const atomic_int *stop; /* non-zero ends a pause; or NULL */
};

/* True if a failure of this kind may pass by itself: no connection, time-out, cut, 408, 429,
 * 5xx. */
int retry_passes(int r);
/* Starts; seed makes the jitter (any number). */
void retry_init(struct retry *t, unsigned failures_max, int64_t deadline_ms, uint64_t seed);
/* Progress was made: failures before it no longer count. */
void retry_reset(struct retry *t);
/* Length of the next pause in ms after failure number n (1, 2, ...): 100 ms doubling to 5 s, times
 * 0.5 ... 1.5; or what the server asked for, if that is longer. Pure but for t->random. */
int64_t retry_pause_ms(struct retry *t);
/* Notes failure r. Returns 0 after the pause if the work should be tried again, else r (or
 * ERR_CANCELED if stopped). */
MUST_USE int retry_wait(struct retry *t, int r);

#endif
