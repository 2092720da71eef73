/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends bytes next, where only so many may go out in a second. Who comes when as much went out
 * as may waits for his turn, for as long as he has time. Guests take turns: none gets a second one
 * while another waits for his first. Of one guest's own questions those come first that somebody
 * seems to wait for; of these in turns the one nearest to the beginning, which who reads on needs
 * next, and the one that came first. Threads: any. */
#ifndef MATRIXFS_FAIR_QUEUE_H
#define MATRIXFS_FAIR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct fair_queue;

/* Part of what waits; it belongs to the queue from fair_queue_wait until `take` is called. */
struct turn {
	struct turn *next;
	uint64_t guest;   /* key of who wants the bytes */
	uint64_t off;     /* where they begin */
	uint64_t bytes;   /* so many */
	bool patient;     /* nobody seems to wait for them there */
	int64_t until_ms; /* it waits no longer than this */
	/* Called exactly once, from any thread, no lock held: 0: it may go out, and is booked;
	 * ERR_TIMEOUT: it may not yet; ERR_STOPPING. The turn may be freed inside. */
	void (*take)(struct turn *turn, int r);
};

/* `rate` says how many bytes a second may go out now (0: any number); it is called from any thread,
 * with no lock held. -ENOMEM, -EAGAIN. */
MUST_USE int fair_queue_start(uint64_t (*rate)(void *arg), void *arg, struct fair_queue **ret);
/* From now on nobody gets a turn, also of those who wait. NULL is fine. */
void fair_queue_close(struct fair_queue *q);
/* After fair_queue_close, when nobody is going to wait any more. NULL is fine. */
void fair_queue_free(struct fair_queue *q);
/* Calls turn->take, at once or later. */
void fair_queue_wait(struct fair_queue *q, struct turn *turn);
/* True if who comes now has to wait, so that it had better be for little. */
bool fair_queue_is_short(struct fair_queue *q);
/* For how long, in ms, no bytes have gone out; -1: none have yet. */
int64_t fair_queue_quiet_ms(struct fair_queue *q);

#endif
