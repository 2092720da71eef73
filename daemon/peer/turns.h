/* SPDX-License-Identifier: Apache-2.0 */
/* Who sends bytes next, where only so many may go out in a second. Who comes when as much went out
 * as may waits for his turn, for as long as he has time. Guests take turns: none gets a second one
 * while another waits for his first. Of one guest's own questions those come first that somebody
 * seems to wait for; of these in turns the one nearest to the beginning, which who reads on needs
 * next, and the one that came first. Threads: any. */
#ifndef MATRIXFS_TURNS_H
#define MATRIXFS_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct turns;

/* Part of what waits; it belongs to the turns from turns_wait until `take` is called. */
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
MUST_USE int turns_start(uint64_t (*rate)(void *arg), void *arg, struct turns **ret);
/* From now on nobody gets a turn, also of those who wait. NULL is fine. */
void turns_close(struct turns *t);
/* After turns_close, when nobody is going to wait any more. NULL is fine. */
void turns_free(struct turns *t);
/* Calls turn->take, at once or later. */
void turns_wait(struct turns *t, struct turn *turn);
/* True if who comes now has to wait, so that it had better be for little. */
bool turns_are_short(struct turns *t);
/* For how long, in ms, no bytes have gone out; -1: none have yet. */
int64_t turns_quiet_ms(struct turns *t);

#endif
