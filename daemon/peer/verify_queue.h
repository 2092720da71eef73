/* SPDX-License-Identifier: Apache-2.0 */
/* While a blob comes from members and no hub publishes its digest list: each segment that is there
 * is compared with what its owner had (verify_blob.h), on threads of their own, so that wrong bytes
 * are found before the digest of the whole can tell. Who takes its time to answer holds up its own
 * segments alone. One question a segment; what cannot be asked now is left to that digest, and so
 * is what comes when too much waits. Threads: any. */
#ifndef MATRIXFS_VERIFY_QUEUE_H
#define MATRIXFS_VERIFY_QUEUE_H

#include "daemon/fetch/fetch.h"
#include "daemon/peer/verify_blob.h"

#define VERIFY_QUEUE_MAX 512           /* segments that wait, or whose owner's word is kept */
#define VERIFY_QUEUE_REFUTED 16        /* owners that are remembered for what was not so */
#define VERIFY_QUEUE_REFUTED_MS 600000 /* so long they are not asked */

struct verify_queue;

struct verify_queue_conf {
	const struct verify_conf *verify; /* borrowed until verify_queue_stop, like all below */
	struct fetch *fetch;
	struct store *store;
	struct httpc *http; /* to end what it asks at the stop */
};

/* It compares nothing yet. -ENOMEM. */
MUST_USE int verify_queue_new(struct verify_queue **ret);
/* It does from now on. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int verify_queue_start(struct verify_queue *q, const struct verify_queue_conf *conf);
/* False if it is still at work after a while: then all stays until the process ends. */
MUST_USE bool verify_queue_stop(struct verify_queue *q);
void verify_queue_free(struct verify_queue *q);

/* Chunk i of a blob has come from a member. Does not wait. */
void verify_queue_came(struct verify_queue *q, const struct source_blob *what, uint32_t i);
/* A hub has published the digests of a blob: what members gave of it before is compared with that,
 * so that it is passed on no longer if it is wrong. Does not wait. */
void verify_queue_listed(struct verify_queue *q, const struct source_blob *what);
/* Nothing of a blob is to be compared any more. */
void verify_queue_forget(struct verify_queue *q, const char *etag);

#endif
