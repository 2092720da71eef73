/* SPDX-License-Identifier: Apache-2.0 */
/* One job for all who wait for the same metadata. The first who asks for a key starts a job on a
 * worker thread; those who ask before it ends wait with them. A waiter's deadline and its
 * interrupt are its own; the job goes on for the others, and when its last waiter has left it
 * still finishes, so that the next one finds the answer. Threads: any. */
#ifndef MATRIXFS_FLIGHT_H
#define MATRIXFS_FLIGHT_H

#include <stdatomic.h>
#include <stdint.h>

#include "daemon/base/httpc.h"
#include "daemon/base/wait.h"

struct flight;

/* What a job is given: its argument, how to let its requests be ended, a flag set when we stop. */
struct flight_job {
	void *arg;
	struct httpc_cancel cancel;
	const atomic_int *stop;
};

typedef int (*flight_fn)(struct flight_job *job);

struct flight_conf {
	struct httpc *http; /* to end running requests at stop; borrowed */
	unsigned threads_max;
	int64_t idle_ms; /* a worker without work ends after this */
};

/* Starts the clock; workers come with the first job. Errors: -ENOMEM, -EAGAIN. */
MUST_USE int flight_new(const struct flight_conf *conf, struct flight **ret);
/* Wakes all waiters with ERR_STOPPING, ends running requests, joins the workers. Later joins
 * fail. */
void flight_stop(struct flight *f);
void flight_free(struct flight *f);
/* Waits for the job of this key, starting it if there is none. `arg` is taken, and freed by
 * free_arg once (also when somebody else's job serves). PARKED: w->wake is called with the job's
 * result, ERR_TIMEOUT, ERR_CANCELED or ERR_STOPPING. Or negative: ERR_CANCELED, ERR_STOPPING,
 * -ENOMEM, and w is not parked. At until_ms (clock_ms(), CLOCK_FOREVER) w is woken with 0 while the
 * job goes on: for those who have something to fall back on. */
MUST_USE int flight_join(struct flight *f, const char *key, flight_fn work, void *arg,
			 void (*free_arg)(void *), int64_t until_ms, struct waiter *w);
/* Takes w out if it waits here: 1, and it will not be woken; 0 if it does not wait here. */
int flight_leave(struct flight *f, struct waiter *w);

#endif
