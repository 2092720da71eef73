/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs whose digest was wrong, and somebody who may find out which of their chunks are: that takes
 * questions and time, so it has a thread of its own. Threads: any. */
#ifndef MATRIXFS_DOUBTS_H
#define MATRIXFS_DOUBTS_H

#include "daemon/fetch/pull.h"
#include "daemon/fetch/verifier.h"

struct doubts;

struct doubts_conf {
	struct pulls *pulls; /* borrowed until doubts_stop, like http */
	struct httpc *http;  /* to end what it asks at the stop */
	struct verifier verifier;
	/* What came of it: as look() said. On the thread, no lock held. */
	void (*end)(void *arg, struct pull *p, int dropped);
	void *arg;
};

/* -ENOMEM, -EAGAIN (no thread). */
MUST_USE int doubts_start(const struct doubts_conf *conf, struct doubts **ret);
/* Looks into it, after those before it. The caller's thread has p->hash_busy, and leaves it to
 * end(). */
void doubts_add(struct doubts *d, struct pull *p);
/* After pulls->stop was set: what waits is left as it is. NULL is fine. */
void doubts_stop(struct doubts *d);

#endif
