/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that verifies something for who has other things to do. It starts when this node can ask
 * others; until then, and from its end on, it takes nothing. Threads: any. */
#ifndef MATRIXFS_VERIFY_THREAD_H
#define MATRIXFS_VERIFY_THREAD_H

#include "daemon/base/httpc.h"
#include "daemon/base/lock.h"
#include "daemon/base/workers.h"

struct verify_thread {
	struct httpc *http; /* to end what it asks at the stop; or NULL; set before it starts */
	struct httpc_cancel cancel;
	struct lock lock;        /* of whose thread it is, too */
	struct workers *workers; /* guarded by lock; NULL: it takes nothing */
};

/* It takes nothing yet. */
void verify_thread_init(struct verify_thread *t, enum lock_rank rank);
/* It does from now on: so much may wait. The name as in struct workers_conf; http is borrowed until
 * verify_thread_stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int verify_thread_start(struct verify_thread *t, const char *name, unsigned waiting_max,
				 struct httpc *http);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool verify_thread_stop(struct verify_thread *t);
void verify_thread_fini(struct verify_thread *t);
/* False if it does not take that: too much waits, or it takes nothing. */
MUST_USE bool verify_thread_add_locked(struct verify_thread *t, const struct work *work)
	NEEDS(t->lock);

#endif
