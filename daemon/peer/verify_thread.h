/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads that verify something for who has other things to do. They start when this node can
 * ask others; until then, and from their end on, they take nothing. Threads: any. */
#ifndef MATRIXFS_VERIFY_THREAD_H
#define MATRIXFS_VERIFY_THREAD_H

#include "daemon/base/httpc.h"
#include "daemon/base/lock.h"
#include "daemon/base/workers.h"

#define VERIFY_THREADS 4 /* at most */

struct verify_thread {
	struct httpc *http; /* to end what is asked at the stop; or NULL; set before it starts */
	struct httpc_cancel cancels[VERIFY_THREADS];
	struct lock lock; /* of whose threads they are, too */
	/* Guarded by lock. */
	struct workers *workers; /* NULL: nothing is taken */
	bool asking[VERIFY_THREADS];
};

/* It takes nothing yet. */
void verify_thread_init(struct verify_thread *t, enum lock_rank rank);
/* So many do from now on, and so much may wait. The name as in struct workers_conf; http is borrowed
 * until verify_thread_stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int verify_thread_start(struct verify_thread *t, const char *name, unsigned threads,
				 unsigned waiting_max, struct httpc *http);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool verify_thread_stop(struct verify_thread *t);
void verify_thread_fini(struct verify_thread *t);
/* False if it does not take that: too much waits, or it takes nothing. */
MUST_USE bool verify_thread_add_locked(struct verify_thread *t, const struct work *work)
	NEEDS(t->lock);
/* What a work asks by, and gives back at its end: nobody else does meanwhile. */
struct httpc_cancel *verify_thread_take_cancel(struct verify_thread *t);
void verify_thread_give_cancel(struct verify_thread *t, const struct httpc_cancel *cancel);

#endif
